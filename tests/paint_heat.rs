//! Promise: what is painted is the bilinear map through the colour table, to the last code value or two, on every
//! 8-bit 4:2:0 picture; what is not painted is the original, bit for bit.

#[path = "common/picture.rs"]
mod picture;

use gradcast::paint::*;
use picture::*;

const FORMATS: [YuvFormat; 2] = [YuvFormat::I420, YuvFormat::Nv12];

fn colors() -> impl Iterator<Item = YuvColor> {
    let matrices = [YuvMatrix::Bt601, YuvMatrix::Bt709, YuvMatrix::Bt2020];
    let ranges = [YuvRange::Full, YuvRange::Limited];
    let sites = [ChromaSite::Left, ChromaSite::Centre, ChromaSite::TopLeft];
    matrices
        .into_iter()
        .flat_map(move |matrix| ranges.into_iter().map(move |range| (matrix, range)))
        .zip(sites.into_iter().cycle())
        .map(|((matrix, range), site)| YuvColor { matrix, range, site })
}

/// Paints one map and compares every sample with the sum written in floating point.
fn compare(source: &Canvas, map: &Heat, look: Look, allowed: f64) {
    let mut painter = Painter::new(look);
    let mut out = output(&painter, source, 1, 5);
    painter.paint(&source.picture(), &mut out.picture_mut(), &[*map], None).unwrap();
    assert!(out.guards_stand(), "bytes between the lines were touched");
    let table = ColorTable::new(look.colormap, source.color).unwrap();
    for (c, x, y, value) in out.samples() {
        let original = f64::from(source.at(c, x, y));
        let Some(heat) = naive_heat(source, map, c, x, y) else {
            assert_eq!(value, source.at(c, x, y), "component {c} at {x},{y} lies outside the region");
            continue;
        };
        let share = if look.style == Style::Fade { fade(heat as f32) } else { 1.0 };
        let alpha = f64::from(look.opacity * share);
        let wanted = original * (1.0 - alpha) + f64::from(table.at(heat as f32)[c]) * alpha;
        let off = (f64::from(value) - wanted).abs();
        assert!(
            off <= allowed,
            "{look:?} {}x{} {:?} component {c} at {x},{y}: {value}, wanted {wanted:.2}",
            source.width,
            source.height,
            source.format
        );
    }
}

#[test]
fn every_format_range_and_odd_size_agrees_with_the_definition() {
    let values = bumps(7, 5);
    for format in FORMATS {
        for color in colors() {
            for (width, height) in [(160, 120), (161, 121), (427, 241), (33, 200), (67, 1301)] {
                let source = Canvas::noise(format, width, height, color, 3);
                let map = heat(&values, 7, Region::whole(width, height));
                for style in [Style::Blend, Style::Fade] {
                    compare(&source, &map, look(style, 0.5), 1.9);
                }
            }
        }
    }
}

#[test]
fn every_colour_map_and_opacity_agrees() {
    let values = bumps(14, 14);
    let source = Canvas::noise(YuvFormat::Nv12, 320, 240, YuvColor::default(), 0);
    let map = heat(&values, 14, Region::whole(320, 240));
    for &colormap in ColorMap::ALL {
        for opacity in [0.1, 0.35, 0.7, 1.0] {
            // At full opacity a step of the look-up counts whole: jet climbs a code value from step to step.
            // 0.5 for rounding, 0.5 for the opacity in 256ths, 0.6 for the chord between key rows.
            compare(&source, &map, Look { colormap, ..look(Style::Blend, opacity) }, 1.0 + f64::from(opacity));
        }
    }
}

#[test]
fn maps_of_every_shape_agree() {
    let source = Canvas::noise(YuvFormat::I420, 97, 65, YuvColor::default(), 1);
    for (width, height) in [(2, 1), (1, 2), (2, 2), (3, 50), (65, 4), (130, 97)] {
        let values = bumps(width, height);
        compare(&source, &heat(&values, width, Region::whole(97, 65)), look(Style::Blend, 0.5), 1.6);
    }
}

