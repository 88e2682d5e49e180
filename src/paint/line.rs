//! The inner loops: one line of samples from the decoder's plane into the pooled plane.
//!
//! Every sample is the same integer sum, `(source * keep + color + 128) >> 8` in 16-bit lanes, where `color` comes out of
//! a table already multiplied by its opacity.
//!
//! Look-ups cannot be vectorised and would take most of the time, so they are not done for every line: between two map
//! rows, colours are looked up on *key rows* only, and a line lies linearly between two of them. A key row follows wherever
//! heat may have changed by so much that the colours' curve leaves its chord by more than [`CHORD`]; a small picture,
//! whose every line would be one, gets its colours line by line.

use super::{
    ColorTable,
    grid::{Cell, STEPS, step},
};

/// How far colours between key rows may be off, in code values. Less than half would only follow the rounding of the
/// 256 colours.
const CHORD: f32 = 0.6;
/// The distances between key rows that are tried, in steps.
const SPANS: [usize; 9] = [4, 8, 12, 16, 24, 32, 48, 64, 128];
/// Samples that are done together in vector code.
const CHUNK: usize = 32;
/// Samples that are skipped together where all are cold.
const BLOCK: usize = 64;

/// Cuts slices of one length into chunks of a fixed length, for which the compiler finds the 16-bit instructions, and a
/// remainder; `body` is done with each.
macro_rules! in_chunks {
    ($to:expr, [$($from:expr),+], |$t:ident, $($f:ident),+| $body:expr) => {{
        let (to, to_rest) = $to.as_chunks_mut::<CHUNK>();
        $(let ($f, _) = $from.as_chunks::<CHUNK>();)+
        for (number, $t) in to.iter_mut().enumerate() {
            $(let $f = &$f[number];)+
            $body;
        }
        let done = to.len() * CHUNK;
        let $t = to_rest;
        $(let $f = &$from[done..];)+
        $body;
    }};
}

/// Opacity in steps of 1/256.
pub(super) fn opacity_256(opacity: f32) -> u16 {
    (opacity.clamp(0.0, 1.0) * 256.0).round() as u16
}

/// A colour component times an opacity of `alpha / 256`, with the half that makes the later shift round.
pub(super) fn tint(component: f32, alpha: u16) -> u16 {
    (component.clamp(0.0, 255.0) * f32::from(alpha) + 128.5) as u16
}

/// What the samples of a line are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    /// One plane of luma.
    Luma,
    /// One plane of interleaved U and V.
    Pairs,
    /// A plane of U and one of V.
    Planes,
}

/// A line of one plane: where it goes and where it comes from. Both have the same length.
pub(super) struct Line<'a> {
    pub to: &'a mut [u8],
    pub from: &'a [u8],
}

/// A line's heat: between two stretched map rows, `weight / 65535` of the way down.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub upper: &'a [T],
    pub lower: &'a [T],
    pub weight: u16,
    /// Number of the upper row.
    pub cell: usize,
    /// Largest difference between the rows.
    pub change: f32,
    /// Bound of the slope here, in heat per luma pixel.
    pub steepest: f32,
    /// Map rows per luma pixel here: 0 beyond the outermost rows' centres, where heat is constant.
    pub density: f32,
    /// Luma pixels from sample to sample: 1 for luma, 2 for chroma.
    pub spacing: f32,
    /// Lines from map row to map row.
    pub lines: f32,
}

/// What a style does to a line.
pub(super) trait LinePainter {
    /// How the style wants heat.
    type Heat: Cell;
    /// A new plane, or a new map, follows.
    fn restart(&mut self);
    /// Paints a line; there are two of them for [`Samples::Planes`].
    fn paint(&mut self, samples: Samples, lines: &mut [Line], rows: &Rows<Self::Heat>);
}

/// Colours multiplied by their opacity, each with what is kept of the picture.
#[derive(Debug)]
pub(super) struct Table {
    /// Colour, keep.
    luma: Box<[[u16; 2]; STEPS]>,
    /// U, V, keep, keep.
    chroma: Box<[[u16; 4]; STEPS]>,
    /// What is kept where it is the same for every heat.
    even: Option<u16>,
    /// Heat (in 16 bits) below which nothing is painted.
    cold: u16,
    /// Difference of heat (in 16 bits) that key rows may span.
    reach: f32,
}

