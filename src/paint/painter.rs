//! The painter of one stream: from the decoder's picture and its maps to the picture that goes out.

use super::{
    ColorMap, ColorTable, HeatStats, Normalize, PaintError, Picture, PictureMut, Region, Scale, YuvColor, YuvFormat,
    caption::{self, Caption, Setting},
    contour::Contours,
    grid::{Axis, Cell, Geometry, GeometryKey, RowPair, quantise},
    label::{self, Said},
    line::{Line, LinePainter, Rows, Samples, Table, TablePainter},
    named::named,
    scale::Span,
    sprite::Sprite,
    stats::Measure,
    still,
    words::Metrics,
};
use smallvec::SmallVec;

/// How heat is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Style {
    /// One opacity over the whole region.
    #[default]
    Blend,
    /// Opacity rises with heat ([`fade`]): what is cold keeps the original picture bit for bit.
    Fade,
    /// Lines of equal heat at [`LEVELS`](super::LEVELS); between them the picture is untouched.
    Contour,
    /// The original on the left, a blend for each class to its right.
    SideBySide,
}
named!(Style, "style", {
    Blend => "blend", Fade => "fade", Contour => "contour", SideBySide => "side-by-side",
});

/// How the painting looks.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Look {
    /// Colours.
    pub colormap: ColorMap,
    /// From 0 (nothing is painted) to 1 (where it is painted, only heat is seen).
    /// A contour line is twice as opaque, up to 1, so that it is solid at the default.
    pub opacity: f32,
    /// Manner of drawing.
    pub style: Style,
    /// What heat is measured against.
    pub normalize: Normalize,
    /// Whether the class and a colour scale are written on the picture.
    pub label: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            colormap: ColorMap::default(),
            opacity: 0.5,
            style: Style::default(),
            normalize: Normalize::default(),
            label: true,
        }
    }
}

/// Heat where [`Style::Fade`] begins to paint.
pub const FADE_COLD: f32 = 0.1;
/// Heat where [`Style::Fade`] reaches its full opacity.
pub const FADE_WARM: f32 = 0.6;

/// The share of the opacity that [`Style::Fade`] uses at a heat: the smooth step `t²(3 - 2t)` with
/// `t = clamp((heat - 0.1) / (0.6 - 0.1), 0, 1)`.
pub fn fade(heat: f32) -> f32 {
    let t = ((heat - FADE_COLD) / (FADE_WARM - FADE_COLD)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// One class's map for one frame.
#[derive(Debug, Clone, Copy)]
pub struct Heat<'a> {
    /// The map, row by row, after ReLU and before normalisation. What is negative or not finite counts as 0.
    pub values: &'a [f32],
    /// Cells per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Where the map lies on the frame, in frame pixels ([`super::Placement::map`]).
    pub region: Region,
    /// The class's name; empty: none is written.
    pub label: &'a str,
    /// The class's probability, 0 to 1.
    pub probability: Option<f32>,
}

/// Paints the frames of one stream, in order.
///
/// It holds the scales of its classes, and what does not change from frame to frame: tables, geometry, drawn words.
#[derive(Debug)]
pub struct Painter {
    look: Look,
    scales: Vec<Scale>,
    labels: Vec<Option<CachedLabel>>,
    tables: Option<Tables>,
    bar: Option<CachedBar>,
    caption: Caption,
    message: Caption,
    geometry: Option<(Geometry, Measure)>,
    buffers: Buffers,
}

#[derive(Debug)]
struct CachedLabel {
    said: Said,
    metrics: Metrics,
    color: YuvColor,
    sprite: Option<Sprite>,
}

#[derive(Debug)]
struct CachedBar {
    metrics: Metrics,
    color: YuvColor,
    sprite: Option<Sprite>,
}

#[derive(Debug)]
struct Tables {
    color: YuvColor,
    size: (usize, usize),
    colors: ColorTable,
    brush: Brush,
}

#[derive(Debug)]
enum Brush {
    Colors(Box<TablePainter>),
    Lines(Contours),
}

#[derive(Debug, Default)]
struct Buffers {
    /// The map, cleaned.
    values: Vec<f32>,
    heat: Vec<u16>,
    heat_f32: Vec<f32>,
    rows: RowPair<u16>,
    rows_f32: RowPair<f32>,
}

/// How the output is divided.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// From panel to panel, in luma pixels: even, so that chroma never straddles two panels.
    pitch: usize,
    panels: usize,
    /// Panels before the first map: 1 where the original is shown beside.
    originals: usize,
}

