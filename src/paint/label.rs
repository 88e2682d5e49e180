//! The class on the picture, and the small colour scale: drawn when they change, laid on every frame.

use super::{
    ColorTable, PaintError, YuvColor,
    sprite::Sprite,
    words::{Align, Metrics, Pen, boxed, dark_box, drawable},
};

/// A probability in words: never "100 %" for what is not certain, nor "0 %" for what is possible.
pub(super) fn percent(probability: f32) -> Option<String> {
    let percent = f64::from(probability) * 100.0;
    match percent {
        p if !p.is_finite() => None,
        p if p <= 0.0 => Some("0 %".to_owned()),
        p if p < 1.0 => Some("<1 %".to_owned()),
        p if p >= 100.0 => Some("100 %".to_owned()),
        p if p > 99.0 => Some(">99 %".to_owned()),
        p => Some(format!("{p:.0} %")),
    }
}

/// What a label says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// Name of the class, as it came.
    pub name: String,
    /// Probability in words.
    pub percent: Option<String>,
    /// A second line.
    pub note: Option<&'static str>,
}

/// Draws a label; none where there is nothing to say.
pub(super) fn label(said: &Said, metrics: &Metrics, color: YuvColor) -> Result<Option<Sprite>, PaintError> {
    let around = 2 * (metrics.margin + metrics.padding);
    let room = metrics.panel.0.saturating_sub(around);
    let name = drawable(&said.name);
    let tail = match (&said.percent, name.is_empty()) {
        (Some(percent), false) => format!("  {percent}"),
        (Some(percent), true) => percent.clone(),
        (None, _) => String::new(),
    };
    let mut lines = Vec::new();
    let pen = Pen::new(metrics.capital);
    for (pen, text) in
        [(&pen, pen.cut(&name, &tail, room)?), (&Pen::small(metrics), said.note.unwrap_or_default().to_owned())]
    {
        let text = pen.cut(&text, "", room)?;
        if !text.is_empty() {
            lines.push(pen.draw(&text)?);
        }
    }
    boxed(&lines, Align::Left, metrics, color)
}

/// Draws the colour scale, from "low" to "high"; none where the panel has no room for it.
pub(super) fn scale(table: &ColorTable, metrics: &Metrics, color: YuvColor) -> Result<Option<Sprite>, PaintError> {
    let pen = Pen::new((metrics.capital * 0.75).max(8.0).round());
    let (low, high) = (pen.draw("low")?, pen.draw("high")?);
    let padding = metrics.padding;
    let gap = padding.max(3);
    let bar = (metrics.capital * 6.0) as usize;
    let width = (padding + low.width + gap + bar + gap + high.width + padding).next_multiple_of(2);
    let height = (low.height + padding + padding / 2).next_multiple_of(2);
    if width + 2 * metrics.margin > metrics.panel.0 || height * 6 > metrics.panel.1 {
        return Ok(None);
    }
    let top = padding / 2 + 1;
    let rows = top + 1..top + pen.capital as usize + pen.thickness as usize + 1;
    let bar_left = padding + low.width + gap;
    let mut mask = vec![0u8; width * height];
    for (words, left) in [(&low, padding), (&high, bar_left + bar + gap)] {
        words.lay(&mut mask, width, left, top)?;
    }
    let (_, white) = color.black_white();
    Ok(Some(Sprite::draw(width, height, |x, y| {
        let ink = dark_box(x, y, (width, height), metrics, color);
        if rows.contains(&y) && (bar_left..bar_left + bar).contains(&x) {
            return ink.under(table.at((x - bar_left) as f32 / (bar - 1) as f32), 1.0);
        }
        ink.under([white, 128.0, 128.0], f32::from(mask[y * width + x]) / 255.0)
    })))
}
