//! One attempt to reach a source, and the pictures it brings.
//!
//! Everything that may wait without a limit of its own (finding the host, opening a device, stopping
//! a pipeline whose peer is dead) happens in a thread of the connection's. The supervisor only looks:
//! it can let go of a connection at any moment, and the thread ends when it can.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server::gio;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::address::{Address, Kind, Place};
use super::backlog::Backlog;
use super::camera;
use super::credentials::{Credentials, scrub};
use super::decode_time::{DecodeTimes, is_of_class};
use super::knock::knock;
use super::reason::{self, Failure, Reason};
use super::source::{APART, LiveOptions, Tally, Transport};
use crate::video::debug;
use crate::video::description::{self, LiveSourceText, fill, named};
use crate::video::error::{Result, VideoError};
use crate::video::frame::FrameFormat;
use crate::video::opening::take_strides;

/// The clip behind `test`.
const TEST_CLIP: &[u8] = include_bytes!("../../../samples/shapes.mp4");

/// How long one look takes; everything else is noticed after it.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(25);

/// Between the pictures of a film behind a web server, and of a stream that comes in pieces, longer pauses are jumps of its clock.
const FILM: Duration = Duration::from_secs(60);
const IN_PIECES: Duration = Duration::from_secs(1);

/// A connection, from the first knock on.
pub(super) struct Connection {
    what: Plan,
    parts: Option<Parts>,
    ready: Receiver<std::result::Result<Parts, Failure>>,
    /// Dropping it lets the thread end.
    close: Sender<()>,
    /// Hangs up when the thread has ended.
    closed: Receiver<()>,
    playing: bool,
    drawn: bool,
    /// When what is played over and over began last, and when it is to begin again.
    round: Instant,
    replay: Option<Instant>,
}

/// What the supervisor gets hold of.
struct Parts {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    frames: gst_app::AppSink,
    input: gst::Element,
    fit: gst::Element,
    times: DecodeTimes,
    backlog: Backlog,
    /// It comes in pieces, each of which is there at once (HLS and the like).
    in_pieces: Arc<AtomicBool>,
}

/// What a look found.
pub(super) enum Event {
    Sample(gst::Sample),
    Nothing,
    Failed(Failure),
    /// The end of what there was.
    End,
}

/// All that is needed to connect.
#[derive(Clone)]
struct Plan {
    address: Address,
    options: Arc<LiveOptions>,
    fit: gst::Caps,
    tally: Tally,
}

