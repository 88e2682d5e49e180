//! Frames into a recorded file or a picture.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::bus::Heard;
use super::debug;
use super::description::{self, Container, Description, Encoder, TrackRule, fill, named};
use super::error::{Result, VideoError};
use super::file_source::SourceInfo;
use super::frame::{Frame, FrameFormat, Range, clock_time};
use super::output::Output;
use super::tracks::{CopiedTrack, Item, Next, TrackInfo, TrackKind, sample_start};
use crate::sync::lock;

/// How an output file is made.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Row of the encoder table (`x264`, `x265`, `vp9`, …); `None`: what suits the container.
    pub encoder: Option<String>,
    /// 0 (worst) to 100 (best); `None`: the encoder's default.
    pub quality: Option<u8>,
    /// Whether a file of that name may be replaced.
    pub overwrite: bool,
    /// How the pipeline is put together.
    pub description: Description,
    /// Threads for encoders that ask for a number; 0 is one per core.
    pub threads: usize,
    /// How long the encoder and the disk may stand still before they are given up.
    pub stall_after: Duration,
}

impl SinkOptions {
    /// Default encoder and quality, nothing replaced, built-in description.
    ///
    /// # Errors
    /// See [`Description::built_in`].
    pub fn new() -> Result<Self> {
        Ok(Self {
            encoder: None,
            quality: None,
            overwrite: false,
            description: Description::built_in()?,
            threads: 0,
            stall_after: Duration::from_secs(120),
        })
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSummary {
    /// The file, under its final name.
    pub path: PathBuf,
    /// Frames in it.
    pub frames: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Where its last frame ends.
    pub duration: Duration,
    /// What the user should hear about.
    pub notes: Vec<String>,
}

/// A recorded file or picture being written.
pub struct FileSink {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    frames: gst_app::AppSrc,
    encoded: Option<gst::Element>,
    room: Arc<Room>,
    lasting: Lasting,
    written: Arc<AtomicU64>,
    tracks: Vec<Feed>,
    heard: Heard,
    output: Option<Output>,
    format: Option<Arc<FrameFormat>>,
    pushed: u64,
    end: Duration,
    stall_after: Duration,
    notes: Vec<String>,
}

/// Counts the frames between us and the encoder.
#[derive(Debug)]
struct Room {
    waiting: Mutex<u64>,
    freed: Condvar,
    most: u64,
}

/// A copied track and where it goes.
struct Feed {
    track: CopiedTrack,
    into: gst_app::AppSrc,
    caps: gst::Caps,
    /// Up to here the muxer knows the track.
    known: gst::ClockTime,
    ended: bool,
}

/// How long one look at the pipeline takes.
const POLL: Duration = Duration::from_millis(20);
/// How far a silent track may lag before the muxer is told that it is silent.
const LAG: gst::ClockTime = gst::ClockTime::from_mseconds(500);
/// Bytes of a copied track between us and the muxer.
const TRACK_BYTES: u64 = 64 << 20;

impl FileSink {
    /// Checks that the output can be made as asked, and gets everything ready. The kind of file
    /// follows from the extension.
    ///
    /// # Errors
    /// Of kind `Usage`, before any work: no such kind of file, the output exists, no such encoder
    /// or its plugin is missing, a container that cannot hold the encoder's stream or a track.
    pub fn create(path: &Path, options: &SinkOptions, source: &SourceInfo, tracks: Vec<CopiedTrack>) -> Result<Self> {
        super::init()?;
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let d = &options.description;
        let plan = match (d.container(&extension), d.image(&extension)) {
            (Some(container), _) => Plan::video(container, options, source, &tracks)?,
            (None, Some(image)) => Plan::image(path, image, options, source)?,
            (None, None) => return Err(unknown_extension(path, d)),
        };
        let output = Output::reserve(path, &source.path, options.overwrite)?;
        let built = Self::build(plan, options, output.partial(), tracks);
        match built {
            Ok(mut sink) => {
                sink.output = Some(output);
                Ok(sink)
            }
            Err(e) => {
                output.abandon(0);
                Err(e)
            }
        }
    }

    fn build(plan: Plan, options: &SinkOptions, partial: &Path, tracks: Vec<CopiedTrack>) -> Result<Self> {
        let text = &options.description.sink;
        let pipeline = match &plan.mux {
            Some(mux) => description::pipeline(&format!("{mux} ! {}", text.write))?,
            None => description::pipeline(&text.write)?,
        };
        let output: gst::Element = named(&pipeline, "output")?;
        output.set_property("location", partial);
        let chain = description::bin(&format!("{} ! {}", text.frames, plan.encode))?;
        pipeline.add(&chain).map_err(not_joined)?;
        let frames: gst_app::AppSrc = named(&chain, "frames")?;
        let mut feeds = Vec::new();
        let lasting = Lasting::default();
        match &plan.mux {
            Some(_) => {
                let mux: gst::Element = named(&pipeline, "mux")?;
                let pad = request(&mux, "video_%u")?;
                if let Some(scale) = plan.timescale
                    && pad.has_property("trak-timescale")
                {
                    pad.set_property("trak-timescale", scale);
                }
                if let (false, Some(src)) = (plan.colours_said, chain.static_pad("src")) {
                    leave_colours_unsaid(&src);
                }
                lasting.restore(&pad);
                join(&chain, &pad)?;
                for (track, through) in tracks.into_iter().zip(plan.through) {
                    feeds.push(Feed::join(&pipeline, &mux, track, &text.track, &through)?);
                }
            }
            None => join(&chain, &sink_pad(&output)?)?,
        }
        let bus =
            pipeline.bus().ok_or_else(|| VideoError::run("a pipeline has no bus", "this is a fault of GStreamer"))?;
        let room = Arc::new(Room { waiting: Mutex::new(0), freed: Condvar::new(), most: frames.max_buffers().max(1) });
        room.watch(&frames)?;
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        sink_pad(&output)?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        let mut sink = Self {
            encoded: pipeline.by_name("encoded"),
            pipeline,
            bus,
            frames,
            room,
            lasting,
            written,
            tracks: feeds,
            heard: Heard::default(),
            output: None,
            format: None,
            pushed: 0,
            end: Duration::ZERO,
            stall_after: options.stall_after,
            notes: plan.notes,
        };
        debug::draw(&sink.pipeline, "file-sink");
        if sink.pipeline.set_state(gst::State::Playing).is_err() {
            sink.heard.listen(&sink.bus, gst::ClockTime::ZERO);
            let e = sink.failed();
            let _ = sink.pipeline.set_state(gst::State::Null);
            return Err(e);
        }
        Ok(sink)
    }

    /// Takes the next frame, in order, and the packets of the copied tracks up to it. Waits while
    /// the encoder is busy.
    ///
    /// # Errors
    /// Of kind `Run`: the disk is full, the encoder failed or stands still. What was written stays
    /// readable; the message tells where it is.
    pub fn push(&mut self, frame: Frame) -> Result<()> {
        if self.format.as_ref().is_none_or(|f| !Arc::ptr_eq(f, frame.format())) {
            self.frames.set_caps(Some(frame.format().caps()));
            self.format = Some(Arc::clone(frame.format()));
        }
        let end = frame.pts() + frame.duration().unwrap_or_default();
        self.feed(Some(frame.pts()))?;
        self.wait_for_room()?;
        self.room.take();
        self.lasting.note(&frame);
        if let Err(e) = self.frames.push_buffer(frame.into_buffer()) {
            self.heard.listen(&self.bus, gst::ClockTime::from_mseconds(100));
            return Err(self.failed().because(e));
        }
        self.pushed += 1;
        self.end = self.end.max(end);
        Ok(())
    }

    /// Ends the file properly: everything drained, made durable, and given its final name. Where
    /// the source has not come to its end, the copied tracks are cut where the video ends.
    ///
    /// # Errors
    /// Like [`push`](Self::push).
    pub fn finish(mut self) -> Result<SinkSummary> {
        if self.pushed == 0 {
            return Err(VideoError::run(
                "not one frame came to be written",
                "the input is damaged, or was interrupted too early",
            ));
        }
        self.feed_to_the_end()?;
        let ended = self.frames.end_of_stream();
        self.heard.listen(&self.bus, gst::ClockTime::ZERO);
        if ended.is_err() {
            return Err(self.failed());
        }
        let mut stall = Stall::new(self.stall_after);
        while !self.heard.eos {
            self.heard.listen(&self.bus, gst::ClockTime::from_mseconds(20));
            self.check(&mut stall)?;
        }
        let _ = self.pipeline.set_state(gst::State::Null);
        let Some(output) = self.output.take() else {
            return Err(self.failed());
        };
        let path = output.target().to_owned();
        Ok(SinkSummary {
            bytes: output.publish()?,
            path,
            frames: self.pushed,
            duration: self.end,
            notes: std::mem::take(&mut self.notes),
        })
    }

    /// Gives up. A file with frames in it is kept under its temporary name, and the sentence that
    /// tells so is returned; an empty one is removed.
    pub fn abort(mut self) -> Option<String> {
        self.give_up()
    }

    fn give_up(&mut self) -> Option<String> {
        let _ = self.pipeline.set_state(gst::State::Null);
        self.output.take().and_then(|o| o.abandon(self.pushed))
    }

    /// The error on the bus, and what becomes of the file.
    fn failed(&mut self) -> VideoError {
        let target = self.output.as_ref().map(|o| o.target().display().to_string()).unwrap_or_default();
        let kept = self.give_up().unwrap_or_default();
        let error = match &self.heard.error {
            Some((e, _)) if e.kind() == Some(gst::ResourceError::NoSpaceLeft) => VideoError::run(
                format!("the disk is full while {target} is written"),
                "make room, or write to another disk",
            )
            .because(e.clone()),
            Some((e, from)) => VideoError::run(
                format!("{target} cannot be written: {} ({from})", e.message()),
                "choose another --encoder, or run again with GST_DEBUG=3 for the reason",
            )
            .because(e.clone()),
            None => VideoError::run(
                format!("{target} cannot be written: the pipeline stopped"),
                "run again with GST_DEBUG=3 for the reason",
            ),
        };
        error.adding(&kept)
    }

    /// Errors on the bus, and standing still.
    fn check(&mut self, stall: &mut Stall) -> Result<()> {
        self.heard.listen(&self.bus, gst::ClockTime::ZERO);
        if self.heard.error.is_some() {
            return Err(self.failed());
        }
        if stall.seen(self.written.load(Ordering::Relaxed) + self.room.left(self.pushed)) {
            let kept = self.give_up().unwrap_or_default();
            return Err(VideoError::run(
                format!(
                    "the encoder or the disk has stood still for {} s (after frame {})",
                    stall.after.as_secs(),
                    self.pushed
                ),
                "choose another --encoder, or run again with GST_DEBUG=3 for the reason",
            )
            .adding(&kept));
        }
        Ok(())
    }

    fn wait_for_room(&mut self) -> Result<()> {
        let mut stall = Stall::new(self.stall_after);
        loop {
            self.check(&mut stall)?;
            if self.room.wait() {
                return Ok(());
            }
            // Encoded video fills up because the muxer waits for a track that says nothing.
            if self.encoded.as_ref().is_some_and(is_full) {
                let end = clock_time(self.end);
                for feed in &mut self.tracks {
                    feed.silent_until(end);
                }
            }
        }
    }

    /// Hands packets that start before `until` to the muxer, all that are there without it.
    fn feed(&mut self, until: Option<Duration>) -> Result<()> {
        for feed in &mut self.tracks {
            if feed.advance(until).is_err() {
                self.heard.listen(&self.bus, gst::ClockTime::from_mseconds(100));
                return Err(self.failed());
            }
        }
        Ok(())
    }

    fn feed_to_the_end(&mut self) -> Result<()> {
        let complete = self.tracks.iter().all(|f| f.track.source_is_complete());
        if complete {
            let mut stall = Stall::new(Duration::from_secs(10).min(self.stall_after));
            let mut waiting = Stall::new(Duration::from_secs(10));
            while self.tracks.iter().any(|f| !f.ended) {
                self.feed(None)?;
                self.check(&mut stall).or_else(|e| match self.heard.error {
                    Some(_) => Err(e),
                    None => Ok(()),
                })?;
                // A source that broke off never ends its tracks.
                if waiting.seen(self.tracks.iter().map(|f| f.known.nseconds()).sum()) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        } else {
            self.feed(Some(self.end))?;
        }
        for feed in &mut self.tracks {
            feed.end();
        }
        Ok(())
    }
}

impl super::Sink for FileSink {
    fn push(&mut self, frame: Frame) -> Result<()> {
        self.push(frame)
    }
    fn finish(self: Box<Self>) -> Result<SinkSummary> {
        (*self).finish()
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if let Some(kept) = self.give_up() {
            tracing::warn!("the output was not finished{kept}");
        }
    }
}

impl Room {
    fn watch(self: &Arc<Self>, frames: &gst_app::AppSrc) -> Result<()> {
        let pad = frames
            .static_pad("src")
            .ok_or_else(|| VideoError::run("an appsrc has no pad", "this is a fault of GStreamer"))?;
        let room = Arc::clone(self);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let mut waiting = lock(&room.waiting);
            *waiting = waiting.saturating_sub(1);
            room.freed.notify_all();
            gst::PadProbeReturn::Ok
        });
        Ok(())
    }

    /// Waits a moment for room; whether there is some.
    fn wait(&self) -> bool {
        let waiting = lock(&self.waiting);
        let (waiting, _) =
            self.freed.wait_timeout_while(waiting, POLL, |w| *w >= self.most).unwrap_or_else(PoisonError::into_inner);
        *waiting < self.most
    }

    fn take(&self) {
        *lock(&self.waiting) += 1;
    }

    /// Frames that have gone on to the encoder.
    fn left(&self, pushed: u64) -> u64 {
        pushed.saturating_sub(*lock(&self.waiting))
    }
}

/// How long each frame lasts, while it is in the encoder: encoders and parsers forget it when the
/// frame rate varies, and the muxer needs it for the last frame.
#[derive(Debug, Clone, Default)]
struct Lasting(Arc<Mutex<VecDeque<(gst::ClockTime, gst::ClockTime)>>>);

impl Lasting {
    fn note(&self, frame: &Frame) {
        if let Some(lasts) = frame.duration() {
            let mut inside = lock(&self.0);
            inside.push_back((clock_time(frame.pts()), clock_time(lasts)));
        }
    }

