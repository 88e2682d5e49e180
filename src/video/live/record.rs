//! A stream recorded into files of a length, of which the oldest go.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::broadcast::{Broadcast, Packet, Subscription};
use super::clock;
use super::feed::{Feed, OutputHealth, Worker, put_away};
use super::recordings::{self, Limits, file_name, new_file};
use crate::sync::lock;
use crate::video::bus::Heard;
use crate::video::description::{self, Description, named};
use crate::video::error::{Result, VideoError};

/// Where and how long a stream is recorded.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// The folder; it is made where it is missing.
    pub dir: PathBuf,
    /// Length of a file, up to the next key frame.
    pub segment: Duration,
    /// Files of this stream that ended longer ago are removed; `None`: none for its age.
    pub keep: Option<Duration>,
    /// What the recordings in the folder may take in all, of whichever stream; `None`: as much as there is. A file is cut
    /// before it takes more than a sixteenth of that.
    pub keep_bytes: Option<u64>,
    /// How long to wait after a failure before the next attempt.
    pub retry: Duration,
    /// How the pipeline is put together.
    pub description: Description,
}

impl RecordOptions {
    /// Files of ten minutes, none removed, an attempt every five seconds, the built-in description.
    ///
    /// # Errors
    /// See [`Description::built_in`].
    pub fn new(dir: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self {
            dir: dir.into(),
            segment: Duration::from_secs(600),
            keep: None,
            keep_bytes: None,
            retry: Duration::from_secs(5),
            description: Description::built_in()?,
        })
    }
}

/// What a recorder has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordCounters {
    /// Files begun.
    pub files: u64,
    /// Files removed at the limits.
    pub removed: u64,
    /// Packets written.
    pub packets: u64,
    /// Packets that could not be written, or not be waited for.
    pub dropped: u64,
    /// Times it could not go on writing.
    pub failures: u64,
}

/// The recorder of one stream. Dropping it ends the file properly.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    worker: Worker,
}

#[derive(Debug)]
struct Shared {
    health: Mutex<OutputHealth>,
    file: Mutex<Option<PathBuf>>,
    files: AtomicU64,
    removed: AtomicU64,
    packets: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

/// Packets that may wait while the disk is slow: some seconds.
const ROOM: usize = 256;
/// How long one look for a packet takes.
const POLL: Duration = Duration::from_millis(100);
const NO_ROOM: Duration = Duration::from_millis(5);
/// How long the disk may take nothing.
const STALL: Duration = Duration::from_secs(10);
/// How long the end of a file may take, and letting go of it.
const CLOSE: Duration = Duration::from_millis(1200);
const LET_GO: Duration = Duration::from_millis(300);
/// How long [`Recorder::stop`] may take in all.
const STOP: Duration = Duration::from_secs(2);
/// How often the limits are looked after, besides at each new file.
const TIDY: Duration = Duration::from_secs(10);
/// A file that plays so far is taken for a recording that works.
const WORKS: Duration = Duration::from_secs(1);
/// Bytes that must go into the folder before a recording is begun.
const TRIAL: usize = 1 << 20;
/// A file no larger holds a header and no pictures.
const HEADER: u64 = 2048;
/// Whole files are removed: many small ones fill the folder closer to its limit.
const LEAST_FILES: u64 = 16;

impl Recorder {
    /// Records a stream from its next key frame on, into files named `{stream}-{UTC}.mp4`.
    ///
    /// # Errors
    /// Of kind `Usage`: files of less than a second. A folder that cannot be written is not an
    /// error: [`health`](Self::health) tells of it, and it is tried again for ever.
    pub fn start(stream: &str, broadcast: &Broadcast, options: RecordOptions) -> Result<Self> {
        crate::video::init()?;
        if options.segment < Duration::from_secs(1) {
            return Err(VideoError::usage(
                format!("recordings of {:?} are too short", options.segment),
                "write --segment 10m, or at least 1s",
            ));
        }
        let shared = Arc::new(Shared {
            health: Mutex::new(OutputHealth::Starting),
            file: Mutex::default(),
            files: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        });
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let work = Work {
            stream: file_name(stream),
            broadcast: broadcast.clone(),
            subscription: broadcast.collect(ROOM),
            options,
            shared: Arc::clone(&shared),
            stopped,
            overflowed: 0,
        };
        let worker = Worker::start("record", stop, move || work.run()).map_err(|e| {
            VideoError::run("no thread for the recorder can be started", "close other programs").because(e)
        })?;
        Ok(Self { shared, worker })
    }

    /// How it fares.
    pub fn health(&self) -> OutputHealth {
        lock(&self.shared.health).clone()
    }

    /// The file that is being written.
    pub fn file(&self) -> Option<PathBuf> {
        lock(&self.shared.file).clone()
    }

