//! What a viewer can change while the video runs: one vocabulary for the keys of the window, the page
//! and the API.

use serde::{Deserialize, Serialize};

use crate::classifier::Labels;
use crate::paint::{ColorMap, Look, Normalize, Style};

/// One thing that can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// `next`, `previous`, `top1`, `pin` (what is most probable now), a number or a label.
    Class,
    /// `next`, `previous`, `default` or a layer's name.
    Layer,
    /// `up`, `down` or 0 to 1.
    Opacity,
    /// `next`, `previous` or a style's name.
    Style,
    /// `next`, `previous` or a colour map's name.
    Colormap,
    /// `next`, `previous`, `stream` or `frame`.
    Normalize,
    /// `toggle`, `on` or `off`.
    Label,
    /// `toggle`, `on` or `off`.
    Pause,
    /// `toggle`, `on` or `off`.
    Help,
}

/// What a viewer wants to see.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wishes {
    /// Classes to explain, −1 the most probable; as many as the model was written for.
    pub classes: Vec<i64>,
    /// `None`: the model's default layer.
    pub layer: Option<String>,
    #[serde(flatten)]
    pub look: Look,
    pub paused: bool,
    /// A line of help in the picture.
    pub help: bool,
}

/// What words refer to.
pub struct Known<'a> {
    pub labels: &'a Labels,
    /// Number of classes of the model.
    pub classes: usize,
    /// Layers that can be explained, nearest to the score first, and the one that is explained now.
    pub layers: &'a [String],
    pub layer: &'a str,
    /// What is most probable now.
    pub top: Option<usize>,
}

/// How far one press of a key changes the opacity.
const OPACITY_STEP: f32 = 0.1;

impl Wishes {
    /// Changes one thing.
    ///
    /// # Errors
    /// A sentence that says which words are understood.
    pub fn change(&mut self, control: Control, word: &str, known: &Known) -> Result<(), String> {
        let word = word.trim();
        match control {
            Control::Class => self.change_class(word, known)?,
            Control::Layer => self.layer = layer(word, known)?,
            Control::Opacity => self.look.opacity = opacity(self.look.opacity, word)?,
            Control::Style => {
                // The size of the output is fixed, so styles with another number of panels are left out.
                let beside = self.look.style == Style::SideBySide;
                let fitting: Vec<Style> =
                    Style::ALL.iter().copied().filter(|s| (*s == Style::SideBySide) == beside).collect();
                self.look.style = choose(&fitting, self.look.style, word, Style::name)?;
            }
            Control::Colormap => {
                self.look.colormap = choose(ColorMap::ALL, self.look.colormap, word, ColorMap::name)?;
            }
            Control::Normalize => {
                self.look.normalize = choose(Normalize::ALL, self.look.normalize, word, Normalize::name)?;
            }
            Control::Label => self.look.label = switch(self.look.label, word)?,
            Control::Pause => self.paused = switch(self.paused, word)?,
            Control::Help => self.help = switch(self.help, word)?,
        }
        Ok(())
    }

    /// With several panels it is the first one whose class changes.
    fn change_class(&mut self, word: &str, known: &Known) -> Result<(), String> {
        let count = i64::try_from(known.classes).unwrap_or(i64::MAX).max(1);
        let top = known.top.and_then(|top| i64::try_from(top).ok());
        let Some(class) = self.classes.first_mut() else { return Ok(()) };
        // From the most probable one, "next" goes to its neighbour, as a viewer expects.
        let now = if *class < 0 { top.unwrap_or(-1) } else { *class };
        *class = match word {
            "next" => (now + 1).rem_euclid(count),
            "previous" => (now - 1).rem_euclid(count),
            "top1" => -1,
            "pin" => top.ok_or("nothing has been recognised yet: there is no class to pin")?,
            other => find(other, known)?,
        };
        Ok(())
    }
}

fn find(word: &str, known: &Known) -> Result<i64, String> {
    let last = known.classes.saturating_sub(1);
    let found = match (word.parse::<usize>(), &known.labels.find(word)[..]) {
        (Ok(class), _) => Some(class),
        (_, [class]) => Some(*class),
        _ => None,
    };
    found
        .filter(|class| *class <= last)
        .and_then(|class| i64::try_from(class).ok())
        .ok_or_else(|| format!("`{word}` is no class: next, previous, top1, pin, a number up to {last}, or one label"))
}

fn layer(word: &str, known: &Known) -> Result<Option<String>, String> {
    if word == "default" {
        return Ok(None);
    }
    let at = known.layers.iter().position(|l| l == known.layer).unwrap_or(0);
    let count = known.layers.len().max(1);
    let wanted = match word {
        "next" => known.layers.get((at + 1) % count),
        "previous" => known.layers.get((at + count - 1) % count),
        name => known.layers.iter().find(|l| *l == name),
    };
    wanted.cloned().map(Some).ok_or_else(|| {
        format!("`{word}` is no layer that can be explained: next, previous, default, or one of `gradcast inspect`")
    })
}

fn opacity(now: f32, word: &str) -> Result<f32, String> {
    // In whole percent: steps do not drift.
    let percent = |value: f32| ((value * 100.0).round() / 100.0).clamp(0.0, 1.0);
    match word {
        "up" => Ok(percent(now + OPACITY_STEP)),
        "down" => Ok(percent(now - OPACITY_STEP)),
        number => number
            .parse()
            .ok()
            .filter(|v| (0.0..=1.0).contains(v))
            .ok_or_else(|| format!("`{number}` is no opacity: up, down, or a number from 0 to 1")),
    }
}

