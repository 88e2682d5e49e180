//! A small map laid over a big picture: which cells a pixel lies between, and a map row stretched to a picture line.

use super::{ChromaSite, Region};

/// Steps of heat that colours are looked up in.
pub(super) const STEPS: usize = 1024;
/// Heat 1 as it is held in 16 bits: step `STEPS - 1`, with six bits of fraction.
const UNIT: f32 = ((STEPS - 1) << 6) as f32;
/// Half a step, added once when a map is quantised so that steps round instead of truncate.
const HALF_STEP: f32 = 32.0;

/// The step of colour of a heat in 16 bits.
#[inline(always)]
pub(super) fn step(heat: u16) -> usize {
    (heat >> 6) as usize
}

/// Heat 0 to 1 in 16 bits.
#[inline]
pub(super) fn quantise(heat: f32) -> u16 {
    (heat * UNIT + HALF_STEP) as u16
}

/// One sample lies between `cell` and the next one, `weight / 65535` of the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tap {
    pub cell: u32,
    pub weight: u16,
}

/// One axis of a picture plane laid over one axis of a map.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// First sample whose centre lies in the region.
    pub start: usize,
    /// Where each painted sample lies; sample `start + i` has `taps[i]`.
    pub taps: Vec<Tap>,
    /// Cells per luma pixel.
    pub density: f64,
}

impl Axis {
    /// Samples `k` of `count`, whose centres lie at `first + k * spacing` luma pixels (at most half a pixel before
    /// `extent`, the end of the picture), over a map of `cells` that covers `origin .. origin + length`.
    ///
    /// Cell `c` has its centre at `origin + (c + 0.5) * length / cells`, and the outermost cells reach to the border:
    /// `cv2.INTER_LINEAR`, or ONNX `Resize` linear with half_pixel.
    pub fn new(
        count: usize,
        (first, spacing): (f64, f64),
        extent: usize,
        origin: f64,
        length: f64,
        cells: usize,
    ) -> Self {
        let density = cells as f64 / length;
        let last = (cells - 1) as f64;
        let centre = |k: usize| (first + k as f64 * spacing).min(extent as f64 - 0.5);
        let inside = |k: &usize| (origin..origin + length).contains(&centre(*k));
        let start = (0..count).find(inside).unwrap_or(count);
        let taps = (start..count)
            .take_while(inside)
            .map(|k| {
                let place = ((centre(k) - origin) * density - 0.5).clamp(0.0, last);
                let cell = place.floor().min((last - 1.0).max(0.0));
                Tap { cell: cell as u32, weight: ((place - cell) * 65535.0).round() as u16 }
            })
            .collect();
        Self { start, taps, density }
    }

    pub fn end(&self) -> usize {
        self.start + self.taps.len()
    }
}

/// What a geometry depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GeometryKey {
    pub width: usize,
    pub height: usize,
    pub site: ChromaSite,
    pub region: Region,
    pub cells_x: usize,
    pub cells_y: usize,
}

/// Both axes of both kinds of plane.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    pub key: GeometryKey,
    pub luma_x: Axis,
    pub luma_y: Axis,
    pub chroma_x: Axis,
    pub chroma_y: Axis,
}

impl Geometry {
    pub fn new(key: GeometryKey) -> Self {
        let GeometryKey { width, height, site, region, cells_x, cells_y } = key;
        let (site_x, site_y) = site.offset();
        let across = |count, grid| Axis::new(count, grid, width, region.x, region.width, cells_x);
        let down = |count, grid| Axis::new(count, grid, height, region.y, region.height, cells_y);
        Self {
            key,
            luma_x: across(width, (0.5, 1.0)),
            luma_y: down(height, (0.5, 1.0)),
            chroma_x: across(width.div_ceil(2), (site_x, 2.0)),
            chroma_y: down(height.div_ceil(2), (site_y, 2.0)),
        }
    }
}

/// A value that rows of a map can hold.
pub(super) trait Cell: Copy + Default {
    /// `a + (b - a) * weight / 65535`.
    fn between(a: Self, b: Self, weight: u16) -> Self;
    /// `|b - a|`.
    fn difference(a: Self, b: Self) -> f32;
}

impl Cell for u16 {
    #[inline(always)]
    fn between(a: Self, b: Self, weight: u16) -> Self {
        let sum = u32::from(a) * u32::from(u16::MAX - weight) + u32::from(b) * u32::from(weight);
        ((sum + 0x8000) >> 16) as u16
    }

    #[inline(always)]
    fn difference(a: Self, b: Self) -> f32 {
        f32::from(a.abs_diff(b))
    }
}

impl Cell for f32 {
    #[inline(always)]
    fn between(a: Self, b: Self, weight: u16) -> Self {
        a + (b - a) * (f32::from(weight) / 65535.0)
    }

    #[inline(always)]
    fn difference(a: Self, b: Self) -> f32 {
        (b - a).abs()
    }
}

/// The two map rows that a picture line lies between, each stretched to the line's width.
///
/// Lines come from top to bottom, so each map row is stretched once.
#[derive(Debug, Default)]
pub(super) struct RowPair<T> {
    pub upper: Vec<T>,
    pub lower: Vec<T>,
    /// Largest difference between the two rows.
    pub change: f32,
    /// Largest difference between neighbours in a row.
    pub across: f32,
    at: Option<usize>,
}

impl<T: Cell> RowPair<T> {
    /// Forgets the rows: a new map or a new axis follows.
    pub fn restart(&mut self, width: usize) {
        self.at = None;
        self.upper.resize(width, T::default());
        self.lower.resize(width, T::default());
    }

    /// Stretches rows `cell` and the next one of `map` (rows of `cells` values) over `taps`.
    pub fn seek(&mut self, cell: usize, map: &[T], cells: usize, taps: &[Tap]) {
        if self.at == Some(cell) {
            return;
        }
        let last = map.len() / cells - 1;
        let upper = &map[cell * cells..][..cells];
        let lower = &map[(cell + 1).min(last) * cells..][..cells];
        if cell > 0 && self.at == Some(cell - 1) {
            std::mem::swap(&mut self.upper, &mut self.lower);
        } else {
            stretch(&mut self.upper, upper, taps);
        }
        stretch(&mut self.lower, lower, taps);
        let largest = |differences: &mut dyn Iterator<Item = f32>| differences.fold(0.0, f32::max);
        self.change = largest(&mut upper.iter().zip(lower).map(|(&a, &b)| T::difference(a, b)));
        self.across =
            largest(&mut [upper, lower].iter().flat_map(|row| row.windows(2)).map(|ab| T::difference(ab[0], ab[1])));
        self.at = Some(cell);
    }
}

fn stretch<T: Cell>(line: &mut [T], row: &[T], taps: &[Tap]) {
    let last = row.len() - 1;
    for (value, tap) in line.iter_mut().zip(taps) {
        let cell = tap.cell as usize;
        *value = T::between(row[cell], row[(cell + 1).min(last)], tap.weight);
    }
}
