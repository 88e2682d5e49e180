//! Events beside the video: a disk that is slow, full or gone holds up no picture.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::stream::StreamError;
use crate::stream::events::{EventLog, FrameEvent};
use crate::sync::lock;

/// Hands lines to a thread that writes them.
pub(super) struct EventFeed {
    lines: Sender<Vec<u8>>,
    failed: Arc<Mutex<Option<String>>>,
    /// Hangs up when everything is written.
    done: Receiver<()>,
}

/// Lines that may wait: some seconds of a stream.
const ROOM: usize = 256;
/// How long the end may take.
const END: Duration = Duration::from_secs(1);

impl EventFeed {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn start(mut log: EventLog) -> Result<Self, StreamError> {
        let (lines, waiting) = bounded::<Vec<u8>>(ROOM);
        let (alive, done) = bounded::<()>(0);
        let failed: Arc<Mutex<Option<String>>> = Arc::default();
        let said = Arc::clone(&failed);
        let write = move || {
            for line in waiting {
                *lock(&said) = log.write_line(&line).err().map(|e| e.to_string());
            }
            drop(alive);
        };
        let thread = std::thread::Builder::new().name("events".into()).spawn(write);
        thread.map_err(|e| StreamError::Died(format!("no thread for its events can be started: {e}")))?;
        Ok(Self { lines, failed, done })
    }

    /// Hands on an event; waits no longer than `patience` for room. What is wrong with the file, if anything.
    pub fn write(&self, event: &FrameEvent, patience: Duration) -> Option<String> {
        let lost = self.lines.send_timeout(event.line(), patience).is_err();
        lock(&self.failed).clone().or_else(|| lost.then(|| "events are lost: their file is too slow".into()))
    }

    /// Waits until everything is written, for a second at most.
    pub fn finish(self) {
        drop(self.lines);
        if self.done.recv_timeout(END) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            tracing::warn!("the last events are not written: their file is too slow");
        }
    }
}
