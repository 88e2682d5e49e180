//! A window that shows live pictures and takes keys.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::feed::put_away;
use super::{clock, x11};
use crate::sync::lock;
use crate::video::description::{self, Description, named};
use crate::video::frame::{Frame, FrameFormat};
use crate::video::{Result, VideoError};

/// A key's name as the display gives it: `n`, `plus`, `space`, `Escape`. Most displays name the key
/// and not the sign: Shift does not change the name.
pub type Key = String;

/// Keys that wait for somebody to look; what is typed beyond them is lost.
const KEYS: usize = 32;
/// How long its end may take: a display over a network can hang.
const LET_GO: Duration = Duration::from_secs(1);
/// What autovideosink puts in place where nothing can show pictures.
const NO_DISPLAY: &str = "fake-video-sink";

/// A window of its own, in a pipeline of its own. It never waits: the newest picture wins.
pub struct Window {
    pipeline: gst::Pipeline,
    frames: gst_app::AppSrc,
    /// What is being shown.
    format: Mutex<Arc<FrameFormat>>,
    pushed: AtomicU64,
    life: Arc<Life>,
    keys: Receiver<Key>,
}

/// What the pipeline's threads tell.
#[derive(Debug, Default)]
struct Life {
    closed: AtomicBool,
    failed: Mutex<Option<String>>,
    shown: AtomicU64,
}

impl Window {
    /// Opens a window named `title` for pictures of `format`; it appears with the first picture.
    ///
    /// # Errors
    /// Of kind `Usage` where there is no display to open it on, or the description cannot be built.
    pub fn open(title: &str, format: &Arc<FrameFormat>, description: &Description) -> Result<Self> {
        crate::video::init()?;
        let text = &description.live.window;
        for name in &text.shun {
            if let Some(factory) = gst::ElementFactory::find(name) {
                factory.set_rank(gst::Rank::NONE);
            }
        }
        let pipeline = description::pipeline(&text.show)?;
        let frames: gst_app::AppSrc = named(&pipeline, "frames")?;
        clock::join(&pipeline);
        let life = Arc::new(Life::default());
        let (sender, keys) = bounded(KEYS);
        listen(&pipeline, &frames, &life, sender)?;
        // From here on the pipeline is stopped by `drop`.
        let window =
            Self { pipeline, frames, format: Mutex::new(Arc::clone(format)), pushed: AtomicU64::new(0), life, keys };
        window.start(title, format)?;
        Ok(window)
    }

    fn start(&self, title: &str, format: &FrameFormat) -> Result<()> {
        self.pipeline.set_state(gst::State::Ready).map_err(|e| no_display().because(e))?;
        if self.pipeline.iterate_recurse().into_iter().flatten().any(|element| element.name() == NO_DISPLAY) {
            return Err(no_display());
        }
        x11::survive();
        self.frames.set_caps(Some(format.caps()));
        self.pipeline.set_state(gst::State::Playing).map_err(|e| no_display().because(e))?;
        let mut tags = gst::TagList::new();
        if let Some(tags) = tags.get_mut() {
            tags.add::<gst::tags::Title>(&title, gst::TagMergeMode::Replace);
        }
        self.frames.send_event(gst::event::Tag::new(tags));
        Ok(())
    }

    /// Shows a picture; it may be of another size or kind than those before. Never waits. After the
    /// end of the window it does nothing.
    pub fn push(&self, frame: Frame) {
        if self.is_closed() || self.failure().is_some() {
            return;
        }
        {
            let mut format = lock(&self.format);
            if !Arc::ptr_eq(&format, frame.format()) {
                self.frames.set_caps(Some(frame.format().caps()));
                *format = Arc::clone(frame.format());
            }
        }
        // A refusal means that the window is going down; the bus tells why.
        if self.frames.push_buffer(frame.into_buffer()).is_ok() {
            self.pushed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The keys that were pressed, in order.
    pub fn keys(&self) -> Receiver<Key> {
        self.keys.clone()
    }

    /// Whether somebody closed the window.
    pub fn is_closed(&self) -> bool {
        self.life.closed.load(Ordering::Relaxed)
    }

    /// Why it cannot show anything any more, without anybody having closed it.
    pub fn failure(&self) -> Option<String> {
        match x11::is_gone() {
            true => Some("the display is gone".into()),
            false => lock(&self.life.failed).clone(),
        }
    }

    /// Pictures that gave way to newer ones before they were shown.
    pub fn dropped(&self) -> u64 {
        let shown = self.life.shown.load(Ordering::Relaxed);
        let waiting = self.frames.current_level_buffers();
        self.pushed.load(Ordering::Relaxed).saturating_sub(shown + waiting)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        put_away(&self.pipeline, LET_GO);
    }
}

/// Has the pipeline's threads tell of keys, of pictures on their way, and of the end.
fn listen(pipeline: &gst::Pipeline, frames: &gst_app::AppSrc, life: &Arc<Life>, keys: Sender<Key>) -> Result<()> {
    let broken = || VideoError::run("a window's pipeline is not whole", "this is a fault of GStreamer");
    let pad = frames.static_pad("src").ok_or_else(broken)?;
    let shown = Arc::clone(life);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        shown.shown.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    // Every kind of window sends its keys upstream; nobody else there wants them.
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let Some(event) = info.event().filter(|event| event.type_() == gst::EventType::Navigation) else {
            return gst::PadProbeReturn::Ok;
        };
        if let Ok(gst_video::NavigationEvent::KeyPress { key, .. }) = gst_video::NavigationEvent::parse(event) {
            let _ = keys.try_send(key);
        }
        gst::PadProbeReturn::Ok
    });
    let life = Arc::clone(life);
    pipeline.bus().ok_or_else(broken)?.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(e) = message.view() {
            // An open window has one thing that can be missing: itself, when it was closed.
            if e.error().matches(gst::ResourceError::NotFound) {
                life.closed.store(true, Ordering::Relaxed);
            } else {
                tracing::warn!(error = %e.error(), debug = ?e.debug(), "the window cannot show pictures");
                lock(&life.failed).get_or_insert_with(|| e.error().message().trim_end_matches('.').to_owned());
            }
        }
        gst::BusSyncReply::Drop
    });
    Ok(())
}

fn no_display() -> VideoError {
    VideoError::usage(
        "no window can be opened: there is no display",
        "run it where DISPLAY or WAYLAND_DISPLAY names a screen (over ssh: ssh -X), or watch in a browser (--http)",
    )
}
