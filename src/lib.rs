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
//! - [`classifier`]: a model file with its card, labels and preprocessing.
//! - [`engine`]: running it: the runtime library, devices, sessions, batching workers.
//! - [`video`]: GStreamer: sources, sinks, frames, copied tracks.
//! - [`paint`]: heat on pixels, in the frame's own YUV format.
//! - [`stream`]: one stream from source to sink: its order, its pace, its counters.
//! - [`monitor`]: many streams: configuration, metrics, service.
//!
//! Who may call whom: `cli → monitor → stream → {video, engine, paint}`, `engine → explain → onnx`.

pub mod classifier;
pub mod engine;
pub mod explain;
pub mod monitor;
pub mod onnx;
pub mod paint;
pub mod stream;
mod sync;
pub mod video;
