//! The self-test of `gradcast doctor`: draws a shape and has the built-in model explain it.

use gradcast::classifier::{Classifier, ModelFlags};
use gradcast::engine::{Device, Input, Session, SessionOptions};
use opencv::core::{CV_8UC3, Mat, Point, Scalar};
use opencv::imgproc;
use opencv::prelude::*;

/// What is drawn, and what the model must call it.
const SHAPE: &str = "triangle";

/// Runs the built-in model on the CPU.
///
/// # Errors
/// In words, what is not as it should be.
pub fn run() -> Result<String, String> {
    let model =
        Classifier::load(None, &ModelFlags::default()).and_then(Classifier::prepare).map_err(|e| e.to_string())?;
    let mut session =
        Session::start(&model.bytes, &SessionOptions { device: Device::Cpu, threads: 1 }).map_err(|e| e.to_string())?;
    let (width, height) = session.frame_size();
    let drawing = draw(width as i32, height as i32).map_err(|e| e.to_string())?;
    let results = session.run(&[Input { frame: &drawing, classes: &[-1] }]).map_err(|e| e.to_string())?;
    let explanation = results.first().ok_or("no result")?;
    let top = explanation.top(1).first().copied().ok_or("no classes")?;
    let name = model.labels.name(top.class);
    if name != SHAPE {
        return Err(format!("a drawn {SHAPE} was called {name}"));
    }
    let map = &explanation.maps.first().ok_or("no map")?.map;
    let ((y, x), peak) = map.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).ok_or("an empty map")?;
    let share = |cell: usize, cells: usize| (cell as f64 + 0.5) / cells as f64;
    let (x, y) = (share(x, map.ncols()), share(y, map.nrows()));
    let on_shape = (LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y);
    if *peak <= 0.0 || !on_shape {
        return Err(format!("the heat of a drawn {SHAPE} is not on it but at {x:.2}, {y:.2}"));
    }
    Ok(format!("a drawn {SHAPE} is called {name} ({:.0} %), and the heat lies on it", 100.0 * top.probability))
}

/// The box of the shape, in shares of the picture.
const LEFT: f64 = 0.1;
const TOP: f64 = 0.3;
const RIGHT: f64 = 0.55;
const BOTTOM: f64 = 0.8;

/// A dark outline on light paper, left of the middle: packed RGB.
fn draw(width: i32, height: i32) -> opencv::Result<Vec<u8>> {
    let mut picture = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::new(228.0, 224.0, 214.0, 0.0))?;
    let at = |x: f64, y: f64| Point::new((x * f64::from(width)) as i32, (y * f64::from(height)) as i32);
    let corners = [at((LEFT + RIGHT) / 2.0, TOP), at(RIGHT, BOTTOM), at(LEFT, BOTTOM)];
    let (ink, thickness) = (Scalar::new(30.0, 40.0, 90.0, 0.0), (width / 40).max(2));
    for index in 0..corners.len() {
        let (from, to) = (corners[index], corners[(index + 1) % corners.len()]);
        imgproc::line(&mut picture, from, to, ink, thickness, imgproc::LINE_AA, 0)?;
    }
    Ok(picture.data_bytes()?.to_vec())
}
