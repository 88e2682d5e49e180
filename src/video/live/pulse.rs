//! Is a camera that may be silent still there? One that loses its power says no farewell.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use url::Url;

use super::knock::{Answer, Closed, knock};
use super::reason::{Failure, Reason};

/// A silence of so long is a reason to knock, and then again after these pauses: while it answers, and while it does not.
const QUIET: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_secs(1);

/// How long an answer may take. It is asked for anew each second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Knocks in the background where a connection is silent.
pub(super) struct Pulse {
    url: Url,
    knocking: Option<Knocking>,
    next: Instant,
    /// Whether it answered last time.
    answered: Option<bool>,
}

struct Knocking {
    result: Receiver<Result<Answer, Closed>>,
    /// Dropping it ends the knocking.
    _hold: Sender<()>,
}

impl Pulse {
    pub fn new(url: &Url) -> Self {
        Self { url: url.clone(), knocking: None, next: Instant::now(), answered: None }
    }

    /// Tells why the connection is dead, where it is. `quiet`: so long there has been no picture.
    ///
    /// A host that does not react is away. One that refuses may only have no room for a second connection: but where that
    /// changes, either way, the camera has gone or has come back, and does not know the old connection.
    pub fn feel(&mut self, quiet: Duration) -> Option<Failure> {
        if quiet < QUIET {
            (self.knocking, self.answered) = (None, None);
            return None;
        }
        let Some(knocking) = &self.knocking else {
            if self.next <= Instant::now() {
                self.next = Instant::now() + EVERY;
                self.knocking = Knocking::begin(self.url.clone());
            }
            return None;
        };
        match knocking.result.try_recv() {
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.knocking = None;
                None
            }
            Ok(result) => {
                self.knocking = None;
                self.next = Instant::now() + if result.is_ok() { EVERY } else { AGAIN };
                self.judge(result)
            }
        }
    }

    fn judge(&mut self, result: Result<Answer, Closed>) -> Option<Failure> {
        // A name server that is away says nothing of the camera.
        if result.as_ref().is_err_and(|closed| closed.alive.is_none()) {
            return None;
        }
        let answers = result.is_ok();
        let changed = self.answered.replace(answers).is_some_and(|before| before != answers);
        match result {
            Err(closed) => (changed || closed.alive == Some(false)).then_some(closed.failure),
            Ok(answer) => (changed || answer == Answer::Later)
                .then(|| Failure::new(Reason::Stall, "it was away meanwhile, and knows nothing of it")),
        }
    }
}

impl Knocking {
    /// `None` where there is no thread for it now.
    fn begin(url: Url) -> Option<Self> {
        let (tell, result) = bounded(1);
        let (hold, held) = bounded::<()>(0);
        let work = move || {
            let _ = tell.send(knock(&url, PATIENCE, || held.try_recv() == Err(TryRecvError::Disconnected)));
        };
        thread::Builder::new().name("live-pulse".into()).spawn(work).ok().map(|_| Self { result, _hold: hold })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_a_camera_is_silent_ends_the_connection() {
        let closed = |alive, reason| Err(Closed { failure: Failure::new(reason, "x"), alive });
        let refused = || closed(Some(true), Reason::Refused);
        let reasons = |results: Vec<Result<Answer, Closed>>| -> Vec<Option<Reason>> {
            let mut pulse = Pulse::new(&Url::parse("rtsp://h/x").unwrap());
            results.into_iter().map(|result| pulse.judge(result).map(|failure| failure.reason)).collect()
        };
        let there = || Ok(Answer::AtOnce);
        assert_eq!(reasons(vec![there(), there(), refused()]), [None, None, Some(Reason::Refused)]);
        // No room for a second connection, for hours; then it was switched off and on.
        assert_eq!(reasons(vec![refused(), refused(), there()]), [None, None, Some(Reason::Stall)]);
        assert_eq!(reasons(vec![there(), closed(None, Reason::Network), there()]), [None; 3]);
        assert_eq!(reasons(vec![Ok(Answer::Later)]), [Some(Reason::Stall)]);
        assert_eq!(reasons(vec![closed(Some(false), Reason::Timeout)]), [Some(Reason::Timeout)]);
    }
}