impl Connection {
    /// Begins to connect; frames will be brought to `format` where it is already known.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn begin(
        address: &Address,
        options: &Arc<LiveOptions>,
        format: Option<&FrameFormat>,
        tally: &Tally,
    ) -> io::Result<Self> {
        let plan = Plan {
            address: address.clone(),
            options: Arc::clone(options),
            fit: format.map_or_else(|| first_caps(options.size), fit_caps),
            tally: tally.clone(),
        };
        let (give, ready) = bounded(1);
        let (close, hold) = bounded::<()>(0);
        let (alive, closed) = bounded::<()>(0);
        let what = plan.clone();
        thread::Builder::new().name("live-connection".into()).spawn(move || {
            plan.live(&give, &hold);
            drop(alive);
        })?;
        Ok(Self {
            what,
            parts: None,
            ready,
            close,
            closed,
            playing: false,
            drawn: false,
            round: Instant::now(),
            replay: None,
        })
    }

    /// Looks once, for a short time.
    pub fn look(&mut self) -> Event {
        let Some(parts) = &self.parts else {
            match self.ready.recv_timeout(LOOK.into()) {
                Ok(Ok(parts)) => self.parts = Some(parts),
                Ok(Err(failure)) => return Event::Failed(failure),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Event::Failed(Failure::new(Reason::Network, "the attempt broke off"));
                }
            }
            return Event::Nothing;
        };
        if self.replay.is_some_and(|at| at <= Instant::now()) {
            (self.replay, self.round) = (None, Instant::now());
            play_from_start(&parts.pipeline, gst::SeekFlags::SEGMENT);
        }
        while let Some(message) = parts.bus.pop() {
            match message.view() {
                gst::MessageView::Error(e) => {
                    debug::draw(&parts.pipeline, "source-failed");
                    if !self.drawn && self.what.address.kind() == Kind::Camera && reason::is_of_format(e) {
                        self.what.tally.refused_formats.fetch_add(1, Ordering::Relaxed);
                    }
                    return Event::Failed(self.what.failure(e));
                }
                gst::MessageView::Eos(_) => return Event::End,
                gst::MessageView::SegmentDone(_) => self.replay = Some(self.round + APART),
                gst::MessageView::Progress(p) => {
                    let (kind, code, _) = p.get();
                    self.playing |= kind == gst::ProgressType::Complete && code == "request";
                }
                gst::MessageView::Warning(w) => {
                    let said = scrub(w.error().message(), self.what.credentials());
                    tracing::debug!(source = %self.what.address, "{said}");
                }
                _ => {}
            }
        }
        let begun = Instant::now();
        match parts.frames.try_pull_sample(LOOK) {
            Some(sample) => {
                if !std::mem::replace(&mut self.drawn, true) {
                    debug::draw(&parts.pipeline, "source");
                }
                Event::Sample(sample)
            }
            None => {
                // A sink that has not started yet says at once that there is nothing.
                if begun.elapsed() < Duration::from_millis(1) {
                    thread::sleep(Duration::from_millis(5));
                }
                Event::Nothing
            }
        }
    }

    /// The source has agreed to send pictures, whether or not one has come.
    pub fn is_playing(&self) -> bool {
        self.playing
    }

    /// A picture has come, so it is known what is behind the address: how far in the future pictures may lie that come
    /// before their time. Who sends live sets the pace; a film behind a web server is read as fast as it is taken.
    pub fn begin_pace(&self) -> Duration {
        let Some(parts) = &self.parts else {
            return Duration::ZERO;
        };
        let ahead = match self.what.address.kind() {
            Kind::File | Kind::Test => return Duration::ZERO,
            Kind::Http if parts.is_film() => FILM,
            Kind::Http if parts.in_pieces.load(Ordering::Relaxed) => IN_PIECES,
            _ => Duration::ZERO,
        };
        if ahead.is_zero() {
            parts.backlog.start();
        }
        ahead
    }

    /// How long the picture with this time stamp was in the decoder, where there is one.
    pub fn decode_time(&self, stamp: Option<gst::ClockTime>) -> Option<Duration> {
        self.parts.as_ref().and_then(|parts| parts.times.of(stamp))
    }

    /// Brings what follows to this format.
    pub fn fit(&self, format: &FrameFormat) {
        if let Some(parts) = &self.parts {
            parts.fit.set_property("caps", fit_caps(format));
        }
    }

    /// Lets go. What comes back hangs up when nothing of the connection is left.
    pub fn close(self) -> Receiver<()> {
        drop((self.parts, self.close, self.ready));
        self.closed
    }
}

impl Parts {
    /// Whether there is an end to it.
    fn is_film(&self) -> bool {
        self.pipeline.query_duration::<gst::ClockTime>().is_some()
            || self.input.query_duration::<gst::format::Bytes>().is_some()
    }
}

impl Plan {
    /// The life of a connection, in its thread.
    fn live(self, ready: &Sender<std::result::Result<Parts, Failure>>, hold: &Receiver<()>) {
        let pipeline = match self.knock(hold).and_then(|()| self.build()) {
            Ok(parts) => {
                let pipeline = parts.pipeline.clone();
                let _ = ready.send(Ok(parts));
                pipeline
            }
            Err(failure) => {
                let _ = ready.send(Err(failure));
                return;
            }
        };
        let text = &self.options.description.live.source;
        if self.repeats() && pipeline.set_state(gst::State::Paused).is_ok() {
            let _ = pipeline.state(gst::ClockTime::from_seconds(4));
            play_from_start(&pipeline, gst::SeekFlags::SEGMENT | gst::SeekFlags::FLUSH);
        }
        // A failure to start is told on the bus, with more words.
        let started = pipeline.set_state(gst::State::Playing);
        tracing::trace!(source = %self.address, ?started, launch = way_in(text, self.address.kind()), "connecting");
        // Nothing is ever sent: this waits until the supervisor lets go.
        let _ = hold.recv();
        let _ = pipeline.set_state(gst::State::Null);
    }

