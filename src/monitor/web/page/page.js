'use strict';
// The console: asks for the states of all streams a few times a second, and shows each stream by WebRTC,
// or by MJPEG where that does not come up.

const POLL = 350, POLL_HIDDEN = 3000;      // milliseconds between questions
const WEBRTC_WITHIN = 5000;                // then MJPEG
const WEBRTC_AGAIN = 60000;                // and another attempt beside it, twice as late each time
const WEBRTC_LATEST = 30 * 60 * 1000;
const STUCK = 6000;                        // a live picture that does not move for so long is begun anew
const STUCK_MJPEG = 20000;
const LOST_AFTER = 3;                      // questions without an answer: one may fail where a network changes
const ASLEEP_AFTER = 15000;                // a page that nobody sees takes no pictures
const PLOTTED = 5 * 60 * 1000;
const MJPEG_MOST = 3;                      // browsers keep six connections to a server: some must stay free
const COLOURS = ['--c0', '--c1', '--c2', '--c3', '--c4'];

// The keys of the window (src/stream/live/controls.rs), without those that scroll: space would pause a recording.
const KEYS = {
  n: ['class', 'next'], ArrowRight: ['class', 'next'], p: ['class', 'previous'], ArrowLeft: ['class', 'previous'],
  t: ['class', 'top1'], k: ['class', 'pin'],
  l: ['layer', 'next'], j: ['layer', 'previous'], d: ['layer', 'default'],
  '+': ['opacity', 'up'], '=': ['opacity', 'up'], '-': ['opacity', 'down'],
  s: ['style', 'next'], c: ['colormap', 'next'], x: ['colormap', 'previous'], m: ['normalize', 'next'],
  b: ['label', 'toggle'], '?': ['help', 'toggle'], '/': ['help', 'toggle'], h: ['help', 'toggle'], F1: ['help', 'toggle'],
};

const WORDS = { connecting: 'connecting', live: 'live', away: 'away', ended: 'ended', failed: 'failed', starting: 'starting', missing: 'not started', lost: 'no connection' };
const DEAD = {
  connecting: (time) => `No picture for ${time}`, away: (time) => `Camera away for ${time}`, ended: (time) => `The source ended ${time} ago`,
  failed: (time) => `The stream failed ${time} ago`, starting: (time) => `Starting for ${time}`, missing: (time) => `Not started for ${time}`, lost: () => 'The server does not answer',
};

const $ = (id) => document.getElementById(id);
const streams = new Map();
let chosen = null, wanted = null;           // wanted: what the address asks for
let reached = false, failures = 0;
let asleep = false;

const path = (name) => encodeURIComponent(name);

function lasting(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function ask(address, options = {}) {
  const answer = await fetch(address, { signal: AbortSignal.timeout(options.within ?? 8000), ...options });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(said.error ?? `${answer.status} ${answer.statusText}`), { status: answer.status });
}

