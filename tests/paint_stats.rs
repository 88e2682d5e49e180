//! Promise: a map's numbers are those of the map at full size.

#[path = "common/picture.rs"]
mod picture;

use gradcast::paint::*;
use picture::*;

struct Naive {
    most: f64,
    peak: [u32; 2],
    centroid: [f64; 2],
    area: f64,
}

fn naive(source: &Canvas, map: &Heat) -> Naive {
    let pixels: Vec<(usize, usize, f64)> = (0..source.height)
        .flat_map(|y| (0..source.width).map(move |x| (x, y)))
        .filter_map(|(x, y)| Some((x, y, naive_heat(source, map, 0, x, y)?)))
        .collect();
    let (px, py, most) = *pixels.iter().max_by(|a, b| a.2.total_cmp(&b.2)).unwrap();
    let mass: f64 = pixels.iter().map(|p| p.2).sum();
    let moment = |at: fn(&(usize, usize, f64)) -> usize| pixels.iter().map(|p| at(p) as f64 * p.2).sum::<f64>() / mass;
    let reached = pixels.iter().filter(|p| p.2 >= most * 0.5).count();
    Naive {
        most,
        peak: [px as u32, py as u32],
        centroid: [moment(|p| p.0), moment(|p| p.1)],
        area: reached as f64 / (source.width * source.height) as f64,
    }
}

#[test]
fn numbers_agree_with_the_full_size_map() {
    for (width, height) in [(320, 240), (427, 241), (1280, 720), (50, 70)] {
        let source = Canvas::flat(YuvFormat::I420, width, height, 128, 128);
        for (cells_x, cells_y) in [(7, 7), (14, 14), (2, 3), (1, 5), (56, 40)] {
            let values = bumps(cells_x, cells_y);
            for &fit in Fit::ALL {
                let region = fit.place((width, height), 1.0, (224, 224)).unwrap().map;
                let map = heat(&values, cells_x, region);
                let mut painter = Painter::new(look(Style::Blend, 0.5));
                let mut out = output(&painter, &source, 1, 0);
                let stats = painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap()[0];
                let wanted = naive(&source, &map);
                let context = format!("{width}x{height} {cells_x}x{cells_y} {fit}: {stats:?}");

                assert_eq!(stats.max, 1.0, "{context}");
                let [x, y] = stats.peak.unwrap().map(|v| v as usize);
                let at_peak = naive_heat(&source, &map, 0, x, y).unwrap();
                assert!(
                    at_peak >= wanted.most - 2e-5,
                    "{context}: {at_peak} at the peak, {} at {:?}",
                    wanted.most,
                    wanted.peak
                );
                let [cx, cy] = stats.centroid.unwrap();
                let off = (cx - wanted.centroid[0]).hypot(cy - wanted.centroid[1]);
                assert!(off < 0.01, "{context}: centroid is off by {off}");
                assert!((f64::from(stats.area) - wanted.area).abs() < 0.004, "{context}: area {}", wanted.area);
            }
        }
    }
}

#[test]
fn a_peak_on_the_border_is_told_at_its_cells_centre() {
    let mut values = [0.0; 49];
    values[0] = 2.5;
    let source = Canvas::flat(YuvFormat::I420, 700, 350, 128, 128);
    let map = heat(&values, 7, Region::whole(700, 350));
    let mut painter = Painter::new(look(Style::Blend, 0.5));
    let mut out = output(&painter, &source, 1, 0);
    let stats = painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap()[0];
    assert_eq!(stats.max, 2.5);
    let [x, y] = stats.peak.unwrap();
    assert!(x.abs_diff(49) <= 1 && y.abs_diff(24) <= 1, "{x},{y}");
}

#[test]
fn numbers_are_raw_whatever_the_scale_is() {
    let source = Canvas::flat(YuvFormat::I420, 200, 100, 128, 128);
    let (strong, weak): (Vec<f32>, Vec<f32>) = bumps(7, 7).into_iter().map(|v| (v * 30.0, v * 3.0)).unzip();
    let mut painter = Painter::new(Look { label: false, ..Look::default() });
    let mut out = output(&painter, &source, 1, 0);
    let region = Region::whole(200, 100);
    let [strong, weak] = [strong, weak].map(|values| {
        painter.paint(&source.picture(), &mut out.picture_mut(), &[heat(&values, 7, region)], Some(0)).unwrap()[0]
    });
    assert_eq!((strong.max, weak.max), (30.0, 3.0));
    assert_eq!(strong.peak, weak.peak);
    assert!((strong.area - weak.area).abs() < 1e-6);
}

#[test]
fn evidence_on_the_bars_alone_has_no_place_in_the_picture() {
    let mut values = [0.0; 49];
    values[3] = 1.0;
    let source = Canvas::noise(YuvFormat::I420, 320, 100, YuvColor::default(), 0);
    let region = Fit::Letterbox.place((320, 100), 1.0, (224, 224)).unwrap().map;
    let mut painter = Painter::new(look(Style::Blend, 0.5));
    let mut out = output(&painter, &source, 1, 0);
    let stats = painter.paint(&source.picture(), &mut out.picture_mut(), &[heat(&values, 7, region)], None).unwrap()[0];
    assert_eq!((stats.max, stats.peak, stats.centroid, stats.area), (1.0, None, None, 0.0));
    assert!(out == source, "nothing is painted");
}

#[test]
fn events_get_the_names_that_were_promised() {
    let stats =
        HeatStats { max: 3.2, peak: Some([641, 322]), centroid: Some([630.2, 318.9]), area: 0.5, not_finite: 0 };
    let json = serde_json::to_value(stats).unwrap();
    assert_eq!(json["peak"], serde_json::json!([641, 322]));
    assert_eq!(json["centroid"], serde_json::json!([630.2, 318.9]));
    assert_eq!(json["area"], 0.5);
}