    fn credentials(&self) -> Option<&Credentials> {
        self.address.credentials().or(self.options.credentials.as_ref())
    }

    fn repeats(&self) -> bool {
        match self.address.kind() {
            Kind::Test => true,
            Kind::File => self.options.repeat,
            _ => false,
        }
    }

    /// A pipeline is not built every second of a night in which the camera is off.
    fn knock(&self, hold: &Receiver<()>) -> std::result::Result<(), Failure> {
        match self.address.place() {
            Place::Url(_, url) => {
                knock(url, self.options.open_within, || hold.try_recv() == Err(TryRecvError::Disconnected))
                    .map(drop)
                    .map_err(|closed| closed.failure)
            }
            _ => Ok(()),
        }
    }

    fn build(&self) -> std::result::Result<Parts, Failure> {
        self.assemble().map_err(|e| match e {
            Trouble::Away(failure) => failure,
            Trouble::Wrong(e) => Failure::new(Reason::Decoder, scrub(&e.to_string(), self.credentials())),
        })
    }

    fn assemble(&self) -> std::result::Result<Parts, Trouble> {
        let pipeline = description::pipeline(&launch(&self.options, &self.address))?;
        // Without it, decodebin gathers seconds of motion JPEG before it hands on the first picture.
        let times = DecodeTimes::default();
        let backlog = Backlog::new(&self.tally.skipped);
        let in_pieces = Arc::new(AtomicBool::new(false));
        let (timing, skipping, pieces) = (times.clone(), backlog.clone(), Arc::clone(&in_pieces));
        pipeline.connect_deep_element_added(move |_, _, element| {
            skipping.watch(element);
            timing.watch(element);
            pieces.fetch_or(is_of_class(element, "Adaptive"), Ordering::Relaxed);
            if element.has_property_with_type("single-stream", bool::static_type()) {
                element.set_property("single-stream", true);
            }
        });
        let input: gst::Element = named(&pipeline, "input")?;
        let frames: gst_app::AppSink = named(&pipeline, "frames")?;
        let fit: gst::Element = named(&pipeline, "fit")?;
        fit.set_property("caps", &self.fit);
        take_strides(&frames);
        self.point(&input)?;
        if let Some(wish) = pipeline.by_name("wish") {
            wish.set_property("caps", self.choice(&input, &wish)?);
        }
        if let Some(pad) = pipeline.by_name("decode").and_then(|d| d.static_pad("sink")) {
            self.count_bytes(&pad);
        }
        let bus =
            pipeline.bus().ok_or_else(|| VideoError::run("a pipeline has no bus", "this is a fault of GStreamer"))?;
        Ok(Parts { pipeline, bus, frames, input, fit, times, backlog, in_pieces })
    }

    /// What the camera is asked for: the best of what it offers, the next where that has failed. Its own choice would be
    /// by size alone.
    fn choice(&self, input: &gst::Element, wish: &gst::Element) -> Result<gst::Caps> {
        let (size, fps) = (self.options.size, self.options.fps);
        // Only a camera that is open says what it can do. One that does not open says why when the pipeline starts.
        let opened = input.set_state(gst::State::Ready);
        let able = wish.static_pad("sink").filter(|_| opened.is_ok()).map(|pad| pad.peer_query_caps(None));
        let choices = able.map_or_else(|| Ok(Vec::new()), |able| camera::choices(&able, size, fps))?;
        let failed = usize::try_from(self.tally.refused_formats.load(Ordering::Relaxed)).unwrap_or_default();
        // After the last, it may choose for itself.
        let Some(chosen) = choices.get(failed % (choices.len() + 1)) else {
            return camera::wish(size, fps);
        };
        tracing::debug!(source = %self.address, "the camera is asked for {chosen}");
        Ok(chosen.clone())
    }

