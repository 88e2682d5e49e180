//! What is counted of a live stream. The monitor exports it; without one it costs a few atomics.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Counters of one stream; clones count into the same.
#[derive(Debug, Clone)]
pub struct Meters {
    /// Frames that came from the source.
    pub frames_in: Counter,
    /// Frames that went to the outputs, stills included.
    pub frames_out: Counter,
    /// Frames with a map of their own.
    pub explained: Counter,
    /// Frames painted with an older frame's map.
    pub reused: Counter,
    /// Frames the model never saw because a newer one came.
    pub superseded: Counter,
    /// Frames that found no room in the encoder.
    pub encoder_behind: Counter,
    /// Runs of the model that failed.
    pub failed: Counter,
    /// Stills shown while the source was away.
    pub stills: Counter,
    /// Events that were not written: their file was too slow, or failed.
    pub events_lost: Counter,
    /// 1 while the source is there.
    pub up: Gauge,
    /// Seconds since the source gave a picture; −1: it never has, or the stream has ended.
    pub quiet: Gauge,
    /// Frames of this stream that are with the model.
    pub under_way: Gauge,
    /// Age of the map that is drawn, seconds.
    pub map_age: Histogram,
    /// From a frame's arrival to its being painted and handed to the outputs, seconds.
    pub delay: Histogram,
    /// Seconds per frame: in the decoder, making the model's picture, from submission to the map, painting, handing to the outputs,
    /// from there to the encoded packet.
    pub decode: Histogram,
    pub view: Histogram,
    pub model: Histogram,
    pub paint: Histogram,
    pub output: Histogram,
    pub encode: Histogram,
}

impl Default for Meters {
    fn default() -> Self {
        // From a quarter of a millisecond to eight seconds.
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        let meters = Self {
            frames_in: Counter::default(),
            frames_out: Counter::default(),
            explained: Counter::default(),
            reused: Counter::default(),
            superseded: Counter::default(),
            encoder_behind: Counter::default(),
            failed: Counter::default(),
            stills: Counter::default(),
            events_lost: Counter::default(),
            up: Gauge::default(),
            quiet: Gauge::default(),
            under_way: Gauge::default(),
            map_age: seconds(),
            delay: seconds(),
            decode: seconds(),
            view: seconds(),
            model: seconds(),
            paint: seconds(),
            output: seconds(),
            encode: seconds(),
        };
        meters.rest();
        meters
    }
}

impl Meters {
    /// What tells how a stream is, where none runs. What counts goes on when it starts again.
    pub(crate) fn rest(&self) {
        self.up.set(0);
        self.quiet.set(-1);
        self.under_way.set(0);
    }
}

/// Counts a stage's time since `started`.
pub(super) fn since(histogram: &Histogram, started: std::time::Instant) -> Duration {
    let elapsed = started.elapsed();
    histogram.observe(elapsed.as_secs_f64());
    elapsed
}
