//! Pauses between attempts to reach a source.

use std::time::Duration;

/// How long to wait between attempts: the first pause, doubled each time, up to the longest; each
/// shortened at random so that a rack of cameras does not come back in step.
///
/// The longest pause is one second for good: pictures are to be back within two seconds of a camera's
/// return even after a night, and one knock per second costs neither side anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer than this.
    pub most: Duration,
    /// The share of a pause, 0 to 1, that chance may take off.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), most: Duration::from_secs(1), jitter: 0.3 }
    }
}

impl Retry {
    /// The pause after so many failures in a row (from 1); `chance` is between 0 and 1.
    pub(super) fn pause(&self, failures: u32, chance: f64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let taken = (self.jitter * chance).clamp(0.0, 1.0);
        doubled.min(self.most).mul_f64(1.0 - taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let retry = Retry::default();
        let pauses: Vec<_> = (1..=5).map(|n| retry.pause(n, 0.0).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 1000, 1000]);
        assert_eq!(retry.pause(u32::MAX, 0.0), Duration::from_secs(1));
        assert_eq!(retry.pause(2, 1.0), Duration::from_millis(350));
    }
}