let toastTimer;
function toast(text) {
  setText($('toast'), text);
  $('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $('toast').hidden = true; }, 5000);
}

// --- The picture of a stream ---

class Picture {
  constructor(name, box) {
    this.name = name;
    [this.video, this.img] = [box.querySelector('video'), box.querySelector('img')];
    this.img.alt = `Picture of ${name}`;
    this.video.setAttribute('aria-label', `Picture of ${name}`);
    this.how = null;
    this.turn = 0;
    this.visible = true;
    this.missing = false;
    this.wait = WEBRTC_AGAIN;
    this.full = null;                      // why there was no place for another viewer
    this.pen = Object.assign(document.createElement('canvas'), { width: 16, height: 9 }).getContext('2d', { willReadFrequently: true });
  }

  start() {
    if (this.how === null && !this.missing && !asleep) this.webrtc();
  }

  stop() {
    this.hangUp();
    this.noImage();
    this.video.hidden = true;
    this.how = null;
  }

  again() {
    this.stop();
    this.start();
  }

  hangUp() {
    this.turn++;
    clearTimeout(this.timer);
    this.pc?.close();
    this.pc = null;
    this.video.srcObject = null;
    if (this.place) fetch(this.place, { method: 'DELETE', keepalive: true }).catch(() => {});
    this.place = null;
  }

  noImage() {
    clearTimeout(this.next);
    this.img.onload = this.img.onerror = null;
    this.img.removeAttribute('src');
    this.img.hidden = true;
  }

  showsImage() {
    return ['MJPEG', 'pictures'].includes(this.how);
  }

  // An attempt at WebRTC. An image that is shown stays until the video plays.
  async webrtc() {
    this.hangUp();
    const turn = this.turn;
    const mine = () => turn === this.turn;
    if (!this.showsImage()) {
      this.how = 'starting';
      // Until the video plays, what can be seen at once.
      this.img.hidden = false;
      this.img.onerror = () => { this.img.hidden = true; };
      this.img.src = `/api/streams/${path(this.name)}/snapshot.jpg?${Date.now()}`;
    }
    this.timer = setTimeout(() => { if (mine()) this.fallBack(); }, WEBRTC_WITHIN);
    try {
      const pc = this.pc = new RTCPeerConnection();
      const { receiver } = pc.addTransceiver('video', { direction: 'recvonly' });
      if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
      pc.ontrack = (event) => { this.video.srcObject = event.streams[0] ?? new MediaStream([event.track]); };
      pc.onconnectionstatechange = () => {
        if (!mine() || !['failed', 'closed'].includes(pc.connectionState)) return;
        if (this.how === 'WebRTC') this.again(); else this.fallBack();
      };
      await pc.setLocalDescription();
      const answer = await ask(`/whep/${path(this.name)}`, {
        method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp,
      });
      this.full = null;
      const place = answer.headers.get('Location');
      if (!mine()) return void fetch(place, { method: 'DELETE' }).catch(() => {});
      this.place = place;
      await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
      this.video.onplaying = this.video.ontimeupdate = () => {
        if (!mine() || this.how === 'WebRTC' || this.video.currentTime <= 0) return;
        clearTimeout(this.timer);
        this.noImage();
        this.how = 'WebRTC';
        this.wait = WEBRTC_AGAIN;
        this.video.hidden = false;
      };
      this.video.play().catch(() => {});
    } catch (e) {
      if (e.status === 503) this.full = e.message;
      if (mine()) this.fallBack();
    }
  }

  // WebRTC does not come up: by other means, and later again.
  fallBack() {
    this.hangUp();
    this.retry = Date.now() + this.wait;
    this.wait = Math.min(2 * this.wait, WEBRTC_LATEST);
    if (!this.showsImage()) this.mjpeg();
  }

  mjpeg() {
    this.video.hidden = true;
    this.img.hidden = false;
    const others = [...streams.values()].filter((s) => s.picture !== this && s.picture.how === 'MJPEG').length;
    this.how = others < MJPEG_MOST && !this.full ? 'MJPEG' : 'pictures';
    this.load();
  }

  // The image from now on: a flow, or single pictures, for which no place is needed.
  load() {
    clearTimeout(this.next);
    const flows = this.how === 'MJPEG';
    const later = (wait) => { this.next = setTimeout(() => this.load(), wait); };
    this.img.onload = flows ? null : () => later(1000);
    this.img.onerror = () => {
      this.how = 'pictures';
      later(2000);
    };
    this.img.src = flows ? `/streams/${path(this.name)}/mjpeg?${Date.now()}` : `/api/streams/${path(this.name)}/snapshot.jpg?${Date.now()}`;
  }

  // What an image shows, in a few pixels: browsers do not tell when a flow ends.
  glance() {
    if (!this.img.naturalWidth) return '';
    this.pen.drawImage(this.img, 0, 0, 16, 9);
    return this.pen.getImageData(0, 0, 16, 9).data.join();
  }

  // Whether something that should move does; begins anew where it does not.
  look(live) {
    const now = Date.now();
    const seen = this.how === 'MJPEG' ? this.glance() : this.video.currentTime;
    if (seen !== this.seen || !live) [this.seen, this.moved] = [seen, now];
    if (this.how === 'WebRTC' && now - this.moved > STUCK) this.again();
    if (this.how === 'MJPEG' && now - this.moved > STUCK_MJPEG) {
      this.moved = now;
      this.load();
    }
    if (this.showsImage() && now > this.retry && this.visible) {
      this.retry = Infinity;
      this.webrtc();
    }
  }

  told() {
    return this.how === 'pictures' && this.full ? `single pictures: ${this.full}` : this.how;
  }
}

// --- A stream on the page ---

class Stream {
  constructor(name) {
    this.name = name;
    this.card = $('stream').content.firstElementChild.cloneNode(true);
    const $$ = (selector) => this.card.querySelector(selector);
    this.part = {
      box: $$('.picture'), dead: $$('.dead'), why: $$('.dead span'), what: $$('.dead strong'), open: $$('.open'), state: $$('.state'),
      facts: $$('.facts'), trouble: $$('.trouble'), predictions: $$('.predictions'), canvas: $$('canvas'), legend: $$('.legend'),
      form: $$('form'), list: $$('datalist'), output: $$('output'),
    };
    this.card.dataset.name = name;
    $$('h2').textContent = name;
    this.part.open.setAttribute('aria-label', `Enlarge ${name}`);
    this.part.list.id = `classes-${Math.random().toString(36).slice(2)}`;
    this.part.form.elements.class.setAttribute('list', this.part.list.id);
    this.picture = new Picture(name, this.part.box);
    this.moments = null;
    this.listen();
    observer.observe(this.card);
  }

  listen() {
    const { form, open } = this.part;
    open.onclick = () => choose(this.name);
    this.card.querySelector('.snapshot').onclick = () => this.snapshot();
    for (const button of form.querySelectorAll('button[data-control]')) {
      button.onclick = () => this.change(button.dataset.control, button.dataset.value);
    }
    for (const select of form.querySelectorAll('select')) {
      select.onchange = () => this.change(select.dataset.control, select.value);
    }
    // While the slider moves the last wish wins, and one is under way at most.
    const slider = form.elements.opacity;
    slider.oninput = async () => {
      setText(this.part.output, `${Math.round(slider.value * 100)} %`);
      this.opacity = slider.value;
      if (this.sliding) return;
      this.sliding = true;
      while (this.opacity !== null) {
        const value = this.opacity;
        this.opacity = null;
        await this.change('opacity', value);
      }
      this.sliding = false;
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      if (form.elements.class.value.trim()) this.change('class', form.elements.class.value.trim());
    };
  }

  async change(control, value) {
    try {
      const answer = await ask(`/api/streams/${path(this.name)}/controls`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ control, value }),
      });
      this.show(await answer.json());
    } catch (e) {
      toast(e.message);
    }
  }

  async snapshot() {
    try {
      const answer = await ask(`/api/streams/${path(this.name)}/snapshot`, { method: 'POST' });
      toast(`Written to ${(await answer.json()).path}`);
    } catch (e) {
      toast(e.message);
    }
  }

  show(status) {
    this.status = status;
    const { part } = this, dead = status.state !== 'live';
    part.state.dataset.state = status.state;
    setText(part.state, status.controls?.paused && !dead ? 'paused' : WORDS[status.state] ?? status.state);
    part.state.title = `for ${lasting(status.seconds)}`;
    this.card.classList.toggle('is-dead', dead);
    part.dead.hidden = !dead;
    if (dead) {
      setText(part.what, DEAD[status.state]?.(lasting(status.seconds)) ?? status.state);
      setText(part.why, status.reason ?? '');
    }
    if (status.size) part.box.style.setProperty('--shape', `${status.size[0]} / ${status.size[1]}`);
    const age = status.map_age_ms == null ? null : `map ${status.map_age_ms} ms old`;
    const facts = [status.size?.join(' × '), dead ? null : status.quiet_seconds >= 2 ? `no new picture for ${lasting(status.quiet_seconds)}` : `${status.fps} frames/s`, dead ? null : `${status.maps_per_second} maps/s`, dead ? null : age,
      status.reconnects ? `${status.reconnects} reconnects` : null, status.device, dead ? null : this.picture.told()];
    setText(part.facts, facts.filter(Boolean).join(' · '));
    part.trouble.hidden = !status.trouble;
    setText(part.trouble, status.trouble ?? '');
    // What has not started has no picture to ask for.
    if (this.picture.missing !== ['missing', 'starting'].includes(status.state)) {
      this.picture.missing = !this.picture.missing;
      this.picture.stop();
      if (this.picture.visible) this.picture.start();
    }
    this.predictions(dead ? [] : status.predictions, status.controls?.classes?.[0]);
    this.remember(status);
    if (chosen === this.name) this.controls(status);
  }

  predictions(predictions, explained) {
    const list = this.part.predictions;
    while (list.children.length > predictions.length) list.lastElementChild.remove();
    predictions.forEach((p, i) => {
      let button = list.children[i]?.firstElementChild;
      if (!button) {
        button = document.createElement('button');
        button.type = 'button';
        button.append(document.createElement('span'), document.createElement('span'));
        button.onclick = () => this.change('class', button.dataset.class);
        list.appendChild(document.createElement('li')).append(button);
      }
      button.dataset.class = p.class;
      button.style.setProperty('--share', `${100 * p.probability}%`);
      button.setAttribute('aria-pressed', explained < 0 ? i === 0 : explained === p.class);
      setText(button.children[0], p.label);
      setText(button.children[1], `${(100 * p.probability).toFixed(1)} %`);
    });
  }

  controls({ controls, layers, layer }) {
    if (!controls) return;
    const { form } = this.part, { elements } = form;
    const set = (field, value) => { if (field !== document.activeElement && field.value !== String(value)) field.value = value; };
    const known = layers ?? [];
    if (elements.layer.dataset.known !== known.join('\n')) {
      elements.layer.replaceChildren(...known.map((name) => new Option(name)));
      elements.layer.dataset.known = known.join('\n');
    }
    set(elements.layer, layer);
    if (![...elements.style.options].some((o) => o.value === controls.style)) elements.style.replaceChildren(new Option(controls.style));
    for (const name of ['style', 'colormap', 'normalize']) set(elements[name], controls[name]);
    if (!this.sliding) {
      set(elements.opacity, controls.opacity);
      setText(this.part.output, `${Math.round(controls.opacity * 100)} %`);
    }
    const pressed = { pause: controls.paused, label: controls.label, help: controls.help };
    for (const [control, on] of Object.entries(pressed)) {
      form.querySelector(`button[data-control=${control}]`).setAttribute('aria-pressed', Boolean(on));
    }
    const top = form.querySelector('button[data-value=top1]');
    top.setAttribute('aria-pressed', controls.classes?.[0] < 0);
  }

  // --- Predictions over time ---

  async recall() {
    try {
      const answer = await ask(`/api/streams/${path(this.name)}/history`);
      this.moments = (await answer.json()).map((m) => ({ time: m.time_ms, predictions: m.predictions }));
      this.skew = (this.moments.at(-1)?.time ?? Date.now()) - Date.now();
      // Only a clock that differs matters, not a stream that stands still.
      if (this.status?.state !== 'live' || Math.abs(this.skew) < 5000) this.skew = 0;
    } catch {
      this.moments ??= [];
    }
    this.plot();
  }

  remember(status) {
    if (!this.moments || chosen !== this.name) return;
    const now = Date.now() + (this.skew ?? 0);
    if (status.state === 'live' && status.predictions.length && now - (this.moments.at(-1)?.time ?? 0) >= 1000) {
      this.moments.push({ time: now, predictions: status.predictions });
      this.moments = this.moments.filter((m) => now - m.time < PLOTTED + 5000);
    }
    if (now - (this.plotted ?? 0) >= 1000) this.plot();
  }

  plot() {
    const { canvas, legend, list } = this.part;
    const now = this.plotted = Date.now() + (this.skew ?? 0);
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    if (!wide || !this.moments) return;
    const scale = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [wide * scale, high * scale];
    const pen = canvas.getContext('2d');
    pen.scale(scale, scale);
    const look = getComputedStyle(document.body), ink = (name) => look.getPropertyValue(name).trim();
    const [left, right, top, bottom] = [42, wide - 8, 6, high - 18];
    const x = (time) => right - (now - time) / PLOTTED * (right - left);
    const y = (share) => bottom - share * (bottom - top);
    pen.font = '11px system-ui, sans-serif';
    pen.lineWidth = 1;
    pen.strokeStyle = ink('--line');
    pen.fillStyle = ink('--quiet');
    pen.textBaseline = 'middle';
    pen.textAlign = 'right';
    for (const share of [0, 0.5, 1]) {
      pen.beginPath();
      pen.moveTo(left, y(share));
      pen.lineTo(right, y(share));
      pen.stroke();
      pen.fillText(`${100 * share} %`, left - 5, y(share));
    }
    pen.textBaseline = 'alphabetic';
    for (let minutes = 0; minutes <= 5; minutes += wide < 480 ? 2.5 : 1) {
      pen.textAlign = minutes === 0 ? 'right' : minutes === 5 ? 'left' : 'center';
      pen.fillText(minutes ? `−${minutes} min` : 'now', x(now - minutes * 60000), high - 4);
    }
    const recent = this.moments.filter((m) => now - m.time < PLOTTED);
    const sums = new Map();
    for (const { predictions } of recent) {
      for (const p of predictions) {
        const sum = sums.get(p.class) ?? { class: p.class, label: p.label, sum: 0 };
        sum.sum += p.probability;
        sums.set(p.class, sum);
      }
    }
    const all = [...sums.values()].sort((a, b) => b.sum - a.sum);
    const lines = all.slice(0, COLOURS.length);
    pen.lineWidth = 1.75;
    pen.lineJoin = 'round';
    lines.forEach((line, i) => {
      pen.strokeStyle = ink(COLOURS[i]);
      pen.beginPath();
      let last = null;
      for (const { time, predictions } of recent) {
        const at = [x(time), y(predictions.find((p) => p.class === line.class)?.probability ?? 0)];
        // A gap stays a gap: the camera was away.
        if (last === null || time - last > 4000) pen.moveTo(...at); else pen.lineTo(...at);
        last = time;
      }
      pen.stroke();
    });
    legend.replaceChildren(...lines.map((line, i) => {
      const item = document.createElement('li');
      item.textContent = line.label;
      item.style.setProperty('--ink', `var(${COLOURS[i]})`);
      return item;
    }));
    canvas.setAttribute('aria-label', `Probabilities over the last five minutes: ${lines.map((l) => l.label).join(', ') || 'nothing yet'}`);
    if (list.dataset.known !== all.map((c) => c.class).join()) {
      list.replaceChildren(...all.map((c) => Object.assign(document.createElement('option'), { value: c.label })));
      list.dataset.known = all.map((c) => c.class).join();
    }
  }

  remove() {
    observer.unobserve(this.card);
    this.picture.stop();
    this.card.remove();
  }
}