#[test]
fn crop_paints_its_region_and_nothing_else() {
    let values = bumps(7, 7);
    for format in FORMATS {
        for (width, height) in [(320, 180), (181, 320)] {
            let source = Canvas::noise(format, width, height, YuvColor::default(), 2);
            let place = Fit::Crop.place((width, height), 1.0, (224, 224)).unwrap();
            for style in [Style::Blend, Style::Fade] {
                compare(&source, &heat(&values, 7, place.map), look(style, 0.6), 1.6);
            }
        }
    }
}

#[test]
fn letterbox_cuts_away_what_fell_on_the_bars() {
    let values = bumps(7, 7);
    for (width, height) in [(320, 180), (180, 320), (321, 99)] {
        let source = Canvas::noise(YuvFormat::I420, width, height, YuvColor::default(), 2);
        let place = Fit::Letterbox.place((width, height), 1.0, (224, 224)).unwrap();
        assert!(place.map.x < 0.0 || place.map.y < 0.0);
        compare(&source, &heat(&values, 7, place.map), look(Style::Blend, 0.6), 1.6);
    }
}

#[test]
fn a_region_of_fractions_paints_the_pixels_whose_centres_lie_in_it() {
    let values = bumps(5, 6);
    let source = Canvas::noise(YuvFormat::Nv12, 120, 90, YuvColor::default(), 2);
    let region = Region { x: 10.3, y: -4.6, width: 70.9, height: 60.2 };
    compare(&source, &heat(&values, 5, region), look(Style::Blend, 0.5), 1.5);
    let beyond = Region { x: 500.0, y: 0.0, width: 10.0, height: 10.0 };
    compare(&source, &heat(&values, 5, beyond), look(Style::Blend, 0.5), 0.0);
}

#[test]
fn fade_leaves_what_is_cold_bit_for_bit() {
    // The large picture goes by key rows, the small one line by line.
    for (format, (width, height)) in FORMATS.into_iter().flat_map(|f| [(213, 161), (1001, 1203)].map(|size| (f, size)))
    {
        let values: Vec<f32> = bumps(7, 7).iter().map(|v| (v * 1.5 - 0.5).max(0.0)).collect();
        let source = Canvas::noise(format, width, height, YuvColor::default(), 2);
        let map = heat(&values, 7, Region::whole(width, height));
        let mut painter = Painter::new(look(Style::Fade, 1.0));
        let mut out = output(&painter, &source, 1, 0);
        painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap();
        let (mut cold, mut warm) = (0, 0);
        for (c, x, y, value) in out.samples() {
            if naive_heat(&source, &map, c, x, y).unwrap() < f64::from(FADE_COLD) {
                assert_eq!(value, source.at(c, x, y));
                cold += 1;
            } else {
                warm += usize::from(value != source.at(c, x, y));
            }
        }
        assert!(cold > 1000 && warm > 1000, "{cold} cold, {warm} warm");
    }
}

#[test]
fn no_opacity_is_the_original_and_full_opacity_is_the_table() {
    let values = bumps(7, 7);
    for format in FORMATS {
        for &style in Style::ALL {
            let source = Canvas::noise(format, 121, 81, YuvColor::default(), 2);
            let map = heat(&values, 7, Region::whole(121, 81));
            let mut painter = Painter::new(look(style, 0.0));
            let mut out = output(&painter, &source, 1, 3);
            painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap();
            let left = if style == Style::SideBySide { 122 } else { 0 };
            for (c, x, y, value) in source.samples() {
                let left = if c == 0 { left } else { left / 2 };
                assert_eq!(out.at(c, x + left, y), value, "{style}");
            }
            assert!(out.guards_stand());
        }
    }
    let black = Canvas::flat(YuvFormat::I420, 64, 64, 16, 128);
    let white = Canvas::flat(YuvFormat::I420, 64, 64, 235, 128);
    let map = heat(&values, 7, Region::whole(64, 64));
    let painted = [black, white].map(|source| {
        let mut painter = Painter::new(look(Style::Blend, 1.0));
        let mut out = output(&painter, &source, 1, 0);
        painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap();
        out
    });
    assert!(painted[0] == painted[1], "at opacity 1 nothing of the picture is left");
}

