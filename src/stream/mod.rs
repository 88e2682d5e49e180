//! One stream: video → engine → paint → video; its order, its pace, its counters.
//!
//! ```text
//!              ┌── frames (bounded, in order) ─────────────────┐
//! feed thread ─┤                                               ├─► painter: waits for each frame's outcome ─► sink
//!              └── jobs ──► engine ──► outcomes (any order) ───┘
//! ```

mod annotate;
mod error;
mod events;
pub mod live;
mod look;
mod summary;

pub use annotate::{AnnotateOptions, annotate};
pub use error::StreamError;
pub use events::{EventLog, FrameEvent};
pub use look::{Seen, Viewer, picture_of};
pub use summary::{ClassCount, StageTimes, Summary};
