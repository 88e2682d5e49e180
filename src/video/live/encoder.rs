//! Painted frames into H.264, once per stream, with as little delay as can be.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::broadcast::{Broadcast, Packet};
use super::clock;
use super::feed::put_away;
use crate::sync::lock;
use crate::video::bus::Heard;
use crate::video::debug;
use crate::video::description::{self, Description, LiveEncoderRow, fill, named};
use crate::video::error::{Result, VideoError};
use crate::video::frame::{Frame, FrameFormat, clock_time, duration};

/// How a live stream is encoded.
#[derive(Debug, Clone)]
pub struct EncoderOptions {
    /// Row of the table of live encoders (`x264`, `openh264`, …); `None`: `x264`.
    pub encoder: Option<String>,
    /// 0 (worst) to 100 (best); `None`: the encoder's default.
    pub quality: Option<u8>,
    /// The highest rate in kbit/s; `None`: what suits the size and frame rate.
    pub bitrate: Option<u32>,
    /// How long who joins may have to wait for a picture, at most.
    pub key_every: Duration,
    /// Threads of the encoder; 0 is one per core.
    pub threads: usize,
    /// How the pipeline is put together.
    pub description: Description,
}

impl EncoderOptions {
    /// Whether the encoder is there.
    ///
    /// # Errors
    /// Of kind `Usage`: it is not known, or its plugin is not installed.
    pub fn check(&self) -> Result<()> {
        crate::video::init()?;
        self.row().map(drop)
    }

    fn row(&self) -> Result<&LiveEncoderRow> {
        let rows = &self.description.live.encoders;
        let name = self.encoder.as_deref().unwrap_or("x264");
        let row = rows.get(name).ok_or_else(|| {
            let names: Vec<&str> = rows.keys().map(String::as_str).collect();
            VideoError::usage(format!("there is no live encoder {name}"), format!("choose one of {}", names.join(", ")))
        })?;
        if gst::ElementFactory::find(&row.element).is_none() {
            return Err(VideoError::usage(
                format!("the GStreamer element {} is not installed", row.element),
                format!("install {}, or choose another --encoder", row.package),
            ));
        }
        Ok(row)
    }

    /// x264 at its default quality, a key frame every two seconds, the built-in description.
    ///
    /// # Errors
    /// See [`Description::built_in`].
    pub fn new() -> Result<Self> {
        Ok(Self {
            encoder: None,
            quality: None,
            bitrate: None,
            key_every: Duration::from_secs(2),
            threads: 0,
            description: Description::built_in()?,
        })
    }
}

/// The encoder of one live stream.
pub struct LiveEncoder {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    heard: Mutex<Heard>,
    entry: Arc<Entry>,
}

/// Where frames wait for the encoder: one at most, the newest. It is handed over when the encoder asks, so that
/// nothing becomes old in a queue.
struct Entry {
    frames: gst_app::AppSrc,
    /// Where wishes go up to the encoder.
    end: gst::Pad,
    broadcast: Broadcast,
    key_every: Duration,
    state: Mutex<State>,
    dropped: AtomicU64,
    /// When the last packet left, in nanoseconds of [`clock::now`].
    moved: Arc<AtomicU64>,
    under_way: Arc<Mutex<UnderWay>>,
}

#[derive(Default)]
struct State {
    /// With the moment when it came.
    waiting: Option<(Frame, Instant)>,
    /// The encoder has nothing to do.
    asked: bool,
    format: Option<Arc<FrameFormat>>,
    /// Time of the frame that became the last key frame by our wish.
    key: Option<Duration>,
}

/// Frames that are being encoded, and how long the last of them took.
#[derive(Default)]
struct UnderWay {
    /// Time in the stream, and when it was pushed.
    frames: VecDeque<(Duration, Instant)>,
    took: Option<Duration>,
}

impl UnderWay {
    fn entered(&mut self, pts: Duration, pushed: Instant) {
        if self.frames.len() < MOST_UNDER_WAY {
            self.frames.push_back((pts, pushed));
        }
    }

    fn came(&mut self, pts: Duration) {
        while let Some((time, pushed)) = self.frames.front().copied().filter(|(time, _)| *time <= pts) {
            self.frames.pop_front();
            if time == pts {
                self.took = Some(pushed.elapsed());
            }
        }
    }
}

/// An encoder that swallows frames shall not make it grow.
const MOST_UNDER_WAY: usize = 64;

/// Wishes are granted no oftener than this: many who join at once share a key frame.
const KEYS_APART: Duration = Duration::from_millis(300);
/// How long an encoder with frames waiting may give nothing.
const STALL: Duration = Duration::from_secs(5);
/// How long the end may take.
const DRAIN: Duration = Duration::from_millis(700);
const LET_GO: Duration = Duration::from_millis(300);

impl LiveEncoder {
    /// Gets an encoder ready for frames of a format, with a broadcast of its own.
    ///
    /// # Errors
    /// Of kind `Usage`: no such encoder, or its plugin is not installed. Of kind `Run`: it does not
    /// start.
    pub fn start(format: &Arc<FrameFormat>, options: &EncoderOptions) -> Result<Self> {
        Self::start_into(&Broadcast::new(), format, options)
    }