#[test]
fn contours_touch_only_the_neighbourhood_of_their_levels() {
    let values = bumps(7, 7);
    for format in FORMATS {
        let source = Canvas::noise(format, 641, 361, YuvColor::default(), 2);
        let map = heat(&values, 7, Region::whole(641, 361));
        let mut painter = Painter::new(look(Style::Contour, 0.5));
        let mut out = output(&painter, &source, 1, 4);
        painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap();
        assert!(out.guards_stand());
        let table = ColorTable::new(ColorMap::Turbo, source.color).unwrap();
        let (mut touched, mut on_line) = (0, 0);
        for y in 1..source.height - 1 {
            for x in 1..source.width - 1 {
                let at = |x, y| naive_heat(&source, &map, 0, x, y).unwrap();
                let heat = at(x, y);
                let (level, away) = LEVELS
                    .iter()
                    .map(|&level| (level, (heat - f64::from(level)).abs()))
                    .min_by(|a, b| a.1.total_cmp(&b.1))
                    .unwrap();
                let slope = f64::hypot(at(x + 1, y) - at(x - 1, y), at(x, y + 1) - at(x, y - 1)) / 2.0;
                let value = out.at(0, x, y);
                // A line has a width of 1.5 pixels here and edges of 0.75: beyond four pixels all is untouched.
                if away > 4.0 * slope.max(2e-2) {
                    assert_eq!(value, source.at(0, x, y), "at {x},{y}");
                } else if away < 0.1 * slope && slope > 3e-3 {
                    assert!(
                        (f32::from(value) - table.at(level)[0]).abs() < 2.0,
                        "at {x},{y}: {value} on level {level}"
                    );
                    on_line += 1;
                }
                touched += usize::from(value != source.at(0, x, y));
            }
        }
        assert!(on_line > 200, "{on_line} samples on lines");
        assert!(touched < source.width * source.height / 8, "{touched} samples touched");
    }
}

#[test]
fn panels_stand_side_by_side_and_an_odd_edge_repeats() {
    let (first, second) = (bumps(7, 7), bumps(5, 5));
    for format in FORMATS {
        for (width, height) in [(64, 48), (63, 47)] {
            let source = Canvas::noise(format, width, height, YuvColor::default(), 1);
            let region = Region::whole(width, height);
            let maps = [heat(&first, 7, region), heat(&second, 5, region)];
            let alone = maps.map(|map| {
                let mut painter = Painter::new(look(Style::Blend, 0.5));
                let mut out = output(&painter, &source, 1, 0);
                painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap();
                out
            });
            let mut painter = Painter::new(look(Style::SideBySide, 0.5));
            let mut out = output(&painter, &source, 2, 3);
            assert_eq!((out.width, out.height), (192, 48));
            let stats = painter.paint(&source.picture(), &mut out.picture_mut(), &maps, None).unwrap();
            assert!(out.guards_stand());
            for (panel, wanted) in [&source, &alone[0], &alone[1]].into_iter().enumerate() {
                for (c, x, y, value) in wanted.samples() {
                    let left = if c == 0 { panel * 64 } else { panel * 32 };
                    assert_eq!(out.at(c, left + x, y), value, "panel {panel}");
                }
                assert_eq!(out.at(0, panel * 64 + 63, 0), wanted.at(0, width - 1, 0));
                assert_eq!(out.at(0, panel * 64, 47), wanted.at(0, 0, height - 1));
                assert_eq!(out.at(0, panel * 64 + 63, 47), wanted.at(0, width - 1, height - 1));
            }
            assert!((64..128).contains(&stats[0].peak.unwrap()[0]));
            assert!((128..192).contains(&stats[1].peak.unwrap()[0]));
        }
    }
}

