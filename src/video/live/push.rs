//! A stream pushed to another RTSP server, which may come and go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use url::Url;

use super::address::{Address, Kind, Place};
use super::broadcast::Broadcast;
use super::clock;
use super::credentials::Credentials;
use super::feed::{Feed, OutputHealth, Worker, put_away};
use super::knock::knock;
use crate::sync::lock;
use crate::video::bus::Heard;
use crate::video::description::{self, Description, named};
use crate::video::error::{Result, VideoError};

/// How a stream is pushed.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// By UDP; otherwise over the TCP connection itself, which passes every firewall.
    pub udp: bool,
    /// The pause after the first failure; it doubles with each more.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How the pipeline is put together.
    pub description: Description,
}

impl PushOptions {
    /// TCP, pauses from one to thirty seconds, the built-in description.
    ///
    /// # Errors
    /// See [`Description::built_in`].
    pub fn new() -> Result<Self> {
        Ok(Self {
            udp: false,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            description: Description::built_in()?,
        })
    }
}

/// Sends a stream to another server, and connects again for ever. Dropping it ends that.
#[derive(Debug)]
pub struct Pusher {
    url: String,
    health: Arc<Mutex<OutputHealth>>,
    failures: Arc<AtomicU64>,
    worker: Worker,
}

/// Packets that wait for a connection with hiccups: some seconds.
const ROOM: usize = 128;
/// How long one look for a packet takes.
const POLL: Duration = Duration::from_millis(100);
const NO_ROOM: Duration = Duration::from_millis(5);
/// How long a server may take to accept the stream, or to take more of it.
const STALL: Duration = Duration::from_secs(10);
/// A connection that lasted so long makes the next pause a short one.
const LASTED: Duration = Duration::from_secs(10);
/// How long letting go of a connection may take, and the end in all.
const LET_GO: Duration = Duration::from_millis(1500);
const STOP: Duration = Duration::from_secs(2);

impl Pusher {
    /// Pushes a stream to `rtsp[s]://[user:password@]host[:port]/path`.
    ///
    /// # Errors
    /// Of kind `Usage`: no such address, or rtspclientsink is not installed. A server that is not
    /// there is not an error: [`health`](Self::health) tells of it.
    pub fn start(url: &str, broadcast: &Broadcast, options: PushOptions) -> Result<Self> {
        crate::video::init()?;
        // It is shown without its secrets.
        let address: Address = url.parse()?;
        let Place::Url(Kind::Rtsp, target) = address.place() else {
            return Err(VideoError::usage(
                format!("the stream cannot be pushed to {address}"),
                "write rtsp://[user:password@]host:port/name",
            ));
        };
        if gst::ElementFactory::find("rtspclientsink").is_none() {
            return Err(VideoError::usage(
                "the GStreamer element rtspclientsink is not installed",
                "install gstreamer1.0-rtsp",
            ));
        }
        let health = Arc::new(Mutex::new(OutputHealth::Starting));
        let failures = Arc::default();
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let work = Work {
            target: target.clone(),
            shown: address.to_string(),
            login: address.credentials().cloned(),
            broadcast: broadcast.clone(),
            options,
            health: Arc::clone(&health),
            failures: Arc::clone(&failures),
            stopped,
        };
        let worker = Worker::start("push", stop, move || work.run()).map_err(|e| {
            VideoError::run("no thread for the pushed stream can be started", "close other programs").because(e)
        })?;
        Ok(Self { url: address.to_string(), health, failures, worker })
    }

    /// How it fares.
    pub fn health(&self) -> OutputHealth {
        lock(&self.health).clone()
    }

    /// How often a connection failed or broke off.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Where it pushes to, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        if !self.worker.end(STOP) {
            tracing::warn!(url = %self.url, "a pushed stream does not end and is left behind");
        }
    }
}

/// The pusher, seen from its own thread.
struct Work {
    target: Url,
    /// The same without secrets.
    shown: String,
    login: Option<Credentials>,
    broadcast: Broadcast,
    options: PushOptions,
    health: Arc<Mutex<OutputHealth>>,
    failures: Arc<AtomicU64>,
    stopped: Receiver<()>,
}

