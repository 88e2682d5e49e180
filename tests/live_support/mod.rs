//! A live stream for tests: real pictures of the built-in clip, shown again and again in real time.
#![allow(dead_code)] // every test file uses its own part

use std::io::{Read, Write};
use std::net::TcpStream;
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

/// A bare RTSP client over TCP: what comes is just what the server sent.
pub struct Wire {
    stream: TcpStream,
    lines: u32,
}

/// An RTP packet of the video.
#[derive(Debug, Clone, Copy)]
pub struct Rtp {
    pub sequence: u16,
    /// In ticks of 1/90000 s.
    pub time: u32,
    /// It is the last of its picture.
    pub last: bool,
}

impl Wire {
    /// Begins to play `rtsp://host:port/path`. `room` is what the system may keep for it, in bytes.
    pub fn play(url: &str, room: Option<usize>) -> Self {
        let at: std::net::SocketAddr = url.strip_prefix("rtsp://").unwrap().split('/').next().unwrap().parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        if let Some(room) = room {
            socket.set_recv_buffer_size(room).unwrap();
        }
        socket.connect(&at.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut wire = Self { stream, lines: 0 };
        wire.ask("DESCRIBE", url, "Accept: application/sdp");
        let answer = wire.ask("SETUP", &format!("{url}/stream=0"), "Transport: RTP/AVP/TCP;unicast;interleaved=0-1");
        let session = answer.lines().find_map(|l| l.strip_prefix("Session: ")).expect("a session");
        let session = session.split(';').next().unwrap().to_owned();
        wire.ask("PLAY", url, &format!("Session: {session}"));
        wire
    }

    fn ask(&mut self, method: &str, url: &str, header: &str) -> String {
        self.lines += 1;
        write!(self.stream, "{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{header}\r\n\r\n", self.lines).unwrap();
        // Pictures may come before the answer.
        let mut first = [0];
        loop {
            self.stream.read_exact(&mut first).unwrap();
            match first[0] {
                b'$' => drop(self.framed()),
                _ => break,
            }
        }
        let mut head = first.to_vec();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("RTSP/1.0 200"), "{method}: {head}");
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).map_or(0, |l| l.parse().unwrap());
        self.stream.read_exact(&mut vec![0; length]).unwrap();
        head
    }

    /// What stands behind a `$`: channel and data.
    fn framed(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 3];
        self.stream.read_exact(&mut head).unwrap();
        let mut data = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        self.stream.read_exact(&mut data).unwrap();
        (head[0], data)
    }

    /// The next packet of the video.
    pub fn next(&mut self) -> Rtp {
        loop {
            let mut first = [0];
            self.stream.read_exact(&mut first).expect("packets flow");
            assert_eq!(first[0], b'$', "the server answers what was not asked");
            let (channel, data) = self.framed();
            if channel == 0 {
                return Rtp {
                    sequence: u16::from_be_bytes([data[2], data[3]]),
                    time: u32::from_be_bytes([data[4], data[5], data[6], data[7]]),
                    last: data[1] & 0x80 != 0,
                };
            }
        }
    }

    /// Ticks of the pictures that come whole within a while, from that of the first, each with its arrival. No packet
    /// is missing, and time rises.
    pub fn pictures(&mut self, time: Duration) -> Vec<(u64, Instant)> {
        let (begin, mut pictures) = (Instant::now(), Vec::<(u64, Instant)>::new());
        let mut before: Option<Rtp> = None;
        let mut ticks = 0_u64;
        while begin.elapsed() < time {
            let packet = self.next();
            if let Some(before) = before {
                assert_eq!(packet.sequence, before.sequence.wrapping_add(1), "behind {} pictures", pictures.len());
                let step = packet.time.wrapping_sub(before.time);
                assert!(step < 1 << 31, "back by {} ticks behind {} pictures", step.wrapping_neg(), pictures.len());
                assert_eq!(step > 0, before.last, "a picture has one time of its own");
                ticks += u64::from(step);
            }
            if packet.last {
                pictures.push((ticks, Instant::now()));
            }
            before = Some(packet);
        }
        pictures
    }
}
