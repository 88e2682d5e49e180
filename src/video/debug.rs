//! GStreamer's own means of looking inside, as people know them: `GST_DEBUG`, `GST_DEBUG_FILE` and
//! `GST_DEBUG_DUMP_DOT_DIR`, without the secrets that URLs hold.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::live::credentials::without_values;
use super::live::mask;
use crate::sync::lock;

/// What stands before a name and a password in a request, which are only encoded.
const BASIC: &str = "basic ";

/// Puts a log without secrets in the place of GStreamer's own. To be called once, after GStreamer has started.
pub(super) fn start_log() {
    gst::log::remove_default_log_function();
    if std::env::var_os("GST_DEBUG").is_none() {
        return;
    }
    let file = std::env::var_os("GST_DEBUG_FILE").filter(|path| path != "-");
    let out: Box<dyn Write + Send> = match file.map(File::create) {
        Some(Ok(file)) => Box::new(file),
        Some(Err(e)) => {
            tracing::warn!("GST_DEBUG_FILE cannot be written: {e}");
            Box::new(std::io::stderr())
        }
        None => Box::new(std::io::stderr()),
    };
    let out = Mutex::new(out);
    gst::log::add_log_function(move |category, level, file, function, line, object, message| {
        if level > category.threshold() {
            return;
        }
        if let Some(text) = category.get_line(level, file, function, line, object, message) {
            // A log that cannot be written is no reason to end.
            let _ = lock(&out).write_all(without_values(&mask(&text), BASIC).as_bytes());
        }
    });
}

/// Draws a pipeline as it is now, where `GST_DEBUG_DUMP_DOT_DIR` asks for it. Properties, which hold addresses with their
/// credentials, stay out of the picture.
pub(super) fn draw(pipeline: &gst::Pipeline, name: &str) {
    let parts =
        gst::DebugGraphDetails::MEDIA_TYPE | gst::DebugGraphDetails::CAPS_DETAILS | gst::DebugGraphDetails::STATES;
    pipeline.debug_to_dot_file_with_ts(parts, format!("gradcast-{name}"));
}
