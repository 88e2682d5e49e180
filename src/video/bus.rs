//! Messages of a pipeline, turned into errors and warnings in our own words.

use gstreamer as gst;
use gstreamer::prelude::*;

/// What a pipeline has said so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The first error: the ones after it are its consequences.
    pub error: Option<(gst::glib::Error, String)>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
    /// What no installed plugin can read: its name, and its caps where it is an encoded stream.
    pub missing: Vec<(String, Option<gst::Caps>)>,
    pub eos: bool,
}

/// Warnings kept; a damaged file can utter thousands.
const MOST_WARNINGS: usize = 16;

impl Heard {
    /// Takes in everything that is waiting on the bus; waits up to `wait` for the first message.
    pub fn listen(&mut self, bus: &gst::Bus, wait: gst::ClockTime) {
        let mut next = bus.timed_pop(wait);
        while let Some(message) = next {
            self.take(&message);
            next = bus.pop();
        }
    }

    fn take(&mut self, message: &gst::Message) {
        match message.view() {
            gst::MessageView::Error(e) => {
                tracing::debug!(error = %e.error(), debug = ?e.debug(), "pipeline error");
                if self.error.is_none() {
                    let from = e.src().map(|s| s.name().to_string()).unwrap_or_default();
                    self.error = Some((e.error(), from));
                }
            }
            gst::MessageView::Warning(w) => {
                tracing::debug!(warning = %w.error(), debug = ?w.debug(), "pipeline warning");
                let text = w.error().message().trim().to_owned();
                if self.warnings.len() < MOST_WARNINGS && !self.warnings.contains(&text) {
                    self.warnings.push(text);
                }
            }
            gst::MessageView::Element(e) => {
                if let Some(missing) = e.structure().filter(|s| s.name() == "missing-plugin") {
                    let name = missing.get::<String>("name").unwrap_or_default();
                    let caps = missing.get::<gst::Caps>("detail").ok();
                    self.missing.push((name, caps));
                }
            }
            gst::MessageView::Eos(_) => self.eos = true,
            _ => {}
        }
    }
}
