//! Recorded files and pictures, read frame by frame.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::bus::Heard;
use super::damage;
use super::debug;
use super::description::Description;
use super::error::{Result, VideoError};
use super::frame::{Colours, Frame, FrameFormat, duration};
use super::opening::{self, Durations};
use super::tracks::{CopiedTrack, Shared, TrackInfo, TrackKind};

/// How a file is opened.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Which of several video streams, counted from 0 in the order of the file.
    pub stream: usize,
    /// Whether sound and subtitles are wanted ([`FileSource::take_tracks`]).
    pub copy_tracks: bool,
    /// How the pipeline is put together.
    pub description: Description,
    /// Threads for conversions; 0 is one per core.
    pub threads: usize,
    /// How long opening may take.
    pub open_within: Duration,
    /// How long to wait for a frame before the decoder is given up.
    pub frame_within: Duration,
}

impl SourceOptions {
    /// First video stream, tracks copied, built-in description.
    ///
    /// # Errors
    /// See [`Description::built_in`].
    pub fn new() -> Result<Self> {
        Ok(Self {
            stream: 0,
            copy_tracks: true,
            description: Description::built_in()?,
            threads: 0,
            open_within: Duration::from_secs(8),
            frame_within: Duration::from_secs(30),
        })
    }
}

/// What is known about a source once it is open.
#[derive(Debug, Clone)]
pub struct SourceInfo {
    /// The file.
    pub path: PathBuf,
    /// Size, pixel shape, colours of the frames: rotation and deinterlacing already applied.
    pub format: Arc<FrameFormat>,
    /// Length of the whole file, where it says so.
    pub duration: Option<Duration>,
    /// Estimated number of frames (nominal rate × length).
    pub frames: Option<u64>,
    /// The container in words, for example “ISO MP4/M4A”; empty for bare pictures and streams.
    pub container: String,
    /// The video codec in words.
    pub video_codec: String,
    /// Which of the video streams was chosen, and how many there are.
    pub stream: usize,
    /// Number of video streams in the file.
    pub streams: usize,
    /// The turn that was applied, as the file names it (`rotate-90`, …).
    pub rotation: Option<String>,
    /// The material was interlaced and is deinterlaced.
    pub deinterlaced: bool,
    /// A single picture (PNG, JPEG, …) and not a video.
    pub is_image: bool,
    /// Every other track of the file.
    pub tracks: Vec<TrackInfo>,
}

/// What happened while a source was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceSummary {
    /// Frames handed out.
    pub frames: u64,
    /// Frames that the decoder marked as damaged (they were handed out all the same).
    pub damaged: u64,
    /// What the user should hear about: damage, a file cut short, codec trouble.
    pub warnings: Vec<String>,
}

/// Ends [`FileSource::next`] from another thread.
#[derive(Debug, Clone, Default)]
pub struct Canceller(Arc<AtomicBool>);

impl Canceller {
    /// The next call of `next` returns `None` within a fraction of a second, as does one that is
    /// waiting.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A recorded file or picture.
pub struct FileSource {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    frames: gst_app::AppSink,
    info: SourceInfo,
    heard: Heard,
    cancel: Canceller,
    shared: Arc<Shared>,
    tracks: Vec<CopiedTrack>,
    colours: Colours,
    durations: Durations,
    frame_within: Duration,
    format: Option<(gst::Caps, Arc<FrameFormat>)>,
    /// A frame whose duration is only known when the next one comes.
    held: Option<Frame>,
    seq: u64,
    last_start: Duration,
    last_end: Duration,
    damaged: u64,
    /// Errors that decoders had told before this file was opened.
    told_before: u64,
    done: bool,
}

/// How long one look at the decoder takes.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(20);

impl FileSource {
    /// Opens a file, finds its tracks and decodes its first frame. Nothing more is read until
    /// [`start`](Self::start).
    ///
    /// # Errors
    /// Of kind `Input` when the file cannot be read as pictures, within
    /// [`SourceOptions::open_within`]; of kind `Usage` when the stream asked for does not exist or
    /// the description is wrong.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        let told_before = damage::told();
        let opened = opening::open(path, options)?;
        Ok(Self {
            pipeline: opened.pipeline,
            bus: opened.bus,
            frames: opened.frames,
            info: opened.info,
            heard: opened.heard,
            cancel: Canceller::default(),
            shared: opened.shared,
            tracks: opened.tracks,
            colours: opened.colours,
            durations: opened.durations,
            frame_within: options.frame_within,
            format: None,
            held: None,
            seq: 0,
            last_start: Duration::ZERO,
            last_end: Duration::ZERO,
            damaged: 0,
            told_before,
            done: false,
        })
    }