impl Table {
    pub fn new(colors: &ColorTable, opacity_of: &dyn Fn(f32) -> f32) -> Self {
        let curve: Vec<[f32; 4]> = (0..STEPS)
            .map(|i| {
                let heat = i as f32 / (STEPS - 1) as f32;
                let ([y, u, v], opacity) = (colors.at(heat), opacity_of(heat));
                [y, u, v, opacity]
            })
            .collect();
        let mut table = Self {
            luma: Box::new([[0; 2]; STEPS]),
            chroma: Box::new([[0; 4]; STEPS]),
            even: None,
            cold: 0,
            reach: 0.0,
        };
        for (i, &[y, u, v, opacity]) in curve.iter().enumerate() {
            let alpha = opacity_256(opacity);
            let keep = 256 - alpha;
            table.luma[i] = [tint(y, alpha), keep];
            table.chroma[i] = [tint(u, alpha), tint(v, alpha), keep, keep];
        }
        let keeps = || table.luma.iter().map(|entry| entry[1]);
        let first = table.luma[0][1];
        table.even = keeps().all(|keep| keep == first).then_some(first);
        let cold = keeps().take_while(|&keep| keep == 256).count();
        table.cold = (cold << 6).min(usize::from(u16::MAX)) as u16;
        let steps = SPANS.into_iter().take_while(|&span| chord_error(&curve, span) <= CHORD).last().unwrap_or(0);
        table.reach = (steps << 6) as f32;
        table
    }
}

/// How far a curve leaves its chords over `span` steps, in code values, looked at in the quarters.
fn chord_error(curve: &[[f32; 4]], span: usize) -> f32 {
    let tinted = |i: usize, c: usize| curve[i][c] * curve[i][3];
    let mut most = 0.0f32;
    for i in 0..curve.len() - span {
        for quarter in 1..4 {
            let part = quarter as f32 / 4.0;
            let middle = i + span * quarter / 4;
            let off =
                |value: &dyn Fn(usize) -> f32| (value(i) * (1.0 - part) + value(i + span) * part - value(middle)).abs();
            let keep = 255.0 * off(&|i| curve[i][3]);
            for c in 0..3 {
                most = most.max(off(&|i| tinted(i, c)) + keep);
            }
        }
    }
    most
}

/// How much of a block is too cold to be painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cold {
    Nowhere,
    Here,
    Everywhere,
}

/// Colours along a line.
#[derive(Debug, Default)]
struct KeyRow {
    /// For each plane of the line.
    color: [Vec<u16>; 2],
    keep: Vec<u16>,
    /// Of each block of samples.
    cold: Vec<Cold>,
}

/// A table at work on a plane.
#[derive(Debug)]
pub(super) struct TablePainter {
    table: Table,
    above: KeyRow,
    below: KeyRow,
    /// Which keys are held: the map row, the number of the upper key, and how many follow until the next map row.
    at: Option<(usize, u32, u32)>,
    heat: Vec<u16>,
}

impl TablePainter {
    pub fn new(table: Table) -> Self {
        Self { table, above: KeyRow::default(), below: KeyRow::default(), at: None, heat: Vec::new() }
    }
}