// Only what is seen is fetched.
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const stream = streams.get(target.dataset.name);
    if (!stream) continue;
    stream.picture.visible = isIntersecting;
    if (isIntersecting) stream.picture.start(); else stream.picture.stop();
  }
}, { rootMargin: '200px' });

// --- The page ---

function choose(name) {
  chosen = streams.has(name) ? name : null;
  $('streams').classList.toggle('one', chosen !== null);
  for (const [key, stream] of streams) stream.card.classList.toggle('chosen', key === chosen);
  $('back').hidden = chosen === null || streams.size < 2;
  const address = chosen === null ? '#' : `#${path(chosen)}`;
  if (location.hash !== address && !(address === '#' && !location.hash)) history.replaceState(null, '', chosen === null ? location.pathname : address);
  document.title = chosen === null ? 'Gradcast' : `${chosen} – Gradcast`;
  const stream = streams.get(chosen);
  if (!stream) return;
  window.scrollTo(0, 0);
  if (stream.status) stream.controls(stream.status);
  stream.recall();
}

function show(statuses) {
  const names = new Set(statuses.map((s) => s.name));
  for (const [name, stream] of streams) {
    if (names.has(name)) continue;
    stream.remove();
    streams.delete(name);
    if (chosen === name) choose(null);
  }
  statuses.forEach((status, i) => {
    let stream = streams.get(status.name);
    if (!stream) {
      stream = new Stream(status.name);
      streams.set(status.name, stream);
    }
    const place = $('streams').children[i];
    if (place !== stream.card) $('streams').insertBefore(stream.card, place ?? null);
    stream.show(status);
    stream.picture.look(status.state === 'live' && !status.controls?.paused);
  });
  if (wanted !== null && streams.has(wanted)) {
    choose(wanted);
    wanted = null;
  }
  if (streams.size === 1 && chosen === null) choose(statuses[0].name);
  $('back').hidden = chosen === null || streams.size < 2;
  const live = statuses.filter((s) => s.state === 'live').length;
  setText($('summary'), statuses.length ? `${live} of ${statuses.length} live` : 'no streams');
}