    /// Puts the durations back at the muxer's door.
    fn restore(&self, pad: &gst::Pad) {
        let inside = Arc::clone(&self.0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
            let Some(gst::PadProbeData::Buffer(buffer)) = &mut probe.data else {
                return gst::PadProbeReturn::Ok;
            };
            let running = pad
                .sticky_event::<gst::event::Segment>(0)
                .zip(buffer.pts())
                .and_then(|(event, pts)| event.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(pts));
            let Some(running) = running else {
                return gst::PadProbeReturn::Ok;
            };
            let mut inside = lock(&inside);
            // No encoder reorders: what lies before has gone by.
            while inside.front().is_some_and(|(pts, _)| *pts < running) {
                inside.pop_front();
            }
            if let Some((pts, lasts)) = inside.front()
                && *pts == running
                && buffer.duration() != Some(*lasts)
            {
                buffer.make_mut().set_duration(*lasts);
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// Keeps guessed colours out of the container.
fn leave_colours_unsaid(src: &gst::Pad) {
    src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, probe| {
        if let Some(gst::PadProbeData::Event(event)) = &mut probe.data
            && let gst::EventView::Caps(caps) = event.view()
        {
            let mut caps = caps.caps_owned();
            if let Some(s) = caps.make_mut().structure_mut(0) {
                s.remove_field("colorimetry");
            }
            *event = gst::event::Caps::new(&caps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Notices when nothing moves any more.
struct Stall {
    after: Duration,
    last: u64,
    since: Instant,
}

impl Stall {
    fn new(after: Duration) -> Self {
        Self { after, last: 0, since: Instant::now() }
    }

    /// Takes note of a counter; whether it has stood still for too long.
    fn seen(&mut self, counter: u64) -> bool {
        if counter != self.last {
            self.last = counter;
            self.since = Instant::now();
        }
        self.since.elapsed() > self.after
    }
}

impl Feed {
    fn join(
        pipeline: &gst::Pipeline,
        mux: &gst::Element,
        track: CopiedTrack,
        text: &str,
        through: &str,
    ) -> Result<Self> {
        let bin = match through.is_empty() {
            true => description::bin(text)?,
            false => description::bin(&format!("{text} ! {through}"))?,
        };
        pipeline.add(&bin).map_err(not_joined)?;
        let into = bin.children().into_iter().find_map(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or_else(|| {
            VideoError::usage(
                "sink.track of the pipeline description has no appsrc",
                "compare it with pipelines/file.toml",
            )
        })?;
        let caps = track.info().caps.clone();
        if caps.is_fixed() {
            into.set_caps(Some(&caps));
        }
        let template = match track.info().kind {
            TrackKind::Subtitles => "subtitle_%u",
            _ => "audio_%u",
        };
        join(&bin, &request(mux, template)?)?;
        if let Some(language) = track.tags().get::<gst::tags::LanguageCode>() {
            let mut tags = gst::TagList::new();
            if let Some(tags) = tags.get_mut() {
                tags.add::<gst::tags::LanguageCode>(&language.get(), gst::TagMergeMode::Replace);
            }
            into.send_event(gst::event::Tag::new(tags));
        }
        Ok(Self { track, into, caps, known: gst::ClockTime::ZERO, ended: false })
    }

    /// Hands on what starts before `until`; what is there without it.
    fn advance(&mut self, until: Option<Duration>) -> std::result::Result<(), gst::FlowError> {
        while !self.ended && self.into.current_level_bytes() < TRACK_BYTES {
            match self.track.take_before(until) {
                Next::Item(Item::Packet(sample)) => self.packet(&sample)?,
                Next::Item(Item::Gap(end)) => self.silent_until(end),
                Next::Item(Item::End) => self.end(),
                Next::Later => {
                    if let Some(until) = until {
                        self.silent_until(clock_time(until));
                    }
                    break;
                }
                Next::Unknown => break,
            }
        }
        Ok(())
    }

    fn packet(&mut self, sample: &gst::Sample) -> std::result::Result<(), gst::FlowError> {
        let Some(mut buffer) = sample.buffer_owned() else {
            return Ok(());
        };
        if let Some(caps) = sample.caps()
            && *caps != *self.caps
        {
            self.caps = caps.to_owned();
            self.into.set_caps(Some(&self.caps));
        }
        // Only the header is made anew; the bytes are shared.
        let header = buffer.make_mut();
        match sample_start(sample) {
            Some(gst::Signed::Positive(start)) => {
                header.set_pts(start);
                self.known = start + header.duration().unwrap_or_default();
            }
            // Starts before the file does: an edit list cuts it away.
            Some(gst::Signed::Negative(_)) => return Ok(()),
            None => header.set_pts(gst::ClockTime::NONE),
        }
        header.set_dts(gst::ClockTime::NONE);
        self.into.push_buffer(buffer).map(drop)
    }

    /// Tells the muxer that nothing comes before `end`.
    fn silent_until(&mut self, end: gst::ClockTime) {
        if !self.ended && end > self.known + LAG {
            let gap = gst::event::Gap::builder(self.known).duration(end - self.known).build();
            self.into.send_event(gap);
            self.known = end;
        }
    }

    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            let _ = self.into.end_of_stream();
        }
    }
}

/// What an output needs, checked before anything is written.
struct Plan {
    mux: Option<String>,
    encode: String,
    timescale: Option<u32>,
    colours_said: bool,
    /// For each copied track, what stands between it and the muxer.
    through: Vec<String>,
    notes: Vec<String>,
}

impl Plan {
    fn image(path: &Path, image: &description::Image, options: &SinkOptions, source: &SourceInfo) -> Result<Self> {
        if !source.is_image {
            return Err(VideoError::usage(
                format!("{} is a picture, but {} is a video", path.display(), source.path.display()),
                "write a video (mp4, mkv, webm, mov)",
            ));
        }
        need(element_of(&image.encode, "encoder"), &image.package)?;
        let quality = image.quality.map(|q| q.own_scale(options.quality));
        let quality = quality.map(|q| q.to_string()).unwrap_or_default();
        Ok(Self {
            mux: None,
            encode: fill(&image.encode, &[("quality", &quality)]),
            timescale: None,
            colours_said: true,
            through: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn video(
        container: &Container,
        options: &SinkOptions,
        source: &SourceInfo,
        tracks: &[CopiedTrack],
    ) -> Result<Self> {
        let d = &options.description;
        let name = options.encoder.as_deref().unwrap_or(&container.encoder);
        let encoder = d.encoders.get(name).ok_or_else(|| {
            let names: Vec<&str> = d.encoders.keys().map(String::as_str).collect();
            VideoError::usage(format!("there is no encoder {name}"), format!("choose one of {}", names.join(", ")))
        })?;
        need(Some(&encoder.element), &encoder.package)?;
        let mux = container.mux.split_whitespace().next();
        need(mux, "gstreamer1.0-plugins-good")?;
        if !holds_video(mux.unwrap_or_default(), &encoder.produces) {
            return Err(VideoError::usage(
                format!("{} cannot hold what the encoder {name} makes", container.title),
                format!("leave --encoder away (the default is {}), or write .mkv", container.encoder),
            ));
        }
        let through = tracks
            .iter()
            .map(|t| match rule_for(container, t.info()) {
                Some(rule) => Ok(rule.through.clone().unwrap_or_default()),
                None => Err(cannot_hold(container, t.info(), d, tracks)),
            })
            .collect::<Result<Vec<_>>>()?;
        let mut notes = Vec::new();
        let encode = encode_text(encoder, name, options, &source.format, &mut notes);
        Ok(Self {
            mux: Some(mux_text(container, source)),
            encode: format!("{encode} ! {}", d.sink.encoded),
            timescale: container.video_timescale,
            colours_said: source.format.colours_said() || encoder.unsaid.is_none(),
            through,
            notes,
        })
    }
}

/// The muxer, with room for the index of a file as long as the source.
fn mux_text(container: &Container, source: &SourceInfo) -> String {
    let Some(duration) = source.duration else {
        return container.mux_open.clone().unwrap_or_else(|| container.mux.clone());
    };
    // A tenth more than the source says, and some seconds: lengths in headers are not always true.
    let time = duration.mul_f64(1.1) + Duration::from_secs(10);
    // Per second of a track with changing durations: 12 bytes a sample, and 20 for each of a few chunks.
    // Sound has up to 96 packets a second.
    let fps = source.format.fps().map_or(60.0, |(n, d)| f64::from(n) / f64::from(d));
    let rate = (fps * 20.0 + 200.0).clamp(1200.0, 20_000.0) as u32;
    fill(&container.mux, &[("reserve_time", &time.as_nanos().to_string()), ("reserve_rate", &rate.to_string())])
}

fn encode_text(
    encoder: &Encoder,
    name: &str,
    options: &SinkOptions,
    format: &FrameFormat,
    notes: &mut Vec<String>,
) -> String {
    let (odd_right, odd_bottom) = (format.width() % 2, format.height() % 2);
    let mut text = match &encoder.unsaid {
        Some(unsaid) if !format.colours_said() => unsaid.clone(),
        _ => encoder.launch.clone(),
    };
    let (par_width, par_height) = format.pixel_aspect();
    let full = match format.range() {
        Range::Full => "on",
        Range::Limited => "off",
    };
    if let Some(odd) = encoder.odd.as_ref().filter(|_| odd_right + odd_bottom > 0) {
        text = format!("{} ! {text}", odd.launch);
        if odd.crop {
            notes.push(format!(
                "{name} takes only even sizes: the picture is cut from {}×{} to {}×{}",
                format.width(),
                format.height(),
                format.width() - odd_right,
                format.height() - odd_bottom
            ));
        }
    }
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    // A key frame every two seconds: that much of an unfinished file can be missing.
    let fps = format.fps().map_or(25.0, |(n, d)| f64::from(n) / f64::from(d));
    let gop = (fps * 2.0).round().clamp(10.0, 300.0) as u32;
    fill(
        &text,
        &[
            ("quality", &encoder.quality.own_scale(options.quality).to_string()),
            ("gop", &gop.to_string()),
            ("threads", &threads.min(16).to_string()),
            ("par", &format!("{par_width}/{par_height}")),
            ("fullrange", full),
            ("odd_right", &odd_right.to_string()),
            ("odd_bottom", &odd_bottom.to_string()),
        ],
    )
}

/// The element that carries a name in a description.
fn element_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split('!')
        .find(|piece| piece.split_whitespace().any(|w| w == format!("name={name}")))
        .and_then(|piece| piece.split_whitespace().next())
}

fn need(element: Option<&str>, package: &str) -> Result<()> {
    match element {
        Some(element) if gst::ElementFactory::find(element).is_none() => Err(VideoError::usage(
            format!("the GStreamer element {element} is not installed"),
            format!("install {package}"),
        )),
        _ => Ok(()),
    }
}

fn holds_video(mux: &str, produces: &str) -> bool {
    let (Some(factory), Ok(caps)) = (gst::ElementFactory::find(mux), produces.parse::<gst::Caps>()) else {
        return false;
    };
    factory.static_pad_templates().iter().any(|t| t.name_template() == "video_%u" && t.caps().can_intersect(&caps))
}

fn rule_for<'a>(container: &'a Container, track: &TrackInfo) -> Option<&'a TrackRule> {
    container
        .tracks
        .iter()
        .find(|rule| rule.caps.parse::<gst::Caps>().is_ok_and(|caps| caps.can_intersect(&track.caps)))
}

fn cannot_hold(container: &Container, track: &TrackInfo, d: &Description, all: &[CopiedTrack]) -> VideoError {
    let others: Vec<String> = d
        .containers
        .values()
        .filter(|c| all.iter().all(|t| rule_for(c, t.info()).is_some()))
        .filter_map(|c| Some(format!(".{}", c.extensions.first()?)))
        .collect();
    let hint = match others.is_empty() {
        true => "leave sound and subtitles away with --no-audio".to_owned(),
        false => format!("write {}, or leave sound and subtitles away with --no-audio", others.join(" or ")),
    };
    VideoError::usage(format!("{} cannot hold the {} track ({})", container.title, track.kind, track.codec), hint)
}

fn unknown_extension(path: &Path, d: &Description) -> VideoError {
    let known: Vec<&str> = d
        .containers
        .values()
        .flat_map(|c| &c.extensions)
        .chain(d.images.values().flat_map(|i| &i.extensions))
        .map(String::as_str)
        .collect();
    VideoError::usage(
        format!("{} has no extension that can be written", path.display()),
        format!("use one of .{}", known.join(" .")),
    )
}

fn is_full(queue: &gst::Element) -> bool {
    let level: u32 = queue.property("current-level-bytes");
    let most: u32 = queue.property("max-size-bytes");
    level >= most
}

fn request(mux: &gst::Element, template: &str) -> Result<gst::Pad> {
    mux.request_pad_simple(template).ok_or_else(|| {
        VideoError::usage(
            format!("{} takes no {template} track", mux.name()),
            "compare the pipeline description with pipelines/file.toml",
        )
    })
}

fn sink_pad(element: &gst::Element) -> Result<gst::Pad> {
    element.static_pad("sink").ok_or_else(|| {
        VideoError::usage(
            format!("{} is no sink", element.name()),
            "compare the pipeline description with pipelines/file.toml",
        )
    })
}

fn join(bin: &gst::Bin, pad: &gst::Pad) -> Result<()> {
    let src = bin.static_pad("src").ok_or_else(|| {
        VideoError::usage(
            "a piece of the pipeline description has no open end to join",
            "compare it with pipelines/file.toml",
        )
    })?;
    src.link(pad).map(drop).map_err(|e| {
        VideoError::usage(
            format!("the muxer does not take {}", src.query_caps(None)),
            "compare the pipeline description with pipelines/file.toml",
        )
        .because(e)
    })
}

fn not_joined(e: gst::glib::BoolError) -> VideoError {
    VideoError::run("a piece of the pipeline cannot be added", "try again").because(e)
}