#[test]
fn panels_without_a_map_show_the_picture() {
    let source = Canvas::noise(YuvFormat::I420, 64, 48, YuvColor::default(), 1);
    let mut painter = Painter::new(look(Style::Blend, 0.5));
    let mut out = output(&painter, &source, 2, 3);
    assert!(painter.paint(&source.picture(), &mut out.picture_mut(), &[], None).unwrap().is_empty());
    for (c, x, y, value) in source.samples() {
        assert_eq!(out.at(c, x, y), value);
        assert_eq!(out.at(c, x + if c == 0 { 64 } else { 32 }, y), value);
    }
}

#[test]
fn no_positive_evidence_paints_nothing() {
    let source = Canvas::noise(YuvFormat::Nv12, 64, 48, YuvColor::default(), 1);
    for &style in Style::ALL {
        for values in [[0.0; 4], [-1.0, -2.0, 0.0, -0.5], [f32::NAN; 4], [f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0]]
        {
            let mut painter = Painter::new(Look { label: false, style, ..Look::default() });
            let mut out = output(&painter, &source, 1, 0);
            let map = heat(&values, 2, Region::whole(64, 48));
            let stats = painter.paint(&source.picture(), &mut out.picture_mut(), &[map], Some(5)).unwrap();
            assert_eq!((stats[0].max, stats[0].peak, stats[0].area), (0.0, None, 0.0));
            assert_eq!(stats[0].not_finite, values.iter().filter(|v| !v.is_finite()).count());
            let left = out.width - 64;
            for (c, x, y, value) in source.samples() {
                assert_eq!(out.at(c, x + if c == 0 { left } else { left / 2 }, y), value);
            }
        }
    }
}

#[test]
fn values_that_are_not_finite_count_as_none_and_are_told() {
    let source = Canvas::noise(YuvFormat::I420, 90, 70, YuvColor::default(), 1);
    let mut values = bumps(7, 7);
    let mut painter = Painter::new(look(Style::Blend, 0.5));
    for (i, bad) in [(3, f32::NAN), (11, f32::INFINITY), (30, f32::NEG_INFINITY)] {
        values[i] = bad;
    }
    let cleaned: Vec<f32> = values.iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
    let [dirty, clean] = [&values, &cleaned].map(|values| {
        let mut out = output(&painter, &source, 1, 0);
        let map = heat(values, 7, Region::whole(90, 70));
        let stats = painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap();
        (out, stats)
    });
    assert!(dirty.0 == clean.0);
    assert_eq!(dirty.1[0].not_finite, 3);
    assert_eq!(HeatStats { not_finite: 0, ..dirty.1[0] }, clean.1[0]);
}

#[test]
fn tiny_gradients_paint_like_large_ones() {
    let source = Canvas::noise(YuvFormat::I420, 90, 70, YuvColor::default(), 1);
    let values = bumps(7, 7);
    let painted = [1.0f32, 1e-12, 1e-30, 1e30].map(|factor| {
        let values: Vec<f32> = values.iter().map(|v| v * factor).collect();
        let mut painter = Painter::new(look(Style::Blend, 1.0));
        let mut out = output(&painter, &source, 1, 0);
        let map = heat(&values, 7, Region::whole(90, 70));
        painter.paint(&source.picture(), &mut out.picture_mut(), &[map], None).unwrap();
        out
    });
    for other in &painted[1..] {
        for (c, x, y, value) in painted[0].samples() {
            assert!(value.abs_diff(other.at(c, x, y)) <= 2);
        }
    }
}

