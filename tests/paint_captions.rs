//! Promise: lines of words stand where nothing else does, at every size; a look changes while the stream runs; a missing
//! picture is stood for by a still that nobody takes for live.
//!
//! `GRADCAST_PICTURES=FOLDER` keeps the pictures for a look with one's own eyes.

#[path = "common/picture.rs"]
mod picture;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gradcast::engine::ClassMap;
use gradcast::paint::*;
use gradcast::stream::{Seen, StreamError};
use gradcast::video::{self, Frame, FrameFormat, FramePool, Matrix, PixelFormat};
use picture::*;

const SIZES: [(usize, usize); 7] =
    [(320, 240), (1280, 720), (3840, 2160), (240, 320), (321, 241), (48, 48), (16, 1000)];
const HELP: [&str; 6] = [
    "map 0.7 s old",
    "n p 1 x   next, previous, most probable, pinned class",
    "l layer   s style   c colours   + - opacity",
    "space pause   w snapshot",
    "h on the page 127.0.0.1:8080",
    "? closes this help",
];

/// A picture with edges and colours.
fn scene(format: YuvFormat, width: usize, height: usize) -> Canvas {
    let mut canvas = Canvas::new(format, width, height, YuvColor::default(), 0);
    for plane in 0..format.planes() {
        let (line, lines) = format.plane_size(plane, width, height);
        let stride = canvas.strides[plane];
        for y in 0..lines {
            for x in 0..line {
                let (u, v) = (x as f64 / line as f64, y as f64 / lines as f64);
                let value = match plane {
                    0 => 40.0 + 170.0 * u + 20.0 * (40.0 * v).sin(),
                    _ => 128.0 + 60.0 * (6.0 * (u - v) + plane as f64).sin(),
                };
                canvas.data[plane][y * stride + x] = value as u8;
            }
        }
    }
    canvas
}

/// Keeps a picture where the tester asked for it.
fn keep(canvas: &Canvas, name: &str) {
    let Some(folder) = std::env::var_os("GRADCAST_PICTURES") else { return };
    let mut rgb = Vec::with_capacity(canvas.width * canvas.height * 3);
    for (y, x) in (0..canvas.height).flat_map(|y| (0..canvas.width).map(move |x| (y, x))) {
        let [luma, u, v] = [canvas.at(0, x, y), canvas.at(1, x / 2, y / 2), canvas.at(2, x / 2, y / 2)].map(f64::from);
        let (luma, u, v) = ((luma - 16.0) * 1.164, u - 128.0, v - 128.0);
        rgb.extend(
            [luma + 1.596 * v, luma - 0.392 * u - 0.813 * v, luma + 2.017 * u].map(|c| c.clamp(0.0, 255.0) as u8),
        );
    }
    let file = std::fs::File::create(Path::new(&folder).join(format!("{name}.png"))).unwrap();
    let mut encoder = png::Encoder::new(file, canvas.width as u32, canvas.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&rgb).unwrap();
}

fn labelled(style: Style) -> Look {
    Look { style, ..Look::default() }
}

/// The smallest rectangle (left, top, right, bottom) of luma that differs, if any does.
fn changed(a: &Canvas, b: &Canvas) -> Option<(usize, usize, usize, usize)> {
    let mut bounds = None;
    for (x, y) in (0..a.height).flat_map(|y| (0..a.width).map(move |x| (x, y))) {
        if a.at(0, x, y) != b.at(0, x, y) {
            let (left, top, right, bottom) = bounds.unwrap_or((x, y, x, y));
            bounds = Some((left.min(x), top.min(y), right.max(x), bottom.max(y)));
        }
    }
    bounds
}

fn painted(painter: &mut Painter, source: &Canvas, maps: &[Heat], classes: usize, captions: &[&str]) -> Canvas {
    let mut out = output(painter, source, classes, 3);
    painter.paint_with(&source.picture(), &mut out.picture_mut(), maps, captions, Some(0)).unwrap();
    assert!(out.guards_stand(), "bytes between the lines were touched");
    out
}

