//! Promise: the map lies exactly on what the model saw, for every fit.

use gradcast::paint::{Fit, PaintError, Region};

fn region(x: f64, y: f64, width: f64, height: f64) -> Region {
    Region { x, y, width, height }
}

#[test]
fn stretch_takes_the_whole_frame() {
    let place = Fit::Stretch.place((1921, 1080), 4.0 / 3.0, (224, 224)).unwrap();
    assert_eq!(place.source, Region::whole(1921, 1080));
    assert_eq!(place.inner, Region::whole(224, 224));
    assert_eq!(place.map, Region::whole(1921, 1080));
}

#[test]
fn crop_takes_the_middle_in_the_models_proportions() {
    let place = Fit::Crop.place((1920, 1080), 1.0, (224, 224)).unwrap();
    assert_eq!(place.source, region(420.0, 0.0, 1080.0, 1080.0));
    assert_eq!((place.map, place.inner), (place.source, Region::whole(224, 224)));
    assert_eq!(Fit::Crop.place((720, 1280), 1.0, (224, 224)).unwrap().map, region(0.0, 280.0, 720.0, 720.0));
    // Pixels that are 16/15 as wide as high: 720 x 576 shows as 768 x 576.
    assert_eq!(Fit::Crop.place((720, 576), 16.0 / 15.0, (224, 224)).unwrap().map, region(90.0, 0.0, 540.0, 576.0));
    // What is cut is even, and the whole of an odd side stays whole.
    assert_eq!(Fit::Crop.place((427, 241), 1.0, (224, 224)).unwrap().map, region(92.0, 0.0, 242.0, 241.0));
    assert_eq!(Fit::Crop.place((241, 241), 1.0, (224, 224)).unwrap().map, Region::whole(241, 241));
}

#[test]
fn letterbox_reaches_beyond_the_frame() {
    let place = Fit::Letterbox.place((1920, 1080), 1.0, (224, 224)).unwrap();
    assert_eq!(place.source, Region::whole(1920, 1080));
    assert_eq!(place.inner, region(0.0, 49.0, 224.0, 126.0));
    assert_eq!(place.map, region(0.0, -420.0, 1920.0, 1920.0));
    let place = Fit::Letterbox.place((100, 300), 1.0, (224, 224)).unwrap();
    assert_eq!(place.inner, region(74.0, 0.0, 75.0, 224.0));
    // A point of the frame is in the same place whether it goes by the input or by the map.
    let by_input = place.inner.x + 25.0 / 100.0 * place.inner.width;
    let by_map = (25.0 - place.map.x) / place.map.width * 224.0;
    assert!((by_input - by_map).abs() < 1e-9);
}

#[test]
fn rectangles_stay_inside_for_every_shape() {
    for fit in Fit::ALL {
        for frame in [(1, 1), (1, 5000), (5000, 1), (3, 2), (641, 361), (7680, 4320)] {
            for input in [(1, 1), (224, 224), (299, 299), (320, 64)] {
                for aspect in [0.1, 1.0, 1.4545] {
                    let place = fit.place(frame, aspect, input).unwrap();
                    for (inside, (width, height)) in [(place.source, frame), (place.inner, input)] {
                        assert!(inside.x >= 0.0 && inside.y >= 0.0 && inside.width >= 1.0 && inside.height >= 1.0);
                        assert!(inside.x + inside.width <= width as f64 && inside.y + inside.height <= height as f64);
                        let whole = [inside.x, inside.y, inside.width, inside.height].iter().all(|v| v.fract() == 0.0);
                        assert!(whole, "{inside:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_fits_nothing() {
    for (frame, aspect, input) in
        [((0, 1), 1.0, (1, 1)), ((1, 1), 0.0, (1, 1)), ((1, 1), f64::NAN, (1, 1)), ((1, 1), 1.0, (1, 0))]
    {
        assert!(matches!(Fit::Crop.place(frame, aspect, input), Err(PaintError::Fit { .. })));
    }
}

#[test]
fn names_are_what_people_type() {
    assert_eq!("Letterbox".parse::<Fit>().unwrap(), Fit::Letterbox);
    let error = "zoom".parse::<Fit>().unwrap_err().to_string();
    assert_eq!(error, "unknown fit `zoom`: use one of stretch, crop, letterbox");
    assert_eq!(serde_json::to_string(&gradcast::paint::Style::SideBySide).unwrap(), "\"side-by-side\"");
    assert_eq!(serde_json::from_str::<Fit>("\"crop\"").unwrap(), Fit::Crop);
}