impl Work {
    fn run(self) {
        let mut pause = self.options.first_pause;
        let mut told = String::new();
        loop {
            let begun = Instant::now();
            let Err(why) = self.connect() else { return };
            // Once, and not for every attempt of a night.
            if told != why {
                tracing::warn!(url = %self.shown, "not pushing: {why}");
                told.clone_from(&why);
            }
            let was_up = matches!(*self.health(), OutputHealth::Up { .. });
            self.health().down(why);
            self.failures.fetch_add(1, Ordering::Relaxed);
            if was_up {
                told.clear();
            }
            if was_up && begun.elapsed() >= LASTED {
                pause = self.options.first_pause;
            }
            // Spread, so that many streams do not come back all at once.
            let spread = pause.mul_f64(0.8 + 0.4 * fastrand::f64());
            if self.stopped.recv_timeout(spread) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            pause = (pause * 2).min(self.options.longest_pause);
        }
    }

    fn health(&self) -> std::sync::MutexGuard<'_, OutputHealth> {
        lock(&self.health)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// One connection, until it is stopped or the stream ends.
    ///
    /// # Errors
    /// Why it broke off.
    fn connect(&self) -> std::result::Result<(), String> {
        let subscription = self.broadcast.subscribe(ROOM);
        // Without packets there is nothing to announce, and the server would hang up.
        let mut next = None;
        while next.is_none() {
            if self.is_stopped() || subscription.ended() {
                return Ok(());
            }
            next = subscription.next(POLL);
        }
        knock(&self.target, STALL, || self.is_stopped()).map_err(|closed| closed.failure.said)?;
        let mut connection = Connection::open(self).map_err(|e| format!("{e}; {}", e.hint()))?;
        let mut moved = Instant::now();
        loop {
            if self.is_stopped() || subscription.ended() {
                return Ok(());
            }
            connection.check()?;
            if connection.recording {
                self.health().up();
            }
            if !connection.feed.has_room() {
                if moved.elapsed() > STALL {
                    return Err(format!("the server has taken nothing for {} s", STALL.as_secs()));
                }
                std::thread::sleep(NO_ROOM);
                continue;
            }
            moved = Instant::now();
            let Some(packet) = next.take().or_else(|| subscription.next(POLL)) else { continue };
            if !connection.feed.push(packet) {
                connection.heard.listen(&connection.bus, gst::ClockTime::from_mseconds(100));
                connection.check()?;
                return Err("the connection takes no more".into());
            }
        }
    }
}

/// A connection to the server, and the pipeline that feeds it.
struct Connection {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    heard: Heard,
    feed: Feed,
    /// The server has accepted the stream.
    recording: bool,
}

impl Connection {
    fn open(work: &Work) -> Result<Self> {
        let text = &work.options.description.live.outputs;
        let pipeline = description::pipeline(&format!("{} ! {}", text.packets, text.push))?;
        clock::join(&pipeline);
        let target: gst::Element = named(&pipeline, "target")?;
        target.set_property("location", work.target.as_str());
        target.set_property_from_str("protocols", if work.options.udp { "udp" } else { "tcp" });
        if let Some(login) = &work.login {
            target.set_property("user-id", login.user());
            target.set_property("user-pw", login.password());
        }
        let packets: gst_app::AppSrc = named(&pipeline, "packets")?;
        let bus =
            pipeline.bus().ok_or_else(|| VideoError::run("a pipeline has no bus", "this is a fault of GStreamer"))?;
        let feed = Feed::new(packets, Duration::ZERO);
        let connection = Self { pipeline, bus, heard: Heard::default(), feed, recording: false };
        connection
            .pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| VideoError::run("the connection cannot be begun", "try again").because(e))?;
        Ok(connection)
    }

    /// What the pipeline says.
    fn check(&mut self) -> std::result::Result<(), String> {
        self.heard.listen(&self.bus, gst::ClockTime::ZERO);
        // The sink holds its state change back until the server has agreed to record.
        self.recording |= self.pipeline.state(gst::ClockTime::ZERO).1 == gst::State::Playing;
        match &self.heard.error {
            Some((e, _)) => Err(e.message().trim().to_owned()),
            None if self.heard.eos => Err("the server ended the stream".into()),
            None => Ok(()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        put_away(&self.pipeline, LET_GO);
    }
}
