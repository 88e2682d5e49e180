//! Promise: the scale of the heat is held over time, so that colours do not pump and an unsure frame does not glow.

use gradcast::paint::{HALF_LIFE, LONG_SHARE, Normalize, Scale, Span};

const SECOND: u64 = 1_000_000_000;

#[test]
fn per_frame_is_the_reference() {
    let mut scale = Scale::new(Normalize::Frame);
    for (min, max) in [(0.0f32, 4.0f32), (1.0, 3.0), (0.0, 2e-9)] {
        let span = scale.update(min, max, Some(0));
        for part in [0.0f32, 0.25, 0.5, 1.0] {
            let value = min + (max - min) * part;
            assert!((span.heat(value) - part).abs() < 1e-6, "{span:?} {part}");
        }
    }
    // pytorch-grad-cam: (v - min) / (1e-7 + max(v - min)).
    let span = scale.update(0.5, 2.5, None);
    assert!((span.heat(1.3) - 0.8 / (1e-7 + 2.0)).abs() < 1e-6);
}

#[test]
fn no_range_is_no_heat() {
    for span in [Span { floor: 0.0, top: 0.0 }, Span { floor: 3.0, top: 3.0 }, Span { floor: 3.0, top: 3.000_000_2 }] {
        assert_eq!(span.heat(3.0), 0.0);
    }
    assert_eq!(Span { floor: 0.0, top: f32::MIN_POSITIVE / 1e3 }.heat(1e-40), 0.0);
    assert_eq!(Span { floor: 0.0, top: 1.0 }.heat(7.0), 1.0);
    assert_eq!(Span { floor: 0.0, top: 1.0 }.heat(-7.0), 0.0);
}

#[test]
fn a_stronger_map_counts_at_once_and_a_weaker_one_stays_weak() {
    let mut scale = Scale::new(Normalize::Stream);
    assert_eq!(scale.update(0.0, 1.0, Some(0)).top, 1.0);
    assert_eq!(scale.update(0.0, 5.0, Some(SECOND / 25)).top, 5.0);
    let span = scale.update(0.0, 0.5, Some(2 * SECOND / 25));
    assert!(span.heat(0.5) < 0.11, "an unsure frame does not glow");
}

#[test]
fn half_of_the_distance_is_given_up_in_a_half_life_however_many_frames_it_has() {
    let run = |frames: u64| {
        let mut scale = Scale::new(Normalize::Stream);
        scale.update(2.0, 9.0, Some(0));
        let end = HALF_LIFE * SECOND as f64;
        (1..=frames).map(|i| scale.update(1.0, 5.0, Some((end * i as f64 / frames as f64) as u64))).last().unwrap()
    };
    for frames in [1, 7, 90, 360] {
        let span = run(frames);
        assert!((span.top - 7.0).abs() < 1e-3, "{frames} frames: {span:?}");
        // The floor falls at once.
        assert_eq!(span.floor, 1.0);
    }
}

#[test]
fn the_floor_rises_smoothly() {
    let mut scale = Scale::new(Normalize::Stream);
    scale.update(0.0, 10.0, Some(0));
    let span = scale.update(4.0, 10.0, Some((HALF_LIFE * SECOND as f64) as u64));
    assert!((span.floor - 2.0).abs() < 1e-4, "{span:?}");
}

#[test]
fn colours_do_not_pump() {
    let mut scale = Scale::new(Normalize::Stream);
    let mut before: Option<f32> = None;
    for frame in 0u64..300 {
        let max = if frame % 2 == 0 { 4.0 } else { 2.0 };
        let top = scale.update(0.0, max, Some(frame * SECOND / 30)).top;
        if let Some(before) = before {
            assert!((top / before - 1.0).abs() < 0.006, "frame {frame}: {before} to {top}");
        }
        before = Some(top);
    }
}

#[test]
fn noise_after_a_long_silence_does_not_glow() {
    let mut scale = Scale::new(Normalize::Stream);
    scale.update(0.0, 8.0, Some(0));
    for second in 1..=20 {
        scale.update(0.0, 0.0, Some(second * SECOND));
    }
    let span = scale.update(0.0, 0.05, Some(20 * SECOND));
    assert!(span.top > 8.0 * LONG_SHARE * 0.5 && span.heat(0.05) < 0.05, "{span:?}");
}

#[test]
fn time_may_stand_still_run_back_or_be_missing() {
    let mut scale = Scale::new(Normalize::Stream);
    scale.update(0.0, 8.0, Some(10 * SECOND));
    assert_eq!(scale.update(0.0, 1.0, Some(10 * SECOND)).top, 8.0);
    assert_eq!(scale.update(0.0, 1.0, Some(SECOND)).top, 8.0);
    let untimed = scale.update(0.0, 1.0, None).top;
    assert!(untimed < 8.0 && untimed > 7.9);
    assert!(scale.update(0.0, 1.0, Some(u64::MAX)).top <= untimed);
    scale.reset();
    assert_eq!(scale.update(0.0, 1.0, Some(0)).top, 1.0);
}
