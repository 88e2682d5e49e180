//! Pictures for the tests of painting: owned planes with odd strides and guard bytes.
#![allow(dead_code)] // each test file uses its own part

use gradcast::paint::*;

pub const GUARD: u8 = 0xA5;

#[derive(Clone, PartialEq)]
pub struct Canvas {
    pub format: YuvFormat,
    pub width: usize,
    pub height: usize,
    pub color: YuvColor,
    pub strides: Vec<usize>,
    pub data: Vec<Vec<u8>>,
}

impl Canvas {
    /// Every plane's stride is `extra` (plus its index) longer than its line; all bytes are guards.
    pub fn new(format: YuvFormat, width: usize, height: usize, color: YuvColor, extra: usize) -> Self {
        let (mut strides, mut data) = (Vec::new(), Vec::new());
        for plane in 0..format.planes() {
            let (line, lines) = format.plane_size(plane, width, height);
            let stride = line + extra + plane;
            strides.push(stride);
            data.push(vec![GUARD; stride * lines]);
        }
        Self { format, width, height, color, strides, data }
    }

    /// The same with noise over the whole range of code values.
    pub fn noise(format: YuvFormat, width: usize, height: usize, color: YuvColor, extra: usize) -> Self {
        let mut canvas = Self::new(format, width, height, color, extra);
        let mut state = 0x2545_F491u32;
        canvas.each(|value, _| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *value = (state >> 24) as u8;
        });
        canvas
    }

    /// One value in luma, one in chroma.
    pub fn flat(format: YuvFormat, width: usize, height: usize, luma: u8, chroma: u8) -> Self {
        let mut canvas = Self::new(format, width, height, YuvColor::default(), 0);
        canvas.each(|value, plane| *value = if plane == 0 { luma } else { chroma });
        canvas
    }

    fn each(&mut self, mut change: impl FnMut(&mut u8, usize)) {
        for plane in 0..self.format.planes() {
            let (line, lines) = self.format.plane_size(plane, self.width, self.height);
            for y in 0..lines {
                let at = y * self.strides[plane];
                self.data[plane][at..at + line].iter_mut().for_each(|value| change(value, plane));
            }
        }
    }

    pub fn picture(&self) -> Picture<'_> {
        let planes: Vec<(&[u8], usize)> =
            self.data.iter().map(Vec::as_slice).zip(self.strides.iter().copied()).collect();
        Picture::new(self.format, self.width, self.height, self.color, &planes).unwrap()
    }

    pub fn picture_mut(&mut self) -> PictureMut<'_> {
        let planes = self.data.iter_mut().map(Vec::as_mut_slice).zip(self.strides.iter().copied());
        PictureMut::new(self.format, self.width, self.height, self.color, planes).unwrap()
    }

    /// Component 0 (Y) at luma pixels, 1 and 2 (U, V) at chroma pixels.
    pub fn at(&self, component: usize, x: usize, y: usize) -> u8 {
        match (component, self.format) {
            (0, _) => self.data[0][y * self.strides[0] + x],
            (c, YuvFormat::I420) => self.data[c][y * self.strides[c] + x],
            (c, YuvFormat::Nv12) => self.data[1][y * self.strides[1] + 2 * x + c - 1],
        }
    }

    pub fn component_size(&self, component: usize) -> (usize, usize) {
        match component {
            0 => (self.width, self.height),
            _ => (self.width.div_ceil(2), self.height.div_ceil(2)),
        }
    }

    /// Every component of every pixel: `(component, x, y, value)`.
    pub fn samples(&self) -> impl Iterator<Item = (usize, usize, usize, u8)> + '_ {
        (0..3).flat_map(move |c| {
            let (width, height) = self.component_size(c);
            (0..height).flat_map(move |y| (0..width).map(move |x| (c, x, y, self.at(c, x, y))))
        })
    }

    /// Whether all bytes between the lines are still guards.
    pub fn guards_stand(&self) -> bool {
        (0..self.format.planes()).all(|plane| {
            let (line, _) = self.format.plane_size(plane, self.width, self.height);
            self.data[plane].chunks(self.strides[plane]).all(|row| row[line..].iter().all(|&byte| byte == GUARD))
        })
    }
}

/// A canvas of the painter's output size for `source`.
pub fn output(painter: &Painter, source: &Canvas, classes: usize, extra: usize) -> Canvas {
    let (width, height) = painter.output_size(source.width, source.height, classes);
    Canvas::new(source.format, width, height, source.color, extra)
}

pub fn heat(values: &[f32], width: usize, region: Region) -> Heat<'_> {
    Heat { values, width, height: values.len() / width, region, label: "", probability: None }
}

/// The plain look: no words.
pub fn look(style: Style, opacity: f32) -> Look {
    Look { style, opacity, label: false, normalize: Normalize::Frame, ..Look::default() }
}

/// A bumpy map whose least value is 0 and whose largest is 1.
pub fn bumps(width: usize, height: usize) -> Vec<f32> {
    let raw: Vec<f32> = (0..width * height)
        .map(|i| {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            (x * 1.3 + 0.4).sin() + (y * 0.9 - x * 0.4).cos() + 0.3 * (x * y * 0.7).sin()
        })
        .collect();
    let least = raw.iter().copied().fold(f32::MAX, f32::min);
    let most = raw.iter().copied().fold(f32::MIN, f32::max);
    raw.iter().map(|value| (value - least) / (most - least)).collect()
}

/// Bilinear interpolation written down as its definition (half-pixel centres, border repeated), in `f64`.
pub fn bilinear(values: &[f32], width: usize, u: f64, v: f64) -> f64 {
    let height = values.len() / width;
    let at = |x: f64, y: f64| {
        let x = x.clamp(0.0, (width - 1) as f64) as usize;
        let y = y.clamp(0.0, (height - 1) as f64) as usize;
        f64::from(values[y * width + x])
    };
    let (x, y) = (u - 0.5, v - 0.5);
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let (x, y) = (x.floor(), y.floor());
    (at(x, y) * (1.0 - fx) + at(x + 1.0, y) * fx) * (1.0 - fy)
        + (at(x, y + 1.0) * (1.0 - fx) + at(x + 1.0, y + 1.0) * fx) * fy
}

/// Where a sample of a component lies, in luma pixels; the last chroma sample of an odd side stays inside the picture.
pub fn centre(canvas: &Canvas, component: usize, x: usize, y: usize) -> (f64, f64) {
    let (x, y) = (x as f64, y as f64);
    let (cx, cy) = match (component, canvas.color.site) {
        (0, _) => (x + 0.5, y + 0.5),
        (_, ChromaSite::Left) => (2.0 * x + 0.5, 2.0 * y + 1.0),
        (_, ChromaSite::Centre) => (2.0 * x + 1.0, 2.0 * y + 1.0),
        (_, ChromaSite::TopLeft) => (2.0 * x + 0.5, 2.0 * y + 0.5),
    };
    (cx.min(canvas.width as f64 - 0.5), cy.min(canvas.height as f64 - 0.5))
}

/// Heat at a sample, or none outside the region.
pub fn naive_heat(canvas: &Canvas, map: &Heat, component: usize, x: usize, y: usize) -> Option<f64> {
    let (px, py) = centre(canvas, component, x, y);
    let Region { x, y, width, height } = map.region;
    if !(x..x + width).contains(&px) || !(y..y + height).contains(&py) {
        return None;
    }
    let u = (px - x) / width * map.width as f64;
    let v = (py - y) / height * map.height as f64;
    Some(bilinear(map.values, map.width, u, v))
}