impl Painter {
    /// A painter that has seen nothing yet.
    pub fn new(look: Look) -> Self {
        Self {
            look,
            scales: Vec::new(),
            labels: Vec::new(),
            tables: None,
            bar: None,
            caption: Caption::default(),
            message: Caption::default(),
            geometry: None,
            buffers: Buffers::default(),
        }
    }

    /// How it paints.
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// Paints differently from the next frame on. The scales of the heat go on, unless the normalisation is another.
    pub fn set_look(&mut self, look: Look) {
        if look == self.look {
            return;
        }
        if look.normalize != self.look.normalize {
            self.scales.clear();
        }
        self.look = look;
        self.tables = None;
        self.bar = None;
    }

    /// Forgets the scales: the next maps are drawn as the first.
    pub fn reset(&mut self) {
        self.scales.iter_mut().for_each(Scale::reset);
    }

    /// Size of the output for frames of `width` x `height` and `classes` maps (0 counts as 1).
    ///
    /// One panel has the frame's size. Several stand side by side, the original first with [`Style::SideBySide`]; then
    /// both sides are even, as 4:2:0 encoders want them.
    pub fn output_size(&self, width: usize, height: usize, classes: usize) -> (usize, usize) {
        output_size(width, height, classes, self.look.style)
    }

    fn layout(&self, from: &Picture, to: &PictureMut, maps: usize) -> Result<Layout, PaintError> {
        let originals = usize::from(self.look.style == Style::SideBySide);
        let (width, height) = (from.width(), from.height());
        let even = (width.next_multiple_of(2), height.next_multiple_of(2));
        let panels = to.width() / even.0;
        let alone = (to.width(), to.height()) == (width, height);
        if alone && originals == 0 {
            if maps > 1 {
                return Err(PaintError::Panels { maps, panels: 1 });
            }
            return Ok(Layout { pitch: even.0, panels: 1, originals });
        }
        if panels < 2 || (to.width(), to.height()) != (panels * even.0, even.1) {
            let (width, height) = (to.width(), to.height());
            return Err(PaintError::Output { width, height, panel_width: even.0, panel_height: even.1 });
        }
        if maps > panels - originals {
            return Err(PaintError::Panels { maps, panels: panels - originals });
        }
        Ok(Layout { pitch: even.0, panels, originals })
    }

    /// Paints `from` with its `maps` into `to`, and tells each map's numbers.
    ///
    /// `to` has the size that [`Painter::output_size`] told and the format and colour of `from`; its strides may differ.
    /// Map `i` is drawn in panel `i` and has scale `i`. Panels without a map show the picture as it is, and so does a map
    /// without positive evidence; the label says so. `pts` is the frame's time in nanoseconds, for the scales.
    ///
    /// # Errors
    /// Planes that do not belong together, a map without values, or OpenCV's own errors; then `to` may be half painted.
    pub fn paint(
        &mut self,
        from: &Picture,
        to: &mut PictureMut,
        maps: &[Heat],
        pts: Option<u64>,
    ) -> Result<Vec<HeatStats>, PaintError> {
        self.paint_with(from, to, maps, &[], pts)
    }

