//! What a stream did, for the report at its end.

use std::time::Duration;

use crate::video::{SinkSummary, SourceSummary};

/// Where the time went. Reading, painting and writing each have their own thread, so these overlap.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageTimes {
    /// Waiting for the decoder.
    pub decode: Duration,
    /// Making the model's small pictures.
    pub view: Duration,
    /// The painter waiting for maps.
    pub wait: Duration,
    /// Painting.
    pub paint: Duration,
    /// Handing frames to the encoder, which waits while it is busy.
    pub encode: Duration,
}

/// How often a class was the most probable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassCount {
    pub class: usize,
    pub frames: u64,
}

/// What a stream did.
#[derive(Debug)]
pub struct Summary {
    pub frames_in: u64,
    pub frames_out: u64,
    /// Frames that could not be given a place in the output.
    pub dropped: u64,
    /// Frames in which no explained class had positive evidence.
    pub without_evidence: u64,
    /// Frames whose maps held values that are not numbers.
    pub not_finite: u64,
    /// From the first frame to the finished output.
    pub elapsed: Duration,
    pub stages: StageTimes,
    /// Most frequent first.
    pub classes: Vec<ClassCount>,
    /// Whether the user ended it early.
    pub interrupted: bool,
    pub source: SourceSummary,
    pub sink: SinkSummary,
}

impl Summary {
    /// Output frames per second of wall time.
    pub fn fps(&self) -> f64 {
        self.frames_out as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}
