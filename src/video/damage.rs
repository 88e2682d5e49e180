//! What software decoders say about damage. They conceal it and hand out a picture all the same,
//! and tell nobody but GStreamer's log.

use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;

static TOLD: AtomicU64 = AtomicU64::new(0);

/// Errors that decoders have told so far, in the whole process.
pub(crate) fn told() -> u64 {
    TOLD.load(Ordering::Relaxed)
}

/// Begins to listen. To be called once, after GStreamer has started.
pub(super) fn listen() {
    if std::env::var_os("GST_DEBUG").is_none() {
        gst::log::set_threshold_for_name("libav", gst::DebugLevel::Error);
    }
    gst::log::add_log_function(|category, level, _, _, _, _, _| {
        if level == gst::DebugLevel::Error && category.name() == "libav" {
            TOLD.fetch_add(1, Ordering::Relaxed);
        }
    });
}
