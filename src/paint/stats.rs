//! What a map says in numbers, for events.

use super::grid::{Axis, Geometry, Tap};
use serde::Serialize;

/// A map in numbers, measured on the painted pixels of the frame: the map stretched bilinearly over its region, what fell
/// on letterbox bars or outside the frame left out. Values are raw (after ReLU, before normalisation), so nothing here
/// depends on how the heat is scaled for drawing.
///
/// Positions are pixel indices of the output frame (the centre of pixel `i` is at `i`), in the panel where the map is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeatStats {
    /// The largest raw value of the map.
    pub max: f32,
    /// The pixel with the largest value; where several tie, one nearest to its map cell's centre. None without positive evidence.
    pub peak: Option<[u32; 2]>,
    /// The mean position, each pixel weighted by its value. None without positive evidence.
    pub centroid: Option<[f64; 2]>,
    /// The share of the frame's pixels whose value is at least half of the largest value that is visible; 0 without positive evidence.
    pub area: f32,
    /// Values that were not finite and counted as 0: a healthy model has none.
    pub not_finite: usize,
}

/// Lines that the area is counted on; more are skipped evenly.
const AREA_LINES: usize = 270;

/// Samples `first ..= last` of an axis along which the map is linear.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    last: usize,
    /// The sample nearest to the cell's centre where the span lies beyond the outermost centre, and so is constant.
    constant: Option<usize>,
}

/// An axis in sums: how much of each cell lies on the samples, and where.
#[derive(Debug)]
struct Sums {
    /// Of each cell: the sum of its weights over the samples, and the sum of weight times sample index.
    cells: Vec<(f64, f64)>,
    spans: Vec<Span>,
}

/// What the statistics need of a geometry, computed once.
#[derive(Debug)]
pub(super) struct Measure {
    x: Sums,
    y: Sums,
}

fn side(tap: &Tap) -> (u32, i8) {
    let side = match tap.weight {
        0 if tap.cell == 0 => -1,
        u16::MAX => 1,
        _ => 0,
    };
    (tap.cell, side)
}

impl Sums {
    fn new(axis: &Axis, cells: usize) -> Self {
        let mut sums = vec![(0.0, 0.0); cells];
        for (i, tap) in axis.taps.iter().enumerate() {
            let at = (axis.start + i) as f64;
            let lower = tap.cell as usize;
            let part = f64::from(tap.weight) / 65535.0;
            for (cell, part) in [(lower, 1.0 - part), ((lower + 1).min(cells - 1), part)] {
                sums[cell].0 += part;
                sums[cell].1 += part * at;
            }
        }
        let mut spans: Vec<Span> = Vec::new();
        for run in axis.taps.chunk_by(|a, b| side(a) == side(b)) {
            let first = spans.last().map_or(0, |span| span.last + 1);
            let last = first + run.len() - 1;
            let constant = match side(&run[0]).1 {
                _ if cells == 1 => Some((first + last) / 2),
                -1 => Some(last),
                1 => Some(first),
                _ => None,
            };
            spans.push(Span { first, last, constant });
        }
        Self { cells: sums, spans }
    }

    fn total(&self, weigh: impl Fn(usize) -> f64) -> (f64, f64) {
        self.cells.iter().enumerate().fold((0.0, 0.0), |(weight, moment), (cell, sums)| {
            let value = weigh(cell);
            (weight + value * sums.0, moment + value * sums.1)
        })
    }

    /// The samples among which the largest value must be: where the map is linear, it is at an end.
    fn corners(&self) -> impl Iterator<Item = usize> {
        self.spans.iter().flat_map(|span| match span.constant {
            Some(inner) => [inner, inner],
            None => [span.first, span.last],
        })
    }
}

/// A map's row between two rows.
fn row_at(map: &[f32], cells: usize, tap: Tap, row: &mut [f32]) {
    let part = f32::from(tap.weight) / 65535.0;
    let last = map.len() / cells - 1;
    let upper = &map[tap.cell as usize * cells..][..cells];
    let lower = &map[(tap.cell as usize + 1).min(last) * cells..][..cells];
    for ((value, &a), &b) in row.iter_mut().zip(upper).zip(lower) {
        *value = a + (b - a) * part;
    }
}

