//! Lines of equal heat, anti-aliased, with the picture untouched between them.

use super::{
    ColorTable,
    line::{Line, LinePainter, Rows, Samples},
    sprite::Ink,
};

/// The heats at which lines are drawn.
pub const LEVELS: [f32; 3] = [0.25, 0.5, 0.75];
/// Opacity of the dark edge that keeps a line visible on any ground, as a share of the line's own.
const EDGE_OPACITY: f32 = 0.6;
/// Samples per block: short, so that most blocks lie off every line.
const BLOCK: usize = 16;
/// Slopes below this (heat per pixel) have no line: a plateau is an area.
const LEAST_SLOPE: f32 = 1e-6;

/// Everything about the lines.
#[derive(Debug)]
pub(super) struct Contours {
    colors: [[f32; 3]; LEVELS.len()],
    black: [f32; 3],
    opacity: f32,
    /// Half a line's width, in luma pixels.
    half: f32,
    /// Width of the dark edge, in luma pixels.
    edge: f32,
}

/// What lies on a stretch of a line's samples: how much of each is line or edge, how much is line, and which level's.
struct Covered {
    both: [f32; BLOCK],
    line: [f32; BLOCK],
    level: [f32; BLOCK],
}

impl Contours {
    /// Lines for a picture of `width` x `height`.
    pub fn new(table: &ColorTable, black: f32, opacity: f32, width: usize, height: usize) -> Self {
        let side = width.min(height) as f32;
        Self {
            colors: LEVELS.map(|level| table.at(level)),
            black: [black, 128.0, 128.0],
            opacity: (2.0 * opacity).clamp(0.0, 1.0),
            half: (side / 600.0).max(0.75),
            edge: (side / 900.0).max(0.75),
        }
    }

    /// What lies on the block of samples from `at` on; none: no line comes near.
    #[inline(always)]
    fn cover(&self, rows: &Rows<f32>, at: usize) -> Option<Covered> {
        let part = f32::from(rows.weight) / 65535.0;
        let last = rows.upper.len() - 1;
        let reach = (self.half + self.edge + rows.spacing) * rows.steepest;
        // One sample tells of most blocks that they lie off every line: heat cannot change faster than the slope's bound.
        let middle = (at + BLOCK / 2).min(last);
        let heat = rows.upper[middle] + (rows.lower[middle] - rows.upper[middle]) * part;
        let around = reach + rows.steepest * rows.spacing * (BLOCK / 2 + 1) as f32;
        if LEVELS.iter().all(|level| (heat - level).abs() > around) {
            return None;
        }

        // Copies of a fixed length, with a neighbour on each side, keep the loops below in vector code.
        let (mut upper, mut lower) = ([0.0f32; BLOCK + 2], [0.0f32; BLOCK + 2]);
        if at > 0 && at + BLOCK < last {
            upper.copy_from_slice(&rows.upper[at - 1..=at + BLOCK]);
            lower.copy_from_slice(&rows.lower[at - 1..=at + BLOCK]);
        } else {
            for i in 0..BLOCK + 2 {
                let from = (at + i).saturating_sub(1).min(last);
                (upper[i], lower[i]) = (rows.upper[from], rows.lower[from]);
            }
        }
        let mut heat = [0.0f32; BLOCK + 2];
        for i in 0..BLOCK + 2 {
            heat[i] = upper[i] + (lower[i] - upper[i]) * part;
        }
        let (mut least, mut most) = (heat[0], heat[0]);
        for heat in heat {
            least = if heat < least { heat } else { least };
            most = if heat > most { heat } else { most };
        }
        if !LEVELS.iter().any(|level| (least - reach..=most + reach).contains(level)) {
            return None;
        }

        // Central differences: across a cell's border they are the mean of both slopes, so lines keep their width.
        let run = 0.5 / rows.spacing;
        let mut covered = Covered { both: [0.0; BLOCK], line: [0.0; BLOCK], level: [0.0; BLOCK] };
        for i in 0..BLOCK {
            let across = (heat[i + 2] - heat[i]) * run;
            let down = (lower[i + 1] - upper[i + 1]) * rows.density;
            let slope = (across * across + down * down).sqrt();
            let (mut level, mut away) = (0.0, f32::MAX);
            for (candidate, at) in LEVELS.iter().enumerate() {
                let distance = (heat[i + 1] - at).abs();
                (level, away) = if distance < away { (candidate as f32, distance) } else { (level, away) };
            }
            // To first order, the distance to the line is the difference in heat over the slope.
            let distance = if slope < LEAST_SLOPE { f32::MAX } else { away / slope };
            let within = |radius: f32| ((radius - distance) / rows.spacing + 0.5).clamp(0.0, 1.0);
            covered.both[i] = within(self.half + self.edge);
            covered.line[i] = within(self.half);
            covered.level[i] = level;
        }
        Some(covered)
    }

    /// Hands the colour to lay on each sample that a line or its edge covers to `lay`, by its place.
    #[inline(always)]
    fn each(&self, rows: &Rows<f32>, mut lay: impl FnMut(usize, Ink)) {
        for at in (0..rows.upper.len()).step_by(BLOCK) {
            let length = BLOCK.min(rows.upper.len() - at);
            let Some(covered) = self.cover(rows, at) else {
                continue;
            };
            for i in (0..length).filter(|&i| covered.both[i] > 0.0) {
                let edge = Ink { color: self.black, opacity: covered.both[i] * EDGE_OPACITY * self.opacity };
                let color = self.colors[covered.level[i] as usize % LEVELS.len()];
                lay(at + i, edge.under(color, covered.line[i] * self.opacity));
            }
        }
    }
}

fn lay(ink: &Ink, component: usize, value: &mut u8) {
    let original = f32::from(*value);
    *value = (original + (ink.color[component] - original) * ink.opacity + 0.5) as u8;
}

impl LinePainter for Contours {
    type Heat = f32;

    fn restart(&mut self) {}

    fn paint(&mut self, samples: Samples, lines: &mut [Line], rows: &Rows<f32>) {
        for line in &mut *lines {
            line.to.copy_from_slice(line.from);
        }
        match (samples, lines) {
            (Samples::Luma, [y]) => self.each(rows, |at, ink| lay(&ink, 0, &mut y.to[at])),
            (Samples::Pairs, [pairs]) => self.each(rows, |at, ink| {
                lay(&ink, 1, &mut pairs.to[2 * at]);
                lay(&ink, 2, &mut pairs.to[2 * at + 1]);
            }),
            (Samples::Planes, [u, v]) => self.each(rows, |at, ink| {
                lay(&ink, 1, &mut u.to[at]);
                lay(&ink, 2, &mut v.to[at]);
            }),
            _ => {}
        }
    }
}
