//! Ctrl-C and SIGTERM: the first asks the work to finish properly, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::failure::{Code, Failure};

/// A flag that the first Ctrl-C (or SIGTERM, or SIGHUP) raises.
///
/// # Errors
/// Where the system refuses the handler.
pub fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let raised = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&raised);
    ctrlc::set_handler(move || {
        if flag.swap(true, SeqCst) {
            std::process::exit(i32::from(Code::Interrupted as u8));
        }
    })
    .map_err(|e| Failure::new(Code::Running, e, ""))?;
    Ok(raised)
}
