//! The model's picture: its shape, fixed, and the stage that makes it of a frame's bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Options;
use super::emit::Emitter;
use super::error::ExplainError;
use super::layer::Layout;
use super::score;
use crate::onnx::{Attributes, DataType, Graph, Model, ValueId};

/// The order of the colour channels a model was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red (Caffe, OpenCV).
    Bgr,
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Rgb => "rgb",
            Self::Bgr => "bgr",
        })
    }
}

impl FromStr for Channels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "rgb" => Ok(Self::Rgb),
            "bgr" => Ok(Self::Bgr),
            _ => Err(format!("`{text}` is no order of channels: rgb or bgr")),
        }
    }
}

/// How a frame's bytes become the model's input: `(byte − mean) / std` per channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// The order the model wants the channels in.
    pub channels: Channels,
    /// Subtracted; on the 0–255 scale, in the model's channel order.
    pub mean: [f32; 3],
    /// Divided by; on the 0–255 scale, in the model's channel order.
    pub std: [f32; 3],
}

impl Preprocess {
    /// The bytes as they are, red first.
    pub const RAW: Self = Self { channels: Channels::Rgb, mean: [0.0; 3], std: [1.0; 3] };

    /// Whether the numbers stay what they are (their order may change).
    #[must_use]
    pub fn keeps_values(&self) -> bool {
        self.mean == [0.0; 3] && self.std == [1.0; 3]
    }
}

/// What a model takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// The name of the model's own input.
    pub name: String,
    /// Its element type, e.g. `float32`.
    pub dtype: String,
    /// Where its channels are.
    pub layout: Layout,
    /// The number of channels.
    pub channels: usize,
    /// The height in pixels.
    pub height: usize,
    /// The width in pixels.
    pub width: usize,
}

/// A graph whose input shape is fixed and whose shapes are inferred.
pub(super) struct Prepared {
    pub(super) graph: Graph,
    pub(super) image: ValueId,
    pub(super) dtype: DataType,
    pub(super) input: Input,
    pub(super) batch: usize,
    pub(super) notes: Vec<String>,
}

/// Reads a model, finds its picture, and fixes batch and size.
///
/// Where the model was written for another batch than the one asked for, the batch is fixed anew if
/// everything follows; else the model keeps its own, and a note says so.
pub(super) fn prepare(model: &Model, options: &Options) -> Result<Prepared, ExplainError> {
    if options.batch == 0 || options.classes == 0 {
        return Err(ExplainError::Options("batch and number of classes must be at least 1".into()));
    }
    let graph = Graph::from_model(model)?;
    let image = picture(&graph)?;
    let name = graph.value(image).name.clone();
    let declared = graph
        .declared_shape(image)
        .or_else(|| graph.shape(image).map(|dims| dims.iter().copied().map(Some).collect()))
        .ok_or_else(|| ExplainError::Input(format!("the rank of the model's input `{name}` is not known")))?;
    // Exporters write 0 for "any" now and then.
    let declared: Vec<Option<usize>> = declared.into_iter().map(|dim| dim.filter(|&dim| dim > 0)).collect();
    let (layout, dims) = shape(&name, &declared, options)?;
    let dtype = graph
        .dtype(image)
        .ok_or_else(|| ExplainError::Input(format!("the type of the model's input `{name}` is not known")))?;

    let own = declared[0];
    let mut notes = Vec::new();
    let (graph, batch) = match fixed(&graph, image, &dims, options.batch) {
        Ok(graph) => (graph, options.batch),
        Err(error) => match own.filter(|&own| own != options.batch) {
            Some(own) => {
                let graph = fixed(&graph, image, &dims, own)?;
                notes.push(format!(
                    "the model is written for a batch of {own} and keeps it; {} was asked for",
                    options.batch
                ));
                (graph, own)
            }
            None => return Err(error),
        },
    };
    let [height, width] = layout.space().map(|axis| dims[axis]);
    let channels = dims[layout.channels()];
    let input = Input { name, dtype: dtype_name(dtype).into(), layout, channels, height, width };
    Ok(Prepared { graph, image, dtype, input, batch, notes })
}

/// The one input of rank 4 (or unknown rank).
fn picture(graph: &Graph) -> Result<ValueId, ExplainError> {
    match graph.inputs[..] {
        [image] => Ok(image),
        [] => Err(ExplainError::Input("the model has no inputs".into())),
        _ => {
            let names: Vec<String> =
                graph.inputs.iter().map(|&input| format!("`{}`", graph.value(input).name)).collect();
            Err(ExplainError::Input(format!("the model has {} inputs ({})", names.len(), names.join(", "))))
        }
    }
}

