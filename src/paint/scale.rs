//! From raw map values to heat between 0 and 1, steady over time.

use super::named::named;

/// What the heat of a frame is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Normalize {
    /// The strongest evidence that the stream has shown lately, so that colours do not pump and an unsure frame stays cool.
    #[default]
    Stream,
    /// The frame's own maximum, as pytorch-grad-cam does: every frame glows.
    Frame,
}
named!(Normalize, "normalisation", { Stream => "stream", Frame => "frame" });

/// Seconds after which half of the distance to a weaker map is given up.
pub const HALF_LIFE: f64 = 3.0;
/// The long memory's half-life, in seconds.
pub const LONG_HALF_LIFE: f64 = 30.0;
/// The scale never sinks below this share of the long memory.
pub const LONG_SHARE: f32 = 0.25;
/// The step assumed, in seconds, where a frame has no time.
const UNTIMED_STEP: f64 = 0.04;
/// A range below this share of the maximum is rounding noise of `f32`, not evidence.
const NOISE: f32 = 1e-6;

/// The raw values that are drawn as heat 0 and heat 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Raw value of heat 0.
    pub floor: f32,
    /// Raw value of heat 1.
    pub top: f32,
}

impl Span {
    /// `(value - floor) / (top - floor)`, held between 0 and 1.
    ///
    /// The reference divides by `1e-7 + max`, which wipes out maps whose gradients are small (a saturated or a
    /// half-precision model): here the guard is relative. A range within rounding noise (`1e-6` of the top) is 0.
    #[inline]
    pub fn heat(self, value: f32) -> f32 {
        self.factor().map_or(0.0, |factor| ((value - self.floor) * factor).clamp(0.0, 1.0))
    }

    /// `1 / (top - floor)`, or none where there is no range.
    pub(super) fn factor(self) -> Option<f32> {
        let range = self.top - self.floor;
        let factor = 1.0 / range;
        // A subnormal range has no finite inverse; such a map carries no information either.
        (range > NOISE * self.top && factor.is_finite()).then_some(factor)
    }
}

#[derive(Debug, Clone, Copy)]
struct Held {
    span: Span,
    long: f32,
    pts: Option<u64>,
}

/// The scale of one class slot over time: a pure state machine.
///
/// With [`Normalize::Frame`], a map with minimum `m` and maximum `M` spans `m..M`.
///
/// With [`Normalize::Stream`], at a step of `Δt` seconds:
///
/// ```text
/// d     = 2^(-Δt / 3 s)              D = 2^(-Δt / 30 s)
/// long  = max(M, M + (long  - M)·D)
/// top   = max(M, M + (top   - M)·d, long / 4)       attack at once, release smoothly
/// floor = min(m, m + (floor - m)·d)                 the same, mirrored
/// heat  = clamp((value - floor) / (top - floor), 0, 1)
/// ```
///
/// So a stronger map is never clipped, a weaker one is drawn weaker and warms up over seconds, and after a long time
/// without evidence noise still does not glow, because the long memory keeps a quarter of what was seen.
/// Time that runs backwards (a loop, a seek) counts as no time; a frame without time counts as 40 ms.
#[derive(Debug, Clone)]
pub struct Scale {
    normalize: Normalize,
    held: Option<Held>,
}

impl Scale {
    /// A scale that has seen nothing.
    pub fn new(normalize: Normalize) -> Self {
        Self { normalize, held: None }
    }

    /// Takes in a map's raw minimum and maximum (finite, at least 0) at `pts` nanoseconds and tells the span to draw it with.
    pub fn update(&mut self, min: f32, max: f32, pts: Option<u64>) -> Span {
        let now = Span { floor: min, top: max };
        if self.normalize == Normalize::Frame {
            return now;
        }
        let Some(held) = self.held else {
            self.held = Some(Held { span: now, long: max, pts });
            return now;
        };
        let step = match (held.pts, pts) {
            (Some(before), Some(now)) => now.saturating_sub(before) as f64 * 1e-9,
            _ => UNTIMED_STEP,
        };
        let keep = |half_life: f64| (-step / half_life).exp2() as f32;
        let toward = |from: f32, to: f32, keep: f32| to + (from - to) * keep;
        let long = max.max(toward(held.long, max, keep(LONG_HALF_LIFE)));
        let short = toward(held.span.top, max, keep(HALF_LIFE));
        let span = Span {
            floor: min.min(toward(held.span.floor, min, keep(HALF_LIFE))),
            top: max.max(short).max(long * LONG_SHARE),
        };
        self.held = Some(Held { span, long, pts: pts.or(held.pts) });
        span
    }

    /// Forgets what was seen: the next map is drawn as the first.
    pub fn reset(&mut self) {
        self.held = None;
    }
}