    /// Tells the element where to look and who asks. A stand-in is left as it is.
    fn point(&self, input: &gst::Element) -> std::result::Result<(), Trouble> {
        match self.address.place() {
            Place::Device(path) if has(input, "device") => {
                if !path.exists() {
                    let said = format!("there is no {}; `gradcast live --list` lists cameras", path.display());
                    return Err(Trouble::Away(Failure::new(Reason::Device, said)));
                }
                input.set_property("device", path.to_string_lossy().as_ref());
            }
            Place::CameraName(name) if has(input, "device") => {
                let cameras = camera::cameras()?;
                let path = camera::of_name(&cameras, name)
                    .map_err(|said| Trouble::Away(Failure::new(Reason::Device, said)))?;
                input.set_property("device", path.to_string_lossy().as_ref());
            }
            Place::File(path) => set(input, "location", path.to_string_lossy().as_ref()),
            Place::Url(_, url) => self.point_at(input, url),
            Place::Test => set(input, "stream", test_clip()),
            _ => {}
        }
        Ok(())
    }

    fn point_at(&self, input: &gst::Element, url: &Url) {
        // rtspsrc tries those of an address once, but those of its properties eight times, and cameras lock accounts for less.
        match self.credentials() {
            Some(credentials) if url.scheme().starts_with("rtsp") => {
                set(input, "location", with_credentials(url, credentials));
            }
            Some(credentials) => {
                set(input, "user-id", credentials.user());
                set(input, "user-pw", credentials.password());
                set(input, "location", url.as_str());
            }
            None => set(input, "location", url.as_str()),
        }
        if self.options.tls_insecure {
            set(input, "ssl-strict", false);
            if has(input, "tls-validation-flags") {
                input.set_property("tls-validation-flags", gio::TlsCertificateFlags::empty());
            }
        }
        if gst::glib::subclass::SignalId::lookup("select-stream", input.type_()).is_some() {
            select_video(input);
        }
    }