fn value_at(row: &[f32], tap: Tap) -> f32 {
    let cell = tap.cell as usize;
    let a = row[cell];
    a + (row[(cell + 1).min(row.len() - 1)] - a) * (f32::from(tap.weight) / 65535.0)
}

impl Measure {
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            x: Sums::new(&geometry.luma_x, geometry.key.cells_x),
            y: Sums::new(&geometry.luma_y, geometry.key.cells_y),
        }
    }

    /// Measures `map`, whose values are finite and not negative. `shift` is the panel's left edge in the output.
    pub fn stats(&self, geometry: &Geometry, map: &[f32], not_finite: usize, shift: usize) -> HeatStats {
        let max = map.iter().fold(0.0f32, |most, &value| most.max(value));
        let none = HeatStats { max, peak: None, centroid: None, area: 0.0, not_finite };
        let (xs, ys) = (&geometry.luma_x, &geometry.luma_y);
        if max <= 0.0 || xs.taps.is_empty() || ys.taps.is_empty() {
            return none;
        }
        let cells = geometry.key.cells_x;
        let mut row = vec![0.0; cells];

        let mut best = (0.0, [0, 0]);
        for y in self.y.corners() {
            row_at(map, cells, ys.taps[y], &mut row);
            if row.iter().all(|&value| value <= best.0) {
                continue;
            }
            for x in self.x.corners() {
                let value = value_at(&row, xs.taps[x]);
                if value > best.0 {
                    best = (value, [x, y]);
                }
            }
        }
        let (most, [peak_x, peak_y]) = best;
        if most <= 0.0 {
            return none;
        }

        // The map is a sum of cells times hats, so its moments are products of the axes' sums.
        let across: Vec<(f64, f64)> =
            map.chunks_exact(cells).map(|row| self.x.total(|cell| f64::from(row[cell] / max))).collect();
        let (mass, down) = self.y.total(|cell| across[cell].0);
        let (right, _) = self.y.total(|cell| across[cell].1);

        HeatStats {
            peak: Some([(xs.start + peak_x + shift) as u32, (ys.start + peak_y) as u32]),
            centroid: (mass > 0.0).then(|| [right / mass + shift as f64, down / mass]),
            area: self.share(geometry, map, most * 0.5, &mut row),
            ..none
        }
    }

    /// The share of the frame's pixels with a value of at least `level`: exact along a line, on evenly spaced lines.
    fn share(&self, geometry: &Geometry, map: &[f32], level: f32, row: &mut [f32]) -> f32 {
        let (xs, ys) = (&geometry.luma_x.taps, &geometry.luma_y.taps);
        let skip = ys.len().div_ceil(AREA_LINES);
        let (mut counted, mut lines) = (0, 0);
        for tap in ys.iter().skip((skip - 1) / 2).step_by(skip) {
            row_at(map, geometry.key.cells_x, *tap, row);
            lines += 1;
            for span in &self.x.spans {
                let ends = (value_at(row, xs[span.first]), value_at(row, xs[span.last]));
                counted += reaching(ends, span.last - span.first + 1, level);
            }
        }
        let painted = counted as f64 / lines.max(1) as f64 * ys.len() as f64;
        (painted / (geometry.key.width * geometry.key.height) as f64) as f32
    }
}

/// How many of `count` evenly spaced values from `first` to `last` are at least `level`.
fn reaching((first, last): (f32, f32), count: usize, level: f32) -> usize {
    match (first >= level, last >= level) {
        (true, true) => count,
        (false, false) => 0,
        (up, _) => {
            let (high, low) = if up { (first, last) } else { (last, first) };
            let steps = (high - level) / (high - low) * (count - 1) as f32;
            steps.floor() as usize + 1
        }
    }
}
