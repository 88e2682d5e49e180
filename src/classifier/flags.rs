//! How a model wants to be used: the same keys on the command line and in a card `NAME.toml`
//! beside `NAME.onnx`, so that nobody types them twice.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::ClassifierError;
use crate::engine::Device;
use crate::explain::{Channels, Method, Preprocess};
use crate::paint::Fit;

/// Model settings; what is `None` is left to the next source (command line, card, the model itself).
#[derive(Debug, Clone, Default, PartialEq, clap::Args, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ModelFlags {
    /// Class names, one per line, or in ImageNet's synset style
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// The layer to explain, by tensor or node name; `gradcast inspect` lists them [default: the last spatial features]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,

    /// How the map is made: grad-cam
    #[arg(long, value_enum)]
    pub method: Option<Method>,

    /// What to explain: top1, class numbers or names, separated by commas: one panel each [default: top1]
    #[arg(long = "class", value_name = "top1|ID|LABEL[,…]")]
    pub class: Option<String>,

    /// The size of the model's input, where the model leaves it open
    #[arg(long, value_name = "WxH")]
    pub input_size: Option<Size>,

    /// The channel order the model was trained with: rgb or bgr
    #[arg(long, value_enum)]
    pub channels: Option<Channels>,

    /// What is subtracted from each channel, in the model's channel order, on the 0–255 scale
    #[arg(long, value_name = "A,B,C", allow_hyphen_values = true)]
    pub mean: Option<PerChannel>,

    /// What each channel is divided by, on the 0–255 scale
    #[arg(long, value_name = "A,B,C")]
    pub std: Option<PerChannel>,

    /// A well-known preprocessing instead of --channels, --mean and --std
    #[arg(long, value_enum)]
    pub preprocess: Option<Preset>,

    /// How the frame is brought to the model's input
    #[arg(long, value_enum)]
    pub fit: Option<Fit>,

    /// Where the model runs [default: auto]
    #[arg(long, value_enum)]
    pub device: Option<Device>,

    /// Frames per run of the model [default: 1 on the CPU, 8 on a GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: Option<u16>,

    /// CPU threads for the model [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl ModelFlags {
    /// Reads a card. Relative paths in it are relative to the card.
    ///
    /// # Errors
    /// [`ClassifierError::Card`] with the line and key at fault.
    pub fn read_card(path: &Path) -> Result<Self, ClassifierError> {
        let failed = |reason: String| ClassifierError::Card { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let mut card = Self::parse_card(&text).map_err(failed)?;
        if let (Some(labels), Some(folder)) = (&mut card.labels, path.parent()) {
            *labels = folder.join(&*labels);
        }
        Ok(card)
    }

    /// As [`ModelFlags::read_card`], from text; the error is `toml`'s, which shows the line.
    ///
    /// # Errors
    /// Where the text is not TOML, or a key or value is not one of ours.
    pub fn parse_card(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())
    }

    /// These settings, with `card`'s where these are silent. The preprocessing is not merged key by
    /// key: see [`ModelFlags::preprocess_over`].
    pub fn or(self, card: Self) -> Self {
        Self {
            labels: self.labels.or(card.labels),
            layer: self.layer.or(card.layer),
            method: self.method.or(card.method),
            class: self.class.or(card.class),
            input_size: self.input_size.or(card.input_size),
            channels: self.channels.or(card.channels),
            mean: self.mean.or(card.mean),
            std: self.std.or(card.std),
            preprocess: self.preprocess.or(card.preprocess),
            fit: self.fit.or(card.fit),
            device: self.device.or(card.device),
            batch: self.batch.or(card.batch),
            threads: self.threads.or(card.threads),
        }
    }

    /// The preprocessing these settings make of `base`: a preset replaces it, then the single keys
    /// change it. So a preset on the command line also overrules a card's means.
    pub fn preprocess_over(&self, base: Preprocess) -> Preprocess {
        let mut preprocess = self.preprocess.map_or(base, Preset::preprocess);
        if let Some(channels) = self.channels {
            preprocess.channels = channels;
        }
        if let Some(PerChannel(mean)) = self.mean {
            preprocess.mean = mean;
        }
        if let Some(PerChannel(std)) = self.std {
            preprocess.std = std;
        }
        preprocess
    }

    /// Whether anything is said of the preprocessing.
    pub fn says_preprocess(&self) -> bool {
        self.preprocess.is_some() || self.channels.is_some() || self.mean.is_some() || self.std.is_some()
    }
}

