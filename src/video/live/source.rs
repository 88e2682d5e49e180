//! A source that never gives up: it connects, brings frames, and connects again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};
use gstreamer as gst;

use super::address::{Address, Kind, Place};
use super::connection::{self, Connection, Event};
use super::credentials::Credentials;
use super::now;
use super::pulse::Pulse;
use super::reason::{Failure, Reason};
use super::retry::{Retry, Setbacks};
use super::timeline::Timeline;
use crate::sync::lock;
use crate::video::description::Description;
use crate::video::error::{Result, VideoError};
use crate::video::file_source::{FileSource, SourceOptions};
use crate::video::frame::{Colours, Frame, FrameFormat, duration};

/// How RTP packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Within the RTSP connection: nothing is lost, and it passes every firewall
    #[default]
    Tcp,
    /// As datagrams
    Udp,
    /// Datagrams, and TCP where none arrive
    Auto,
}

/// What happens to frames that nobody has fetched when the next one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The newest wins: the oldest is dropped.
    #[default]
    Newest,
    /// All are kept in order, for the pace `every`. A file waits; a camera cannot, so its oldest
    /// frame is dropped when this many lie there.
    All(usize),
}

/// How a live source is opened and kept.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Size of the frames: cameras are asked for it, all else is scaled to it.
    pub size: Option<(u32, u32)>,
    /// Frames per second to ask a camera for.
    pub fps: Option<u32>,
    /// How RTP packets travel.
    pub transport: Transport,
    /// How long packets wait for ones that were overtaken (RTSP).
    pub latency: Duration,
    /// For sources whose address has none.
    pub credentials: Option<Credentials>,
    /// Any certificate is accepted.
    pub tls_insecure: bool,
    /// Without a frame for so long, a source is given up and connected anew. `None`: silence is
    /// normal (a camera that sends only when something moves).
    pub silence: Option<Duration>,
    /// How long connecting may take, up to the first frame.
    pub open_within: Duration,
    /// Pauses between attempts.
    pub retry: Retry,
    /// Files are played in real time, not as fast as they can be read.
    pub realtime: bool,
    /// Files begin again at their end.
    pub repeat: bool,
    /// What happens to frames that nobody fetches. Settled when the source is started.
    pub keep: Keep,
    /// The size of the stream should its format be needed before any frame came.
    pub first_size: (u32, u32),
    /// How the pipeline is put together.
    pub description: Description,
    /// Threads for conversions; 0 is one per core.
    pub threads: usize,
}

impl LiveOptions {
    /// TCP, 200 ms for the network, 5 s of silence, the newest frame wins.
    ///
    /// # Errors
    /// See [`Description::built_in`].
    pub fn new() -> Result<Self> {
        Ok(Self {
            size: None,
            fps: None,
            transport: Transport::default(),
            latency: Duration::from_millis(200),
            credentials: None,
            tls_insecure: false,
            silence: Some(Duration::from_secs(5)),
            open_within: Duration::from_secs(8),
            retry: Retry::default(),
            realtime: true,
            repeat: false,
            keep: Keep::default(),
            first_size: (1280, 720),
            description: Description::built_in()?,
            threads: 0,
        })
    }
}

/// How a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// No frame has ever come.
    Connecting {
        /// Since when it is tried.
        since: SystemTime,
        /// Attempts that failed.
        attempts: u64,
        /// Why the last one failed, in kind and in words (never with credentials).
        last: Option<(Reason, String)>,
    },
    /// Frames flow.
    Up {
        /// Since when.
        since: SystemTime,
    },
    /// It was there and is not now.
    Away {
        /// Since when.
        since: SystemTime,
        /// Why, at the latest attempt.
        reason: Reason,
        /// Why in words, never with credentials.
        said: String,
        /// Attempts that failed since.
        attempts: u64,
    },
    /// A file is at its end; nothing more will come.
    Ended,
    /// A file broke off in the middle; nothing more will come.
    Failed {
        /// Why, in words.
        said: String,
    },
}

