//! How long pictures are in the decoder, pictures that it holds back for their order included.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::sync::lock;

/// The times of one connection; clones refer to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct DecodeTimes(Arc<Mutex<Times>>);

/// By the time stamps that pictures carry in and out.
#[derive(Debug, Default)]
struct Times {
    inside: VecDeque<(gst::ClockTime, Instant)>,
    took: VecDeque<(gst::ClockTime, Duration)>,
}

/// More are never under way.
const KEPT: usize = 64;

impl DecodeTimes {
    /// Watches an element that may be a decoder of pictures.
    pub fn watch(&self, element: &gst::Element) {
        let pads = (element.static_pad("sink"), element.static_pad("src"), decodes_pictures(element));
        let (Some(sink), Some(src), true) = pads else {
            return;
        };
        let (coming, going) = (self.clone(), self.clone());
        each_stamp(&sink, move |pts| lock(&coming.0).enter(pts));
        each_stamp(&src, move |pts| lock(&going.0).leave(pts));
    }

    /// How long the picture with this time stamp took.
    pub fn of(&self, pts: Option<gst::ClockTime>) -> Option<Duration> {
        let pts = pts?;
        lock(&self.0).took.iter().rev().find(|(at, _)| *at == pts).map(|(_, took)| *took)
    }
}

impl Times {
    fn enter(&mut self, pts: gst::ClockTime) {
        // A picture may come in parts: the first counts.
        if self.inside.back().is_none_or(|(last, _)| *last != pts) {
            keep(&mut self.inside, (pts, Instant::now()));
        }
    }

    fn leave(&mut self, pts: gst::ClockTime) {
        if let Some(at) = self.inside.iter().position(|(entered, _)| *entered == pts)
            && let Some((_, entered)) = self.inside.remove(at)
        {
            keep(&mut self.took, (pts, entered.elapsed()));
        }
    }
}

/// Whether an element is a decoder of pictures.
pub(super) fn decodes_pictures(element: &gst::Element) -> bool {
    is_of_class(element, "Decoder") && (is_of_class(element, "Video") || is_of_class(element, "Image"))
}

/// Whether GStreamer's word for what an element does holds this one.
pub(super) fn is_of_class(element: &gst::Element, word: &str) -> bool {
    element.factory().is_some_and(|factory| factory.metadata("klass").is_some_and(|class| class.contains(word)))
}

fn keep<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

fn each_stamp(pad: &gst::Pad, heard: impl Fn(gst::ClockTime) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        if let Some(pts) = probe.buffer().and_then(|buffer| buffer.pts()) {
            heard(pts);
        }
        gst::PadProbeReturn::Ok
    });
}
