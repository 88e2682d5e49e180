//! What the outputs have in common: packets into a pipeline, their health, and their end.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Sender;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::broadcast::Packet;
use crate::video::frame::clock_time;

/// How an output fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputHealth {
    /// Nothing went out yet.
    Starting,
    /// It works.
    Up {
        /// Since when.
        since: SystemTime,
    },
    /// It does not, and tries again.
    Down {
        /// Since when.
        since: SystemTime,
        /// Why, in words without credentials.
        said: String,
        /// Attempts in vain since then.
        attempts: u32,
    },
}

impl OutputHealth {
    /// It works: since now, unless it did already.
    pub(crate) fn up(&mut self) {
        if !matches!(self, Self::Up { .. }) {
            *self = Self::Up { since: SystemTime::now() };
        }
    }

    /// One more attempt in vain.
    pub(crate) fn down(&mut self, why: String) {
        *self = match self {
            Self::Down { since, attempts, .. } => {
                Self::Down { since: *since, said: why, attempts: attempts.saturating_add(1) }
            }
            _ => Self::Down { since: SystemTime::now(), said: why, attempts: 1 },
        }
    }
}

/// A thread that takes packets until it is asked to end.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts it; `stop` hangs up when it is to end.
    pub fn start(name: &str, stop: Sender<()>, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Asks it to end; `false` where it did not within `limit` and is left behind.
    pub fn end(&mut self, limit: Duration) -> bool {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return true };
        let until = Instant::now() + limit;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let ended = thread.is_finished();
        if ended {
            // What it panicked with has been told on the standard error.
            let _ = thread.join();
        }
        ended
    }
}

/// How long one look at a thread that ends takes.
const LOOK: Duration = Duration::from_millis(5);

/// The `packets` end of an output's pipeline.
#[derive(Debug)]
pub(crate) struct Feed {
    source: gst_app::AppSrc,
    caps: Option<gst::Caps>,
    /// Time that counts as zero.
    zero: Duration,
}

impl Feed {
    pub fn new(source: gst_app::AppSrc, zero: Duration) -> Self {
        Self { source, caps: None, zero }
    }

    /// Whether a packet would be taken.
    pub fn has_room(&self) -> bool {
        self.source.current_level_buffers() < self.source.max_buffers().max(1)
    }

    /// Hands a packet on; `false` when the pipeline takes no more.
    pub fn push(&mut self, packet: Packet) -> bool {
        if self.caps.as_ref() != Some(&packet.caps) {
            self.source.set_caps(Some(&packet.caps));
            self.caps = Some(packet.caps);
        }
        let mut buffer = packet.buffer;
        if !self.zero.is_zero() {
            let time = clock_time(packet.pts.saturating_sub(self.zero));
            let header = buffer.make_mut();
            header.set_pts(time);
            header.set_dts(time);
        }
        self.source.push_buffer(buffer).is_ok()
    }

    /// Nothing comes any more.
    pub fn end(&self) {
        let _ = self.source.end_of_stream();
    }
}

/// Stops a pipeline, and waits for it no longer than `limit`: hardware and network disks can hang.
pub(crate) fn put_away(pipeline: &gst::Pipeline, limit: Duration) {
    let (done, wait) = crossbeam_channel::bounded(1);
    let stopping = pipeline.clone();
    let spawned = std::thread::Builder::new().name("put-away".into()).spawn(move || {
        let _ = stopping.set_state(gst::State::Null);
        let _ = done.send(());
    });
    let gone = match spawned {
        Ok(_) => wait.recv_timeout(limit).is_ok(),
        Err(_) => pipeline.set_state(gst::State::Null).is_ok(),
    };
    if !gone {
        tracing::warn!(pipeline = %pipeline.name(), "a pipeline does not stop and is left behind");
    }
}
