//! Gradcast shows, live on moving pictures, what an image classifier looks at.
//!
//! ```text
//! source pipeline ──appsink──► engine: forward + gradient ──► paint, in order ──appsrc──► sink pipeline
//!   (video)                      (engine ◄ explain ◄ onnx)      (paint)                     (video)
//!        └───────────── sound, subtitles: packets copied, never decoded ─────────────────────┘
//! ```
//!
//! - [`onnx`]: what an ONNX file is: schema, loading with limits, graph arena, shape folding.
//! - [`explain`]: what Grad-CAM is: a classifier in, a classifier that explains itself out.
//! - [`video`]: GStreamer: sources, sinks, frames, copied tracks.
//! - [`paint`]: heat on pixels, in the frame's own YUV format.
//!
//! Who may call whom: `cli → stream → {video, engine, paint}`, `engine → explain → onnx`.

pub mod explain;
pub mod onnx;
pub mod paint;
pub mod video;
