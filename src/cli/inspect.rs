//! `gradcast inspect`: what was understood of a model.

use std::path::PathBuf;
use std::process::ExitCode;

use gradcast::classifier::{ClassifierError, Size};
use gradcast::explain::{self, Ending, Layout};
use gradcast::onnx;

use super::failure::{Code, Failure};

/// Show what a model is: its input, its score, the layers that can be explained
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  gradcast inspect mobilenetv2.onnx
  gradcast inspect mobilenetv2.onnx --json | jq .layers")]
pub struct Args {
    /// An ONNX classifier
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// As JSON
    #[arg(long)]
    json: bool,

    /// The size of the model's input, where the model leaves it open
    #[arg(long, value_name = "WxH")]
    input_size: Option<Size>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let model = onnx::load(&args.model, &onnx::Limits::default()).map_err(ClassifierError::from)?;
    let found = explain::inspect(&model, &args.options()).map_err(ClassifierError::from)?;
    if args.json {
        let text = serde_json::to_string_pretty(&found).map_err(|e| Failure::new(Code::Running, e, ""))?;
        println!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let input = &found.input;
    println!(
        "input    `{}`: {} {}×{}, {} channels ({})",
        input.name,
        input.dtype,
        input.width,
        input.height,
        input.channels,
        layout(input.layout)
    );
    println!(
        "score    `{}`: {} classes, {} behind it",
        found.score.value,
        found.score.classes,
        ending(found.score.ending)
    );
    match &found.default {
        Some(name) => println!("default  `{name}`: {}", found.reason),
        None => println!("default  none: {}", found.reason),
    }
    for note in &found.assumptions {
        println!("note     {note}");
    }
    println!("\nlayers that can be explained, nearest to the score first (channels×height×width):");
    for layer in &found.layers {
        let mark = if found.default.as_ref() == Some(&layer.name) { "*" } else { " " };
        let size = format!("{}×{}×{}", layer.channels, layer.height, layer.width);
        println!("{mark} {size:<14} {:<22} {}", layer.op, layer.name);
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn options(&self) -> explain::Options {
        let input_size = self.input_size.map(|s| (s.width, s.height));
        explain::Options { input_size, ..explain::Options::default() }
    }
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => "NCHW",
        Layout::Nhwc => "NHWC",
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Softmax => "Softmax",
        Ending::LogSoftmax => "LogSoftmax",
        Ending::Sigmoid => "Sigmoid",
        Ending::None => "nothing",
    }
}
