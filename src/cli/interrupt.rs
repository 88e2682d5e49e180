//! Ctrl-C, SIGTERM and SIGHUP: the first asks the work to finish properly, the second ends it at once.

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
    raised_by(&[SIGINT, SIGTERM, SIGHUP])
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

/// Ends the process as an interrupted one, also where a thread is inside a library, which would not bear the usual end.
pub fn leave() -> ! {
    signal_hook::low_level::exit(i32::from(Code::Interrupted as u8))
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