/// Layout and shape (batch still open, as 0) of the picture.
fn shape(name: &str, declared: &[Option<usize>], options: &Options) -> Result<(Layout, Vec<usize>), ExplainError> {
    let text = declared.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string())).collect::<Vec<_>>().join("×");
    let colours = |dim: Option<usize>| matches!(dim, Some(1 | 3 | 4));
    let layout = match *declared {
        [_, channels, _, last] if colours(channels) || !colours(last) => Layout::Nchw,
        [_, _, _, _] => Layout::Nhwc,
        _ => {
            return Err(ExplainError::Input(format!("the model's input `{name}` ({text}) is not a picture")));
        }
    };
    let [height, width] = layout.space();
    let channels = layout.channels();
    let open = || ExplainError::OpenSize { input: name.into(), dims: text.clone() };
    let mut dims = vec![0; 4];
    dims[channels] = declared[channels].unwrap_or(3);
    (dims[width], dims[height]) = match options.input_size {
        Some((0, _) | (_, 0)) => {
            return Err(ExplainError::Options("the input size must be at least 1×1".into()));
        }
        Some(size) => size,
        None => (declared[width].ok_or_else(open)?, declared[height].ok_or_else(open)?),
    };
    Ok((layout, dims))
}

/// The graph with its input fixed; an error where shapes do not fit or the score does not follow.
fn fixed(graph: &Graph, image: ValueId, dims: &[usize], batch: usize) -> Result<Graph, ExplainError> {
    let mut graph = graph.clone();
    graph.set_input_shape(image, &[&[batch], &dims[1..]].concat());
    graph.infer()?;
    score::find(&graph, batch)?;
    Ok(graph)
}

pub(super) fn dtype_name(dtype: DataType) -> &'static str {
    match dtype {
        DataType::Float => "float32",
        DataType::Float16 => "float16",
        DataType::Bfloat16 => "bfloat16",
        DataType::Double => "float64",
        DataType::Uint8 => "uint8",
        DataType::Int8 => "int8",
        _ => "other",
    }
}

/// Puts the stage before the model that makes its input of frames: adds the input `name`, uint8
/// `[N,H,W,3]` (red, green, blue), and takes the model's own away.
///
/// The bytes are reordered while they are bytes, a quarter of the traffic; then one cast, one
/// subtraction, one multiplication.
pub(super) fn frames(prepared: &mut Prepared, preprocess: &Preprocess, name: &str) -> Result<(), ExplainError> {
    let Prepared { graph, image, dtype, input, batch, .. } = prepared;
    if input.channels != 3 {
        return Err(ExplainError::Preprocess(format!(
            "the model's input `{}` has {} channels; frames have three",
            input.name, input.channels
        )));
    }
    if preprocess.std.iter().any(|&std| std == 0.0 || !std.is_finite())
        || preprocess.mean.iter().any(|mean| !mean.is_finite())
    {
        return Err(ExplainError::Preprocess("mean and std must be finite numbers, std not 0".into()));
    }
    let floats = [DataType::Float, DataType::Float16, DataType::Bfloat16, DataType::Double];
    let bytes = *dtype == DataType::Uint8;
    if !bytes && !floats.contains(dtype) {
        return Err(ExplainError::Preprocess(format!(
            "the model's input `{}` takes neither numbers nor bytes ({})",
            input.name, input.dtype
        )));
    }
    if bytes && !preprocess.keeps_values() {
        return Err(ExplainError::Preprocess(format!(
            "the model's input `{}` takes bytes as they are; mean {:?} and std {:?} cannot be applied",
            input.name, preprocess.mean, preprocess.std
        )));
    }
    let frames = graph.add_input(name, DataType::Uint8, &[*batch, input.height, input.width, 3]);
    let mut emit = Emitter::new(graph);
    let mut x = frames;
    if preprocess.channels == Channels::Bgr {
        let order = emit.ints(&[2, 1, 0]);
        x = emit.op_with("Gather", &[x, order], Attributes::new().with_int("axis", 3));
    }
    let along: &[usize] = match input.layout {
        Layout::Nchw => {
            x = emit.transpose(x, &[0, 3, 1, 2]);
            &[3, 1, 1]
        }
        Layout::Nhwc => &[3],
    };
    if !bytes {
        x = emit.float(x);
        if preprocess.mean != [0.0; 3] {
            let mean = emit.floats(along, &preprocess.mean);
            x = emit.sub(x, mean);
        }
        if preprocess.std != [1.0; 3] {
            let factor = emit.floats(along, &preprocess.std.map(|std| 1.0 / std));
            x = emit.mul(x, factor);
        }
        x = emit.cast(x, *dtype);
    }
    graph.replace_uses(*image, x);
    graph.remove_input(*image);
    Ok(())
}