    fn count_bytes(&self, pad: &gst::Pad) {
        let bytes = Arc::clone(&self.tally.bytes);
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, probe| {
            let size = match &probe.data {
                Some(gst::PadProbeData::Buffer(buffer)) => buffer.size(),
                Some(gst::PadProbeData::BufferList(list)) => list.calculate_size(),
                _ => 0,
            };
            bytes.fetch_add(size as u64, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }

    fn failure(&self, e: &gst::message::Error) -> Failure {
        let error = e.error();
        // The last line of the details says what happened, the ones before it where in GStreamer.
        let debug = e.debug();
        let detail = debug.as_deref().and_then(|d| d.lines().nth(1)).filter(|line| !line.trim().is_empty());
        let detail = scrub(detail.unwrap_or_else(|| error.message()), self.credentials());
        let secure = matches!(self.address.place(), Place::Url(_, url) if url.scheme().ends_with('s'));
        let about = format!("{} {detail}", error.message());
        Failure::new(reason::of_error(self.address.kind(), secure, &error, &about), detail.trim_end_matches('.'))
    }
}

/// Why a pipeline cannot be put together.
enum Trouble {
    /// The source is not there.
    Away(Failure),
    /// The description is wrong or a plugin is missing.
    Wrong(VideoError),
}

impl From<VideoError> for Trouble {
    fn from(e: VideoError) -> Self {
        Self::Wrong(e)
    }
}

fn way_in(text: &LiveSourceText, kind: Kind) -> &str {
    match kind {
        Kind::Camera => &text.camera,
        Kind::Rtsp => &text.rtsp,
        Kind::Http => &text.http,
        Kind::File => &text.file,
        Kind::Test => &text.test,
    }
}

/// The whole launch description of a source.
fn launch(options: &LiveOptions, address: &Address) -> String {
    let kind = address.kind();
    let text = &options.description.live.source;
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let silence = options.silence.unwrap_or_default();
    let (protocols, udp_wait) = match options.transport {
        Transport::Tcp => ("tcp", Duration::ZERO),
        Transport::Udp => ("udp", silence),
        // Time enough for TCP when no packet gets through.
        Transport::Auto => ("udp+tcp", Duration::from_secs(2)),
    };
    // Who sends live sets the pace, and what a web server hands out is paced where its pictures are taken.
    let paced = match kind {
        Kind::Camera | Kind::Rtsp | Kind::Http => false,
        Kind::Test => true,
        Kind::File => options.realtime,
    };
    fill(
        &format!("{} ! {}", way_in(text, kind), text.hand_over),
        &[
            ("latency", &options.latency.as_millis().to_string()),
            ("protocols", protocols),
            ("open_us", &options.open_within.as_micros().to_string()),
            ("udp_us", &udp_wait.as_micros().to_string()),
            ("silence_s", &silence.as_secs_f64().ceil().to_string()),
            ("threads", &threads.to_string()),
            ("sync", &paced.to_string()),
        ],
    )
}

/// Checks that a source of this kind can be put together here.
///
/// # Errors
/// Of kind `Usage` when the description is wrong or an element is missing.
pub(super) fn check(options: &LiveOptions, address: &Address) -> Result<()> {
    let pipeline = description::pipeline(&launch(options, address))?;
    for name in ["input", "fit", "frames"] {
        named::<gst::Element>(&pipeline, name)?;
    }
    Ok(())
}

/// The caps of the first frame are free, but for its size where one is wanted.
fn first_caps(size: Option<(u32, u32)>) -> gst::Caps {
    let side = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let caps = gst::Caps::builder("video/x-raw").field("format", gst::List::new(["I420", "NV12"]));
    match size {
        Some((w, h)) => caps
            .field("width", side(w))
            .field("height", side(h))
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build(),
        None => caps.build(),
    }
}

/// What all later frames have in common with the first; rates may differ.
fn fit_caps(format: &FrameFormat) -> gst::Caps {
    const FIXED: [&str; 5] = ["format", "width", "height", "pixel-aspect-ratio", "colorimetry"];
    let mut caps = format.caps().clone();
    if let Some(s) = caps.make_mut().structure_mut(0) {
        let others: Vec<_> =
            s.fields().filter(|name| !FIXED.contains(&name.as_str())).map(ToString::to_string).collect();
        s.remove_fields(others);
    }
    caps
}

/// Of all that a server offers, only the first video is asked for.
fn select_video(input: &gst::Element) {
    let chosen = AtomicI64::new(-1);
    input.connect("select-stream", false, move |values| {
        let number = i64::from(values.get(1)?.get::<u32>().ok()?);
        let caps = values.get(2)?.get::<gst::Caps>().ok()?;
        let video = caps.structure(0).is_some_and(|s| s.get::<&str>("media").is_ok_and(|m| m == "video"));
        let before = chosen.load(Ordering::Relaxed);
        let take = video && (before < 0 || before == number);
        if take {
            chosen.store(number, Ordering::Relaxed);
        }
        Some(take.to_value())
    });
}

fn test_clip() -> gio::MemoryInputStream {
    gio::MemoryInputStream::from_bytes(&gst::glib::Bytes::from_static(TEST_CLIP))
}

/// Plays from the start, to the end of the segment: the running time goes on over the seam.
fn play_from_start(pipeline: &gst::Pipeline, flags: gst::SeekFlags) {
    if let Err(e) = pipeline.seek_simple(flags, gst::ClockTime::ZERO) {
        // It is opened anew at its end instead.
        tracing::debug!("the source cannot be played over and over in one go: {e}");
    }
}

/// The address with credentials in it. GStreamer wants both, and the colon between them, even where one is empty.
fn with_credentials(url: &Url, credentials: &Credentials) -> String {
    let [user, password] =
        [credentials.user(), credentials.password()].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
    url.as_str().replacen("://", &format!("://{user}:{password}@"), 1)
}

fn has(element: &gst::Element, property: &str) -> bool {
    element.find_property(property).is_some()
}

/// Sets a property that the element has; a stand-in may lack it.
fn set(element: &gst::Element, property: &str, value: impl Into<gst::glib::Value>) {
    if has(element, property) {
        element.set_property_from_value(property, &value.into());
    }
}