/// Preprocessing that goes by a name. Values on the 0–255 scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// RGB, mean 123.675,116.28,103.53, std 58.395,57.12,57.375 (torchvision, timm)
    Imagenet,
    /// RGB to −1…1: mean and std 127.5 (TensorFlow's Inception and MobileNet)
    Inception,
    /// BGR, mean 103.939,116.779,123.68 (Caffe)
    Caffe,
    /// RGB to 0…1
    Unit,
    /// RGB as it is, 0…255
    Raw,
}

impl Preset {
    /// The values behind the name.
    pub fn preprocess(self) -> Preprocess {
        match self {
            Self::Imagenet => {
                Preprocess { channels: Channels::Rgb, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] }
            }
            Self::Inception => Preprocess { channels: Channels::Rgb, mean: [127.5; 3], std: [127.5; 3] },
            Self::Caffe => Preprocess { channels: Channels::Bgr, mean: [103.939, 116.779, 123.68], std: [1.0; 3] },
            Self::Unit => Preprocess { channels: Channels::Rgb, mean: [0.0; 3], std: [255.0; 3] },
            Self::Raw => Preprocess::RAW,
        }
    }
}

/// A size in pixels, written `WxH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// No classifier takes larger pictures; a slip of the hand must not ask for gigabytes.
const MAX_SIDE: usize = 4096;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |s: &str| s.trim().parse::<usize>().ok().filter(|n| (1..=MAX_SIDE).contains(n));
        let parts = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((side(w)?, side(h)?)));
        let (width, height) =
            parts.ok_or_else(|| format!("`{text}` is not a size such as 224x224 (1 to {MAX_SIDE} pixels a side)"))?;
        Ok(Self { width, height })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One number per channel: `A,B,C`, or one for all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerChannel(pub [f32; 3]);

impl PerChannel {
    fn from_numbers(numbers: &[f32]) -> Option<Self> {
        let values = match *numbers {
            [all] => [all; 3],
            [a, b, c] => [a, b, c],
            _ => return None,
        };
        values.iter().all(|v| v.is_finite()).then_some(Self(values))
    }
}

impl FromStr for PerChannel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<f32>> = text.split(',').map(|s| s.trim().parse().ok()).collect();
        numbers
            .and_then(|n| Self::from_numbers(&n))
            .ok_or_else(|| format!("`{text}` is not three numbers such as 123.675,116.28,103.53"))
    }
}

impl<'de> Deserialize<'de> for PerChannel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(f32),
            List(Vec<f32>),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => text.parse().map_err(D::Error::custom),
            Written::Number(all) => Ok(Self([all; 3])),
            Written::List(list) => {
                Self::from_numbers(&list).ok_or_else(|| D::Error::custom("one or three finite numbers are wanted"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_holds_what_the_command_line_does() {
        let card = ModelFlags::parse_card(
            "labels = \"l.txt\"\ninput-size = \"320x240\"\nchannels = \"bgr\"\nmean = [1, 2, 3]\nstd = 4\nfit = \"crop\"\nclass = \"top1\"",
        )
        .unwrap();
        assert_eq!(card.input_size, Some(Size { width: 320, height: 240 }));
        let p = card.preprocess_over(Preset::Imagenet.preprocess());
        assert_eq!((p.channels, p.mean, p.std), (Channels::Bgr, [1.0, 2.0, 3.0], [4.0; 3]));
        let line = ModelFlags { preprocess: Some(Preset::Unit), ..Default::default() };
        let p = line.preprocess_over(p);
        assert_eq!((p.channels, p.mean, p.std), (Channels::Rgb, [0.0; 3], [255.0; 3]));
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = ModelFlags::parse_card("fit = \"crop\"\nsize = 3").unwrap_err();
        assert!(error.contains("line 2") && error.contains("size"), "{error}");
    }

    #[test]
    fn sizes_and_numbers_are_checked() {
        for bad in ["", "224", "0x5", "5x", "99999x1", "axb"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
        for bad in ["", "1,2", "1,2,nan", "a"] {
            assert!(bad.parse::<PerChannel>().is_err(), "{bad}");
        }
    }
}