#[test]
fn the_smallest_pictures_and_maps_do_no_harm() {
    for format in FORMATS {
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (17, 1)] {
            let source = Canvas::noise(format, width, height, YuvColor::default(), 1);
            for &style in Style::ALL {
                for (cells_x, cells_y) in [(1, 1), (1, 3), (3, 1), (7, 7)] {
                    let values: Vec<f32> = (0..cells_x * cells_y).map(|i| i as f32).collect();
                    for map in Fit::ALL.iter().map(|fit| fit.place((width, height), 1.0, (224, 224)).unwrap().map) {
                        let mut painter = Painter::new(Look { style, ..Look::default() });
                        let mut out = output(&painter, &source, 2, 2);
                        let map = heat(&values, cells_x, map);
                        painter.paint(&source.picture(), &mut out.picture_mut(), &[map, map], None).unwrap();
                        assert!(out.guards_stand());
                    }
                }
            }
        }
    }
}

#[test]
fn what_does_not_belong_together_is_an_error_that_says_so() {
    let bytes = vec![0u8; 64 * 48 * 3 / 2];
    let picture = |width, height, planes: &[(&[u8], usize)]| {
        Picture::new(YuvFormat::I420, width, height, YuvColor::default(), planes).map(|_| ()).unwrap_err()
    };
    assert!(matches!(picture(0, 48, &[]), PaintError::Size { .. }));
    assert!(matches!(picture(64, 48, &[(&bytes, 64)]), PaintError::Planes { wanted: 3, found: 1, .. }));
    let short = [(&bytes[..64 * 47], 64), (&bytes[..], 32), (&bytes[..], 32)];
    assert!(matches!(picture(64, 48, &short), PaintError::Plane { plane: 0, .. }));
    let narrow = [(&bytes[..], 64), (&bytes[..], 31), (&bytes[..], 32)];
    assert!(matches!(picture(64, 48, &narrow), PaintError::Plane { plane: 1, .. }));
    let huge = [(&bytes[..], usize::MAX), (&bytes[..], 32), (&bytes[..], 32)];
    assert!(matches!(picture(64, 48, &huge), PaintError::Plane { plane: 0, .. }));

    let source = Canvas::noise(YuvFormat::I420, 64, 48, YuvColor::default(), 0);
    let values = bumps(7, 7);
    let good = heat(&values, 7, Region::whole(64, 48));
    let mut painter = Painter::new(Look::default());
    let mut paint = |mut out: Canvas, maps: &[Heat]| {
        painter.paint(&source.picture(), &mut out.picture_mut(), maps, None).map(|_| ()).unwrap_err()
    };
    let same = || Canvas::new(YuvFormat::I420, 64, 48, YuvColor::default(), 0);
    let other = Canvas::new(YuvFormat::Nv12, 64, 48, YuvColor::default(), 0);
    assert!(matches!(paint(other, &[good]), PaintError::Mismatch { what: "format" }));
    let full = YuvColor { range: YuvRange::Full, ..YuvColor::default() };
    assert!(matches!(paint(Canvas::new(YuvFormat::I420, 64, 48, full, 0), &[good]), PaintError::Mismatch { .. }));
    let wrong = Canvas::new(YuvFormat::I420, 64, 50, YuvColor::default(), 0);
    assert!(matches!(paint(wrong, &[good]), PaintError::Output { .. }));
    assert!(matches!(paint(same(), &[good, good]), PaintError::Panels { maps: 2, panels: 1 }));
    assert!(matches!(paint(same(), &[Heat { width: 8, ..good }]), PaintError::Map { values: 49, .. }));
    assert!(matches!(paint(same(), &[Heat { width: 0, height: 0, values: &[], ..good }]), PaintError::Map { .. }));
    for region in [Region { width: 0.0, ..good.region }, Region { x: f64::NAN, ..good.region }] {
        assert!(matches!(paint(same(), &[Heat { region, ..good }]), PaintError::Region { .. }));
    }
}
