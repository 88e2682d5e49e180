//! GStreamer: sources, sinks, frames, copied tracks.
//!
//! ```text
//! FileSource: filesrc ! parsebin ─┬─ decodebin ! (turn, deinterlace) ! … ! appsink ──► next() ──► Frame
//!                                 └─ sound, subtitles ! appsink ──► CopiedTrack ─┐
//! FileSink:   push(Frame) ──► appsrc ! encoder ! queue ─┬─ muxer ! filesink      │
//!                                 appsrc ! parser ──────┘◄───────────────────────┘
//! ```
//!
//! Two pipelines, joined by plain Rust values: a [`Frame`] is the decoder's own buffer with its
//! running time, a [`CopiedTrack`] hands on packets that are never decoded. The caller pulls frames
//! with [`FileSource::next`] and pushes them, painted or not, in order, into [`FileSink::push`];
//! copied tracks follow the video by themselves. Launch descriptions live in `pipelines/*.toml`.
//!
//! Nothing here waits without a time limit, and nothing grows without a bound.

mod bus;
mod damage;
mod debug;
mod description;
mod elements;
mod error;
mod file_sink;
mod file_source;
mod frame;
pub mod live;
mod opening;
mod output;
mod scale;
mod tracks;

pub use description::Description;
pub use elements::{Codec, decoders, encoders};
pub use error::{ErrorKind, Result, VideoError};
pub use file_sink::{FileSink, SinkOptions, SinkSummary};
pub use file_source::{Canceller, FileSource, SourceInfo, SourceOptions, SourceSummary};
pub use frame::{Frame, FrameFormat, FrameMut, FramePool, FrameRead, Matrix, PixelFormat, Plane, PlaneMut, Range};
pub use scale::{Region, RgbScaler};
pub use tracks::{CopiedTrack, TrackInfo, TrackKind};

use std::sync::Once;

/// Where the frames of a recording come from. Live ones come from a [`LiveSource`](live::LiveSource).
pub trait Source: Send {
    /// What was found out when it was opened.
    fn info(&self) -> &SourceInfo;
    /// Lets the frames flow.
    fn start(&mut self) -> Result<()>;
    /// The next frame; `None` at the end or after a cancel.
    fn next(&mut self) -> Result<Option<Frame>>;
    /// A handle that ends [`next`](Self::next) from another thread.
    fn canceller(&self) -> Canceller;
    /// What happened, for the report at the end.
    fn summary(&self) -> SourceSummary;
}

/// Where frames go.
pub trait Sink: Send {
    /// Takes the next frame, in order. Waits while the encoder is busy.
    fn push(&mut self, frame: Frame) -> Result<()>;
    /// Ends the output properly: drained, whole, under its final name.
    fn finish(self: Box<Self>) -> Result<SinkSummary>;
}

/// Starts GStreamer; calling it again is free.
///
/// # Errors
/// When GStreamer is not installed properly.
pub fn init() -> Result<()> {
    gstreamer::init().map_err(|e| {
        VideoError::run(
            "GStreamer does not start",
            "install gstreamer1.0-plugins-base, -good, -bad, -ugly and gstreamer1.0-libav",
        )
        .because(e)
    })?;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        debug::start_log();
        damage::listen();
    });
    Ok(())
}