fn choose<T: Copy + PartialEq>(all: &[T], now: T, word: &str, name: impl Fn(T) -> &'static str) -> Result<T, String> {
    let at = all.iter().position(|c| *c == now).unwrap_or(0);
    let found = match word {
        "next" => all.get((at + 1) % all.len().max(1)).copied(),
        "previous" => all.get((at + all.len().max(1) - 1) % all.len().max(1)).copied(),
        word => all.iter().copied().find(|c| name(*c).eq_ignore_ascii_case(word)),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|c| name(*c)).collect();
        format!("`{word}` is not one of next, previous, {}", names.join(", "))
    })
}

fn switch(now: bool, word: &str) -> Result<bool, String> {
    match word {
        "toggle" => Ok(!now),
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{word}` is not one of toggle, on, off")),
    }
}

/// What a key of the window does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAction {
    Change(Control, &'static str),
    Snapshot,
    Quit,
}

/// Key names are those of GStreamer. Most displays name the key and not the sign that Shift makes of it,
/// so every action has a key that needs no Shift.
const KEYS: [(&[&str], KeyAction); 18] = [
    (&["n", "Right"], KeyAction::Change(Control::Class, "next")),
    (&["p", "Left"], KeyAction::Change(Control::Class, "previous")),
    (&["t"], KeyAction::Change(Control::Class, "top1")),
    (&["k"], KeyAction::Change(Control::Class, "pin")),
    (&["l"], KeyAction::Change(Control::Layer, "next")),
    (&["j"], KeyAction::Change(Control::Layer, "previous")),
    (&["d"], KeyAction::Change(Control::Layer, "default")),
    (&["plus", "equal", "KP_Add", "Up"], KeyAction::Change(Control::Opacity, "up")),
    (&["minus", "KP_Subtract", "Down"], KeyAction::Change(Control::Opacity, "down")),
    (&["s"], KeyAction::Change(Control::Style, "next")),
    (&["c"], KeyAction::Change(Control::Colormap, "next")),
    (&["x"], KeyAction::Change(Control::Colormap, "previous")),
    (&["m"], KeyAction::Change(Control::Normalize, "next")),
    (&["b"], KeyAction::Change(Control::Label, "toggle")),
    (&["space"], KeyAction::Change(Control::Pause, "toggle")),
    (&["question", "slash", "h", "F1"], KeyAction::Change(Control::Help, "toggle")),
    (&["w", "Print"], KeyAction::Snapshot),
    (&["q", "Escape"], KeyAction::Quit),
];

/// The lines of help in the picture.
pub const HELP: [&str; 4] = [
    "class: n next, p previous, t top 1, k keep",
    "layer: l next, j previous, d default",
    "heat: + - opacity, s style, c x colours, m scale, b label",
    "space pause, w snapshot, ? help, q quit",
];

/// What a key does; `None` for a key without a meaning.
pub fn key(name: &str) -> Option<KeyAction> {
    KEYS.iter().find(|(names, _)| names.contains(&name)).map(|(_, action)| *action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes() -> Wishes {
        Wishes { classes: vec![-1], layer: None, look: Look::default(), paused: false, help: false }
    }

    fn with<T>(top: Option<usize>, body: impl FnOnce(&Known) -> T) -> T {
        let labels = Labels::parse("circle\ntriangle\nsquare\n");
        let layers = ["top/relu".to_owned(), "block3".to_owned()];
        body(&Known { labels: &labels, classes: 3, layers: &layers, layer: "top/relu", top })
    }

    #[test]
    fn classes_go_round_from_what_is_seen_now() {
        with(Some(2), |known| {
            let mut w = wishes();
            let mut after = |word: &str| w.change(Control::Class, word, known).map(|()| w.classes[0]);
            assert_eq!(after("next"), Ok(0));
            assert_eq!(after("previous"), Ok(2));
            assert_eq!(after("triangle"), Ok(1));
            assert_eq!(after("top1"), Ok(-1));
            assert_eq!(after("pin"), Ok(2));
            assert!(after("3").is_err() && after("hexagon").is_err());
        });
        with(None, |known| assert!(wishes().change(Control::Class, "pin", known).is_err()));
    }

    #[test]
    fn looks_layers_and_switches_change_by_word() {
        with(None, |known| {
            let mut w = wishes();
            for (control, word) in [
                (Control::Layer, "next"),
                (Control::Opacity, "up"),
                (Control::Colormap, "viridis"),
                (Control::Style, "previous"),
                (Control::Pause, "toggle"),
            ] {
                w.change(control, word, known).unwrap();
            }
            assert_eq!(w.layer.as_deref(), Some("block3"));
            assert_eq!((w.look.opacity, w.look.colormap, w.paused), (0.6, ColorMap::Viridis, true));
            assert_eq!(w.look.style, Style::Contour, "side by side would change the size of the picture");
            for (control, word) in [
                (Control::Layer, "nowhere"),
                (Control::Opacity, "1.5"),
                (Control::Opacity, "NaN"),
                (Control::Style, "side-by-side"),
                (Control::Pause, ""),
            ] {
                assert!(w.clone().change(control, word, known).is_err(), "{control:?} {word}");
            }
            w.change(Control::Layer, "default", known).unwrap();
            assert_eq!(w.layer, None);
        });
    }

    #[test]
    fn keys_have_one_meaning_each() {
        let mut all: Vec<&str> = KEYS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(key("question"), Some(KeyAction::Change(Control::Help, "toggle")));
        assert_eq!(key("F12"), None);
    }
}
