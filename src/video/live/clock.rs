//! The one clock of everything live: the times of frames mean the same in every pipeline.

use std::sync::LazyLock;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::video::frame::duration;

/// When this program began, on GStreamer's monotonic clock.
static EPOCH: LazyLock<gst::ClockTime> = LazyLock::new(|| gst::SystemClock::obtain().time());

/// Now, on the timeline of all live frames: the time since the program first asked.
pub fn now() -> Duration {
    let epoch = *EPOCH;
    duration(gst::SystemClock::obtain().time().saturating_sub(epoch))
}

/// How long the system has been running; its monotonic clock counts from there.
pub(super) fn up() -> Duration {
    duration(gst::SystemClock::obtain().time())
}

/// Makes a pipeline count its running time on the timeline of [`now`]: a buffer whose PTS is
/// `now()` is due at once, whenever the pipeline was started. To be called before it plays.
pub(crate) fn join(pipeline: &gst::Pipeline) {
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline.set_base_time(*EPOCH);
}
