//! Words as drawings: letters from OpenCV, lines cut or broken to fit, and the dark box behind them.

use super::{
    PaintError, YuvColor,
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
    pub capital: f64,
    /// From the panel's edge to a box, even.
    pub margin: usize,
    /// Between a box's edge and its words.
    pub padding: usize,
    /// The panel's width and height.
    pub panel: (usize, usize),
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
pub(super) struct Words {
    mask: Mat,
    pub width: usize,
    pub height: usize,
}

/// Letters of one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pen {
    scale: f64,
    pub thickness: i32,
    pub capital: f64,
}

impl Pen {
    /// A pen whose capitals are `capital` pixels high.
    pub fn new(capital: f64) -> Self {
        Self { scale: capital / CAPITAL, thickness: (capital / 9.0).round().max(1.0) as i32, capital }
    }

    /// The pen of what stands beside the class.
    pub fn small(metrics: &Metrics) -> Self {
        Self::new((metrics.capital * 0.8).max(8.0).round())
    }

    /// Width of `text` in pixels.
    fn width(&self, text: &str) -> Result<usize, PaintError> {
        let mut baseline = 0;
        imgproc::get_text_size(text, FONT, self.scale, self.thickness, &mut baseline)
            .map(|size| size.width.max(0) as usize)
            .map_err(|source| PaintError::OpenCv { what: "measure the label", source })
    }

    /// `text` cut to `room` pixels with "...", which never costs its end `tail`.
    pub fn cut(&self, text: &str, tail: &str, room: usize) -> Result<String, PaintError> {
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

    /// `text` broken at spaces into lines of `room` pixels; a word that is longer than a line is cut.
    pub fn wrap(&self, text: &str, room: usize) -> Result<Vec<String>, PaintError> {
        let mut lines = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(self.fitting(rest, room)?);
            lines.push(self.cut(line, "", room)?);
            rest = after.trim_start();
        }
        Ok(lines)
    }

    /// Bytes of `text` up to the last space before which it fits in `room`; at least its first word.
    fn fitting(&self, text: &str, room: usize) -> Result<usize, PaintError> {
        let mut fits = None;
        for (end, _) in text.match_indices(' ').chain([(text.len(), "")]) {
            if fits.is_some() && self.width(&text[..end])? > room {
                break;
            }
            fits = Some(end);
        }
        Ok(fits.unwrap_or(text.len()))
    }

    /// From the top of a capital to the baseline, in whole pixels.
    fn rise(&self) -> i32 {
        self.capital as i32 + self.thickness
    }

    /// Height of a line: a capital's plus what hangs below.
    pub fn line_height(&self) -> usize {
        (self.rise() + (self.capital * 0.35).ceil() as i32 + self.thickness).max(1) as usize
    }

    /// Draws `text`; the mask is one line high.
    pub fn draw(&self, text: &str) -> Result<Words, PaintError> {
        let failed = |source| PaintError::OpenCv { what: "draw the label", source };
        let width = self.width(text)?.max(1);
        let height = self.line_height();
        let rise = self.rise();
        let mut mask =
            Mat::new_rows_cols_with_default(height as i32, width as i32, core::CV_8UC1, core::Scalar::all(0.0))
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
        Ok(Words { mask, width, height })
    }
}

impl Words {
    fn bytes(&self) -> Result<&[u8], PaintError> {
        self.mask.data_bytes().map_err(|source| PaintError::OpenCv { what: "read the label", source })
    }

    /// Copies the words into a wider `mask` of lines of `width`, with their corner at `(left, top)`.
    pub fn lay(&self, mask: &mut [u8], width: usize, left: usize, top: usize) -> Result<(), PaintError> {
        let rows = self.bytes()?.chunks_exact(self.width);
        for (line, row) in mask.chunks_exact_mut(width).skip(top).zip(rows) {
            line[left..left + self.width].copy_from_slice(row);
        }
        Ok(())
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

/// Coverage of a rounded rectangle at a pixel.
fn rounded(x: usize, y: usize, width: usize, height: usize, radius: f32) -> f32 {
    let beyond = |at: usize, length: usize| {
        ((at as f32 + 0.5 - length as f32 / 2.0).abs() - length as f32 / 2.0 + radius).max(0.0)
    };
    let distance = beyond(x, width).hypot(beyond(y, height)) - radius;
    (0.5 - distance).clamp(0.0, 1.0)
}

/// A rounded dark box, as `Ink`.
pub(super) fn dark_box(x: usize, y: usize, size: (usize, usize), metrics: &Metrics, color: YuvColor) -> Ink {
    let (black, _) = color.black_white();
    let coverage = rounded(x, y, size.0, size.1, metrics.capital as f32 * 0.4);
    Ink { color: [black, 128.0, 128.0], opacity: BOX_OPACITY * coverage }
}

/// Where lines stand in their box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Centre,
}

/// Draws `lines` one below the other, white on a dark box; none where there are none.
pub(super) fn boxed(
    lines: &[Words],
    align: Align,
    metrics: &Metrics,
    color: YuvColor,
) -> Result<Option<Sprite>, PaintError> {
    let Some(widest) = lines.iter().map(|words| words.width).max() else {
        return Ok(None);
    };
    let padding = metrics.padding;
    let width = (widest + 2 * padding).next_multiple_of(2);
    let height = (lines.iter().map(|words| words.height).sum::<usize>() + padding + padding / 2).next_multiple_of(2);
    let mut mask = vec![0u8; width * height];
    let mut top = padding / 2 + 1;
    for words in lines {
        let left = match align {
            Align::Left => padding,
            Align::Centre => (width - words.width) / 2,
        };
        words.lay(&mut mask, width, left, top)?;
        top += words.height;
    }
    let (_, white) = color.black_white();
    Ok(Some(Sprite::draw(width, height, |x, y| {
        let ink = dark_box(x, y, (width, height), metrics, color);
        ink.under([white, 128.0, 128.0], f32::from(mask[y * width + x]) / 255.0)
    })))
}