    /// What it has done so far.
    pub fn counters(&self) -> RecordCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RecordCounters {
            files: read(&self.shared.files),
            removed: read(&self.shared.removed),
            packets: read(&self.shared.packets),
            dropped: read(&self.shared.dropped),
            failures: read(&self.shared.failures),
        }
    }

    /// Ends the file properly, within two seconds.
    pub fn stop(self) {}
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.worker.end(STOP) {
            tracing::warn!("a recording does not end and is left behind; it plays up to its last second");
        }
    }
}

/// The recorder, seen from its own thread.
struct Work {
    stream: String,
    broadcast: Broadcast,
    subscription: Subscription,
    options: RecordOptions,
    shared: Arc<Shared>,
    stopped: Receiver<()>,
    /// Drops of the subscription that were counted already.
    overflowed: u64,
}

impl Work {
    fn run(mut self) {
        while let Err(why) = self.record() {
            *lock(&self.shared.file) = None;
            tracing::warn!(stream = %self.stream, "not recording: {why}");
            lock(&self.shared.health).down(why);
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            let until = Instant::now() + self.options.retry;
            while Instant::now() < until {
                if self.is_stopped() {
                    return;
                }
                if self.next().is_some() {
                    self.count_drop(1);
                }
            }
            self.broadcast.want_key();
        }
        *lock(&self.shared.file) = None;
    }

    /// Records until it is stopped or the stream ends.
    ///
    /// # Errors
    /// Why it cannot go on.
    fn record(&mut self) -> std::result::Result<(), String> {
        let dir = self.options.dir.clone();
        std::fs::create_dir_all(&dir).map_err(|e| format!("{} cannot be made: {e}", dir.display()))?;
        self.tidy(None);
        try_out(&dir).map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull => format!("the disk of {} is full", dir.display()),
            _ => format!("{} cannot be written: {e}", dir.display()),
        })?;
        let mut current: Option<Segment> = None;
        let mut tidied = Instant::now();
        loop {
            if self.is_stopped() || self.subscription.ended() {
                return current.map_or(Ok(()), Segment::finish);
            }
            if let Some(segment) = &mut current {
                segment.check()?;
            }
            if tidied.elapsed() >= TIDY {
                self.tidy(current.as_ref());
                tidied = Instant::now();
            }
            let Some(packet) = self.next() else { continue };
            let length = current.as_ref().map(|segment| packet.pts().saturating_sub(segment.begin));
            let large = current.as_ref().is_some_and(|segment| self.is_large(segment.bytes));
            let due = length.is_none_or(|length| length >= self.options.segment || (large && length >= WORKS));
            if due && !packet.is_key() {
                self.broadcast.want_key();
            }
            if packet.is_key() && due {
                if let Some(segment) = current.take() {
                    segment.finish_within(STALL)?;
                }
                let segment = self.begin(&packet)?;
                self.tidy(Some(&segment));
                current = Some(segment);
            }
            match &mut current {
                Some(segment) => {
                    segment.push(packet, &self.stopped)?;
                    self.shared.packets.fetch_add(1, Ordering::Relaxed);
                    if length.is_some_and(|length| length >= WORKS) {
                        lock(&self.shared.health).up();
                    }
                }
                // Nothing can be seen before the first key frame.
                None => self.count_drop(1),
            }
        }
    }

    fn is_large(&self, bytes: u64) -> bool {
        self.options.keep_bytes.is_some_and(|most| bytes >= most / LEAST_FILES)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// The next packet, if there is one soon; what the subscription dropped is counted along.
    fn next(&mut self) -> Option<Packet> {
        let packet = self.subscription.next(POLL);
        let dropped = self.subscription.dropped();
        self.count_drop(dropped - self.overflowed);
        self.overflowed = dropped;
        if packet.is_none() && self.subscription.ended() {
            // An ended subscription answers at once.
            std::thread::sleep(NO_ROOM);
        }
        packet
    }

    fn count_drop(&self, packets: u64) {
        self.shared.dropped.fetch_add(packets, Ordering::Relaxed);
    }

    /// A new file, named by the moment of its first picture.
    fn begin(&self, first: &Packet) -> std::result::Result<Segment, String> {
        let age = clock::now().saturating_sub(first.pts());
        let dir = &self.options.dir;
        let path = new_file(dir, &self.stream, SystemTime::now() - age)
            .map_err(|e| format!("no file can be made in {}: {e}", dir.display()))?;
        let segment = Segment::open(path, first.pts(), &self.options.description)?;
        self.shared.files.fetch_add(1, Ordering::Relaxed);
        *lock(&self.shared.file) = Some(segment.path.clone());
        Ok(segment)
    }

    /// Removes the oldest files at the limits, and says so.
    fn tidy(&self, current: Option<&Segment>) {
        let files = match recordings::list(&self.options.dir) {
            Ok(files) => files,
            Err(e) => {
                tracing::warn!(stream = %self.stream, "{} cannot be listed: {e}", self.options.dir.display());
                return;
            }
        };
        let limits = Limits { keep: self.options.keep, keep_bytes: self.options.keep_bytes };
        for (path, why) in recordings::too_many(files, &self.stream, limits, SystemTime::now(), clock::up()) {
            if current.is_some_and(|segment| segment.path == path) {
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => {
                    self.shared.removed.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(stream = %self.stream, file = %path.display(), "old recording removed: {why}");
                }
                // Another stream's recorder was there first.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => tracing::warn!(stream = %self.stream, "{} cannot be removed: {e}", path.display()),
            }
        }
    }
}