    /// [`paint`](Self::paint), with lines of words in a dark box at the lower left, whether or not the look has labels.
    /// Long lines are broken; what finds no room is cut off with "...".
    ///
    /// # Errors
    /// As for [`paint`](Self::paint).
    pub fn paint_with(
        &mut self,
        from: &Picture,
        to: &mut PictureMut,
        maps: &[Heat],
        captions: &[&str],
        pts: Option<u64>,
    ) -> Result<Vec<HeatStats>, PaintError> {
        check_alike(from, to)?;
        let layout = self.layout(from, to, maps.len())?;
        maps.iter().try_for_each(Heat::check)?;
        self.prepare(from)?;

        let mut stats = Vec::with_capacity(maps.len());
        for panel in 0..layout.panels {
            let left = panel * layout.pitch;
            let slot = panel.checked_sub(layout.originals);
            let drawn = match slot.and_then(|slot| Some((slot, maps.get(slot)?))) {
                Some((slot, heat)) => {
                    let (numbers, said) = self.paint_map(from, to, left, slot, heat, pts);
                    stats.push(numbers);
                    Some((slot, said))
                }
                None => {
                    copy_panel(from, to, left);
                    None
                }
            };
            fill_edges(from, to, left, layout);
            if let Some((slot, said)) = drawn.filter(|_| self.look.label) {
                self.write(from, to, left, slot, said, panel + 1 == layout.panels)?;
            }
        }
        if !captions.is_empty() {
            let written = if self.look.label { maps.len() } else { 0 };
            self.write_captions(from, to, captions, written, layout)?;
        }
        Ok(stats)
    }

    /// Draws what stands for a missing picture: `from` darkened (grey where there is none), and `words` in the middle,
    /// each on a line of its own, broken or cut where they find no room.
    ///
    /// `from` is a whole picture of the size of `to`, painted or not, or one that fits its panels, which all show it.
    ///
    /// # Errors
    /// As for [`paint`](Self::paint).
    pub fn still(&mut self, from: Option<&Picture>, to: &mut PictureMut, words: &[&str]) -> Result<(), PaintError> {
        let (width, height, color) = (to.width(), to.height(), to.color());
        match from {
            None => still::fill_grey(to),
            Some(from) => {
                check_alike(from, to)?;
                if (from.width(), from.height()) == (width, height) {
                    still::darken_panel(from, to, 0);
                } else {
                    let layout = self.layout(from, to, 0)?;
                    for left in (0..layout.panels).map(|panel| panel * layout.pitch) {
                        still::darken_panel(from, to, left);
                        fill_edges(from, to, left, layout);
                    }
                }
            }
        }
        let Some(metrics) = Metrics::new(width, height) else {
            return Ok(());
        };
        let room = (width - 2 * metrics.margin, height - 2 * metrics.margin);
        let said = caption::Said { setting: Setting::Message, lines: words, metrics, room, color };
        if let Some(sprite) = self.message.sprite(&said)? {
            let middle = |whole: usize, part: usize| even(whole.saturating_sub(part) / 2);
            sprite.lay(to, middle(width, sprite.width), middle(height, sprite.height), width);
        }
        Ok(())
    }

    /// Builds what depends on the stream's colour and size, when those change.
    fn prepare(&mut self, from: &Picture) -> Result<(), PaintError> {
        let (color, size) = (from.color(), (from.width(), from.height()));
        if self.tables.as_ref().is_some_and(|tables| tables.color == color && tables.size == size) {
            return Ok(());
        }
        let opacity = if self.look.opacity.is_finite() { self.look.opacity.clamp(0.0, 1.0) } else { 0.0 };
        let colors = ColorTable::new(self.look.colormap, color)?;
        let colored = |opacity_of: &dyn Fn(f32) -> f32| {
            Brush::Colors(Box::new(TablePainter::new(Table::new(&colors, opacity_of))))
        };
        let brush = match self.look.style {
            Style::Blend | Style::SideBySide => colored(&|_| opacity),
            Style::Fade => colored(&|heat| opacity * fade(heat)),
            Style::Contour => Brush::Lines(Contours::new(&colors, color.black_white().0, opacity, size.0, size.1)),
        };
        self.tables = Some(Tables { color, size, colors, brush });
        Ok(())
    }