function lost(error) {
  if (++failures < LOST_AFTER && reached && error.status !== 401) return;
  const words = error.status === 401 ? 'A token is wanted: open this page with ?token=… in its address.'
    : error.status ? error.message : 'The server does not answer. Trying again …';
  setText($('notice'), words);
  $('notice').hidden = false;
  setText($('summary'), 'no connection');
  if (!reached) return;
  reached = false;
  for (const stream of streams.values()) {
    stream.picture.stop();
    stream.show({ ...stream.status, state: 'lost', seconds: 0, reason: null });
  }
}

async function poll() {
  try {
    const answer = await ask('/api/streams', { within: 5000 });
    show(await answer.json());
    failures = 0;
    if (!reached) {
      reached = true;
      $('notice').hidden = true;
      // Addresses on a command line cannot be read again.
      $('reload').hidden = !(await (await ask('/api/reload')).json()).configuration;
      for (const stream of streams.values()) if (stream.picture.visible) stream.picture.start();
      streams.get(chosen)?.recall();
    }
  } catch (e) {
    lost(e);
  }
  setTimeout(poll, !reached ? 1000 : document.hidden ? POLL_HIDDEN : POLL);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, select, textarea')) return;
  if (event.target.matches('button') && [' ', 'Enter'].includes(event.key)) return;
  if (event.key === 'Escape' && streams.size > 1) return choose(null);
  const stream = streams.get(chosen);
  if (!stream) return;
  const change = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  if (change) event.preventDefault();
  // A key that is held goes on only where it steps.
  if (event.repeat && (event.key === 'w' || change?.[1] === 'toggle')) return;
  if (event.key === 'w') return void stream.snapshot();
  if (!change) return;
  stream.change(...change);
});
$('back').onclick = () => choose(null);
$('reload').onclick = async () => {
  try {
    toast((await (await ask('/api/reload', { method: 'POST', within: 20000 })).json()).reloaded || 'Nothing has changed');
  } catch (e) {
    toast(e.message);
  }
};
window.addEventListener('resize', () => streams.get(chosen)?.plot());
let sleep;
document.addEventListener('visibilitychange', () => {
  clearTimeout(sleep);
  if (document.hidden) {
    sleep = setTimeout(() => {
      asleep = true;
      for (const stream of streams.values()) stream.picture.stop();
    }, ASLEEP_AFTER);
  } else {
    asleep = false;
    for (const { picture } of streams.values()) if (picture.visible) picture.start();
  }
});
// What went through another network may hang without a word.
window.addEventListener('online', () => { for (const { picture } of streams.values()) if (picture.visible) picture.again(); });
window.addEventListener('pagehide', () => { for (const stream of streams.values()) stream.picture.stop(); });
window.addEventListener('pageshow', (event) => { if (event.persisted) for (const stream of streams.values()) stream.picture.start(); });

if (location.hash.length > 1) {
  try { wanted = decodeURIComponent(location.hash.slice(1)); } catch { /* not one of ours */ }
}
// The token is in a cookie by now: it need not stay in the address.
if (new URLSearchParams(location.search).has('token')) history.replaceState(null, '', location.pathname + location.hash);
poll();
