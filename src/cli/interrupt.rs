//! Ctrl-C, SIGTERM and SIGHUP: the first asks the work to finish properly, a second Ctrl-C or SIGTERM ends it at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::failure::{Code, Failure};

/// A flag that the first Ctrl-C, SIGTERM or SIGHUP (the terminal is gone) raises.
///
/// # Errors
/// Where the system refuses the handler.
pub fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let raised = raised_by(&[SIGINT, SIGTERM])?;
    // `nohup` has it ignored. A second one is no impatience: the shell and the kernel both send one.
    if !is_ignored(SIGHUP) {
        flag::register(SIGHUP, Arc::clone(&raised)).map_err(refused)?;
    }
    Ok(raised)
}

/// The same for a service, which SIGHUP does not end but makes read its configuration again: the second flag.
///
/// # Errors
/// Where the system refuses the handler.
pub fn service_flags() -> Result<(Arc<AtomicBool>, Arc<AtomicBool>), Failure> {
    let reload = Arc::default();
    flag::register(SIGHUP, Arc::clone(&reload)).map_err(refused)?;
    Ok((raised_by(&[SIGINT, SIGTERM])?, reload))
}

/// Ends the process while a thread is inside a library, which would not bear the usual end.
pub fn leave(code: Option<Code>) -> ! {
    signal_hook::low_level::exit(code.map_or(0, |code| i32::from(code as u8)))
}

/// Whether whoever started the program wants it not to hear a signal.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: it only asks, and what it answers into is zeroed memory of the right kind.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

fn raised_by(signals: &[i32]) -> Result<Arc<AtomicBool>, Failure> {
    let raised = Arc::default();
    for signal in signals {
        // In this order: the shutdown looks at what the signals before have raised.
        let end = i32::from(Code::Interrupted as u8);
        flag::register_conditional_shutdown(*signal, end, Arc::clone(&raised)).map_err(refused)?;
        flag::register(*signal, Arc::clone(&raised)).map_err(refused)?;
    }
    Ok(raised)
}

fn refused(error: std::io::Error) -> Failure {
    Failure::new(Code::Running, error, "")
}