    /// Paints one panel and tells what to write on it.
    fn paint_map(
        &mut self,
        from: &Picture,
        to: &mut PictureMut,
        left: usize,
        slot: usize,
        heat: &Heat,
        pts: Option<u64>,
    ) -> (HeatStats, Said) {
        let key = GeometryKey {
            width: from.width(),
            height: from.height(),
            site: from.color().site,
            region: heat.region,
            cells_x: heat.width,
            cells_y: heat.height,
        };
        let (geometry, measure) = match self.geometry.take().filter(|(geometry, _)| geometry.key == key) {
            Some(known) => known,
            None => {
                let geometry = Geometry::new(key);
                let measure = Measure::new(&geometry);
                (geometry, measure)
            }
        };
        let buffers = &mut self.buffers;
        let not_finite = clean(heat.values, &mut buffers.values);
        let stats = measure.stats(&geometry, &buffers.values, not_finite, left);
        let least = buffers.values.iter().fold(f32::MAX, |least, &value| least.min(value));

        while self.scales.len() <= slot {
            self.scales.push(Scale::new(self.look.normalize));
        }
        let span = self.scales[slot].update(least, stats.max, pts);
        let factor = span.factor().filter(|_| stats.peak.is_some());
        match (factor, self.tables.as_mut().map(|tables| &mut tables.brush)) {
            (Some(_), Some(Brush::Colors(table))) => {
                buffers.quantise(span);
                paint_panel(&mut **table, from, to, left, &geometry, &buffers.heat, &mut buffers.rows);
            }
            (Some(_), Some(Brush::Lines(lines))) => {
                buffers.heat_f32.clear();
                buffers.heat_f32.extend(buffers.values.iter().map(|&value| span.heat(value)));
                paint_panel(lines, from, to, left, &geometry, &buffers.heat_f32, &mut buffers.rows_f32);
            }
            _ => copy_panel(from, to, left),
        }
        self.geometry = Some((geometry, measure));

        let note = match (stats.max > 0.0, stats.peak, factor) {
            (false, ..) => Some("no positive evidence"),
            (true, None, _) => Some("evidence only outside the picture"),
            (true, Some(_), None) => Some("evidence alike everywhere"),
            _ => None,
        };
        let percent = heat.probability.and_then(label::percent);
        (stats, Said { name: heat.label.to_owned(), percent, note })
    }

    /// Writes a panel's label, and on the last panel the colour scale.
    fn write(
        &mut self,
        from: &Picture,
        to: &mut PictureMut,
        left: usize,
        slot: usize,
        said: Said,
        last: bool,
    ) -> Result<(), PaintError> {
        let (width, height, color) = (from.width(), from.height(), from.color());
        let Some(metrics) = Metrics::new(width, height) else {
            return Ok(());
        };
        let right = left + width;
        if self.labels.len() <= slot {
            self.labels.resize_with(slot + 1, || None);
        }
        let known = self.labels[slot]
            .take()
            .filter(|known| known.said == said && known.metrics == metrics && known.color == color);
        let known = match known {
            Some(known) => known,
            None => {
                let sprite = label::label(&said, &metrics, color)?;
                CachedLabel { said, metrics, color, sprite }
            }
        };
        if let Some(sprite) = &known.sprite {
            sprite.lay(to, left + metrics.margin, metrics.margin, right);
        }
        self.labels[slot] = Some(known);
        if !last {
            return Ok(());
        }

        let known = self.bar.take().filter(|known| known.metrics == metrics && known.color == color);
        let known = match (known, &self.tables) {
            (Some(known), _) => known,
            (None, Some(tables)) => {
                CachedBar { metrics, color, sprite: label::scale(&tables.colors, &metrics, color)? }
            }
            (None, None) => return Ok(()),
        };
        if let Some(sprite) = &known.sprite {
            let x = left + even(width.saturating_sub(metrics.margin + sprite.width));
            let y = even(height.saturating_sub(metrics.margin + sprite.height));
            sprite.lay(to, x, y, right);
        }
        self.bar = Some(known);
        Ok(())
    }

