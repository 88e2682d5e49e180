//! A small RGB copy of a frame for the model, in two steps: the planes are scaled to the target
//! size as they are, and only the few pixels that are left are turned into RGB.

use std::ffi::c_void;

use opencv::core::{CV_8UC1, CV_8UC2, Mat, Size};
use opencv::imgproc;
use opencv::prelude::*;

use super::error::{Result, VideoError};
use super::frame::{FrameFormat, FrameRead, Matrix, PixelFormat, Plane, Range};

/// A part of a frame, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Width, at least 1.
    pub width: usize,
    /// Height, at least 1.
    pub height: usize,
}

impl Region {
    /// All of a frame.
    pub fn whole(format: &FrameFormat) -> Self {
        Self { x: 0, y: 0, width: format.width(), height: format.height() }
    }
}

/// Halvings at most; 2¹² is beyond any picture.
const LEVELS: usize = 12;

/// Makes small RGB copies; keeps its scratch memory from frame to frame. One per thread.
#[derive(Default)]
pub struct RgbScaler {
    planes: [Mat; 3],
    /// Each plane at half, a quarter, … of its size.
    levels: [[Vec<u8>; LEVELS]; 3],
}

impl RgbScaler {
    /// A scaler without scratch memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Scales `region` of a frame to `width`×`height` pixels of packed RGB (R, G, B bytes, rows
    /// without padding, full range). Shrinking averages, enlarging interpolates linearly. The region of the chroma planes is rounded outwards to whole samples.
    ///
    /// `rgb` is resized to `width · height · 3`.
    ///
    /// # Errors
    /// When the region is empty or reaches beyond the frame, or the target is empty.
    pub fn scale(
        &mut self,
        frame: &FrameRead<'_>,
        region: Region,
        width: usize,
        height: usize,
        rgb: &mut Vec<u8>,
    ) -> Result<()> {
        let format = frame.format();
        if region.width == 0
            || region.height == 0
            || region.x + region.width > format.width()
            || region.y + region.height > format.height()
            || width == 0
            || height == 0
        {
            return Err(VideoError::run(
                format!(
                    "{region:?} of a frame of {}×{} cannot be scaled to {width}×{height}",
                    format.width(),
                    format.height()
                ),
                "check the model's input size",
            ));
        }
        let chroma = halved(region);
        let failed = |e: opencv::Error| {
            VideoError::run(
                format!("OpenCV cannot scale a frame to {width}×{height}"),
                "check the installed OpenCV (libopencv-imgproc)",
            )
            .because(e)
        };
        let scratch = self.planes.iter_mut().zip(&mut self.levels);
        for (index, (target, levels)) in scratch.enumerate().take(format.pixels().planes()) {
            let plane = frame.plane(index);
            let size = (width, height);
            match (index, format.pixels()) {
                (0, _) => shrink::<1>(plane, region, size, levels, target),
                (_, PixelFormat::I420) => shrink::<1>(plane, chroma, size, levels, target),
                (_, PixelFormat::Nv12) => shrink::<2>(plane, chroma, size, levels, target),
            }
            .map_err(failed)?;
        }
        rgb.resize(width * height * 3, 0);
        let convert = Coefficients::new(format.matrix(), format.range());
        let [y, u, v] = &self.planes;
        let y = y.data_bytes().map_err(failed)?;
        let u = u.data_bytes().map_err(failed)?;
        let pixels = rgb.as_chunks_mut::<3>().0;
        match format.pixels() {
            PixelFormat::I420 => {
                let v = v.data_bytes().map_err(failed)?;
                for (((rgb, y), u), v) in pixels.iter_mut().zip(y).zip(u).zip(v) {
                    *rgb = convert.rgb(*y, *u, *v);
                }
            }
            PixelFormat::Nv12 => {
                for ((rgb, y), uv) in pixels.iter_mut().zip(y).zip(u.as_chunks::<2>().0) {
                    *rgb = convert.rgb(*y, uv[0], uv[1]);
                }
            }
        }
        Ok(())
    }
}

