//! The newest map of a stream, for as long as it says anything about the picture.

use std::time::Duration;

use super::explainer::Explained;

/// A map older than this says nothing about the picture any more, unless maps come that seldom.
const STALE: Duration = Duration::from_secs(5);
/// So many times the usual time between maps, one is late and not only seldom.
const LATE: u32 = 3;

/// The map that came last, and how far apart they come.
#[derive(Default)]
pub(super) struct Newest {
    map: Option<Explained>,
    /// Between the last maps; of two, because the camera may have been away during one.
    gaps: [Option<Duration>; 2],
}

impl Newest {
    /// Takes a map in. Two workers may answer out of order; an older map never replaces a newer one.
    pub fn put(&mut self, explained: Explained) {
        if let Some(before) = &self.map {
            if explained.seq < before.seq {
                return;
            }
            // A picture that is explained anew says nothing about the pace.
            let gap = explained.pts.saturating_sub(before.pts);
            if !gap.is_zero() {
                self.gaps = [self.gaps[1], Some(gap)];
            }
        }
        self.map = Some(explained);
    }

    /// What is to be drawn on a picture that was `taken` then, and how old it is.
    pub fn on(&self, taken: Duration) -> Option<(&Explained, Duration)> {
        let usual = self.gaps.iter().flatten().min().copied().unwrap_or_default();
        let age = self.age(taken)?;
        self.map.as_ref().filter(|_| age <= STALE.max(LATE * usual)).map(|map| (map, age))
    }

    /// How old the map is, drawn or not; `None`: none has come.
    pub fn age(&self, taken: Duration) -> Option<Duration> {
        self.map.as_ref().map(|map| taken.saturating_sub(map.pts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(seconds: &[u64]) -> Newest {
        let mut newest = Newest::default();
        for &s in seconds {
            newest.put(Explained { seq: s, pts: Duration::from_secs(s), ..Explained::default() });
        }
        newest
    }

    fn drawn(newest: &Newest, at: u64) -> Option<u64> {
        newest.on(Duration::from_secs(at)).map(|(map, _)| map.seq)
    }

    #[test]
    fn a_map_goes_when_it_is_late_and_not_because_maps_are_seldom() {
        assert_eq!(drawn(&newest(&[]), 0), None);
        let quick = newest(&[0, 1, 2]);
        assert_eq!((drawn(&quick, 7), drawn(&quick, 8)), (Some(2), None));
        let seldom = newest(&[0, 10]);
        assert_eq!((drawn(&seldom, 40), drawn(&seldom, 41)), (Some(10), None));
        // An hour's absence is no rhythm.
        let away = newest(&[0, 1, 3601]);
        assert_eq!((drawn(&away, 3606), drawn(&away, 3607)), (Some(3601), None));
    }

    #[test]
    fn an_older_map_never_replaces_a_newer_one() {
        assert_eq!(drawn(&newest(&[3, 1]), 3), Some(3));
        assert_eq!(newest(&[3, 1, 3]).age(Duration::from_secs(5)), Some(Duration::from_secs(2)));
    }
}