/// What a source has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Frames that came.
    pub received: u64,
    /// Frames that nobody fetched in time: the newest won.
    pub dropped: u64,
    /// Pictures that were never decoded, because the decoder was too far behind.
    pub skipped: u64,
    /// Frames that the decoder calls damaged.
    pub damaged: u64,
    /// Encoded bytes that came.
    pub bytes: u64,
    /// Failed attempts and lost connections, by reason.
    pub failures: BTreeMap<Reason, u64>,
    /// Connections that were lost after pictures had come, by reason.
    pub reconnects: BTreeMap<Reason, u64>,
}

impl SourceCounters {
    /// Counts what another source has done as well.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { received, dropped, skipped, damaged, bytes, failures, reconnects } = other;
        self.received += received;
        self.dropped += dropped;
        self.skipped += skipped;
        self.damaged += damaged;
        self.bytes += bytes;
        for (mine, theirs) in [(&mut self.failures, failures), (&mut self.reconnects, reconnects)] {
            for (reason, count) in theirs {
                *mine.entry(reason).or_default() += count;
            }
        }
    }
}

/// A source of live frames: a thread that connects, hands on frames, and connects again for ever.
///
/// Frames are numbered as they come: a gap in [`Frame::seq`] is a frame that was dropped because
/// nobody fetched it. Their times rise on the timeline of [`now`], over every reconnection.
pub struct LiveSource {
    address: Address,
    shared: Arc<Shared>,
    frames: Receiver<Frame>,
    /// Hanging up ends the thread, a message makes it connect anew.
    ask: Option<Sender<()>>,
    /// Hangs up when the thread has ended.
    ended: Receiver<()>,
}

/// How far a frame's time may lie before its arrival.
const LATEST: Duration = Duration::from_millis(500);

/// Frames that wait where the newest wins: one that is being fetched, and the newest.
const ROOM: usize = 2;

/// A connection that held so long was a good one: pauses begin small again.
const HELD: Duration = Duration::from_secs(10);

/// What may be begun anew at once begins at most so often.
pub(super) const APART: Duration = Duration::from_millis(200);

/// How long the supervisor waits for a connection to be closed before it goes on.
const CLOSE: Duration = Duration::from_millis(300);

/// Connections that may still be closing while a new one is begun.
const MOST_CLOSING: usize = 4;

/// So long that is waited for in silence.
const CLOSING_LONG: Duration = Duration::from_secs(5);

/// How long [`LiveSource::stop`] waits at most.
const STOP: Duration = Duration::from_millis(900);