    /// Writes lines at the lower left of the first panel, below its label and clear of the colour scale, where `written`
    /// maps have theirs.
    fn write_captions(
        &mut self,
        from: &Picture,
        to: &mut PictureMut,
        lines: &[&str],
        written: usize,
        layout: Layout,
    ) -> Result<(), PaintError> {
        let (width, height, color) = (from.width(), from.height(), from.color());
        let Some(metrics) = Metrics::new(width, height) else {
            return Ok(());
        };
        let margin = metrics.margin;
        let label = self.labels.first().and_then(|known| known.as_ref()?.sprite.as_ref());
        let above = label.filter(|_| written > 0 && layout.originals == 0).map_or(0, |label| label.height + margin);
        let bar = self.bar.as_ref().and_then(|known| known.sprite.as_ref());
        let (beside, below) = bar
            .filter(|_| written > 0 && layout.panels == 1)
            .map_or((0, 0), |bar| (bar.width + margin, bar.height + margin));
        let room = (width - 2 * margin, height.saturating_sub(2 * margin + above + below));
        let said = caption::Said { setting: Setting::Caption, lines, metrics, room, color };
        if let Some(sprite) = self.caption.sprite(&said)? {
            // Only lines that would reach the colour scale stand above it.
            let rise = if sprite.width + beside > room.0 { below } else { 0 };
            sprite.lay(to, margin, even(height.saturating_sub(margin + sprite.height + rise)), width);
        }
        Ok(())
    }
}

fn even(value: usize) -> usize {
    value & !1
}

fn check_alike(from: &Picture, to: &PictureMut) -> Result<(), PaintError> {
    let mismatch = |what| Err(PaintError::Mismatch { what });
    if from.format() != to.format() {
        return mismatch("format");
    }
    if from.color() != to.color() {
        return mismatch("colour matrix, range or chroma site");
    }
    Ok(())
}

/// Size of the output: see [`Painter::output_size`].
pub fn output_size(width: usize, height: usize, classes: usize, style: Style) -> (usize, usize) {
    match classes.max(1) + usize::from(style == Style::SideBySide) {
        1 => (width, height),
        panels => (width.next_multiple_of(2) * panels, height.next_multiple_of(2)),
    }
}

impl Heat<'_> {
    fn check(&self) -> Result<(), PaintError> {
        let Self { width, height, values, .. } = *self;
        let sides = 1..=super::MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) || values.len() != width * height {
            return Err(PaintError::Map { width, height, values: values.len() });
        }
        if !self.region.is_sane() {
            return Err(PaintError::Region { region: format!("{:?}", self.region) });
        }
        Ok(())
    }
}

impl Buffers {
    fn quantise(&mut self, span: Span) {
        self.heat.clear();
        self.heat.extend(self.values.iter().map(|&value| quantise(span.heat(value))));
    }
}

/// Copies `values` with what is negative or not finite as 0, and counts what is not finite.
fn clean(values: &[f32], cleaned: &mut Vec<f32>) -> usize {
    cleaned.clear();
    cleaned.extend(values.iter().map(|&value| if value.is_finite() { value.max(0.0) } else { 0.0 }));
    values.iter().filter(|value| !value.is_finite()).count()
}

/// Copies the picture into the panel that begins at `left`.
fn copy_panel(from: &Picture, to: &mut PictureMut, left: usize) {
    for (plane, (from_plane, to_plane)) in from.planes.iter().zip(&mut to.planes).enumerate() {
        let (width, height) = from.format().plane_size(plane, from.width(), from.height());
        let left = plane_left(from.format(), plane, left);
        for y in 0..height {
            to_plane.line(y, left, width).copy_from_slice(from_plane.line(y, width));
        }
    }
}

