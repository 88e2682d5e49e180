//! Xlib ends the whole program when its display goes away (`ssh -X` that breaks off). Recordings would not be finished.

use std::ffi::{c_int, c_void};
use std::mem::transmute;
use std::sync::atomic::{AtomicBool, Ordering};

static GONE: AtomicBool = AtomicBool::new(false);

/// `int handler(Display *)`
type Handler = unsafe extern "C" fn(*mut c_void) -> c_int;
/// `XIOErrorHandler XSetIOErrorHandler(XIOErrorHandler)`
type SetHandler = unsafe extern "C" fn(Handler) -> Option<Handler>;

/// Lets the program go on without the display. Where no window made Xlib be loaded, nothing is done.
pub(super) fn survive() {
    // SAFETY: RTLD_NOLOAD runs no code of the library; the function has had this form since X11R1. The library stays
    // loaded: GStreamer's plugins are never unloaded.
    unsafe {
        let library = libc::dlopen(c"libX11.so.6".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_NOW);
        if library.is_null() {
            return;
        }
        let set = libc::dlsym(library, c"XSetIOErrorHandler".as_ptr());
        if !set.is_null() {
            let set: SetHandler = transmute(set);
            set(display_is_gone);
        }
    }
}

/// Whether the display went away.
pub(super) fn is_gone() -> bool {
    GONE.load(Ordering::Relaxed)
}

/// When this returns, Xlib ends the program. So the thread stays here, until the program ends by itself.
unsafe extern "C" fn display_is_gone(_display: *mut c_void) -> c_int {
    if !GONE.swap(true, Ordering::Relaxed) {
        tracing::warn!("the display is gone, and the window with it");
    }
    loop {
        std::thread::park();
    }
}
