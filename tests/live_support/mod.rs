//! A live stream for tests: real pictures of the built-in clip, shown again and again in real time.
#![allow(dead_code)] // every test file uses its own part

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gradcast::video::live::{self, Broadcast, EncoderOptions, LiveEncoder};
use gradcast::video::{FileSource, Frame, SourceOptions};

/// The first pictures of a clip.
pub fn pictures(clip: &Path, count: usize) -> Vec<Frame> {
    let mut source = FileSource::open(clip, &SourceOptions::new().unwrap()).unwrap();
    source.start().unwrap();
    let mut frames = Vec::new();
    while frames.len() < count {
        match source.next().unwrap() {
            Some(frame) => frames.push(frame),
            None => break,
        }
    }
    frames
}

/// Pictures of the built-in clip.
pub fn shapes(count: usize) -> Vec<Frame> {
    pictures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shapes.mp4"), count)
}

/// An encoder that gets frames in real time, from a thread of its own.
pub struct Live {
    pub broadcast: Broadcast,
    pub pushed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<LiveEncoder>>,
}

impl Live {
    pub fn start(frames: Vec<Frame>, fps: u32) -> Self {
        let encoder = LiveEncoder::start(frames[0].format(), &EncoderOptions::new().unwrap()).unwrap();
        Self::run(encoder, frames, fps)
    }

    pub fn run(encoder: LiveEncoder, frames: Vec<Frame>, fps: u32) -> Self {
        let broadcast = encoder.broadcast();
        let (stop, pushed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&pushed));
        let thread = std::thread::spawn(move || {
            let mut due = Instant::now();
            // There and back again: no cut where the clip begins anew.
            let there = frames.iter();
            let order: Vec<&Frame> = there.clone().chain(there.rev()).collect();
            for frame in order.into_iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                encoder.push(frame.at(live::now(), None, 0));
                count.fetch_add(1, Ordering::Relaxed);
                due += Duration::from_secs(1) / fps;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            encoder
        });
        Self { broadcast, pushed, stop, thread: Some(thread) }
    }

    /// No more frames; the encoder is handed back.
    pub fn stop(mut self) -> LiveEncoder {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs a program with a time limit: whether it ended well, and what it wrote and complained about.
pub fn run(program: &str, args: &[&str], limit: Duration) -> (bool, String, String) {
    let child = Command::new("timeout")
        .arg(limit.as_secs().to_string())
        .arg(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} runs: {e}"));
    let out = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

/// Pictures among what `gst-launch-1.0 -v … identity name=seen silent=false` wrote; it tells of events too.
pub fn pictures_seen(said: &str) -> usize {
    said.lines().filter(|line| line.contains("chain") && line.contains("seen:sink")).count()
}

/// Threads and open files of this process.
pub fn held() -> (usize, usize) {
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("task"), count("fd"))
}

/// Waits until something is so.
pub fn wait_for(what: &str, limit: Duration, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !so() {
        assert!(Instant::now() < until, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where pictures for human eyes go, if anywhere: the folder named by `GRADCAST_LOOK`.
pub fn look(name: &str) -> Option<String> {
    let folder = std::env::var("GRADCAST_LOOK").ok()?;
    Some(format!("{folder}/{name}"))
}
