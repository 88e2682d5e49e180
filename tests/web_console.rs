//! The web console: in a real browser against a real stream, and what it refuses.

mod common;

#[path = "common/browser.rs"]
mod browser;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use browser::Browser;
use gradcast::monitor::Missing;
use gradcast::monitor::web::{Channel, Console, Reload, Web, WebError, WebOptions};
use gradcast::stream::live::Control;
use gradcast::video::live::{Broadcast, EncoderOptions, Jpegs, LiveEncoder, now};
use gradcast::video::{Description, FileSource, Frame, FramePool, SourceOptions};
use serde_json::{Value, json};

/// The built-in clip in real time through the live encoder: ten frames a second. `normalize` makes it white.
struct Shapes {
    name: &'static str,
    broadcast: Broadcast,
    jpegs: Jpegs,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    dead: AtomicBool,
    hung: AtomicBool,
    paused: AtomicBool,
    white: AtomicBool,
    stop: AtomicBool,
    frames: AtomicU64,
    heard: Mutex<Vec<(Control, String)>>,
}

fn clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shapes.mp4")
}

impl Shapes {
    fn start(name: &'static str) -> Arc<Self> {
        let (broadcast, shared) = (Broadcast::new(), Arc::new(Shared::default()));
        let jpegs = Jpegs::new(None, &Description::built_in().unwrap()).unwrap();
        let (packets, pictures, mine) = (broadcast.clone(), jpegs.clone(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || play(&packets, &pictures, &mine));
        Arc::new(Self { name, broadcast, jpegs, shared, thread: Some(thread) })
    }
}

fn play(broadcast: &Broadcast, jpegs: &Jpegs, shared: &Shared) {
    let mut encoder = None;
    let mut white = None;
    let mut due = Instant::now();
    while !shared.stop.load(SeqCst) {
        let mut source =
            FileSource::open(&clip(), &SourceOptions { copy_tracks: false, ..SourceOptions::new().unwrap() }).unwrap();
        source.start().unwrap();
        let mut at = 0;
        while let Some(frame) = source.next().unwrap() {
            at += 1;
            if at % 3 != 0 {
                continue;
            }
            due += Duration::from_millis(100);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            while (shared.paused.load(SeqCst) || shared.dead.load(SeqCst)) && !shared.stop.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            if shared.stop.load(SeqCst) {
                return;
            }
            let encoder = encoder.get_or_insert_with(|| {
                LiveEncoder::start_into(broadcast, frame.format(), &EncoderOptions::new().unwrap()).unwrap()
            });
            let white = white.get_or_insert_with(|| blank(&frame));
            let shown = if shared.white.load(SeqCst) { white.clone() } else { frame };
            let shown = shown.at(now(), None, shared.frames.load(SeqCst));
            jpegs.offer(&shown);
            encoder.push(shown);
            shared.frames.fetch_add(1, SeqCst);
        }
    }
}

fn blank(like: &Frame) -> Frame {
    let mut frame = FramePool::new(Arc::clone(like.format())).unwrap().acquire().unwrap();
    for (i, plane) in frame.planes().into_iter().enumerate() {
        plane.data.fill(if i == 0 { 235 } else { 128 });
    }
    frame.finish(like)
}

impl Drop for Shapes {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        let _ = self.thread.take().unwrap().join();
    }
}

impl Channel for Shapes {
    fn name(&self) -> &str {
        self.name
    }

