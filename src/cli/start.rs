//! The start of streams, which an interrupt ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use gradcast::monitor::config::Config;
use gradcast::monitor::{Monitor, OpenExtra};

use super::failure::{Code, Failure};
use super::interrupt;

/// How often an interrupt is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Starts the streams, beside this thread: a model may take minutes, and nothing ends its start. Where `interrupt` rises
/// meanwhile, what runs already ends properly, and with it the process.
///
/// # Errors
/// See [`Monitor::start`].
pub fn streams(
    monitor: &Arc<Monitor>,
    config: Config,
    extra: Option<OpenExtra>,
    interrupt: &AtomicBool,
) -> Result<(), Failure> {
    let starting = {
        let monitor = Arc::clone(monitor);
        thread::Builder::new().name("start".into()).spawn(move || monitor.start(config, extra))
    };
    let starting =
        starting.map_err(|e| Failure::new(Code::Running, e, "look at the limits of this process (ulimit -a)"))?;
    while !starting.is_finished() {
        if interrupt.load(SeqCst) {
            monitor.stop();
            interrupt::leave(Some(Code::Interrupted));
        }
        thread::sleep(LOOK);
    }
    match starting.join() {
        Ok(started) => Ok(started?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
