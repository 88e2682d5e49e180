//! Log lines on standard error: for people, or for machines.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, stderr};

use gradcast::monitor::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// What is logged where neither `RUST_LOG` nor a configuration says.
const FILTER: &str = "warn,ort=error";
/// The same for a service: also what it does in the regular course of things.
pub const SERVICE_FILTER: &str = "warn,gradcast=info,ort=error";

/// The same for one live stream: also how its source and its recording fare.
pub const LIVE_FILTER: &str = "warn,gradcast::video::live=info,ort=error";

/// A thread that panics says so in the log, in the log's own format.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let what = panic.payload_as_str().unwrap_or("a panic without a message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => tracing::error!(%backtrace, "the thread {name} panicked at {place}: {what}"),
            _ => tracing::error!("the thread {name} panicked at {place}: {what}"),
        }
    }));
}

/// Begins to log, once. `filter` is in the words of `RUST_LOG`, which goes before it.
pub fn start(format: LogFormat, filter: Option<&str>) {
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(filter.unwrap_or(FILTER)))
        .unwrap_or_else(|_| EnvFilter::new(FILTER));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // A log that cannot be written is no reason to end: told to log its own errors, it would panic.
    let lines = lines.with_ansi(stderr().is_terminal()).log_internal_errors(false);
    // Fails only where logging has begun already.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