impl LiveSource {
    /// Starts to connect. Whatever goes wrong from here on is told by [`health`](Self::health) and
    /// tried again.
    ///
    /// # Errors
    /// For what no other attempt can mend: of kind `Usage` when the pipeline description is wrong or
    /// an element is missing, of kind `Input` when a file is not there.
    pub fn start(address: Address, options: LiveOptions) -> Result<Self> {
        crate::video::init()?;
        connection::check(&options, &address)?;
        if let Place::File(path) = address.place() {
            // Trying again would not make a video of it.
            let look =
                SourceOptions { copy_tracks: false, description: options.description.clone(), ..SourceOptions::new()? };
            FileSource::open(path, &look)?;
        }
        let room = match options.keep {
            Keep::Newest => ROOM,
            Keep::All(room) => room.max(1),
        };
        let (out, frames) = bounded(room);
        let (ask, asked) = bounded(1);
        let (alive, ended) = bounded::<()>(0);
        let health = Health::Connecting { since: SystemTime::now(), attempts: 0, last: None };
        let paced = options.realtime || address.kind() != Kind::File;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                options: Arc::new(options),
                health,
                counters: SourceCounters::default(),
                format: None,
            }),
            tally: Tally::default(),
        });
        let supervisor = Supervisor {
            address: address.clone(),
            shared: Arc::clone(&shared),
            out,
            oldest: frames.clone(),
            asked,
            timeline: if paced { Timeline::new(LATEST) } else { Timeline::free() },
            seen: None,
            seq: 0,
            closing: Vec::new(),
            told: BTreeSet::new(),
            setbacks: Setbacks::default(),
        };
        thread::Builder::new()
            .name("live-source".into())
            .spawn(move || {
                supervisor.run();
                drop(alive);
            })
            .map_err(|e| VideoError::run("no thread can be started", "close other programs").because(e))?;
        Ok(Self { address, shared, frames, ask: Some(ask), ended })
    }

    /// Where the frames come from.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The frames as they come. Hangs up when a file is at its end or breaks off.
    pub fn frames(&self) -> &Receiver<Frame> {
        &self.frames
    }

    /// How it is.
    pub fn health(&self) -> Health {
        self.shared.state().health.clone()
    }

    /// What it has done so far.
    pub fn counters(&self) -> SourceCounters {
        let counters = self.shared.state().counters.clone();
        let Tally { bytes, skipped, .. } = &self.shared.tally;
        SourceCounters { bytes: bytes.load(Ordering::Relaxed), skipped: skipped.load(Ordering::Relaxed), ..counters }
    }

    /// Whether its frames come at their own pace: all but a file that is read as fast as it goes.
    pub fn is_paced(&self) -> bool {
        self.address.kind() != Kind::File || self.shared.state().options.realtime
    }

    /// What all frames have in common; `None` before the first.
    pub fn format(&self) -> Option<Arc<FrameFormat>> {
        self.shared.state().format.clone()
    }

    /// The same, and where no frame has come yet, it is settled now: I420 of
    /// [`LiveOptions::first_size`], to which everything that comes is brought.
    ///
    /// # Errors
    /// When GStreamer refuses that size.
    pub fn settle(&self) -> Result<Arc<FrameFormat>> {
        let mut state = self.shared.state();
        if let Some(format) = &state.format {
            return Ok(Arc::clone(format));
        }
        let (width, height) = state.options.size.unwrap_or(state.options.first_size);
        let format = Arc::new(FrameFormat::live(width, height, None)?);
        state.format = Some(Arc::clone(&format));
        Ok(format)
    }

    /// Other options, for which it connects anew. The format of the frames stays.
    pub fn set_options(&self, options: LiveOptions) {
        self.shared.state().options = Arc::new(options);
        if let Some(ask) = &self.ask {
            // One such wish on the way is enough.
            let _ = ask.try_send(());
        }
    }

    /// Ends it, within a second.
    pub fn stop(self) {}
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        self.ask = None;
        if self.ended.recv_timeout(STOP) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(source = %self.address, "the source takes long to end and is left to itself");
        }
    }
}

/// What the thread and its owner share.
struct Shared {
    state: Mutex<State>,
    tally: Tally,
}

/// What connections count while they live.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Encoded bytes that came.
    pub bytes: Arc<AtomicU64>,
    /// Pictures that were left out in front of the decoder.
    pub skipped: Arc<AtomicU64>,
    /// Formats that a camera offered and did not deliver.
    pub refused_formats: Arc<AtomicU64>,
}

struct State {
    options: Arc<LiveOptions>,
    health: Health,
    counters: SourceCounters,
    format: Option<Arc<FrameFormat>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn up(&self) {
        let mut state = self.state();
        if !matches!(state.health, Health::Up { .. }) {
            state.health = Health::Up { since: SystemTime::now() };
        }
    }

    fn away(&self, failure: &Failure) {
        let mut state = self.state();
        let Failure { reason, said } = failure.clone();
        *state.counters.failures.entry(reason).or_default() += 1;
        if matches!(state.health, Health::Up { .. }) {
            *state.counters.reconnects.entry(reason).or_default() += 1;
        }
        state.health = match state.health {
            Health::Connecting { since, attempts, .. } => {
                Health::Connecting { since, attempts: attempts + 1, last: Some((reason, said)) }
            }
            Health::Away { since, attempts, .. } => Health::Away { since, reason, said, attempts: attempts + 1 },
            _ => Health::Away { since: SystemTime::now(), reason, said, attempts: 0 },
        };
    }
}

/// How a connection came to its end.
enum End {
    Failed(Failure),
    /// Nothing more will come: this is how it is for good.
    Over(Health),
    /// To be begun anew at once.
    Again,
    Stopped,
}