    /// The same, into a broadcast that is there already.
    ///
    /// # Errors
    /// Like [`start`](Self::start).
    pub fn start_into(broadcast: &Broadcast, format: &Arc<FrameFormat>, options: &EncoderOptions) -> Result<Self> {
        crate::video::init()?;
        let text = launch_text(format, options)?;
        let pipeline = description::pipeline(&text)?;
        let frames: gst_app::AppSrc = named(&pipeline, "frames")?;
        let packets: gst_app::AppSink = named(&pipeline, "packets")?;
        let fault = || VideoError::run("the live encoder cannot be built", "this is a fault of GStreamer");
        let bus = pipeline.bus().ok_or_else(fault)?;
        let end = packets.static_pad("sink").ok_or_else(fault)?;
        let moved = Arc::new(AtomicU64::new(nanos(clock::now())));
        let under_way = Arc::default();
        hand_on(&packets, broadcast, &moved, &under_way);
        let entry = Arc::new(Entry {
            frames,
            end,
            broadcast: broadcast.clone(),
            key_every: options.key_every,
            state: Mutex::default(),
            dropped: AtomicU64::new(0),
            moved,
            under_way,
        });
        entry.attend();
        entry.frames.set_caps(Some(format.caps()));
        lock(&entry.state).format = Some(Arc::clone(format));
        let encoder = Self { pipeline, bus, heard: Mutex::default(), entry };
        debug::draw(&encoder.pipeline, "encoder");
        match encoder.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(encoder),
            Err(e) => Err(encoder.failed().unwrap_or_else(|| not_working("it does not start")).because(e)),
        }
    }

    /// Takes the next frame. Never waits: `false` when the encoder is behind or has failed and a frame was dropped,
    /// which is counted. It is the one before, where that still waited: the newest wins.
    pub fn push(&self, frame: Frame) -> bool {
        self.entry.push(frame)
    }

    /// Where the packets go.
    pub fn broadcast(&self) -> Broadcast {
        self.entry.broadcast.clone()
    }

    /// Frames that [`push`](Self::push) could not hand to the encoder before newer ones came.
    pub fn dropped(&self) -> u64 {
        self.entry.dropped.load(Ordering::Relaxed)
    }

    /// How long the frame that was encoded last took, each once.
    pub fn took(&self) -> Option<Duration> {
        lock(&self.entry.under_way).took.take()
    }

    /// Why no more packets come; `None` while all is well. After a failure a new encoder may be
    /// started into the same broadcast.
    pub fn failed(&self) -> Option<VideoError> {
        let mut heard = lock(&self.heard);
        heard.listen(&self.bus, gst::ClockTime::ZERO);
        if let Some((e, from)) = &heard.error {
            return Some(not_working(&format!("{} ({from})", e.message())).because(e.clone()));
        }
        self.entry.stalled().map(|still| not_working(&format!("nothing came out for {} s", still.as_secs())))
    }

    /// Lets go of it without waiting. What is returned hangs up when it is gone: one that hangs never is.
    pub fn let_go(self) -> Receiver<()> {
        let (going, gone) = bounded(0);
        let work = move || {
            // Here for as long as it takes, where `drop` would leave it behind.
            let _ = self.pipeline.set_state(gst::State::Null);
            drop(self);
            drop(going);
        };
        // Where there is no thread, it is dropped here.
        let _ = std::thread::Builder::new().name("encoder-end".into()).spawn(work);
        gone
    }

    /// Encodes what still waits and ends the broadcast. At most one second.
    pub fn finish(self) {
        let until = Instant::now() + DRAIN;
        if self.failed().is_none() && self.entry.end() {
            let mut heard = lock(&self.heard);
            while !heard.eos && heard.error.is_none() && Instant::now() < until {
                heard.listen(&self.bus, gst::ClockTime::from_mseconds(10));
            }
        }
        self.entry.broadcast.end();
    }
}