#[test]
fn captions_stand_at_the_lower_left_and_cover_neither_label_nor_scale() {
    let values = bumps(7, 7);
    for format in [YuvFormat::I420, YuvFormat::Nv12] {
        for (width, height) in SIZES {
            let source = scene(format, width, height);
            let map = Heat {
                label: "golden retriever",
                probability: Some(0.87),
                ..heat(&values, 7, Region::whole(width, height))
            };
            for lines in [&HELP[..1], &HELP[..]] {
                let mut painter = Painter::new(labelled(Style::Blend));
                let without = painted(&mut painter, &source, &[map], 1, &[]);
                let with = painted(&mut painter, &source, &[map], 1, lines);
                keep(&with, &format!("captions-{width}x{height}-{}-{format:?}", lines.len()));
                let Some((left, top, right, bottom)) = changed(&without, &with) else {
                    assert!(width.min(height) < 100, "no caption at {width}x{height}");
                    continue;
                };
                assert!(left * 20 <= width.max(160) && right < width, "{width}x{height}: {left}..{right}");
                assert!(bottom * 4 >= height * 3 || lines.len() > 1, "{width}x{height}: {top}..{bottom}");
                if width.min(height) >= 240 {
                    // The label's box and the scale's, as they were painted alone.
                    let mut plain = Painter::new(Look { label: false, ..labelled(Style::Blend) });
                    let bare = painted(&mut plain, &source, &[map], 1, &[]);
                    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                        let drawn = without.at(0, x, y) != bare.at(0, x, y);
                        assert!(
                            !drawn || with.at(0, x, y) == without.at(0, x, y),
                            "{width}x{height}: words at {x},{y}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn without_a_map_the_picture_is_as_it_came_in_every_panel() {
    for (width, height) in [(320, 240), (321, 241)] {
        let source = scene(YuvFormat::I420, width, height);
        for (style, classes) in [(Style::Blend, 1), (Style::Fade, 2), (Style::SideBySide, 1), (Style::SideBySide, 3)] {
            let mut painter = Painter::new(labelled(style));
            let plain = painted(&mut painter, &source, &[], classes, &[]);
            assert_eq!((plain.width, plain.height), painter.output_size(width, height, classes));
            let pitch = if plain.width == width { width } else { width.next_multiple_of(2) };
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                for panel in 0..plain.width / pitch {
                    assert_eq!(plain.at(0, panel * pitch + x, y), source.at(0, x, y), "panel {panel} at {x},{y}");
                }
            }
            let with = painted(&mut painter, &source, &[], classes, &["waiting for the model"]);
            let (left, _, right, bottom) = changed(&plain, &with).unwrap();
            assert!(left < 20 && right < width && bottom > height * 3 / 4, "in the first panel only");
        }
    }
}

#[test]
fn odd_words_are_broken_cut_or_left_out_but_never_an_error() {
    let long = "word ".repeat(3000);
    let unbroken = "x".repeat(5000);
    let many = vec!["another line of help"; 500];
    let cases: Vec<Vec<&str>> = vec![
        vec![""],
        vec!["", "  ", "\n\t"],
        vec![&long],
        vec![&unbroken, "after it"],
        many,
        vec!["Grüße aus 東京", "🦀🦀🦀", "%s %n {} \0 \u{7f}"],
    ];
    for (width, height) in SIZES {
        let source = scene(YuvFormat::Nv12, width, height);
        for lines in &cases {
            let mut painter = Painter::new(labelled(Style::Blend));
            painted(&mut painter, &source, &[], 1, lines);
            let mut out = output(&painter, &source, 1, 3);
            painter.still(Some(&source.picture()), &mut out.picture_mut(), lines).unwrap();
            assert!(out.guards_stand());
        }
    }
}

#[test]
fn a_look_changes_between_two_frames_and_the_scale_goes_on() {
    let source = scene(YuvFormat::I420, 320, 240);
    let strong = bumps(7, 7);
    let weak: Vec<f32> = strong.iter().map(|value| value * 0.3).collect();
    let region = Region::whole(320, 240);
    let stream = Look { label: false, normalize: Normalize::Stream, ..Look::default() };
    for next in [
        Look { colormap: ColorMap::Viridis, ..stream },
        Look { opacity: 0.9, ..stream },
        Look { style: Style::Contour, ..stream },
        Look { style: Style::SideBySide, ..stream },
        Look { label: true, ..stream },
    ] {
        // A painter that always looked so, and one that is told between the frames.
        let mut always = Painter::new(next);
        let mut told = Painter::new(stream);
        painted(&mut always, &source, &[heat(&strong, 7, region)], 1, &[]);
        painted(&mut told, &source, &[heat(&strong, 7, region)], 1, &[]);
        told.set_look(next);
        assert_eq!(told.look(), &next);
        let (a, b) = [&mut always, &mut told].map(|p| painted(p, &source, &[heat(&weak, 7, region)], 1, &[])).into();
        assert!(a == b, "{next:?}");
        let mut fresh = Painter::new(next);
        assert!(
            painted(&mut fresh, &source, &[heat(&weak, 7, region)], 1, &[]) != b,
            "the scale was forgotten: {next:?}"
        );
    }

    // Another normalisation begins anew.
    let mut painter = Painter::new(Look { normalize: Normalize::Frame, ..stream });
    painted(&mut painter, &source, &[heat(&strong, 7, region)], 1, &[]);
    painter.set_look(stream);
    let mut fresh = Painter::new(stream);
    let weak = heat(&weak, 7, region);
    assert!(painted(&mut painter, &source, &[weak], 1, &[]) == painted(&mut fresh, &source, &[weak], 1, &[]));
}

#[test]
fn a_still_is_dark_and_says_why_in_its_middle() {
    let words = ["camera away since 12:03:22 UTC", "connection refused", "trying again in 4 s"];
    for (width, height) in SIZES {
        let source = scene(YuvFormat::I420, width, height);
        for style in [Style::Blend, Style::SideBySide] {
            let mut painter = Painter::new(labelled(style));
            let [mut silent, mut said, mut grey] = [(); 3].map(|()| output(&painter, &source, 1, 3));
            painter.still(Some(&source.picture()), &mut silent.picture_mut(), &[]).unwrap();
            painter.still(Some(&source.picture()), &mut said.picture_mut(), &words).unwrap();
            painter.still(None, &mut grey.picture_mut(), &words).unwrap();
            keep(&said, &format!("still-{width}x{height}-{style}"));
            keep(&grey, &format!("grey-{width}x{height}-{style}"));
            assert!(silent.guards_stand() && said.guards_stand() && grey.guards_stand());
            for (c, x, y, value) in silent.samples().filter(|&(c, x, ..)| x < source.component_size(c).0) {
                if y < source.component_size(c).1 {
                    let dark = if c == 0 { 16.0 } else { 128.0 };
                    let wanted = dark + (f64::from(source.at(c, x, y)) - dark) * 0.35;
                    assert!(
                        (f64::from(value) - wanted).abs() < 1.5,
                        "{width}x{height} {c} at {x},{y}: {value} for {wanted}"
                    );
                }
            }
            match changed(&silent, &said) {
                Some((left, top, right, bottom)) => {
                    let (middle, centre) = (left + right, top + bottom);
                    assert!(middle.abs_diff(said.width) <= 4 && centre.abs_diff(said.height) <= 4, "{width}x{height}");
                }
                None => assert!(width.min(height) < 100, "no words at {width}x{height}"),
            }
        }
    }
}

fn frame(format: &Arc<FrameFormat>, luma: u8, seq: u64) -> Frame {
    let mut canvas = FramePool::new(Arc::clone(format)).unwrap().acquire().unwrap();
    for (index, plane) in canvas.planes().into_iter().enumerate() {
        plane.data.fill(if index == 0 { luma } else { 128 });
    }
    canvas.finish_at(Duration::from_millis(seq * 40), None, seq)
}

fn corner(frame: &Frame) -> u8 {
    frame.read().unwrap().plane(0).data[0]
}

#[test]
fn a_stream_keeps_its_size_before_the_model_answers_and_while_the_camera_is_away() -> Result<(), StreamError> {
    video::init()?;
    let format = Arc::new(FrameFormat::live(320, 240, Some((25, 1)))?);
    assert_eq!((format.pixels(), format.matrix()), (PixelFormat::I420, Matrix::Bt709));
    for (style, size) in [(Style::Blend, (640, 240)), (Style::SideBySide, (960, 240))] {
        let mut seen = Seen::new(labelled(style), Fit::Stretch, (224, 224)).with_classes(2);
        assert_eq!(seen.size(&format), size);
        let size_of = |frame: &Frame| (frame.format().width(), frame.format().height());

        // No picture ever, a picture without a map, a map less than there is room for.
        let never = seen.still(None, &format, &["connecting", "rtsp://camera/1"])?;
        let (plain, none) = seen.paint_with(&frame(&format, 200, 1), &[], &[], &["waiting for the model"])?;
        let map = ClassMap { class: 3, probability: 0.8, map: ndarray::Array2::from_elem((7, 7), 1.0) };
        let (one, numbers) = seen.paint(&frame(&format, 200, 2), &[map], &["square".to_owned()])?;
        assert!(none.is_empty() && numbers.len() == 1);
        assert_eq!((corner(&plain), plain.seq(), plain.pts()), (200, 1, Duration::from_millis(40)));

        // The last picture may be painted or not; one of another kind counts as none.
        let painted = seen.still(Some(&one), &format, &["camera away since 12:03:22 UTC", "connection refused"])?;
        let raw = seen.still(Some(&frame(&format, 200, 7)), &format, &["camera away"])?;
        let other = Arc::new(FrameFormat::live(100, 100, None)?);
        let foreign = seen.still(Some(&frame(&other, 200, 8)), &format, &["camera away"])?;
        for frame in [&never, &plain, &one, &painted, &raw, &foreign] {
            assert_eq!(size_of(frame), size);
        }
        assert!(corner(&raw).abs_diff(80) <= 1, "16 + (200 - 16) * 0.35");
        assert_eq!(corner(&never), corner(&foreign));
        assert!(painted.pts() > one.pts() && raw.pts() > Duration::from_millis(280) && raw.seq() == 8);
        assert_eq!(raw.at(Duration::from_secs(9), None, 9).pts(), Duration::from_secs(9));

        let other = Look { opacity: 0.2, ..*seen.look() };
        seen.set_look(other);
        assert_eq!(seen.look(), &other);
    }
    Ok(())
}
