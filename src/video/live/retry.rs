//! Pauses between attempts to reach a source.

use std::time::Duration;

use super::reason::Reason;

/// How long to wait between attempts: the first pause, doubled each time, up to the longest; each
/// shortened at random so that a rack of cameras does not come back in step.
///
/// The longest pause is one second for good: pictures are to be back within two seconds of a camera's
/// return even after a night, and one knock per second costs neither side anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer than this, or than the first.
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
        doubled.min(self.most.max(self.first)).mul_f64(1.0 - taken)
    }
}

/// Failures in a row that are met with the same pauses: a night of refused connections makes nothing of the one refused
/// password after it.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    pauses: Option<(Duration, Duration)>,
    count: u32,
}

impl Setbacks {
    /// The pause after one more failure.
    pub fn pause(&mut self, reason: Reason, usual: &Retry, chance: f64) -> Duration {
        let pauses = reason.pauses();
        self.count = if pauses == self.pauses { self.count.saturating_add(1) } else { 1 };
        self.pauses = pauses;
        let (first, most) = pauses.unwrap_or((usual.first, usual.most));
        Retry { first, most, ..*usual }.pause(self.count, chance)
    }

    /// Pictures came: whoever was refused before is not any more.
    pub fn let_in(&mut self) {
        if self.pauses.is_some() {
            *self = Self::default();
        }
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

    #[test]
    fn no_pause_is_shorter_than_the_first() {
        let retry = Retry { first: Duration::from_secs(5), ..Retry::default() };
        assert_eq!([1, 9].map(|n| retry.pause(n, 0.0).as_secs()), [5, 5]);
    }

    #[test]
    fn refusals_of_a_password_are_counted_by_themselves() {
        let (usual, mut setbacks) = (Retry::default(), Setbacks::default());
        let mut pauses = |reasons: &[Reason]| -> Vec<u128> {
            reasons.iter().map(|reason| setbacks.pause(*reason, &usual, 0.0).as_millis()).collect()
        };
        use Reason::{Refused, Timeout, Unauthorised};
        assert_eq!(pauses(&[Refused, Timeout, Refused, Refused, Refused]), [250, 500, 1000, 1000, 1000]);
        assert_eq!(pauses(&[Unauthorised, Unauthorised, Unauthorised]), [10_000, 20_000, 40_000]);
        assert_eq!(pauses(&[Refused, Unauthorised]), [250, 10_000]);
        setbacks.let_in();
        assert_eq!(setbacks.pause(Unauthorised, &usual, 0.0), Duration::from_secs(10));
    }
}
