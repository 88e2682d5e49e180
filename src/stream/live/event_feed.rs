//! Events beside the video: a disk that is slow, full or gone holds up no picture.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use prometheus_client::metrics::counter::Counter;

use crate::stream::StreamError;
use crate::stream::events::{EventLog, FrameEvent};
use crate::sync::lock;

/// Hands lines to a thread that writes them.
pub(super) struct EventFeed {
    lines: Sender<Vec<u8>>,
    losses: Losses,
    /// Hangs up when everything is written.
    done: Receiver<()>,
}

/// Lines that may wait: some seconds of a stream.
const ROOM: usize = 256;
/// How long the end may take.
const END: Duration = Duration::from_secs(1);
/// All is well again when nothing was lost for so long: a file that is a little too slow loses a line now and then.
const WELL_AFTER: Duration = Duration::from_secs(5);

impl EventFeed {
    /// Starts the thread. Events that are lost are counted by `lost`.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn start(mut log: EventLog, lost: Counter) -> Result<Self, StreamError> {
        let (lines, waiting) = bounded::<Vec<u8>>(ROOM);
        let (alive, done) = bounded::<()>(0);
        let losses = Losses { lost, last: Arc::default() };
        let noted = losses.clone();
        let write = move || {
            for line in waiting {
                if let Err(e) = log.write_line(&line) {
                    noted.note(e.to_string());
                }
            }
            drop(alive);
        };
        let thread = std::thread::Builder::new().name("events".into()).spawn(write);
        thread.map_err(|e| StreamError::Died(format!("no thread for its events can be started: {e}")))?;
        Ok(Self { lines, losses, done })
    }

    /// Hands on an event; waits no longer than `patience` for room.
    pub fn write(&self, event: &FrameEvent, patience: Duration) {
        if self.lines.send_timeout(event.line(), patience).is_err() {
            self.losses.note("events are lost: their file is too slow".into());
        }
    }

    /// What is wrong with the file, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.losses.trouble(Instant::now())
    }

    /// Waits until everything is written, for a second at most.
    pub fn finish(self) {
        drop(self.lines);
        if self.done.recv_timeout(END) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last events are not written: their file is too slow");
        }
    }
}

/// Events that were lost; clones refer to the same.
#[derive(Clone)]
struct Losses {
    lost: Counter,
    /// Why, and when the last one was.
    last: Arc<Mutex<Option<(String, Instant)>>>,
}

impl Losses {
    /// One more. What is said stays while it lasts.
    fn note(&self, why: String) {
        self.lost.inc();
        let now = Instant::now();
        let said = self.trouble(now).unwrap_or(why);
        *lock(&self.last) = Some((said, now));
    }

    fn trouble(&self, now: Instant) -> Option<String> {
        let recent = |at: Instant| now.saturating_duration_since(at) < WELL_AFTER;
        lock(&self.last).as_ref().filter(|(_, at)| recent(*at)).map(|(why, _)| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_counts_and_is_said_until_none_has_come_for_a_while() {
        let losses = Losses { lost: Counter::default(), last: Arc::default() };
        assert_eq!(losses.trouble(Instant::now()), None);
        losses.note("full".into());
        losses.note("slow".into());
        assert_eq!((losses.lost.get(), losses.trouble(Instant::now()).as_deref()), (2, Some("full")));
        assert_eq!(losses.trouble(Instant::now() + WELL_AFTER), None);
    }
}
