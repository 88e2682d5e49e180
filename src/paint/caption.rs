//! Lines of words over the picture: drawn when they change, laid on every frame.

use super::{
    PaintError, YuvColor,
    sprite::Sprite,
    words::{Align, Metrics, Pen, Words, boxed, drawable},
};

/// Letters of a line that are looked at: no panel shows more, and what a camera's server says may be long.
const MOST_LETTERS: usize = 400;

/// How lines are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// Small, from the left.
    Caption,
    /// Large and centred, the first line a little larger.
    Message,
}

impl Setting {
    fn pen(self, line: usize, metrics: &Metrics) -> Pen {
        match (self, line) {
            (Self::Caption, _) => Pen::small(metrics),
            (Self::Message, 0) => Pen::new((metrics.capital * 1.15).round()),
            (Self::Message, _) => Pen::new(metrics.capital),
        }
    }

    fn align(self) -> Align {
        match self {
            Self::Caption => Align::Left,
            Self::Message => Align::Centre,
        }
    }
}

/// Everything that a drawn box depends on.
#[derive(Debug, PartialEq)]
pub(super) struct Said<'a> {
    pub setting: Setting,
    pub lines: &'a [&'a str],
    pub metrics: Metrics,
    /// Largest width and height of the box.
    pub room: (usize, usize),
    pub color: YuvColor,
}

/// A box of lines, drawn anew only when something about it changes.
#[derive(Debug, Default)]
pub(super) struct Caption {
    drawn: Option<Drawn>,
}

#[derive(Debug)]
struct Drawn {
    setting: Setting,
    lines: Vec<String>,
    metrics: Metrics,
    room: (usize, usize),
    color: YuvColor,
    sprite: Option<Sprite>,
}

impl Drawn {
    fn is(&self, said: &Said) -> bool {
        let Self { setting, lines, metrics, room, color, .. } = self;
        (setting, metrics, room, color) == (&said.setting, &said.metrics, &said.room, &said.color)
            && lines == said.lines
    }
}

impl Caption {
    /// The box that says `said`; none where there is nothing to say or no room to say it.
    pub fn sprite(&mut self, said: &Said) -> Result<Option<&Sprite>, PaintError> {
        let drawn = match self.drawn.take().filter(|drawn| drawn.is(said)) {
            Some(drawn) => drawn,
            None => Drawn {
                setting: said.setting,
                lines: said.lines.iter().map(|&line| line.to_owned()).collect(),
                metrics: said.metrics,
                room: said.room,
                color: said.color,
                sprite: boxed(&set(said)?, said.setting.align(), &said.metrics, said.color)?,
            },
        };
        Ok(self.drawn.insert(drawn).sprite.as_ref())
    }
}

/// Breaks the lines to the width of the room, and cuts off what is too much for its height with "...".
fn set(said: &Said) -> Result<Vec<Words>, PaintError> {
    let padding = said.metrics.padding;
    let width = said.room.0.saturating_sub(2 * padding);
    let mut left = said.room.1.saturating_sub(padding + padding / 2 + 1);
    let mut set: Vec<(Pen, String)> = Vec::new();
    let mut all = true;
    'lines: for (index, line) in said.lines.iter().enumerate() {
        let pen = said.setting.pen(index, &said.metrics);
        let text: String = line.chars().take(MOST_LETTERS).collect();
        for part in pen.wrap(&drawable(&text), width)? {
            let Some(rest) = left.checked_sub(pen.line_height()) else {
                all = false;
                break 'lines;
            };
            left = rest;
            set.push((pen, part));
        }
    }
    if let (false, Some((pen, last))) = (all, set.last_mut()) {
        *last = pen.cut(&format!("{last}..."), "", width)?;
    }
    set.iter().filter(|(_, text)| !text.is_empty()).map(|(pen, text)| pen.draw(text)).collect()
}