/// The chroma samples under a region of luma samples.
fn halved(region: Region) -> Region {
    let (x, y) = (region.x / 2, region.y / 2);
    Region {
        x,
        y,
        width: (region.x + region.width).div_ceil(2) - x,
        height: (region.y + region.height).div_ceil(2) - y,
    }
}

/// A picture plane that is only looked at: bytes, stride, samples across and down.
#[derive(Clone, Copy)]
struct View<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

/// Brings a part of a plane to `width`×`height` samples of `C` bytes.
///
/// Averaging over areas of a fractional size is slow, so each direction is halved (2 samples into
/// 1, rounded) while it stays at least as large as what is wanted; what is left is a factor below
/// two, averaged over areas again. An odd last row or column is
/// left out of a halving, which shifts nothing by more than one sample of the plane.
fn shrink<const C: usize>(
    plane: Plane<'_>,
    part: Region,
    (width, height): (usize, usize),
    levels: &mut [Vec<u8>; LEVELS],
    target: &mut Mat,
) -> opencv::Result<()> {
    let start = part.y * plane.stride + part.x * C;
    let mut view = View {
        data: plane.data.get(start..).unwrap_or_default(),
        stride: plane.stride,
        width: part.width,
        height: part.height,
    };
    view.check::<C>()?;
    for level in levels {
        let (across, down) = (view.width / 2 >= width, view.height / 2 >= height);
        if !across && !down {
            break;
        }
        view = view.halved::<C>(across, down, level);
    }
    // SAFETY: rows × stride lie within the slice (checked above, or made so by `halved`), and the
    // Mat, which is only read, does not outlive this function.
    let source = unsafe {
        Mat::new_rows_cols_with_data_unsafe(
            view.height as i32,
            view.width as i32,
            if C == 2 { CV_8UC2 } else { CV_8UC1 },
            view.data.as_ptr().cast::<c_void>().cast_mut(),
            view.stride,
        )?
    };
    let size = Size::new(width as i32, height as i32);
    // What is left is less than a factor of two, of a small picture: true areas are affordable here, and
    // what a linear step leaves out is enough to change a model's mind about a photo.
    let shrinks = view.width > width || view.height > height;
    let method = if shrinks { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    imgproc::resize(&source, target, size, 0.0, 0.0, method)
}

impl<'a> View<'a> {
    /// Whether all rows are there.
    fn check<const C: usize>(&self) -> opencv::Result<()> {
        let needed = self.stride * (self.height - 1) + self.width * C;
        if self.data.len() < needed || self.stride < self.width * C {
            return Err(opencv::Error::new(
                opencv::core::StsOutOfRange,
                format!("a plane holds {} bytes of {needed}", self.data.len()),
            ));
        }
        Ok(())
    }

    /// Averages pairs of samples across, down, or both.
    fn halved<const C: usize>(self, across: bool, down: bool, into: &'a mut Vec<u8>) -> Self {
        let width = if across { self.width / 2 } else { self.width };
        let height = if down { self.height / 2 } else { self.height };
        into.resize(width * C * height, 0);
        for (y, to) in into.chunks_exact_mut(width * C).enumerate() {
            let (first, second) = if down { (2 * y, 2 * y + 1) } else { (y, y) };
            let row = |y: usize| &self.data[y * self.stride..][..self.width * C];
            let (a, b) = (row(first), row(second));
            if !across {
                for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
                    *to = ((u16::from(*a) + u16::from(*b) + 1) >> 1) as u8;
                }
                continue;
            }
            match C {
                2 => quarter_pairs(to, a, b),
                _ => quarter(to, a, b),
            }
        }
        Self { data: into, stride: width * C, width, height }
    }
}

/// The rounded average of two samples above two. Whole words are taken apart with masks, which the
/// compiler turns into vector code where it would not for single bytes.
fn quarter(to: &mut [u8], a: &[u8], b: &[u8]) {
    let (a, b) = (a.as_chunks::<2>().0, b.as_chunks::<2>().0);
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        let (a, b) = (u16::from_le_bytes(*a), u16::from_le_bytes(*b));
        let sum = (a & 0xff) + (a >> 8) + (b & 0xff) + (b >> 8);
        *to = ((sum + 2) >> 2) as u8;
    }
}