impl Entry {
    /// Has the encoder ask for frames, from its own thread.
    fn attend(self: &Arc<Self>) {
        let entry = Arc::downgrade(self);
        let need_data = move |_: &gst_app::AppSrc, _| {
            if let Some(entry) = entry.upgrade() {
                entry.ask();
            }
        };
        self.frames.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(need_data).build());
    }

    fn ask(&self) {
        let mut state = lock(&self.state);
        // News of another format wakes it before the frame itself is there.
        if self.frames.current_level_buffers() > 0 {
            return;
        }
        match state.waiting.take() {
            Some(waiting) => drop(self.hand_over(&mut state, waiting)),
            None => state.asked = true,
        }
    }

    fn push(&self, frame: Frame) -> bool {
        let mut state = lock(&self.state);
        let frame = (frame, Instant::now());
        if std::mem::take(&mut state.asked) {
            // It may have rested for hours, which is no stall.
            self.moved.store(nanos(clock::now()), Ordering::Relaxed);
            return self.hand_over(&mut state, frame);
        }
        let alone = state.waiting.replace(frame).is_none();
        if !alone {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        alone
    }

    fn hand_over(&self, state: &mut State, (frame, pushed): (Frame, Instant)) -> bool {
        self.prepare(state, &frame);
        lock(&self.under_way).entered(frame.pts(), pushed);
        let taken = self.frames.push_buffer(frame.into_buffer()).is_ok();
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Says what is new about a frame: its format, and whether it should be a key frame.
    fn prepare(&self, state: &mut State, frame: &Frame) {
        if state.format.as_ref().is_none_or(|f| !Arc::ptr_eq(f, frame.format())) {
            self.frames.set_caps(Some(frame.format().caps()));
            state.format = Some(Arc::clone(frame.format()));
        }
        // By time and not by number of frames: cameras do not keep the rate they announce.
        let due = match state.key {
            None => true,
            Some(key) => {
                let age = frame.pts().saturating_sub(key);
                age >= self.key_every || (age >= KEYS_APART && self.broadcast.has_wish())
            }
        };
        if due {
            self.broadcast.take_wish();
            // The first frame is a key frame anyway.
            if state.key.is_some() {
                self.end.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
            }
            state.key = Some(frame.pts());
        }
    }

    /// Whether a frame has waited too long: for how long nothing came out.
    fn stalled(&self) -> Option<Duration> {
        let still = clock::now().saturating_sub(Duration::from_nanos(self.moved.load(Ordering::Relaxed)));
        (still > STALL && lock(&self.state).waiting.is_some()).then_some(still)
    }

    /// No more frames: hands over the last.
    fn end(&self) -> bool {
        let mut state = lock(&self.state);
        if let Some(waiting) = state.waiting.take() {
            self.hand_over(&mut state, waiting);
        }
        self.frames.end_of_stream().is_ok()
    }
}

impl Drop for LiveEncoder {
    fn drop(&mut self) {
        put_away(&self.pipeline, LET_GO);
    }
}

fn not_working(why: &str) -> VideoError {
    VideoError::run(
        format!("the live encoder failed: {why}"),
        "choose another --encoder, or run again with GST_DEBUG=3 for the reason",
    )
}

fn nanos(time: Duration) -> u64 {
    clock_time(time).nseconds()
}

/// Lets packets flow from the encoder's own thread to everybody.
fn hand_on(
    packets: &gst_app::AppSink,
    broadcast: &Broadcast,
    moved: &Arc<AtomicU64>,
    under_way: &Arc<Mutex<UnderWay>>,
) {
    let (broadcast, moved, under_way) = (broadcast.clone(), Arc::clone(moved), Arc::clone(under_way));
    packets.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                moved.store(nanos(clock::now()), Ordering::Relaxed);
                if let Some(packet) = packet(&sample) {
                    lock(&under_way).came(packet.pts());
                    broadcast.send(&packet);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
}

/// A packet on the common timeline: encoders shift time stamps and segment together.
fn packet(sample: &gst::Sample) -> Option<Packet> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let mut buffer = sample.buffer_owned()?;
    let pts = segment.to_running_time(buffer.pts()?)?;
    // Only the header is made anew; the bytes are shared.
    let header = buffer.make_mut();
    header.set_pts(pts);
    header.set_dts(pts);
    let key = !header.flags().contains(gst::BufferFlags::DELTA_UNIT);
    Some(Packet { buffer, caps: sample.caps_owned()?, key, pts: duration(pts) })
}

fn launch_text(format: &FrameFormat, options: &EncoderOptions) -> Result<String> {
    let live = &options.description.live;
    let row = options.row()?;
    let (odd_right, odd_bottom) = (format.width() % 2, format.height() % 2);
    let odd = match odd_right + odd_bottom {
        0 => String::new(),
        _ => format!("{} ! ", live.encoder.odd),
    };
    let fps = format.fps().map_or(25.0, |(n, d)| f64::from(n) / f64::from(d)).clamp(1.0, 240.0);
    let gop = (fps * options.key_every.as_secs_f64() * 2.0).clamp(10.0, 10_000.0) as u32;
    // 0.15 bits a pixel: 2 Mbit/s for 480p, 9 for 1080p, at 30 frames a second.
    let suits = (format.width() * format.height()) as f64 * fps * 0.15 / 1000.0;
    let kbits = options.bitrate.unwrap_or(suits.max(500.0) as u32).clamp(50, 200_000);
    Ok(fill(
        &format!("{} ! {odd}{} ! {}", live.encoder.frames, row.launch, live.encoder.packets),
        &[
            ("quality", &row.quality.own_scale(options.quality).to_string()),
            ("kbits", &kbits.to_string()),
            ("bits", &(u64::from(kbits) * 1000).to_string()),
            ("gop", &gop.to_string()),
            ("threads", &options.threads.min(16).to_string()),
            ("odd_right", &odd_right.to_string()),
            ("odd_bottom", &odd_bottom.to_string()),
        ],
    ))
}