    /// What is known about the source.
    pub fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// The copied tracks, for [`FileSink::create`](super::FileSink::create). Empty at the second
    /// call, or when they were not asked for. Tracks that nobody takes are read and forgotten.
    pub fn take_tracks(&mut self) -> Vec<CopiedTrack> {
        std::mem::take(&mut self.tracks)
    }

    /// Lets the frames flow.
    ///
    /// # Errors
    /// When the pipeline refuses to run.
    pub fn start(&mut self) -> Result<()> {
        // Whoever did not take the tracks does not want them.
        self.tracks.clear();
        debug::draw(&self.pipeline, "file-source");
        match self.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(()),
            Err(e) => {
                self.heard.listen(&self.bus, gst::ClockTime::ZERO);
                Err(VideoError::run(
                    format!("{} does not start to play", self.name()),
                    "run again with GST_DEBUG=3 for the reason",
                )
                .because(e))
            }
        }
    }

    /// The next frame, in order; `None` at the end of the stream, and after
    /// [`Canceller::cancel`].
    ///
    /// Damage in the middle of a file ends the stream where nothing more can be read; it is told
    /// in the [`summary`](Self::summary).
    ///
    /// # Errors
    /// Of kind `Run` when the decoder stands still, or when the tracks lie too far apart in the
    /// file to be copied.
    #[allow(clippy::should_implement_trait)] // fallible, and it waits
    pub fn next(&mut self) -> Result<Option<Frame>> {
        let current = match self.held.take() {
            Some(frame) => Some(frame),
            None => self.read()?,
        };
        let Some(mut frame) = current else {
            return Ok(None);
        };
        // A frame that does not say how long it lasts, lasts until the next one.
        if frame.duration().is_none() {
            match self.read()? {
                Some(following) => {
                    let lasts = following.pts().checked_sub(frame.pts());
                    frame.set_duration(lasts.filter(|d| !d.is_zero()));
                    self.held = Some(following);
                }
                None => frame.set_duration(self.last_duration(&frame)),
            }
        }
        self.damaged += u64::from(frame.is_damaged());
        self.last_start = frame.pts();
        self.last_end = frame.pts() + frame.duration().unwrap_or_default();
        Ok(Some(frame))
    }

    /// One frame from the pipeline.
    fn read(&mut self) -> Result<Option<Frame>> {
        if self.done {
            return Ok(None);
        }
        if let Some(sample) = self.pull()? {
            return self.frame(&sample).map(Some);
        }
        self.done = true;
        if !self.cancel.cancelled() {
            self.shared.set_complete();
        }
        Ok(None)
    }

    /// How long the last frame lasts where the decoder does not say: as the container says, or one
    /// nominal frame, or as long as the one before.
    fn last_duration(&self, frame: &Frame) -> Option<Duration> {
        let nominal = || {
            let (n, d) = self.info.format.fps()?;
            Some(Duration::from_secs_f64(f64::from(d) / f64::from(n)))
        };
        let before = || frame.pts().checked_sub(self.last_start);
        self.durations
            .of(frame)
            .or_else(nominal)
            .or_else(before)
            .filter(|d| !d.is_zero())
            // A picture that lasts nothing would be shown by no player.
            .or(Some(Duration::from_millis(40)))
    }

    fn pull(&mut self) -> Result<Option<gst::Sample>> {
        let begun = Instant::now();
        loop {
            if self.cancel.cancelled() {
                return Ok(None);
            }
            if let Some(sample) = self.frames.try_pull_sample(POLL) {
                return Ok(Some(sample));
            }
            if self.frames.is_eos() {
                self.heard.listen(&self.bus, gst::ClockTime::ZERO);
                return Ok(None);
            }
            self.heard.listen(&self.bus, gst::ClockTime::ZERO);
            if self.heard.error.is_some() {
                // What was decoded before the damage may still be on its way.
                return Ok(self.frames.try_pull_sample(POLL * 10));
            }
            if self.shared.overflowed() {
                return Err(VideoError::run(
                    format!("the tracks of {} lie too far apart in the file to be copied", self.name()),
                    "use --no-audio, or interleave the file first: ffmpeg -i IN -map 0 -c copy OUT.mkv",
                ));
            }
            if begun.elapsed() > self.frame_within {
                return Err(VideoError::run(
                    format!(
                        "the decoder of {} has handed out nothing for {} s (after frame {})",
                        self.name(),
                        self.frame_within.as_secs(),
                        self.seq
                    ),
                    "the file may be damaged there; run again with GST_DEBUG=3 for the reason",
                ));
            }
        }
    }

    fn frame(&mut self, sample: &gst::Sample) -> Result<Frame> {
        let broken = || {
            VideoError::run(
                "the decoder handed out a frame without a description",
                "check the [source] part of the pipeline description",
            )
        };
        let caps = sample.caps().ok_or_else(broken)?;
        let format = match &self.format {
            Some((known, format)) if known.as_ref() == caps => Arc::clone(format),
            _ => {
                let format = Arc::new(FrameFormat::from_caps(caps, &self.colours)?);
                self.format = Some((caps.to_owned(), Arc::clone(&format)));
                format
            }
        };
        let buffer = sample.buffer_owned().ok_or_else(broken)?;
        let pts = buffer
            .pts()
            .and_then(|pts| sample.segment()?.downcast_ref::<gst::ClockTime>()?.to_running_time(pts))
            .map_or(self.last_end, duration);
        let lasts = buffer.duration().map(duration).filter(|d| !d.is_zero());
        let frame = Frame::new(buffer, format, self.seq, pts, lasts);
        self.seq += 1;
        Ok(frame)
    }

    /// A handle that ends [`next`](Self::next) from another thread.
    pub fn canceller(&self) -> Canceller {
        self.cancel.clone()
    }

    /// What happened, for the report at the end.
    pub fn summary(&self) -> SourceSummary {
        let mut warnings = self.heard.warnings.clone();
        if let Some((error, _)) = &self.heard.error {
            warnings.push(format!(
                "{} cannot be read beyond {:.2} s: {}",
                self.name(),
                self.last_end.as_secs_f64(),
                error.message().trim_end_matches('.')
            ));
        }
        if self.damaged > 0 {
            warnings.push(format!("{} frames are damaged", self.damaged));
        }
        let told = damage::told() - self.told_before;
        if told > 0 {
            warnings.push(format!("{} is damaged: the decoder met {told} errors and concealed them", self.name()));
        }
        if let Some(length) = self.cut_short() {
            warnings.push(format!(
                "{} ends at {:.2} s although it says that it lasts {:.2} s: it is cut short",
                self.name(),
                self.last_end.as_secs_f64(),
                length.as_secs_f64()
            ));
        }
        SourceSummary { frames: self.seq, damaged: self.damaged, warnings }
    }

    /// The length that the file claims, where the pictures end well before it and no other track
    /// could be what lasts so long.
    fn cut_short(&self) -> Option<Duration> {
        let slack = Duration::from_millis(500);
        let others = self.info.tracks.iter().any(|t| t.kind != TrackKind::Other);
        let ended = self.done && self.held.is_none() && !self.cancel.cancelled();
        self.info.duration.filter(|length| ended && !others && self.last_end + slack < *length)
    }

    fn name(&self) -> std::path::Display<'_> {
        self.info.path.display()
    }
}

impl super::Source for FileSource {
    fn info(&self) -> &SourceInfo {
        self.info()
    }
    fn start(&mut self) -> Result<()> {
        self.start()
    }
    fn next(&mut self) -> Result<Option<Frame>> {
        self.next()
    }
    fn canceller(&self) -> Canceller {
        self.canceller()
    }
    fn summary(&self) -> SourceSummary {
        self.summary()
    }
}

impl Drop for FileSource {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