    fn status(&self) -> Value {
        let s = &self.shared;
        let share = 0.5 + 0.4 * (now().as_secs_f64() / 3.0).sin();
        let dead = s.dead.load(SeqCst);
        json!({
            "name": self.name, "source": "shapes.mp4", "state": if dead { "away" } else { "live" }, "seconds": 75,
            "reason": dead.then_some("the camera does not answer (connection refused)"),
            "size": [1280, 720], "fps": 10.0, "maps_per_second": 4.5, "map_age_ms": 120, "model": "shapes", "device": "cpu",
            "predictions": [
                { "class": 1, "label": "triangle", "probability": share },
                { "class": 0, "label": "circle", "probability": (1.0 - share) * 0.7 },
                { "class": 2, "label": "a square with a very long name that has to be cut", "probability": (1.0 - share) * 0.3 },
            ],
            "layer": "block4/out", "layers": ["block4/out", "block3/out"], "trouble": null, "reconnects": 2,
            "controls": { "classes": [-1], "layer": null, "colormap": "turbo", "opacity": 0.5, "style": "blend",
                "normalize": "stream", "label": true, "paused": s.paused.load(SeqCst), "help": false },
        })
    }

    fn history(&self) -> Value {
        let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        let moment = |back: u64| {
            let share = 0.5 + 0.4 * (back as f64 / 20.0).sin();
            json!({ "time_ms": end - back * 1000, "predictions": [
                { "class": 1, "label": "triangle", "probability": share },
                { "class": 0, "label": "circle", "probability": (1.0 - share) * 0.7 },
            ]})
        };
        (0..280).rev().map(moment).collect()
    }

    fn change(&self, control: Control, word: &str) -> Result<(), String> {
        match control {
            Control::Pause => drop(self.shared.paused.fetch_xor(true, SeqCst)),
            Control::Normalize => drop(self.shared.white.fetch_xor(true, SeqCst)),
            Control::Class if word == "hexagon" => return Err("`hexagon` is no class".into()),
            _ => {}
        }
        self.shared.heard.lock().unwrap().push((control, word.into()));
        Ok(())
    }

    fn broadcast(&self) -> &Broadcast {
        &self.broadcast
    }

    fn jpegs(&self) -> &Jpegs {
        &self.jpegs
    }

    fn snapshot(&self) -> Result<PathBuf, String> {
        Ok(format!("snapshots/{}.jpg", self.name).into())
    }
}

#[derive(Clone)]
struct Stage {
    streams: Vec<Arc<Shapes>>,
    missing: Vec<&'static str>,
    configuration: bool,
}

impl Stage {
    fn of(names: &[&'static str]) -> Self {
        Self {
            streams: names.iter().map(|name| Shapes::start(name)).collect(),
            missing: Vec::new(),
            configuration: true,
        }
    }
}

impl Console for Stage {
    fn streams(&self) -> Vec<Arc<dyn Channel>> {
        self.streams.iter().map(|s| Arc::clone(s) as Arc<dyn Channel>).collect()
    }

    fn is_alive(&self) -> bool {
        !self.streams.iter().any(|s| s.shared.hung.load(SeqCst))
    }

    fn not_ready(&self) -> Vec<String> {
        self.streams.iter().filter(|s| s.shared.dead.load(SeqCst)).map(|s| format!("{}: away", s.name)).collect()
    }

    fn metrics(&self) -> String {
        "gradcast_frames_total 1\n# EOF\n".into()
    }

    fn missing(&self) -> BTreeMap<String, Missing> {
        let now = Instant::now();
        let missing =
            |name: &&str| ((*name).into(), Missing { why: "its model is a poem".into(), since: now, again: now });
        self.missing.iter().map(missing).collect()
    }

    fn starting(&self) -> BTreeMap<String, Instant> {
        BTreeMap::new()
    }

    fn can_reload(&self) -> bool {
        self.configuration
    }

