//! The words on the picture, and the small colour scale: drawn with OpenCV when they change, laid on every frame.

use super::{
    ColorTable, PaintError, YuvColor,
    sprite::{Ink, Sprite},
};
use deunicode::deunicode;
use opencv::{core, imgproc, prelude::*};

/// Opacity of the dark box behind words.
const BOX_OPACITY: f32 = 0.62;
/// Height of a capital letter of the font at scale 1, in pixels (its vectors go from -9 to 12).
const CAPITAL: f64 = 21.0;
const FONT: i32 = imgproc::FONT_HERSHEY_SIMPLEX;
/// Panels lower or narrower than this stay without words: nobody could read them.
const LEAST_SIDE: usize = 48;

/// Sizes of everything that is drawn on a panel, in pixels, from the panel's size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Metrics {
    /// Height of a capital letter.
    capital: f64,
    /// From the panel's edge to a box, even.
    pub margin: usize,
    /// Between a box's edge and its words.
    padding: usize,
    panel: (usize, usize),
}

impl Metrics {
    /// None: the panel is too small for words.
    pub fn new(width: usize, height: usize) -> Option<Self> {
        if width.min(height) < LEAST_SIDE {
            return None;
        }
        // A portrait panel has little width for words, so its width counts too.
        let side = (height as f64).min(width as f64 * 0.75);
        let capital = (side / 38.0).max(9.0).round();
        let margin = ((capital * 0.7 / 2.0).round() as usize * 2).max(2);
        Some(Self { capital, margin, padding: (capital * 0.6).round() as usize, panel: (width, height) })
    }
}

/// Coverage (0 to 255) of drawn words.
struct Words {
    mask: Mat,
    width: usize,
    height: usize,
}

struct Pen {
    scale: f64,
    thickness: i32,
    capital: f64,
}

impl Pen {
    fn new(capital: f64) -> Self {
        Self { scale: capital / CAPITAL, thickness: (capital / 9.0).round().max(1.0) as i32, capital }
    }

    /// Width of `text` in pixels.
    fn width(&self, text: &str) -> Result<usize, PaintError> {
        let mut baseline = 0;
        imgproc::get_text_size(text, FONT, self.scale, self.thickness, &mut baseline)
            .map(|size| size.width.max(0) as usize)
            .map_err(|source| PaintError::OpenCv { what: "measure the label", source })
    }

    /// `text` cut to `room` pixels with "...", which never costs its end `tail`.
    fn cut(&self, text: &str, tail: &str, room: usize) -> Result<String, PaintError> {
        let whole = format!("{text}{tail}");
        if self.width(&whole)? <= room {
            return Ok(whole);
        }
        // ASCII only, so every byte is a letter.
        let (mut fits, mut short) = (0, text.len());
        while fits + 1 < short {
            let middle = fits.midpoint(short);
            if self.width(&format!("{}...{tail}", text[..middle].trim_end()))? <= room {
                fits = middle;
            } else {
                short = middle;
            }
        }
        Ok(match fits {
            0 => tail.trim_start().to_owned(),
            _ => format!("{}...{tail}", text[..fits].trim_end_matches([' ', ','])),
        })
    }

    /// Draws `text`; the mask holds a capital's height plus what hangs below the line.
    fn draw(&self, text: &str) -> Result<Words, PaintError> {
        let failed = |source| PaintError::OpenCv { what: "draw the label", source };
        let width = self.width(text)?.max(1);
        let rise = self.capital as i32 + self.thickness;
        let height = rise + (self.capital * 0.35).ceil() as i32 + self.thickness;
        let mut mask = Mat::new_rows_cols_with_default(height, width as i32, core::CV_8UC1, core::Scalar::all(0.0))
            .map_err(failed)?;
        imgproc::put_text(
            &mut mask,
            text,
            core::Point::new(self.thickness / 2, rise),
            FONT,
            self.scale,
            core::Scalar::all(255.0),
            self.thickness,
            imgproc::LINE_AA,
            false,
        )
        .map_err(failed)?;
        Ok(Words { mask, width, height: height as usize })
    }
}

impl Words {
    fn bytes(&self) -> Result<&[u8], PaintError> {
        self.mask.data_bytes().map_err(|source| PaintError::OpenCv { what: "read the label", source })
    }
}

/// Letters that OpenCV's fonts can draw: other scripts are transliterated, what has no letters becomes "?".
pub(super) fn drawable(text: &str) -> String {
    let ascii = deunicode(text);
    ascii
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect()
}

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

/// Coverage of a rounded rectangle at a pixel.
fn rounded(x: usize, y: usize, width: usize, height: usize, radius: f32) -> f32 {
    let beyond = |at: usize, length: usize| {
        ((at as f32 + 0.5 - length as f32 / 2.0).abs() - length as f32 / 2.0 + radius).max(0.0)
    };
    let distance = beyond(x, width).hypot(beyond(y, height)) - radius;
    (0.5 - distance).clamp(0.0, 1.0)
}

/// A rounded dark box, as `Ink`.
fn dark_box(x: usize, y: usize, size: (usize, usize), metrics: &Metrics, color: YuvColor) -> Ink {
    let (black, _) = color.black_white();
    let coverage = rounded(x, y, size.0, size.1, metrics.capital as f32 * 0.4);
    Ink { color: [black, 128.0, 128.0], opacity: BOX_OPACITY * coverage }
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
    for (pen, text) in [
        (&pen, pen.cut(&name, &tail, room)?),
        (&Pen::new((metrics.capital * 0.8).max(8.0).round()), said.note.unwrap_or_default().to_owned()),
    ] {
        let text = pen.cut(&text, "", room)?;
        if !text.is_empty() {
            lines.push(pen.draw(&text)?);
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let (_, white) = color.black_white();
    let padding = metrics.padding;
    let width = (lines.iter().map(|words| words.width).max().unwrap_or(0) + 2 * padding).next_multiple_of(2);
    let height = (lines.iter().map(|words| words.height).sum::<usize>() + padding + padding / 2).next_multiple_of(2);
    let mut mask = vec![0u8; width * height];
    let mut top = padding / 2 + 1;
    for words in &lines {
        for (y, row) in words.bytes()?.chunks_exact(words.width).enumerate() {
            if let Some(line) = mask.chunks_exact_mut(width).nth(top + y) {
                line[padding..padding + words.width].copy_from_slice(row);
            }
        }
        top += words.height;
    }
    Ok(Some(Sprite::draw(width, height, |x, y| {
        let ink = dark_box(x, y, (width, height), metrics, color);
        ink.under([white, 128.0, 128.0], f32::from(mask[y * width + x]) / 255.0)
    })))
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
        for (y, row) in words.bytes()?.chunks_exact(words.width).enumerate() {
            if let Some(line) = mask.chunks_exact_mut(width).nth(top + y) {
                line[left..left + words.width].copy_from_slice(row);
            }
        }
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
