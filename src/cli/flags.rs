//! Flags that several commands share.

use std::path::PathBuf;

use gradcast::classifier::ModelFlags;
use gradcast::paint::{ColorMap, Look, Normalize, Style};

/// Which model, and how it wants to be used.
#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// An ONNX classifier; a card NAME.toml beside NAME.onnx holds its flags [default: the built-in shapes model]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    #[command(flatten)]
    pub flags: ModelFlags,
}

/// How the heat looks.
#[derive(clap::Args)]
#[command(next_help_heading = "Picture")]
pub struct PictureArgs {
    /// Colours of the heat
    #[arg(long, value_enum, default_value_t)]
    colormap: ColorMap,

    /// How strongly the heat is painted, 0 to 1
    #[arg(long, value_name = "0..1", default_value_t = Look::default().opacity, value_parser = opacity)]
    opacity: f32,

    /// Manner of painting
    #[arg(long, value_enum, default_value_t)]
    style: Style,

    /// What heat is measured against: a maximum held over the stream, or each frame's own
    #[arg(long, value_enum, default_value_t)]
    normalize: Normalize,

    /// Write no class, probability and colour scale on the picture
    #[arg(long)]
    no_label: bool,
}

impl PictureArgs {
    pub fn look(&self) -> Look {
        Look {
            colormap: self.colormap,
            opacity: self.opacity,
            style: self.style,
            normalize: self.normalize,
            label: !self.no_label,
        }
    }
}

fn opacity(text: &str) -> Result<f32, String> {
    let value: Option<f32> = text.parse().ok().filter(|v| (0.0..=1.0).contains(v));
    value.ok_or_else(|| format!("`{text}` is not a number from 0 to 1"))
}
