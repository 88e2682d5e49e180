//! Pictures that wait for a decoder that is slower than the camera.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::decode_time::decodes_pictures;
use crate::sync::lock;

/// A second, in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// A picture is late when it is so much older than the freshest of its connection was, and has caught up below the other.
const LATE: i64 = SECOND;
const CAUGHT_UP: i64 = SECOND / 2;

/// So long pictures may be late: what a network held up comes all at once, and is decoded faster than it was made.
const PATIENCE: i64 = SECOND;

/// What waited is gone long before this: pictures that are late even then are so by another clock.
const DRAINED: i64 = 2 * SECOND;

/// So long at most it is waited for a whole picture: a stream that is refreshed in strips never has another.
const LONGEST: i64 = 10 * SECOND;

/// How fresh pictures can be is known from so long, once and before: clocks drift, by 0.1 s in this time at worst.
const KNOWN: i64 = 600 * SECOND;

/// A step back of time by more than the order of pictures explains.
const STEP_BACK: i64 = SECOND;

/// Lets whole groups of pictures out in front of the decoder when too many wait there, and counts them. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Backlog {
    active: Arc<AtomicBool>,
    skipped: Arc<AtomicU64>,
}

impl Backlog {
    /// What is skipped is added to `skipped`. Nothing is before it is [`start`](Self::start)ed.
    pub fn new(skipped: &Arc<AtomicU64>) -> Self {
        Self { active: Arc::default(), skipped: Arc::clone(skipped) }
    }

    /// The source is live: it does not wait for those that look.
    pub fn start(&self) {
        self.active.store(true, Ordering::Relaxed);
    }

    /// Watches an element that may be a decoder of pictures.
    pub fn watch(&self, element: &gst::Element) {
        let Some(pad) = element.static_pad("sink").filter(|_| decodes_pictures(element)) else {
            return;
        };
        let (backlog, begun) = (self.clone(), Instant::now());
        let lateness = Mutex::new(Lateness::default());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
            let Some(gst::PadProbeData::Buffer(buffer)) = &mut probe.data else {
                return gst::PadProbeReturn::Ok;
            };
            if !backlog.active.load(Ordering::Relaxed) {
                return gst::PadProbeReturn::Ok;
            }
            let segment = pad.sticky_event::<gst::event::Segment>(0).map(|event| event.segment().clone());
            let segment = segment.as_ref().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
            let own = buffer.pts().and_then(|pts| segment?.to_running_time(pts));
            let own = own.map(|own| i64::try_from(own.nseconds()).unwrap_or(i64::MAX));
            let now = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
            let whole = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            match lock(&lateness).judge(own, now, whole) {
                Verdict::Pass => gst::PadProbeReturn::Ok,
                Verdict::Resume => {
                    buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
                    gst::PadProbeReturn::Ok
                }
                Verdict::Skip => {
                    backlog.skipped.fetch_add(1, Ordering::Relaxed);
                    // To drop it is to let go of it twice, in these bindings.
                    gst::PadProbeReturn::Handled
                }
            }
        });
    }
}

/// How late pictures are. All times in nanoseconds.
#[derive(Debug, Default)]
struct Lateness {
    /// The least that a picture's arrival was behind its own time: lately, and before that; and when lately began.
    least: Option<i64>,
    before: Option<i64>,
    since: i64,
    last: Option<i64>,
    late_since: Option<i64>,
    skipping_since: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    /// The first after a gap.
    Resume,
    Skip,
}

