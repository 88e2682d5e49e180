//! Sound and subtitles: packets handed from the source to the sink, never decoded.
//!
//! The demuxer's thread puts packets into a [`Shelf`] and is never held back by it, so that video
//! and sound cannot wait for each other. What a shelf holds is only how far the tracks lie apart in
//! the file; all shelves of a source together are bounded by [`LIMIT`], and a file beyond it (all
//! of the sound before all of the video) ends with a clear error instead of eating the memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::frame::duration;
use crate::sync::lock;

/// Bytes of copied packets that may wait, over all tracks of a source.
const LIMIT: usize = 256 << 20;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Sound.
    Sound,
    /// Subtitles, as text or as pictures.
    Subtitles,
    /// Further video, or data that no player shows; never copied.
    Other,
}

impl std::fmt::Display for TrackKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sound => "sound",
            Self::Subtitles => "subtitle",
            Self::Other => "other",
        })
    }
}

/// A track of the source besides the chosen video.
#[derive(Debug, Clone)]
pub struct TrackInfo {
    /// What it carries.
    pub kind: TrackKind,
    /// Its codec in words, for example “MPEG-4 AAC”.
    pub codec: String,
    /// ISO-639 code of its language, where the file says it.
    pub language: Option<String>,
    /// GStreamer's full description of the packets.
    pub(crate) caps: gst::Caps,
}

/// What travels on a track, in order. Times are running time.
#[derive(Debug)]
pub(crate) enum Item {
    Packet(gst::Sample),
    Gap(gst::ClockTime),
    End,
}

/// What all tracks of one source share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    waiting: AtomicUsize,
    overflow: AtomicBool,
    /// The last frame was handed out: the tracks may be copied to their own end.
    complete: AtomicBool,
}

impl Shared {
    pub fn overflowed(&self) -> bool {
        self.overflow.load(Ordering::Relaxed)
    }

    pub fn set_complete(&self) {
        self.complete.store(true, Ordering::Release);
    }
}

/// Packets between the two pipelines.
#[derive(Debug)]
struct Shelf {
    shared: Arc<Shared>,
    items: Mutex<VecDeque<Item>>,
    closed: AtomicBool,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Item>> {
        lock(&self.items)
    }

    fn put(&self, item: Item) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let bytes = size(&item);
        if self.shared.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > LIMIT {
            self.shared.overflow.store(true, Ordering::Relaxed);
            self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        self.lock().push_back(item);
    }

    fn take_if(&self, wanted: impl FnOnce(&Item) -> bool) -> Option<Item> {
        let mut items = self.lock();
        let item = items.front().is_some_and(wanted).then(|| items.pop_front());
        drop(items);
        let item = item.flatten()?;
        self.shared.waiting.fetch_sub(size(&item), Ordering::Relaxed);
        Some(item)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let gone: usize = self.lock().drain(..).map(|i| size(&i)).sum();
        self.shared.waiting.fetch_sub(gone, Ordering::Relaxed);
    }
}

fn size(item: &Item) -> usize {
    match item {
        // The headers of a packet weigh more than a small packet.
        Item::Packet(sample) => sample.buffer().map_or(0, gst::BufferRef::size) + 512,
        Item::Gap(_) | Item::End => 64,
    }
}

/// A sound or subtitle track on its way into the output. Dropping it drops the track.
#[derive(Debug)]
pub struct CopiedTrack {
    info: TrackInfo,
    shelf: Arc<Shelf>,
    tags: gst::TagList,
}

impl CopiedTrack {
    /// Takes over an appsink that receives one track of a source.
    pub(crate) fn from_appsink(sink: &gst_app::AppSink, info: TrackInfo, shared: &Arc<Shared>) -> Self {
        let shelf =
            Arc::new(Shelf { shared: Arc::clone(shared), items: Mutex::default(), closed: AtomicBool::new(false) });
        let (packets, events, end) = (shelf.clone(), shelf.clone(), shelf.clone());
        // An edit list may end a track early; its packets are copied all the same.
        sink.set_drop_out_of_segment(false);
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Flushing)?;
                    packets.put(Item::Packet(sample));
                    Ok(gst::FlowSuccess::Ok)
                })
                .new_event(move |sink| {
                    // The event stands at the head of the queue: everything before it was pulled.
                    let Some(event) =
                        sink.try_pull_object(gst::ClockTime::ZERO).and_then(|o| o.downcast::<gst::Event>().ok())
                    else {
                        return false;
                    };
                    if let gst::EventView::Gap(gap) = event.view() {
                        let (start, length) = gap.get();
                        let until = start + length.unwrap_or_default();
                        if let Some(until) = running_time(sink, until) {
                            events.put(Item::Gap(until));
                        }
                    }
                    true
                })
                .eos(move |_| end.put(Item::End))
                .build(),
        );
        Self { info, shelf, tags: gst::TagList::new() }
    }

    /// Adds what was found out since.
    pub(crate) fn describe(&mut self, info: TrackInfo, tags: gst::TagList) {
        self.info = info;
        self.tags = tags;
    }

    /// What is known about the track.
    pub fn info(&self) -> &TrackInfo {
        &self.info
    }

    /// Language, title and the like, for the muxer.
    pub(crate) fn tags(&self) -> &gst::TagList {
        &self.tags
    }

    /// The next thing on the track if it lies before `until` (always when `None`). A gap that
    /// reaches beyond is left lying.
    pub(crate) fn take_before(&self, until: Option<Duration>) -> Next {
        let mut later = false;
        let item = self.shelf.take_if(|item| {
            let before = match (until, start(item)) {
                (Some(until), Some(start)) => start < until,
                _ => true,
            };
            later = !before;
            before
        });
        match item {
            Some(item) => Next::Item(item),
            None if later => Next::Later,
            None => Next::Unknown,
        }
    }

    /// Whether the source has handed out its last frame.
    pub(crate) fn source_is_complete(&self) -> bool {
        self.shelf.shared.complete.load(Ordering::Acquire)
    }
}

impl Drop for CopiedTrack {
    fn drop(&mut self) {
        self.shelf.close();
    }
}

/// What [`CopiedTrack::take_before`] found.
#[derive(Debug)]
pub(crate) enum Next {
    Item(Item),
    /// The track goes on, but not before the time asked for.
    Later,
    /// Nothing has been read yet.
    Unknown,
}

fn running_time(sink: &gst_app::AppSink, time: gst::ClockTime) -> Option<gst::ClockTime> {
    let segment = sink.static_pad("sink")?.sticky_event::<gst::event::Segment>(0)?;
    segment.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(time)
}

/// Running time at which a packet starts.
pub(crate) fn sample_start(sample: &gst::SampleRef) -> Option<gst::Signed<gst::ClockTime>> {
    let time = sample.buffer()?.pts().or_else(|| sample.buffer()?.dts())?;
    sample.segment()?.downcast_ref::<gst::ClockTime>()?.to_running_time_full(time)
}

fn start(item: &Item) -> Option<Duration> {
    match item {
        Item::Packet(sample) => match sample_start(sample)? {
            gst::Signed::Positive(time) => Some(duration(time)),
            gst::Signed::Negative(_) => Some(Duration::ZERO),
        },
        Item::Gap(_) | Item::End => None,
    }
}
