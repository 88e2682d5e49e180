//! The times of a source, brought onto the clock of all live frames.

use std::time::Duration;

/// Places a source's own time stamps on the timeline of [`now`](super::now): evenly spaced as the
/// source spaces them, not in the future (unless it is to be waited for), never long ago, and always rising, whatever comes.
///
/// A frame stands at the earliest moment that it, and the frames before it, could have been made
/// (the least delay seen so far): so a frame that the network held up still stands where it belongs.
/// Where that is further than the limit from when it came, the source's clock has jumped or drifted,
/// and time is taken from the arrival anew.
#[derive(Debug, Clone)]
pub struct Timeline {
    limit: Duration,
    /// How far in the future a frame may lie.
    ahead: Duration,
    /// A moment of the source's clock, and the same on ours.
    anchor: Option<(Duration, Duration)>,
    last: Option<Duration>,
    anchored: u64,
    /// Time is the source's own, however fast it comes.
    free: bool,
}

/// Frames are this far apart at least: the coarsest clock of any container ticks in milliseconds.
const LEAST_STEP: Duration = Duration::from_millis(1);

impl Timeline {
    /// A timeline that believes the source while its frames come no later than `limit` after the
    /// time that they claim.
    pub fn new(limit: Duration) -> Self {
        Self { limit, ahead: Duration::ZERO, anchor: None, last: None, anchored: 0, free: false }
    }

    /// A timeline for a file that is read as fast as it can be: only its beginning is ours.
    pub fn free() -> Self {
        Self { free: true, ..Self::new(Duration::ZERO) }
    }

    /// The place of a frame with the running time `pts` that came at `arrival`.
    pub fn place(&mut self, pts: Option<Duration>, arrival: Duration) -> Duration {
        let placed = pts.map_or(arrival, |pts| self.believed(pts, arrival));
        let placed = match self.last {
            Some(last) if placed < last + LEAST_STEP => last + LEAST_STEP,
            _ => placed,
        };
        self.last = Some(placed);
        placed
    }

    fn believed(&mut self, pts: Duration, arrival: Duration) -> Duration {
        if self.free {
            // Behind what there was already, when a file begins again.
            let begin = self.last.map_or(arrival, |last| last + LEAST_STEP);
            let (theirs, ours) = *self.anchor.get_or_insert((pts, begin));
            return (ours + pts).saturating_sub(theirs);
        }
        let earliest = arrival.saturating_sub(self.limit);
        if let Some((theirs, ours)) = self.anchor
            && let Some(placed) = (ours + pts).checked_sub(theirs)
            && (earliest..=arrival.saturating_add(self.ahead)).contains(&placed)
        {
            return placed;
        }
        self.anchor = Some((pts, arrival));
        self.anchored += 1;
        arrival
    }

    /// The source begins anew with another clock; ours goes on.
    pub fn restart(&mut self) {
        (self.anchor, self.ahead) = (None, Duration::ZERO);
    }

    /// The source does not pace itself, until it begins anew: its frames may lie so far in the future, and whoever takes
    /// them waits. What lies further is a jump of its clock.
    pub fn pace(&mut self, ahead: Duration) {
        self.ahead = ahead;
    }

    /// How often time was taken from the arrival of a frame.
    pub fn anchored(&self) -> u64 {
        self.anchored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// What comes out for (pts, arrival) in milliseconds.
    fn placed(frames: &[(Option<u64>, u64)]) -> Vec<u64> {
        let mut timeline = Timeline::new(ms(500));
        frames.iter().map(|&(pts, at)| timeline.place(pts.map(ms), ms(at)).as_millis() as u64).collect()
    }

    #[test]
    fn the_spacing_is_the_sources_own() {
        // The third frame was held up by 80 ms and is not late.
        let out = placed(&[(Some(0), 1000), (Some(40), 1040), (Some(80), 1160), (Some(120), 1161)]);
        assert_eq!(out, [1000, 1040, 1080, 1120]);
    }

    #[test]
    fn nothing_lies_in_the_future() {
        // A slow start: the first frame came 300 ms late, the rest in time.
        let out = placed(&[(Some(0), 1300), (Some(40), 1301), (Some(400), 1400), (Some(440), 1440)]);
        assert_eq!(out, [1300, 1301, 1400, 1440]);
    }

    #[test]
    fn jumps_are_mended() {
        assert_eq!(placed(&[(Some(0), 1000), (Some(9_000_000), 1040), (Some(9_000_040), 1080)]), [1000, 1040, 1080]);
        assert_eq!(placed(&[(Some(9_000_000), 1000), (Some(3), 1040), (Some(43), 1080)]), [1000, 1040, 1080]);
        // A small step back is no jump: time waits until the source has caught up.
        assert_eq!(placed(&[(Some(100), 1000), (Some(50), 1040), (Some(140), 1080)]), [1000, 1001, 1040]);
    }

    #[test]
    fn what_does_not_pace_itself_is_waited_for() {
        let mut timeline = Timeline::new(ms(500));
        timeline.pace(ms(1000));
        let mut place = |pts, at| timeline.place(Some(ms(pts)), ms(at)).as_millis();
        // The third lies too far in the future: its clock has jumped.
        assert_eq!([place(0, 100), place(40, 101), place(3080, 141), place(3120, 142)], [100, 140, 141, 181]);
        timeline.restart();
        let mut place = |pts, at| timeline.place(Some(ms(pts)), ms(at)).as_millis();
        assert_eq!([place(0, 1000), place(40, 1001)], [1000, 1001]);
    }

    #[test]
    fn a_file_read_fast_keeps_its_own_time() {
        let mut timeline = Timeline::free();
        let mut place = |pts, at| timeline.place(Some(ms(pts)), ms(at)).as_millis();
        assert_eq!([place(0, 100), place(40, 101), place(400, 102)], [100, 140, 500]);
        timeline.restart();
        let mut place = |pts, at| timeline.place(Some(ms(pts)), ms(at)).as_millis();
        assert_eq!([place(0, 103), place(40, 104)], [501, 541], "after a repetition");
    }

    #[test]
    fn missing_times_are_those_of_the_arrival() {
        assert_eq!(placed(&[(None, 1000), (None, 1040), (Some(7), 1080), (None, 1080)]), [1000, 1040, 1080, 1081]);
    }

    #[test]
    fn a_drifting_clock_is_followed() {
        // The source runs 1 % slow for ten minutes: never more than the limit behind.
        let mut timeline = Timeline::new(ms(500));
        for n in 0..15_000_u64 {
            let arrival = ms(n * 40);
            let placed = timeline.place(Some(ms(n * 40 * 99 / 100)), arrival);
            assert!(arrival.abs_diff(placed) <= ms(501), "{n}: {arrival:?} {placed:?}");
        }
        assert!((2..=20).contains(&timeline.anchored()), "{}", timeline.anchored());
    }

    #[test]
    fn it_rises_whatever_comes() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut timeline = Timeline::new(ms(500));
        let (mut arrival, mut last) = (ms(0), None);
        for _ in 0..20_000 {
            arrival += ms(random.u64(0..80));
            let pts = match random.u8(0..4) {
                0 => None,
                1 => Some(Duration::from_nanos(random.u64(..u64::MAX / 2))),
                _ => Some(arrival + ms(random.u64(0..30))),
            };
            if random.u8(0..50) == 0 {
                timeline.restart();
            }
            let placed = timeline.place(pts, arrival);
            assert!(last.is_none_or(|last| placed > last));
            last = Some(placed);
        }
    }
}