    fn reload(&self) -> Reload {
        Reload::Done("nothing has changed".into())
    }
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn serve(stage: &Stage, change: impl FnOnce(&mut WebOptions)) -> (Web, String) {
    let mut options = WebOptions::new(loopback(), None).unwrap();
    change(&mut options);
    let web = Web::start(options, Arc::new(stage.clone())).unwrap();
    let base = format!("http://{}", web.address());
    (web, base)
}

/// Keeps a screenshot where `GRADCAST_SCREENSHOTS` says.
fn keep(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("GRADCAST_SCREENSHOTS") {
        std::thread::sleep(Duration::from_secs(2));
        std::fs::write(Path::new(&folder).join(format!("{name}.b64")), browser.screenshot()).unwrap();
    }
}

/// What takes a second here may take many on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a stream comes by WebRTC and moves. Where all is slow, the page may give up too early: it tries again.
fn flows(browser: &mut Browser, name: &str) {
    let look = "(p) => { if (['MJPEG', 'pictures'].includes(p.how)) p.again();
        return p.how === 'WebRTC' && p.video.videoWidth > 0 && p.video.currentTime > 0.5; }";
    browser.until(&format!("({look})(streams.get('{name}').picture)"), PATIENCE);
}

#[test]
fn a_browser_sees_moving_pictures_and_a_dead_camera_and_moves_the_controls() {
    let stage = Stage::of(&["front door", "garage"]);
    let (web, base) = serve(&stage, |_| {});
    let mut browser = Browser::open(&base);
    browser.until("document.querySelectorAll('.stream').length === 2", PATIENCE);

    browser.until("!document.getElementById('reload').hidden", PATIENCE);

    // WebRTC comes up by itself, and moves.
    let opened = Instant::now();
    flows(&mut browser, "front door");
    println!("WebRTC shows after {:?}", opened.elapsed());
    let time = browser.eval("document.querySelector('video').currentTime").as_f64().unwrap();
    browser.until(&format!("document.querySelector('video').currentTime > {}", time + 1.0), PATIENCE);
    browser.eval(
        "globalThis.pen = Object.assign(document.createElement('canvas'), { width: 64, height: 36 }).getContext('2d', { willReadFrequently: true });
         globalThis.seen = () => { pen.drawImage(document.querySelector('video'), 0, 0, 64, 36); return [...pen.getImageData(0, 0, 64, 36).data].join(); };
         globalThis.first = seen(); 0",
    );
    browser.until("seen() !== first", PATIENCE);
    flows(&mut browser, "garage");
    keep(&mut browser, "grid");

    // A control reaches the stream, and changes the picture; the way there and back is timed.
    browser.eval("document.querySelector('.open').click()");
    browser.until("document.querySelector('main').classList.contains('one')", PATIENCE);
    browser.eval("globalThis.light = () => { pen.drawImage(document.querySelector('video'), 0, 0, 64, 36); const d = pen.getImageData(0, 0, 64, 36).data; return Math.min(...d); }; 0");
    let mut took: Vec<f64> = (0..5)
        .map(|_| {
            let time = "new Promise((done, fail) => {
                const begun = performance.now(), was = light() > 220;
                streams.get('front door').change('normalize', 'next');
                const look = () => { if ((light() > 220) !== was) done(performance.now() - begun);
                    else if (performance.now() - begun > 30000) fail(new Error('the picture does not change')); else setTimeout(look, 5); };
                look();
            })";
            let took = browser.eval(time).as_f64().unwrap();
            std::thread::sleep(Duration::from_millis(370));
            took
        })
        .collect();
    took.sort_by(f64::total_cmp);
    println!("from a control to the changed picture, at 10 frames a second, in milliseconds: {took:.0?}");
    if stage.streams[0].shared.white.load(SeqCst) {
        browser.eval("streams.get('front door').change('normalize', 'next')");
    }
    browser.press("n");
    let arrived = |what: (Control, &str)| {
        let end = Instant::now() + PATIENCE;
        while !stage.streams[0].shared.heard.lock().unwrap().contains(&(what.0, what.1.into())) {
            assert!(Instant::now() < end, "{what:?} does not arrive");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    arrived((Control::Class, "next"));
    browser.eval("const s = document.querySelector('.chosen [name=colormap]'); s.value = 'viridis'; s.onchange(); 0");
    arrived((Control::Colormap, "viridis"));
    browser.eval("streams.get('front door').change('class', 'hexagon')");
    browser.until("document.getElementById('toast').textContent.includes('hexagon')", PATIENCE);
    browser.eval("document.getElementById('toast').hidden = true");
    let whole = "[...document.querySelectorAll('.chosen, .chosen *')].every((e) => e.getBoundingClientRect().right <= innerWidth)";
    browser.until(whole, PATIENCE);
    keep(&mut browser, "one");
    browser.size(390, 844);
    browser.until("document.documentElement.scrollWidth === 390", PATIENCE);
    browser.until(whole, PATIENCE);
    keep(&mut browser, "phone");
    browser.eval("window.scrollTo(0, 600)");
    keep(&mut browser, "phone-below");
    browser.eval("choose(null)");
    browser.size(1280, 800);

    // A dead camera is seen to be dead.
    stage.streams[1].shared.dead.store(true, SeqCst);
    browser.until("document.querySelectorAll('.is-dead').length === 1 && document.querySelector('.is-dead .dead').innerText.includes('connection refused')", PATIENCE);
    browser.until("document.getElementById('summary').textContent === '1 of 2 live'", PATIENCE);
    keep(&mut browser, "dead");

    // The server ends and comes back.
    let address = web.address();
    drop(web);
    browser.until(
        "!document.getElementById('notice').hidden && document.querySelectorAll('.is-dead').length === 2",
        PATIENCE,
    );
    let (_web, _) = serve(&stage, |options| options.listen = address);
    browser.until("document.getElementById('notice').hidden", PATIENCE);
    flows(&mut browser, "front door");

    // Whoever closes the page leaves nothing behind.
    assert!(stage.streams[0].broadcast.subscribers() > 0);
    drop(browser);
    let end = Instant::now() + PATIENCE;
    while stage.streams[0].broadcast.subscribers() > 0 {
        assert!(Instant::now() < end, "a viewer stays");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn without_webrtc_the_page_shows_mjpeg() {
    let stage = Stage::of(&["door"]);
    let (_web, base) = serve(&stage, |options| options.token = Some("a secret".into()));
    let mut browser = Browser::open("about:blank");
    browser.go(&format!("{base}/?token=a%20secret"));
    browser.until("typeof Picture === 'function' && streams.size === 1", PATIENCE);
    browser.eval("Picture.prototype.webrtc = Picture.prototype.mjpeg; streams.forEach((s) => s.picture.again())");
    browser.until("document.querySelector('img') && document.querySelector('img').naturalWidth === 1280", PATIENCE);
    browser.eval(
        "globalThis.pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
         globalThis.seen = () => { pen.drawImage(document.querySelector('img'), 0, 0); return [...pen.getImageData(0, 0, 300, 150).data].join(); };
         globalThis.first = seen(); 0",
    );
    browser.until("seen() !== first", PATIENCE);
    assert_eq!(browser.eval("location.search"), "", "the token does not stay in the address");
    assert_eq!(browser.eval("document.cookie"), "", "no script reads the cookie");

    // A page of somebody else's shows the stream if it has the token; the cookie is not enough.
    let embed = |browser: &mut Browser, query: &str| {
        let picture = format!("{base}/streams/door/mjpeg{query}");
        browser.go(&another_site(format!("<img src='{picture}' onerror='this.alt = 1'>")));
        let img = "document.querySelector('img')";
        browser.until(&format!("{img} && ({img}.alt || {img}.naturalWidth > 0)"), PATIENCE);
        browser.eval(&format!("{img}.naturalWidth > 0"))
    };
    assert_eq!(embed(&mut browser, "?token=a%20secret"), true);
    assert_eq!(embed(&mut browser, ""), false);
}

#[test]
fn where_webrtc_is_blocked_the_picture_stands_while_it_is_tried_again() {
    let stage = Stage::of(&["door"]);
    let (_web, base) = serve(&stage, |_| {});
    let mut browser = Browser::open(&base);
    browser.until("typeof Picture === 'function' && streams.size === 1", PATIENCE);
    browser.eval(
        "globalThis.p = streams.get('door').picture; globalThis.Real = RTCPeerConnection;
         globalThis.RTCPeerConnection = class { addTransceiver() { return { receiver: {} }; } close() {}
             setLocalDescription() { return new Promise(() => {}); } };
         p.again(); 0",
    );
    browser.until("p.how === 'MJPEG' && p.img.naturalWidth === 1280", PATIENCE);
    browser.eval(
        "globalThis.stood = true; globalThis.source = p.img.src;
         globalThis.watch = setInterval(() => { stood &&= !p.img.hidden && p.img.src === source && p.how === 'MJPEG'; }, 20);
         globalThis.waited = p.wait; p.retry = 0; 0",
    );
    browser.until("p.pc !== null", PATIENCE);
    browser.until("p.pc === null && p.retry > Date.now()", PATIENCE);
    assert_eq!(browser.eval("stood"), true, "the attempt is not seen");
    assert_eq!(browser.eval("p.wait === 2 * waited"), true, "the next one is later");
    browser.eval("clearInterval(watch); globalThis.RTCPeerConnection = Real; p.retry = 0; 0");
    browser.until("p.how === 'WebRTC' && !p.video.hidden && p.img.hidden && !p.img.src", PATIENCE);

    // A page that nobody sees takes nothing.
    let hide = "Object.defineProperty(document, 'hidden', { value: HIDDEN, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))";
    browser.eval(&hide.replace("HIDDEN", "true"));
    browser.until("p.how === null", PATIENCE);
    let end = Instant::now() + PATIENCE;
    while stage.streams[0].broadcast.subscribers() > 0 {
        assert!(Instant::now() < end, "a viewer stays");
        std::thread::sleep(Duration::from_millis(100));
    }
    browser.eval(&hide.replace("HIDDEN", "false"));
    flows(&mut browser, "door");
}

#[test]
fn who_finds_no_place_sees_single_pictures_and_why() {
    let stage = Stage::of(&["door"]);
    let (_web, base) = serve(&stage, |options| options.viewers_per_stream = 0);
    let mut browser = Browser::open(&base);
    browser.until(
        "document.querySelector('img')?.naturalWidth === 1280 && streams.get('door').picture.how === 'pictures'",
        PATIENCE,
    );
    browser.until("document.querySelector('.facts').innerText.includes('as many watch already as may')", PATIENCE);
}

#[test]
fn a_stream_that_did_not_start_is_shown_with_its_reason() {
    let mut stage = Stage::of(&["front door"]);
    stage.missing.push("back door");
    stage.configuration = false;
    let (_web, base) = serve(&stage, |_| {});
    let mut browser = Browser::open(&base);
    browser.until("document.querySelectorAll('.stream').length === 2", PATIENCE);
    flows(&mut browser, "front door");
    let said = browser.eval("document.querySelector('[data-name=\"back door\"] .dead').innerText").to_string();
    assert!(said.contains("Not started") && said.contains("its model is a poem"), "{said}");
    assert_eq!(browser.eval("document.getElementById('summary').textContent"), "1 of 2 live");
    assert_eq!(browser.eval("document.getElementById('reload').hidden"), true, "there is nothing to read again");
    let asked = browser.eval("performance.getEntriesByType('resource').map((r) => r.name).join(' ')").to_string();
    assert!(asked.contains("front%20door") && !asked.contains("back%20door"), "{asked}");
    let alone =
        ureq::get(format!("{base}/api/streams/back%20door")).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(alone.contains("its model is a poem"), "{alone}");
    keep(&mut browser, "missing");
    // It starts.
    browser.eval("show([{ name: 'back door', state: 'connecting', seconds: 0, predictions: [] }])");
    browser
        .until("performance.getEntriesByType('resource').some((r) => r.name.includes('/whep/back%20door'))", PATIENCE);
}

/// Serves one page on a port of its own, as long as the test runs.
fn another_site(page: String) -> String {
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{page}");
        }
    });
    format!("http://{address}/")
}