/// Where a panel begins in a plane, in bytes.
pub(super) fn plane_left(format: YuvFormat, plane: usize, left: usize) -> usize {
    match (plane, format) {
        (0, _) | (_, YuvFormat::Nv12) => left,
        _ => left / 2,
    }
}

/// Among several panels, an odd picture leaves a column or a line free: it repeats the last one.
fn fill_edges(from: &Picture, to: &mut PictureMut, left: usize, layout: Layout) {
    if layout.panels == 1 {
        return;
    }
    let (width, height) = (from.width(), from.height());
    if width % 2 == 1 {
        for y in 0..height {
            let line = to.planes[0].line(y, left + width - 1, 2);
            line[1] = line[0];
        }
    }
    if height % 2 == 1 {
        to.planes[0].repeat_line(height, left, layout.pitch);
    }
}

/// Paints one panel: every sample is read once from `from` and written once to `to`.
fn paint_panel<P: LinePainter>(
    painter: &mut P,
    from: &Picture,
    to: &mut PictureMut,
    left: usize,
    geometry: &Geometry,
    map: &[P::Heat],
    rows: &mut RowPair<P::Heat>,
) {
    let format = from.format();
    let chroma = if format == YuvFormat::Nv12 { Samples::Pairs } else { Samples::Planes };
    let planes = [(Samples::Luma, 0..1), (chroma, 1..format.planes())];
    for (samples, planes) in planes {
        let (xs, ys, spacing) = match samples {
            Samples::Luma => (&geometry.luma_x, &geometry.luma_y, 1.0),
            Samples::Pairs | Samples::Planes => (&geometry.chroma_x, &geometry.chroma_y, 2.0),
        };
        let bytes = if samples == Samples::Pairs { 2 } else { 1 };
        let (start, end) = (xs.start * bytes, xs.end() * bytes);
        let (width, height) = format.plane_size(planes.start, from.width(), from.height());
        let left = plane_left(format, planes.start, left);
        let mut over = Over { map, cells: geometry.key.cells_x, xs, ys, spacing, rows };
        over.rows.restart(xs.taps.len());
        painter.restart();
        for y in 0..height {
            let rows = over.at(y);
            let mut lines: SmallVec<[Line; 2]> = SmallVec::new();
            for (source, target) in from.planes[planes.clone()].iter().zip(&mut to.planes[planes.clone()]) {
                let (source, target) = (source.line(y, width), target.line(y, left, width));
                if rows.is_none() {
                    target.copy_from_slice(source);
                    continue;
                }
                target[..start].copy_from_slice(&source[..start]);
                target[end..].copy_from_slice(&source[end..]);
                lines.push(Line { to: &mut target[start..end], from: &source[start..end] });
            }
            if let Some(rows) = rows {
                painter.paint(samples, &mut lines, &rows);
            }
        }
    }
}

/// A plane laid over a map.
struct Over<'a, T> {
    map: &'a [T],
    cells: usize,
    xs: &'a Axis,
    ys: &'a Axis,
    spacing: f32,
    rows: &'a mut RowPair<T>,
}

impl<T: Cell> Over<'_, T> {
    /// The heat of line `y`; none where nothing of the line is painted.
    fn at(&mut self, y: usize) -> Option<Rows<'_, T>> {
        let tap = *self.ys.taps.get(y.checked_sub(self.ys.start)?)?;
        if self.xs.taps.is_empty() {
            return None;
        }
        let cell = tap.cell as usize;
        self.rows.seek(cell, self.map, self.cells, &self.xs.taps);
        let RowPair { upper, lower, change, across, .. } = &*self.rows;
        let constant = tap.weight == 0 || tap.weight == u16::MAX;
        let density = self.ys.density as f32;
        Some(Rows {
            upper,
            lower,
            weight: tap.weight,
            cell,
            change: *change,
            steepest: (across * self.xs.density as f32).hypot(change * density),
            density: if constant { 0.0 } else { density },
            spacing: self.spacing,
            lines: 1.0 / (density * self.spacing),
        })
    }
}