impl Lateness {
    /// Of a picture with a time of its `own` that came at `now`; a `whole` one needs no other.
    fn judge(&mut self, own: Option<i64>, now: i64, whole: bool) -> Verdict {
        let Some(own) = own else {
            return if self.skipping_since.is_some() { Verdict::Skip } else { Verdict::Pass };
        };
        let delay = now.saturating_sub(own);
        if self.last.replace(own).is_some_and(|last| own < last.saturating_sub(STEP_BACK)) {
            (self.least, self.before) = (None, None);
        }
        if now.saturating_sub(self.since) > KNOWN {
            (self.before, self.least, self.since) = (self.least, None, now);
        }
        let least = self.least.map_or(delay, |least| least.min(delay));
        self.least = Some(least);
        let late = delay.saturating_sub(self.before.map_or(least, |before| before.min(least)));
        let Some(since) = self.skipping_since else {
            self.late_since = (late > LATE).then(|| self.late_since.unwrap_or(now));
            if self.late_since.is_none_or(|since| now.saturating_sub(since) <= PATIENCE) {
                return Verdict::Pass;
            }
            (self.late_since, self.skipping_since) = (None, Some(now));
            return Verdict::Skip;
        };
        if late > CAUGHT_UP && now.saturating_sub(since) > DRAINED {
            (self.least, self.before) = (Some(delay), None);
        } else if late > CAUGHT_UP {
            return Verdict::Skip;
        }
        if !whole && now.saturating_sub(since) < LONGEST {
            return Verdict::Skip;
        }
        self.skipping_since = None;
        Verdict::Resume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// A camera of 25 pictures a second for `seconds`, each with `cost` in the decoder, a whole one in `group`: how many
    /// are decoded, and how old the oldest of them is in milliseconds. `clock` is what the camera says of its time.
    fn watched(seconds: i64, cost: i64, group: i64, clock: impl Fn(i64) -> i64) -> (usize, i64) {
        let (mut lateness, mut free, mut decoded, mut oldest) = (Lateness::default(), 0, 0, 0);
        for n in 0..25 * seconds {
            let made = 40 * n;
            let now = free.max(made);
            // What is skipped takes some time as well.
            free = now;
            if lateness.judge(Some(clock(made) * MS), now * MS, n % group == 0) != Verdict::Skip {
                free = now + cost;
                (decoded, oldest) = (decoded + 1, oldest.max(now - made));
            }
        }
        (decoded, oldest)
    }

    #[test]
    fn a_slow_decoder_sees_fewer_pictures_and_no_old_ones() {
        assert_eq!(watched(60, 39, 25, |t| t), (1500, 0));
        for group in [1, 25, 50] {
            let (decoded, oldest) = watched(60, 80, group, |t| t);
            assert!(oldest <= 2500, "{oldest} ms with groups of {group}");
            assert!((300..=800).contains(&decoded), "{decoded} with groups of {group}");
        }
    }

    #[test]
    fn a_camera_whose_clock_jumps_is_not_late() {
        assert_eq!(watched(60, 10, 25, |t| t + if t > 20_000 { 3_600_000 } else { 0 }), (1500, 0));
        assert_eq!(watched(60, 10, 25, |t| t + if t < 20_000 { 3_600_000 } else { 0 }), (1500, 0));
        // There and back: in steps too small to be seen as such, it is late until nothing can be waiting any more.
        let back = |t: i64| t + (3000 - (t - 20_000) / 2).clamp(0, 3000);
        let (decoded, _) = watched(60, 10, 25, back);
        assert!(decoded > 1300, "{decoded}");
    }

    #[test]
    fn a_stream_without_another_whole_picture_goes_on_all_the_same() {
        let (decoded, oldest) = watched(120, 50, i64::MAX, |t| t);
        assert!(decoded > 700 && oldest <= 2500, "{decoded}, {oldest} ms");
    }

    #[test]
    fn a_clock_that_drifts_is_not_late() {
        // 100 millionths, for a day.
        let mut lateness = Lateness::default();
        for n in 0..24 * 3600 {
            let (own, now) = (n * SECOND - n * SECOND / 10_000, n * SECOND);
            assert_eq!(lateness.judge(Some(own), now, n % 10 == 0), Verdict::Pass, "after {n} s");
        }
    }

    /// Five seconds of a network that holds everything up.
    #[test]
    fn what_comes_all_at_once_is_not_skipped() {
        let mut lateness = Lateness::default();
        for n in 0..500 {
            let made = 40 * n;
            let now = if made < 4000 { made } else { made.max(9000 + (made - 4000) / 20) };
            assert_eq!(lateness.judge(Some(made * MS), now * MS, n % 25 == 0), Verdict::Pass, "{made}");
        }
    }
}