/// Status, headers and body of an answer, by hand: ureq would tidy up what is to be tested.
fn ask(address: SocketAddr, head: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{head}\r\nConnection: close\r\n{length}\r\n{body}").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0), head.to_ascii_lowercase(), body.into())
}

#[test]
fn programs_get_what_they_ask_for_and_strangers_do_not() {
    let stage = Stage::of(&["front door"]);
    let (web, base) = serve(&stage, |options| options.viewers_per_stream = 2);
    let at = web.address();
    let get = |path: &str| ask(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}"), "");

    let (status, head, page) = get("/");
    assert!(status == 200 && page.contains("<title>Gradcast"));
    for line in
        ["content-security-policy: default-src 'self'", "x-frame-options: deny", "x-content-type-options: nosniff"]
    {
        assert!(head.contains(line), "{head}");
    }
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing from outside");
    for path in [
        "/page.css",
        "/page.js",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/streams",
        "/api/streams/front%20door",
        "/api/streams/front%20door/history",
        "/api/streams/front%20door/snapshot.jpg",
    ] {
        assert_eq!(get(path).0, 200, "{path}");
    }
    let streams: Value = serde_json::from_str(
        &ureq::get(format!("{base}/api/streams")).call().unwrap().body_mut().read_to_string().unwrap(),
    )
    .unwrap();
    assert_eq!(streams[0]["predictions"][0]["label"], "triangle");

    // Nothing but the page and the streams.
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/page.js/../../Cargo.toml",
        "/page/index.html",
        "/etc/passwd",
        "//etc/passwd",
        "/api/streams/nobody",
        "/api/streams/..%2f..%2fetc%2fpasswd",
        "/streams/nobody/mjpeg",
        "/api/streams/%00",
        "/favicon.ico",
    ] {
        assert_eq!(get(path).0, 404, "{path}");
    }
    assert_eq!(get("/api/streams/%ff").0, 400);

    // Controls are POST, from here, in JSON, and short.
    let post =
        |path: &str, head: &str, body: &str| ask(at, &format!("POST {path} HTTP/1.1\r\nHost: {at}{head}"), body).0;
    let (controls, kind) = ("/api/streams/front%20door/controls", "\r\nContent-Type: application/json");
    let word = r#"{"control":"class","value":"next"}"#;
    assert_eq!(post(controls, kind, word), 200);
    assert_eq!(stage.streams[0].shared.heard.lock().unwrap().len(), 1);
    assert_eq!(get(controls).0, 405);
    assert_eq!(post(controls, "\r\nContent-Type: text/plain", word), 415);
    for (control, value, word) in [("opacity", "0.25", "0.25"), ("class", "2", "2"), ("label", "false", "off")] {
        assert_eq!(post(controls, kind, &format!(r#"{{"control":"{control}","value":{value}}}"#)), 200);
        assert!(stage.streams[0].shared.heard.lock().unwrap().iter().any(|(_, heard)| heard == word), "{word}");
    }
    assert_eq!(post(controls, kind, r#"{"control":"class","value":"hexagon"}"#), 422);
    assert_eq!(post(controls, kind, r#"{"control":"shell","value":"rm"}"#), 422);
    assert_eq!(post(controls, kind, &format!(r#"{{"control":"class","value":"{}"}}"#, "x".repeat(100_000))), 413);
    assert_eq!(post(controls, &format!("{kind}\r\nOrigin: http://evil.example"), word), 403);
    assert_eq!(post(controls, &format!("{kind}\r\nSec-Fetch-Site: cross-site"), word), 403);
    assert_eq!(post(controls, &format!("{kind}\r\nOrigin: http://{at}\r\nSec-Fetch-Site: same-origin"), word), 200);
    assert_eq!(ask(at, "GET /api/streams HTTP/1.1\r\nHost: evil.example", "").0, 403, "a name turned to this machine");
    assert_eq!(post("/api/streams/front%20door/snapshot", "", ""), 201);
    assert_eq!(post("/api/reload", "", ""), 200);
    assert_eq!(stage.streams[0].shared.heard.lock().unwrap().len(), 5);

    // Offers that are none.
    let whep = "/whep/front%20door";
    assert_eq!(post(whep, "\r\nContent-Type: text/plain", "v=0"), 415);
    assert_eq!(post(whep, "\r\nContent-Type: application/sdp", "v=0\r\n"), 406);
    assert_eq!(ask(at, &format!("DELETE {whep}/17 HTTP/1.1\r\nHost: {at}"), "").0, 404);

    // Two watch, a third has to wait until one leaves.
    let pictures = || {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /streams/front%20door/mjpeg HTTP/1.1\r\nHost: {at}\r\n\r\n").unwrap();
        let mut start = [0; 4096];
        stream.read_exact(&mut start).unwrap();
        (stream, String::from_utf8_lossy(&start).into_owned())
    };
    let (first, second) = (pictures(), pictures());
    assert!(
        first.1.contains("multipart/x-mixed-replace") && second.1.contains("Content-Type: image/jpeg"),
        "{}",
        first.1
    );
    assert_eq!(get("/streams/front%20door/mjpeg").0, 503);
    drop(first);
    let end = Instant::now() + PATIENCE;
    while !pictures().1.starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < end, "the seat does not come free");
        std::thread::sleep(Duration::from_millis(100));
    }

    stage.streams[0].shared.dead.store(true, SeqCst);
    let (status, _, reasons) = get("/readyz");
    assert!(status == 503 && reasons.contains("front door: away"), "{reasons}");
    assert_eq!(get("/healthz").0, 200, "a camera that is away is no reason to restart");
    stage.streams[0].shared.hung.store(true, SeqCst);
    assert_eq!(get("/healthz").0, 503);
}

#[test]
fn a_token_is_wanted_wherever_others_can_reach() {
    let stage = Stage::of(&[]);
    let open: SocketAddr = ([0, 0, 0, 0], 0).into();
    let refused = Web::start(WebOptions::new(open, None).unwrap(), Arc::new(stage.clone())).err().unwrap();
    assert!(matches!(refused, WebError::NoToken(_)) && refused.is_usage());

    let (web, _) = serve(&stage, |options| *options = WebOptions::new(open, Some("much secret".into())).unwrap());
    let at: SocketAddr = ([127, 0, 0, 1], web.address().port()).into();
    let get = |path: &str, more: &str| ask(at, &format!("GET {path} HTTP/1.1\r\nHost: cameras.lan{more}"), "");
    for path in ["/", "/page.js", "/api/streams", "/metrics", "/readyz", "/nothing", "/?token=much%20secre"] {
        let (status, head, _) = get(path, "");
        assert!(status == 401 && head.contains("www-authenticate: bearer"), "{path}: {head}");
    }
    assert_eq!(get("/healthz", "").0, 200);
    assert_eq!(get("/api/streams", "\r\nAuthorization: Bearer much secret").0, 200);
    let (status, head, _) = get("/?token=much%20secret", "");
    let cookie = head.lines().find_map(|l| l.strip_prefix("set-cookie: ")).unwrap();
    assert!(status == 200 && cookie.contains("httponly") && cookie.contains("samesite=lax"), "{cookie}");
    assert_eq!(get("/api/streams", &format!("\r\nCookie: {}", cookie.split(';').next().unwrap())).0, 200);

    // The port is taken.
    let again = Web::start(WebOptions::new(at, None).unwrap(), Arc::new(stage)).err().unwrap();
    assert!(matches!(again, WebError::Listen(..)) && again.hint().contains("another program"), "{again}");
}