/// The same for samples of two interleaved bytes.
fn quarter_pairs(to: &mut [u8], a: &[u8], b: &[u8]) {
    let (a, b) = (a.as_chunks::<4>().0, b.as_chunks::<4>().0);
    for ((to, a), b) in to.as_chunks_mut::<2>().0.iter_mut().zip(a).zip(b) {
        let (a, b) = (u32::from_le_bytes(*a), u32::from_le_bytes(*b));
        let u = (a & 0x00ff_00ff) + (b & 0x00ff_00ff);
        let v = ((a >> 8) & 0x00ff_00ff) + ((b >> 8) & 0x00ff_00ff);
        *to = [(((u & 0xffff) + (u >> 16) + 2) >> 2) as u8, (((v & 0xffff) + (v >> 16) + 2) >> 2) as u8];
    }
}

/// Fixed-point YUV → RGB, 16 fractional bits.
#[derive(Debug, Clone, Copy)]
struct Coefficients {
    y_offset: i32,
    y: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Coefficients {
    /// ITU-T H.273, equations 38 to 47, inverted.
    fn new(matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = matrix.kr_kb();
        let kg = 1.0 - kr - kb;
        let (y_offset, y, c) = match range {
            Range::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            Range::Full => (0, 1.0, 1.0),
        };
        let fixed = |x: f64| (x * 65536.0).round() as i32;
        Self {
            y_offset,
            y: fixed(y),
            red_v: fixed(c * 2.0 * (1.0 - kr)),
            green_u: fixed(-c * 2.0 * kb * (1.0 - kb) / kg),
            green_v: fixed(-c * 2.0 * kr * (1.0 - kr) / kg),
            blue_u: fixed(c * 2.0 * (1.0 - kb)),
        }
    }

    #[inline]
    fn rgb(&self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let y = (i32::from(y) - self.y_offset) * self.y + 32768;
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [y + self.red_v * v, y + self.green_u * u + self.green_v * v, y + self.blue_u * u]
            .map(|x| (x >> 16).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Colours, Frame, FramePool};
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    const CASES: [(Matrix, Range, &str); 6] = [
        (Matrix::Bt601, Range::Limited, "bt601"),
        (Matrix::Bt601, Range::Full, "1:4:0:0"),
        (Matrix::Bt709, Range::Limited, "bt709"),
        (Matrix::Bt709, Range::Full, "1:3:5:1"),
        (Matrix::Bt2020, Range::Limited, "bt2020"),
        (Matrix::Smpte240m, Range::Limited, "smpte240m"),
    ];

    /// Straight from the definition: R′G′B′ in 0..=1 from Y′, Pb, Pr.
    fn reference(matrix: Matrix, range: Range, yuv: [u8; 3]) -> [f64; 3] {
        let (kr, kb) = matrix.kr_kb();
        let [y, u, v] = yuv.map(f64::from);
        let (y, pb, pr) = match range {
            Range::Limited => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
            Range::Full => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
        };
        let r = y + pr * 2.0 * (1.0 - kr);
        let b = y + pb * 2.0 * (1.0 - kb);
        let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
        [r, g, b].map(|x| (x * 255.0).clamp(0.0, 255.0))
    }

    fn frame(format: &str, colorimetry: &str, (w, h): (usize, usize), seed: u64) -> Frame {
        super::super::init().unwrap();
        let caps = gstreamer::Caps::builder("video/x-raw")
            .field("format", format)
            .field("width", w as i32)
            .field("height", h as i32)
            .field("colorimetry", colorimetry)
            .field("framerate", gstreamer::Fraction::new(25, 1))
            .build();
        let format = Arc::new(FrameFormat::from_caps(&caps, &Colours::Caps).unwrap());
        let pool = FramePool::new(format.clone()).unwrap();
        let mut painted = pool.acquire().unwrap();
        let mut state = seed;
        for plane in painted.planes() {
            for byte in plane.data.iter_mut() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
        }
        let like = Frame::new(gstreamer::Buffer::new(), format, 0, Duration::ZERO, None);
        painted.finish(&like)
    }

    #[test]
    fn pixels_match_the_definition_in_every_matrix_and_range() {
        for (matrix, range, _) in CASES {
            let convert = Coefficients::new(matrix, range);
            for y in (0..=255).step_by(5) {
                for u in (0..=255).step_by(5) {
                    for v in (0..=255).step_by(5) {
                        let got = convert.rgb(y, u, v);
                        let want = reference(matrix, range, [y, u, v]);
                        for (got, want) in got.iter().zip(want) {
                            let off = (f64::from(*got) - want).abs();
                            assert!(off <= 0.51, "{matrix:?} {range:?} {y} {u} {v}: {off}");
                        }
                    }
                }
            }
        }
    }

    /// Area averages and conversion against f64, whole frames and regions, odd sizes, both layouts.
    #[test]
    fn scaled_copies_match_averages_in_floating_point() {
        let mut scaler = RgbScaler::new();
        let mut rgb = Vec::new();
        for (matrix, range, colorimetry) in CASES {
            for layout in ["I420", "NV12"] {
                // Powers of two: areas are whole blocks of samples.
                let frame = frame(layout, colorimetry, (64, 48), 7);
                let read = frame.read().unwrap();
                assert_eq!((read.format().matrix(), read.format().range()), (matrix, range));
                let part = Region { x: 16, y: 8, width: 32, height: 32 };
                scaler.scale(&read, part, 8, 8, &mut rgb).unwrap();
                assert_eq!(rgb.len(), 8 * 8 * 3);
                let mean = |plane: usize, step: usize, at: usize, x0, y0, n: usize| {
                    let p = read.plane(plane);
                    let sum: f64 = (0..n * n)
                        .map(|i| {
                            let (x, y) = (x0 + i % n, y0 + i / n);
                            f64::from(p.data[y * p.stride + x * step + at])
                        })
                        .sum();
                    sum / (n * n) as f64
                };
                for (i, got) in rgb.chunks(3).enumerate() {
                    let (x, y) = (i % 8, i / 8);
                    let (cx, cy) = (8 + x * 2, 4 + y * 2);
                    let luma = mean(0, 1, 0, 16 + x * 4, 8 + y * 4, 4);
                    let (u, v) = match layout {
                        "I420" => (mean(1, 1, 0, cx, cy, 2), mean(2, 1, 0, cx, cy, 2)),
                        _ => (mean(1, 2, 0, cx, cy, 2), mean(1, 2, 1, cx, cy, 2)),
                    };
                    // The planes are rounded to bytes before they are turned into RGB.
                    let bytes = [luma, u, v].map(|x| x.round() as u8);
                    let want = reference(matrix, range, bytes);
                    for (got, want) in got.iter().zip(want) {
                        let off = (f64::from(*got) - want).abs();
                        // One step of a plane is worth up to 2.2 steps of RGB.
                        assert!(off <= 2.8, "{layout} {colorimetry} {i}: {got} {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn odd_sizes_and_enlarging_work() {
        let mut scaler = RgbScaler::new();
        let mut rgb = Vec::new();
        for layout in ["I420", "NV12"] {
            let frame = frame(layout, "bt709", (427, 241), 3);
            let read = frame.read().unwrap();
            for (w, h) in [(1, 1), (224, 224), (427, 241), (600, 99), (1000, 1000)] {
                scaler.scale(&read, Region::whole(read.format()), w, h, &mut rgb).unwrap();
                assert_eq!(rgb.len(), w * h * 3);
            }
            let corner = Region { x: 426, y: 240, width: 1, height: 1 };
            scaler.scale(&read, corner, 3, 2, &mut rgb).unwrap();
            assert!(rgb.chunks(3).all(|p| p == &rgb[..3]));
        }
    }

    #[test]
    fn regions_outside_are_refused() {
        let frame = frame("I420", "bt709", (64, 48), 1);
        let read = frame.read().unwrap();
        let mut scaler = RgbScaler::new();
        let outside = Region { x: 1, y: 0, width: 64, height: 48 };
        let whole = Region::whole(read.format());
        assert!(scaler.scale(&read, outside, 8, 8, &mut Vec::new()).is_err());
        assert!(scaler.scale(&read, whole, 0, 8, &mut Vec::new()).is_err());
    }
}