/// One file being written, by a pipeline of its own.
struct Segment {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    heard: Heard,
    feed: Feed,
    path: PathBuf,
    begin: Duration,
    /// What was handed to it.
    bytes: u64,
    whole: bool,
}

impl Segment {
    fn open(path: PathBuf, begin: Duration, description: &Description) -> std::result::Result<Self, String> {
        let text = &description.live.outputs;
        let built = || -> Result<_> {
            let pipeline = description::pipeline(&format!("{} ! {}", text.packets, text.record))?;
            let output: gst::Element = named(&pipeline, "output")?;
            output.set_property("location", &path);
            let packets: gst_app::AppSrc = named(&pipeline, "packets")?;
            let bus = pipeline
                .bus()
                .ok_or_else(|| VideoError::run("a pipeline has no bus", "this is a fault of GStreamer"))?;
            Ok((pipeline, packets, bus))
        };
        let (pipeline, packets, bus) = built().map_err(|e| {
            let _ = std::fs::remove_file(&path);
            format!("{e}; {}", e.hint())
        })?;
        let feed = Feed::new(packets, begin);
        let mut segment = Self { pipeline, bus, heard: Heard::default(), feed, path, begin, bytes: 0, whole: false };
        if segment.pipeline.set_state(gst::State::Playing).is_err() {
            segment.check()?;
            return Err(format!("{} cannot be begun", segment.path.display()));
        }
        Ok(segment)
    }

    fn push(&mut self, packet: Packet, stopped: &Receiver<()>) -> std::result::Result<(), String> {
        let until = Instant::now() + STALL;
        while !self.feed.has_room() {
            self.check()?;
            if Instant::now() > until {
                return Err(format!("the disk of {} has stood still for {} s", self.path.display(), STALL.as_secs()));
            }
            if stopped.recv_timeout(NO_ROOM) == Err(RecvTimeoutError::Disconnected) {
                return Ok(());
            }
        }
        self.bytes += packet.buffer().size() as u64;
        match self.feed.push(packet) {
            true => Ok(()),
            false => {
                self.heard.listen(&self.bus, gst::ClockTime::from_mseconds(100));
                self.check()?;
                Err(format!("{} cannot be written", self.path.display()))
            }
        }
    }

    /// What the pipeline says.
    fn check(&mut self) -> std::result::Result<(), String> {
        self.heard.listen(&self.bus, gst::ClockTime::ZERO);
        match &self.heard.error {
            Some((e, _)) if e.kind() == Some(gst::ResourceError::NoSpaceLeft) => {
                Err(format!("the disk is full while {} is written", self.path.display()))
            }
            Some((e, from)) => Err(format!("{} cannot be written: {} ({from})", self.path.display(), e.message())),
            None => Ok(()),
        }
    }

    /// Ends the file properly, as the last one.
    fn finish(self) -> std::result::Result<(), String> {
        self.finish_within(CLOSE)
    }

    fn finish_within(mut self, limit: Duration) -> std::result::Result<(), String> {
        self.feed.end();
        let until = Instant::now() + limit;
        while !self.heard.eos && Instant::now() < until {
            self.heard.listen(&self.bus, gst::ClockTime::from_mseconds(20));
            self.check()?;
        }
        self.whole = self.heard.eos;
        match self.whole {
            true => Ok(()),
            false => Err(format!("{} did not end in time; it plays up to its last second", self.path.display())),
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        put_away(&self.pipeline, LET_GO);
        // A failed attempt leaves no empty file behind.
        if !self.whole && std::fs::metadata(&self.path).is_ok_and(|m| m.len() <= HEADER) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether the folder takes files, and some more bytes. Leaves nothing behind.
fn try_out(dir: &Path) -> std::io::Result<()> {
    use std::io::Write;
    tempfile::tempfile_in(dir)?.write_all(&vec![0; TRIAL])
}
