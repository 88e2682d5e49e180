//! The service manager: it hears when streams run, and restarts the service when they no longer turn.
//! Without one (no `NOTIFY_SOCKET`) all of this does nothing.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use sd_notify::NotifyState;

/// Streams run; `status` is shown by `systemctl status`. Also to be said after a reload.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// The configuration is being read again; [`ready`] is to follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(e) => tracing::debug!("the monotonic clock cannot be read: {e}"),
    }
}

/// The service ends of its own will.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!("the service manager does not listen: {e}");
    }
}

/// A line break would begin another word of the protocol.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Feeds the service manager's watchdog while the streams turn. Ends when it is dropped.
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Asks `alive` several times in each of the watchdog's intervals, and feeds it where the answer is yes: one that is
    /// no may be followed by a yes in time. `None` where nobody has set a watchdog. `alive` must not wait.
    pub fn start(alive: impl Fn() -> bool + Send + 'static) -> Option<Self> {
        let interval = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())?;
        let (stop, stopped) = bounded::<()>(0);
        let feed = move || {
            let mut was_alive = true;
            loop {
                let is_alive = alive();
                if is_alive {
                    tell(&[NotifyState::Watchdog]);
                } else if was_alive {
                    tracing::error!("a stream no longer turns: the watchdog is not fed any more");
                }
                was_alive = is_alive;
                if stopped.recv_timeout((interval / TIMES).max(SHORTEST)) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        match std::thread::Builder::new().name("watchdog".into()).spawn(feed) {
            Ok(thread) => Some(Self { stop: Some(stop), thread: Some(thread) }),
            Err(e) => {
                tracing::error!("no thread for the watchdog: {e}");
                None
            }
        }
    }
}

/// How often in an interval.
const TIMES: u32 = 6;
/// Whatever interval is set, feeding costs nothing that counts.
const SHORTEST: Duration = Duration::from_millis(5);

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of `alive` has ended the feeding, which is what the watchdog is for.
            let _ = thread.join();
        }
    }
}