/// The thread of a source.
struct Supervisor {
    address: Address,
    shared: Arc<Shared>,
    out: Sender<Frame>,
    /// The other end of `out`, to take the oldest back.
    oldest: Receiver<Frame>,
    asked: Receiver<()>,
    timeline: Timeline,
    /// The caps seen last, and whether they are those of the stream.
    seen: Option<(gst::Caps, bool)>,
    seq: u64,
    /// Connections that are still being closed.
    closing: Vec<Receiver<()>>,
    /// Why it has been away since pictures came last, as far as it has been told.
    told: BTreeSet<Reason>,
    setbacks: Setbacks,
}

impl Supervisor {
    fn run(mut self) {
        let mut random = fastrand::Rng::new();
        loop {
            if !self.has_room_for_another() {
                return;
            }
            let options = Arc::clone(&self.shared.state().options);
            let begun = Instant::now();
            let pause = match self.connect(&options) {
                End::Stopped => return,
                End::Over(health) => {
                    self.shared.state().health = health;
                    return;
                }
                End::Again => APART.saturating_sub(begun.elapsed()),
                End::Failed(failure) => {
                    if begun.elapsed() > HELD + options.open_within {
                        self.setbacks = Setbacks::default();
                    }
                    self.fail(&failure);
                    let pause = self.setbacks.pause(failure.reason, &options.retry, random.f64());
                    // Who waited for an answer in vain has waited long enough.
                    let waited = if failure.reason == Reason::Timeout { begun.elapsed() } else { Duration::ZERO };
                    pause.saturating_sub(waited)
                }
            };
            // Options that change end the pause as well.
            match self.asked.recv_timeout(pause) {
                Ok(()) => self.setbacks = Setbacks::default(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.log(failure);
        self.shared.away(failure);
    }

    /// Says why a source is away, once for each reason and not for every attempt of a night.
    fn log(&mut self, failure: &Failure) {
        let (source, reason, said) = (&self.address, failure.reason.label(), &failure.said);
        match self.told.insert(failure.reason) {
            true => tracing::warn!(%source, reason, "{said}"),
            false => tracing::debug!(%source, reason, "{said}"),
        }
    }

    /// One connection, from its beginning to its end.
    fn connect(&mut self, options: &Arc<LiveOptions>) -> End {
        let format = self.shared.state().format.clone();
        let begun = Connection::begin(&self.address, options, format.as_deref(), &self.shared.tally);
        let mut connection = match begun {
            Ok(connection) => connection,
            Err(e) => return End::Failed(Failure::new(Reason::Network, e)),
        };
        self.timeline.restart();
        self.seen = None;
        let end = self.follow(&mut connection, options);
        let closed = connection.close();
        if closed.recv_timeout(CLOSE) == Err(RecvTimeoutError::Timeout) {
            self.closing.push(closed);
        }
        end
    }

    /// Waits while too many old connections are still being closed; `false` when asked to stop.
    fn has_room_for_another(&mut self) -> bool {
        let (begun, mut told) = (Instant::now(), false);
        loop {
            self.closing.retain(|closed| closed.try_recv() == Err(TryRecvError::Empty));
            if self.closing.len() < MOST_CLOSING {
                return true;
            }
            if begun.elapsed() > CLOSING_LONG && !std::mem::replace(&mut told, true) {
                let said = format!(
                    "{MOST_CLOSING} connections that were given up do not end, and no other is begun before one does: \
                     a driver or a server holds them; should it last, start gradcast again"
                );
                let reason = if self.address.kind() == Kind::Camera { Reason::Device } else { Reason::Network };
                self.fail(&Failure::new(reason, said));
            }
            if self.asked.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Disconnected) {
                return false;
            }
        }
    }

    fn follow(&mut self, connection: &mut Connection, options: &LiveOptions) -> End {
        let begun = Instant::now();
        let (mut last, mut ahead): (Option<Instant>, _) = (None, Duration::ZERO);
        let skipped = Arc::clone(&self.shared.tally.skipped);
        let mut left_out = skipped.load(Ordering::Relaxed);
        let mut pulse = match self.address.place() {
            Place::Url(_, url) if options.silence.is_none() => Some(Pulse::new(url)),
            _ => None,
        };
        loop {
            match self.asked.try_recv() {
                Err(TryRecvError::Disconnected) => return End::Stopped,
                Ok(()) => return self.changed(),
                Err(TryRecvError::Empty) => {}
            }
            match connection.look() {
                Event::Sample(sample) => {
                    if last.is_none() {
                        ahead = connection.begin_pace();
                        self.timeline.pace(ahead);
                        self.setbacks.let_in();
                    }
                    last = Some(Instant::now());
                    if !std::mem::take(&mut self.told).is_empty() {
                        tracing::info!(source = %self.address, "pictures come{}", if self.seq == 0 { "" } else { " again" });
                    }
                    let frame = match self.take(&sample, connection) {
                        Ok(frame) => frame,
                        Err(e) => return self.broke(Failure::new(Reason::Nonsense, e), last),
                    };
                    let Some(frame) = frame else { continue };
                    if !ahead.is_zero() {
                        match self.asked.recv_timeout(frame.pts().saturating_sub(now())) {
                            Err(RecvTimeoutError::Timeout) => {}
                            Err(RecvTimeoutError::Disconnected) => return End::Stopped,
                            Ok(()) => return self.changed(),
                        }
                        last = Some(Instant::now());
                    }
                    self.hand_on(frame, options);
                }
                Event::Nothing => {
                    // What is left out in front of the decoder has come all the same.
                    let before = std::mem::replace(&mut left_out, skipped.load(Ordering::Relaxed));
                    if last.is_some() && left_out > before {
                        last = Some(Instant::now());
                    }
                    if let Some(failure) = silent(self.address.kind(), options, begun, last, connection.is_playing()) {
                        return End::Failed(failure);
                    }
                    if options.silence.is_none() && connection.is_playing() {
                        self.shared.up();
                    }
                    if let Some(pulse) = &mut pulse
                        && (last.is_some() || connection.is_playing())
                        && let Some(failure) = pulse.feel(last.unwrap_or(begun).elapsed())
                    {
                        return End::Failed(failure);
                    }
                }
                Event::Failed(failure) => return self.broke(failure, last),
                Event::End => {
                    return match (self.address.kind(), options.repeat, last) {
                        (Kind::Test, ..) | (Kind::File, true, Some(_)) => End::Again,
                        (Kind::File, false, Some(_)) => End::Over(Health::Ended),
                        _ => End::Failed(Failure { reason: Reason::Eos, said: Reason::Eos.words().to_owned() }),
                    };
                }
            }
        }
    }

    /// Other options are wanted.
    fn changed(&mut self) -> End {
        self.setbacks = Setbacks::default();
        self.shared.away(&Failure { reason: Reason::Changed, said: Reason::Changed.words().to_owned() });
        End::Again
    }

    /// A connection failed. A file that did so after its first picture would do so each time, and its beginning would be
    /// shown for ever.
    fn broke(&mut self, failure: Failure, last: Option<Instant>) -> End {
        match (self.address.kind(), last) {
            (Kind::File, Some(_)) => {
                self.fail(&failure);
                End::Over(Health::Failed { said: failure.said })
            }
            _ => End::Failed(failure),
        }
    }

    /// A picture came: place it and name it. `None`: it does not fit yet.
    fn take(&mut self, sample: &gst::Sample, connection: &Connection) -> Result<Option<Frame>> {
        let arrival = now();
        let (Some(caps), Some(buffer)) = (sample.caps(), sample.buffer_owned()) else {
            return Ok(None);
        };
        let format = self.format(caps)?;
        if !self.fits(caps, &format) {
            // Only until the conversion in front has heard of it.
            connection.fit(&format);
            self.shared.state().counters.dropped += 1;
            return Ok(None);
        }
        let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
        let pts = buffer.pts().and_then(|pts| segment?.to_running_time(pts)).map(duration);
        let lasts = buffer.duration().map(duration).filter(|d| !d.is_zero());
        let decoding = connection.decode_time(buffer.pts());
        let frame = Frame::new(buffer, format, self.seq, self.timeline.place(pts, arrival), lasts).decoded_in(decoding);
        self.seq += 1;
        {
            let counters = &mut self.shared.state().counters;
            counters.received += 1;
            counters.damaged += u64::from(frame.is_damaged());
        }
        self.shared.up();
        Ok(Some(frame))
    }

    /// The format of the stream: that of the first frame, or what was settled before it.
    fn format(&self, caps: &gst::CapsRef) -> Result<Arc<FrameFormat>> {
        let mut state = self.shared.state();
        if let Some(format) = &state.format {
            return Ok(Arc::clone(format));
        }
        let format = Arc::new(FrameFormat::from_caps(caps, &Colours::Caps)?);
        state.format = Some(Arc::clone(&format));
        Ok(format)
    }

    fn fits(&mut self, caps: &gst::CapsRef, format: &FrameFormat) -> bool {
        if let Some((seen, fits)) = &self.seen
            && *fits
            && seen.as_ref() == caps
        {
            return true;
        }
        let same = FrameFormat::from_caps(caps, &Colours::Caps).is_ok_and(|is| {
            (is.pixels(), is.width(), is.height(), is.matrix(), is.range(), is.pixel_aspect())
                == (
                    format.pixels(),
                    format.width(),
                    format.height(),
                    format.matrix(),
                    format.range(),
                    format.pixel_aspect(),
                )
        });
        self.seen = Some((caps.to_owned(), same));
        same
    }

    fn hand_on(&mut self, frame: Frame, options: &LiveOptions) {
        let waits = matches!(options.keep, Keep::All(_)) && self.address.kind() == Kind::File;
        let mut frame = frame;
        loop {
            match self.out.try_send(frame) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => frame = back,
            }
            if waits {
                if self.asked.try_recv() == Err(TryRecvError::Disconnected) {
                    return;
                }
                thread::sleep(Duration::from_millis(5));
            } else if self.oldest.try_recv().is_ok() {
                self.shared.state().counters.dropped += 1;
            }
        }
    }
}

/// Whether a source has been silent for too long. What plays by itself may: a slide stands as long as it is meant to.
fn silent(kind: Kind, options: &LiveOptions, begun: Instant, last: Option<Instant>, playing: bool) -> Option<Failure> {
    match (last, options.silence) {
        (Some(_), _) if matches!(kind, Kind::File | Kind::Test) => None,
        (Some(last), Some(silence)) => (last.elapsed() > silence)
            .then(|| Failure::new(Reason::Stall, format!("no picture for {:.1} s", silence.as_secs_f64()))),
        (Some(_), None) => None,
        (None, None) if playing => None,
        (None, _) => (begun.elapsed() > options.open_within).then(|| {
            Failure::new(Reason::Timeout, format!("no picture within {:.1} s", options.open_within.as_secs_f64()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A driver that holds connections for ever.
    #[test]
    fn connections_that_do_not_end_are_told_of() {
        let address: Address = "rtsp://127.0.0.1:9/x".parse().unwrap();
        let health = Health::Connecting { since: SystemTime::now(), attempts: 0, last: None };
        crate::video::init().unwrap();
        let options = Arc::new(LiveOptions::new().unwrap());
        let state = State { options, health, counters: SourceCounters::default(), format: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), tally: Tally::default() });
        let ((out, oldest), (ask, asked)) = (bounded(1), bounded(1));
        let (held, closing): (Vec<_>, Vec<_>) = (0..MOST_CLOSING).map(|_| bounded::<()>(0)).unzip();
        let mut supervisor = Supervisor {
            address,
            shared: Arc::clone(&shared),
            out,
            oldest,
            asked,
            timeline: Timeline::new(LATEST),
            seen: None,
            seq: 0,
            closing,
            told: BTreeSet::new(),
            setbacks: Setbacks::default(),
        };
        let waiting = thread::spawn(move || supervisor.has_room_for_another());
        thread::sleep(CLOSING_LONG + Duration::from_secs(1));
        let health = shared.state().health.clone();
        assert!(matches!(&health, Health::Connecting { last: Some((_, said)), .. } if said.contains("do not end")));
        drop(held);
        assert!(waiting.join().unwrap());
        assert_eq!(shared.state().counters.failures.values().sum::<u64>(), 1);
        drop(ask);
    }
}
