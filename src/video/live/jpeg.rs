//! The newest picture as JPEG, for whoever asks; no work while nobody does.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::feed::put_away;
use crate::sync::lock;
use crate::video::bus::Heard;
use crate::video::description::{self, Description, fill, named};
use crate::video::error::{Result, VideoError};
use crate::video::frame::{Frame, FrameFormat};

/// An encoded picture. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Jpeg {
    /// The file.
    pub data: Bytes,
    /// When the picture is shown, on the timeline of [`now`](super::now).
    pub pts: Duration,
}

/// The pictures of one stream as JPEG. Clones share their work: a picture is encoded once, however
/// many ask for it.
#[derive(Clone)]
pub struct Jpegs {
    shared: Arc<Shared>,
}

struct Shared {
    launch: String,
    newest: Mutex<Option<Frame>>,
    came: Condvar,
    encoder: Mutex<Encoder>,
}

#[derive(Default)]
struct Encoder {
    chain: Option<Chain>,
    last: Option<Jpeg>,
}

/// How long the encoder may take for a picture, and for its end.
const ENCODE: Duration = Duration::from_secs(3);
const LET_GO: Duration = Duration::from_secs(1);

impl Jpegs {
    /// Pictures of a quality from 0 to 100; `None`: the default of the description.
    ///
    /// # Errors
    /// Of kind `Usage`: the description has no row for JPEG.
    pub fn new(quality: Option<u8>, description: &Description) -> Result<Self> {
        crate::video::init()?;
        let image = description.image("jpg").ok_or_else(|| {
            VideoError::usage(
                "the pipeline description has no picture of kind jpg",
                "compare it with pipelines/file.toml",
            )
        })?;
        let own = image.quality.map(|q| q.own_scale(quality).to_string()).unwrap_or_default();
        let text = &description.live.outputs;
        let launch =
            format!("{} ! {} ! {}", text.jpeg_frames, fill(&image.encode, &[("quality", &own)]), text.jpeg_pictures);
        Ok(Self {
            shared: Arc::new(Shared {
                launch,
                newest: Mutex::default(),
                came: Condvar::new(),
                encoder: Mutex::default(),
            }),
        })
    }

    /// Here is a newer picture. Costs nothing.
    pub fn offer(&self, frame: &Frame) {
        *lock(&self.shared.newest) = Some(frame.clone());
        self.shared.came.notify_all();
    }

    /// The newest picture; waits up to `timeout` for the first. `None` when none came.
    ///
    /// # Errors
    /// Of kind `Run`: the encoder fails.
    pub fn newest(&self, timeout: Duration) -> Result<Option<Jpeg>> {
        self.after(None, timeout)
    }

    /// The newest picture, once it is later than the one at `seen`; waits for it up to `timeout`.
    /// `None` when none came.
    ///
    /// # Errors
    /// Of kind `Run`: the encoder fails.
    pub fn after(&self, seen: Option<Duration>, timeout: Duration) -> Result<Option<Jpeg>> {
        let Some(frame) = self.wait_for(seen, timeout) else { return Ok(None) };
        let mut encoder = lock(&self.shared.encoder);
        // Somebody else may have asked for the same picture, or a later one, meanwhile.
        if let Some(last) = encoder.last.as_ref().filter(|last| last.pts >= frame.pts()) {
            return Ok(Some(last.clone()));
        }
        let jpeg = encoder.encode(&self.shared.launch, frame).inspect_err(|_| encoder.chain = None)?;
        encoder.last = Some(jpeg.clone());
        Ok(Some(jpeg))
    }

    fn wait_for(&self, seen: Option<Duration>, timeout: Duration) -> Option<Frame> {
        let is_old = |frame: &mut Option<Frame>| match frame {
            Some(frame) => seen.is_some_and(|seen| frame.pts() <= seen),
            None => true,
        };
        let newest = lock(&self.shared.newest);
        let (mut newest, _) =
            self.shared.came.wait_timeout_while(newest, timeout, is_old).unwrap_or_else(PoisonError::into_inner);
        if is_old(&mut newest) { None } else { newest.clone() }
    }
}

impl Encoder {
    fn encode(&mut self, launch: &str, frame: Frame) -> Result<Jpeg> {
        let chain = match &mut self.chain {
            Some(chain) => chain,
            none => none.insert(Chain::start(launch)?),
        };
        chain.encode(frame)
    }
}

/// The encoder's pipeline, started when it is first needed.
struct Chain {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    frames: gst_app::AppSrc,
    pictures: gst_app::AppSink,
    format: Option<Arc<FrameFormat>>,
}

impl Chain {
    fn start(launch: &str) -> Result<Self> {
        let pipeline = description::pipeline(launch)?;
        let bus = pipeline.bus().ok_or_else(|| failed("its pipeline has no bus"))?;
        let frames = named(&pipeline, "frames")?;
        let pictures = named(&pipeline, "pictures")?;
        let chain = Self { pipeline, bus, frames, pictures, format: None };
        chain.pipeline.set_state(gst::State::Playing).map_err(|e| chain.why().because(e))?;
        Ok(chain)
    }

    fn encode(&mut self, frame: Frame) -> Result<Jpeg> {
        if self.format.as_ref().is_none_or(|f| !Arc::ptr_eq(f, frame.format())) {
            self.frames.set_caps(Some(frame.format().caps()));
            self.format = Some(Arc::clone(frame.format()));
        }
        let pts = frame.pts();
        self.frames.push_buffer(frame.into_buffer()).map_err(|e| self.why().because(e))?;
        let until = Instant::now() + ENCODE;
        loop {
            // In small steps: an error ends the wait.
            if let Some(sample) = self.pictures.try_pull_sample(gst::ClockTime::from_mseconds(50)) {
                let map = sample.buffer().and_then(|b| b.map_readable().ok()).ok_or_else(|| self.why())?;
                return Ok(Jpeg { data: Bytes::copy_from_slice(&map), pts });
            }
            let mut heard = Heard::default();
            heard.listen(&self.bus, gst::ClockTime::ZERO);
            if let Some((e, from)) = heard.error {
                return Err(failed(&format!("{} ({from})", e.message())).because(e));
            }
            if Instant::now() > until {
                return Err(failed(&format!("nothing came out for {} s", ENCODE.as_secs())));
            }
        }
    }

    /// What the pipeline says of its failure.
    fn why(&self) -> VideoError {
        let mut heard = Heard::default();
        heard.listen(&self.bus, gst::ClockTime::from_mseconds(100));
        match heard.error {
            Some((e, from)) => failed(&format!("{} ({from})", e.message())).because(e),
            None => failed("the pipeline stopped"),
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        put_away(&self.pipeline, LET_GO);
    }
}

fn failed(why: &str) -> VideoError {
    VideoError::run(
        format!("no JPEG can be made: {why}"),
        "install gstreamer1.0-plugins-good, or run again with GST_DEBUG=3 for the reason",
    )
}