/// The high half of a product: one instruction in vector code.
#[inline(always)]
fn high(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

impl KeyRow {
    /// Looks up the colours of the line `weight / 65535` of the way between the rows.
    fn look_up(&mut self, table: &Table, samples: Samples, rows: &Rows<u16>, weight: u16, heat: &mut Vec<u16>) {
        let count = rows.upper.len();
        heat.resize(count, 0);
        in_chunks!(heat, [rows.upper, rows.lower], |out, a, b| between(out, a, b, weight));
        let [first, second] = &mut self.color;
        let keep = &mut self.keep;
        let bytes = if samples == Samples::Pairs { 2 } else { 1 };
        first.resize(bytes * count, 0);
        keep.resize(bytes * count, 0);
        match (samples, table.even) {
            (Samples::Luma, Some(_)) => {
                for (color, &heat) in first.iter_mut().zip(&*heat) {
                    *color = table.luma[step(heat)][0];
                }
            }
            (Samples::Luma, None) => {
                for ((color, keep), &heat) in first.iter_mut().zip(keep).zip(&*heat) {
                    [*color, *keep] = table.luma[step(heat)];
                }
            }
            (Samples::Pairs, _) => {
                let pairs = first.as_chunks_mut::<2>().0.iter_mut().zip(keep.as_chunks_mut::<2>().0);
                for ((color, keep), &heat) in pairs.zip(&*heat) {
                    let [u, v, keep_u, keep_v] = table.chroma[step(heat)];
                    (*color, *keep) = ([u, v], [keep_u, keep_v]);
                }
            }
            (Samples::Planes, _) => {
                second.resize(count, 0);
                for (((first, second), keep), &heat) in first.iter_mut().zip(second).zip(keep).zip(&*heat) {
                    [*first, *second, *keep, _] = table.chroma[step(heat)];
                }
            }
        }
        if table.even.is_some() {
            return;
        }
        self.cold.clear();
        self.cold.extend(heat.chunks(BLOCK).map(|block| {
            let least = block.iter().fold(u16::MAX, |least, &heat| least.min(heat));
            let most = block.iter().fold(0, |most, &heat| most.max(heat));
            match (least < table.cold, most < table.cold) {
                (_, true) => Cold::Everywhere,
                (true, _) => Cold::Here,
                _ => Cold::Nowhere,
            }
        }));
    }
}

impl LinePainter for TablePainter {
    type Heat = u16;

    fn restart(&mut self) {
        self.at = None;
    }

    fn paint(&mut self, samples: Samples, lines: &mut [Line], rows: &Rows<u16>) {
        let Self { table, above, below, at, heat } = self;
        let keys = (rows.change / table.reach.max(1.0)).ceil().max(1.0);
        let part = if 2.0 * keys > rows.lines {
            above.look_up(table, samples, rows, rows.weight, heat);
            *at = None;
            None
        } else {
            let keys = keys as u32;
            let full = u32::from(u16::MAX);
            let place = u32::from(rows.weight) * keys;
            let key = (place / full).min(keys - 1);
            let weight_of = |key: u32| (key * full / keys) as u16;
            if *at != Some((rows.cell, key, keys)) {
                if key > 0 && *at == Some((rows.cell, key - 1, keys)) {
                    std::mem::swap(above, below);
                } else {
                    above.look_up(table, samples, rows, weight_of(key), heat);
                }
                below.look_up(table, samples, rows, weight_of(key + 1), heat);
                *at = Some((rows.cell, key, keys));
            }
            Some((place - key * full) as u16)
        };
        let (below, part) = match part {
            Some(part) => (&*below, part),
            None => (&*above, 0),
        };
        for (plane, line) in lines.iter_mut().enumerate() {
            let colors = [&above.color[plane][..], &below.color[plane][..]];
            match table.even {
                Some(keep) => lay_even(line, colors, part, keep),
                None => {
                    let exact = |at, to: &mut [u8], from: &[u8]| lay_exact(table, samples, plane, rows, at, to, from);
                    let block = if samples == Samples::Pairs { 2 * BLOCK } else { BLOCK };
                    lay_rising(line, block, colors, [above, below], part, exact);
                }
            }
        }
    }
}

#[inline(always)]
fn between(to: &mut [u16], above: &[u16], below: &[u16], part: u16) {
    let rest = u16::MAX - part;
    for ((to, &a), &b) in to.iter_mut().zip(above).zip(below) {
        *to = high(a, rest) + high(b, part);
    }
}

#[inline(always)]
fn mix(to: &mut [u8], from: &[u8], above: &[u16], below: &[u16], part: u16, keep: u16) {
    let rest = u16::MAX - part;
    for (((to, &from), &a), &b) in to.iter_mut().zip(from).zip(above).zip(below) {
        let color = high(a, rest) + high(b, part);
        *to = ((u16::from(from) * keep + color) >> 8) as u8;
    }
}

#[inline(always)]
fn mix_each(to: &mut [u8], from: &[u8], [above, below]: [&[u16]; 2], [keep_a, keep_b]: [&[u16]; 2], part: u16) {
    let rest = u16::MAX - part;
    for (((((to, &from), &a), &b), &keep_a), &keep_b) in
        to.iter_mut().zip(from).zip(above).zip(below).zip(keep_a).zip(keep_b)
    {
        let color = high(a, rest) + high(b, part);
        // What is kept is at most 256, so it has room for a fraction of seven bits to round by.
        let keep = (high(keep_a << 7, rest) + high(keep_b << 7, part) + 64) >> 7;
        *to = ((u16::from(from) * keep + color) >> 8) as u8;
    }
}

fn lay_even(line: &mut Line, [above, below]: [&[u16]; 2], part: u16, keep: u16) {
    in_chunks!(line.to, [line.from, above, below], |out, original, a, b| mix(out, original, a, b, part, keep));
}

fn lay_rising(
    line: &mut Line,
    block: usize,
    colors: [&[u16]; 2],
    [above, below]: [&KeyRow; 2],
    part: u16,
    exact: impl Fn(usize, &mut [u8], &[u8]),
) {
    let cold = above.cold.iter().zip(&below.cold);
    let keeps = above.keep.chunks(block).zip(below.keep.chunks(block));
    let colors = colors[0].chunks(block).zip(colors[1].chunks(block));
    let values = line.to.chunks_mut(block).zip(line.from.chunks(block));
    for (number, (((cold, (keep_a, keep_b)), (a, b)), (to, from))) in
        cold.zip(keeps).zip(colors).zip(values).enumerate()
    {
        match cold {
            (Cold::Everywhere, Cold::Everywhere) => {
                to.copy_from_slice(from);
                continue;
            }
            // The border of what is cold: between key rows it would be blurred, and cold samples must stay as they are.
            (Cold::Here | Cold::Everywhere, _) | (_, Cold::Here | Cold::Everywhere) => {
                exact(number * BLOCK, to, from);
                continue;
            }
            (Cold::Nowhere, Cold::Nowhere) => {}
        }
        in_chunks!(to, [from, a, b, keep_a, keep_b], |out, original, c, d, k, l| mix_each(
            out,
            original,
            [c, d],
            [k, l],
            part
        ));
    }
}

/// Paints at most a block of samples, from `at` on, without key rows.
fn lay_exact(table: &Table, samples: Samples, plane: usize, rows: &Rows<u16>, at: usize, to: &mut [u8], from: &[u8]) {
    let bytes = if samples == Samples::Pairs { 2 } else { 1 };
    let count = (to.len() / bytes).min(BLOCK);
    let mut heat = [0; BLOCK];
    let (upper, lower) = (&rows.upper[at..at + count], &rows.lower[at..at + count]);
    in_chunks!(heat[..count], [upper, lower], |out, a, b| between(out, a, b, rows.weight));
    let (mut color, mut keep) = ([0; 2 * BLOCK], [0; 2 * BLOCK]);
    match samples {
        Samples::Luma => {
            for ((color, keep), heat) in color.iter_mut().zip(&mut keep).zip(heat) {
                [*color, *keep] = table.luma[step(heat)];
            }
        }
        Samples::Planes => {
            for ((color, keep), heat) in color.iter_mut().zip(&mut keep).zip(heat) {
                let entry = table.chroma[step(heat)];
                (*color, *keep) = (entry[plane & 1], entry[2]);
            }
        }
        Samples::Pairs => {
            let pairs = color.as_chunks_mut::<2>().0.iter_mut().zip(keep.as_chunks_mut::<2>().0);
            for ((color, keep), heat) in pairs.zip(heat) {
                let [u, v, keep_u, keep_v] = table.chroma[step(heat)];
                (*color, *keep) = ([u, v], [keep_u, keep_v]);
            }
        }
    }
    for (((to, &from), &color), &keep) in to.iter_mut().zip(from).zip(&color).zip(&keep) {
        *to = ((u16::from(from) * keep + color) >> 8) as u8;
    }
}
