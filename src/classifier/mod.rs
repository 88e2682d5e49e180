//! A classifier as its user knows it: a model file, its card, its labels and its preprocessing.

mod flags;
mod labels;

use std::path::{Path, PathBuf};

pub use flags::{ModelFlags, PerChannel, Preset, Size};
pub use labels::Labels;

use crate::engine::{Device, Engine, EngineError, EngineOptions};
use crate::explain::{self, ExplainError, Explained, Preprocess, Report};
use crate::onnx::{self, LoadError};
use crate::paint::Fit;

/// The built-in model, its card and its labels: shapes drawn by hand (see `samples/`).
const BUILT_IN: (&[u8], &str, &str) = (
    include_bytes!("../../samples/shapes.onnx"),
    include_str!("../../samples/shapes.toml"),
    include_str!("../../samples/shapes.txt"),
);

/// What is wrong with a model or what is said of it.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    #[error("the labels {path} cannot be used: {reason}")]
    Labels { path: PathBuf, reason: String },
    #[error("the model card {path} cannot be used: {reason}")]
    Card { path: PathBuf, reason: String },
    #[error("`--class {wanted}` names no class of this model: {reason}")]
    Class { wanted: String, reason: String },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Explain(#[from] ExplainError),
}

impl ClassifierError {
    /// What the user can do about it, one line.
    pub fn hint(&self) -> String {
        match self {
            Self::Labels { .. } => "give a text file with one class name per line to --labels".into(),
            Self::Card { .. } => "a card holds the model flags of `gradcast annotate --help` as `key = value`".into(),
            Self::Class { .. } => "use a class number, a name from --labels, or top1".into(),
            Self::Load(e) => e.hint(),
            Self::Explain(e) => e.hint(),
        }
    }

    /// Whether the words of the user are at fault (exit code 2), rather than the model (4).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Labels { .. } | Self::Card { .. } | Self::Class { .. })
    }
}

/// A model with all that is said of it.
#[derive(Debug, Clone)]
pub struct Classifier {
    /// The file's name without its extension, or `shapes` for the built-in one.
    pub name: String,
    pub model: onnx::Model,
    pub labels: Labels,
    pub preprocess: Preprocess,
    pub fit: Fit,
    flags: ModelFlags,
    notes: Vec<String>,
    files: Vec<PathBuf>,
}

/// A classifier that is ready to run.
#[derive(Debug)]
pub struct Prepared {
    /// The explained model, encoded.
    pub bytes: Vec<u8>,
    pub report: Report,
    pub labels: Labels,
    pub fit: Fit,
    /// The classes to explain: −1 the most probable; never empty.
    pub classes: Vec<i64>,
    /// What was assumed or chosen, one sentence each.
    pub notes: Vec<String>,
    device: Device,
    threads: Option<u16>,
}

impl Classifier {
    /// Loads `model` (the built-in one where it is `None`) with its card, if it has one;
    /// `flags` go before the card.
    ///
    /// # Errors
    /// Where model, card or labels cannot be read.
    pub fn load(model: Option<&Path>, flags: &ModelFlags) -> Result<Self, ClassifierError> {
        let mut notes = Vec::new();
        let (name, model, card, mut labels) = match model {
            None => {
                let (bytes, card, labels) = BUILT_IN;
                let path = PathBuf::from("the built-in shapes.toml");
                let card = ModelFlags::parse_card(card).map_err(|reason| ClassifierError::Card { path, reason })?;
                let model = onnx::Model::from_bytes(bytes, &onnx::Limits::default())?;
                ("shapes".to_owned(), model, ModelFlags { labels: None, ..card }, Labels::parse(labels))
            }
            Some(path) => {
                let name = path.file_stem().map_or_else(|| "model".into(), |s| s.to_string_lossy().into_owned());
                let model = onnx::load(path, &onnx::Limits::default())?;
                let beside = path.with_extension("toml");
                let card = if beside.is_file() { ModelFlags::read_card(&beside)? } else { ModelFlags::default() };
                (name, model, card, Labels::default())
            }
        };
        let raw = Preset::Raw.preprocess();
        let base = if takes_bytes(&model) {
            raw
        } else {
            if !flags.says_preprocess() && !card.says_preprocess() {
                notes.push(
                    "nothing is said of the preprocessing: `--preprocess imagenet` is assumed; the maps are \
                     meaningless if the model was trained otherwise"
                        .into(),
                );
            }
            Preset::Imagenet.preprocess()
        };
        let preprocess = flags.preprocess_over(card.preprocess_over(base));
        let flags = flags.clone().or(card);
        if let Some(path) = &flags.labels {
            labels = Labels::read(path)?;
        }
        let fit = flags.fit.unwrap_or_default();
        let files = model.path.iter().chain(&model.data).chain(&flags.labels).cloned().collect();
        Ok(Self { name, model, labels, preprocess, fit, flags, notes, files })
    }

    /// The files that it was read from, besides the card.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Writes the gradient into the model, for frames as input.
    ///
    /// # Errors
    /// [`ClassifierError::Explain`] where the model cannot be explained,
    /// [`ClassifierError::Class`] where a class that is asked for is none of its classes.
    pub fn prepare(self) -> Result<Prepared, ClassifierError> {
        let preprocess = Some(self.preprocess);
        self.prepare_with(preprocess)
    }

    /// As [`Classifier::prepare`], for tensors as the model's own input wants them.
    ///
    /// # Errors
    /// As [`Classifier::prepare`].
    pub fn prepare_for_tensors(self) -> Result<Prepared, ClassifierError> {
        self.prepare_with(None)
    }

    /// The same, explained at another layer; `None`: the one that its flags name, or the default.
    #[must_use]
    pub fn with_layer(mut self, layer: Option<&str>) -> Self {
        if let Some(layer) = layer {
            self.flags.layer = Some(layer.to_owned());
        }
        self
    }

    /// The layers that can be explained, and what else is known of the model.
    ///
    /// # Errors
    /// As [`Classifier::prepare`].
    pub fn inspect(&self) -> Result<explain::Inspection, ClassifierError> {
        let input_size = self.flags.input_size.map(|s| (s.width, s.height));
        Ok(explain::inspect(&self.model, &explain::Options { input_size, ..explain::Options::default() })?)
    }

    fn prepare_with(self, preprocess: Option<Preprocess>) -> Result<Prepared, ClassifierError> {
        let Self { model, mut labels, fit, flags, mut notes, .. } = self;
        let wanted: Vec<&str> = flags.class.as_deref().map(|c| split_classes(c, &labels)).unwrap_or(vec!["top1"]);
        let device = flags.device.unwrap_or_default();
        let default_batch = if device.prefers_batches() { 8 } else { 1 };
        let options = explain::Options {
            layer: flags.layer.clone(),
            method: flags.method.unwrap_or_default(),
            classes: wanted.len(),
            batch: flags.batch.map_or(default_batch, usize::from),
            input_size: flags.input_size.map(|s| (s.width, s.height)),
            preprocess,
        };
        let Explained { model, report } = explain::explain(&model, &options)?;
        notes.extend(labels.fit_to(report.score.classes));
        notes.extend(report.assumptions.iter().cloned());
        let classes = wanted.iter().map(|c| find_class(c, &labels, report.score.classes)).collect::<Result<_, _>>()?;
        Ok(Prepared { bytes: model.to_bytes(), report, labels, fit, classes, notes, device, threads: flags.threads })
    }
}

impl Prepared {
    /// Starts an engine for it.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start(&self) -> Result<Engine, EngineError> {
        Engine::start(&self.bytes, &self.engine_options())
    }

    /// `(width, height)` in pixels of the model's input.
    pub fn input_size(&self) -> (usize, usize) {
        (self.report.input.width, self.report.input.height)
    }

    /// What [`Prepared::start`] starts with.
    pub fn engine_options(&self) -> EngineOptions {
        let defaults = EngineOptions::default();
        EngineOptions { device: self.device, threads: self.threads.map_or(defaults.threads, usize::from), ..defaults }
    }
}

/// Whether the model's own input is bytes (quantised with its input): such a model takes pictures as they are.
fn takes_bytes(model: &onnx::Model) -> bool {
    let Some(graph) = &model.proto.graph else { return false };
    let stored = |name: &Option<String>| graph.initializer.iter().any(|i| &i.name == name);
    let input = graph.input.iter().find(|i| !stored(&i.name));
    let tensor = input.and_then(|i| i.r#type.as_ref()).and_then(|t| t.tensor_type.as_ref());
    tensor.is_some_and(|t| t.elem_type == Some(onnx::DataType::Uint8 as i32))
}

/// Splits at commas, but not where the whole is a label that holds one (`tench, Tinca tinca`).
fn split_classes<'a>(text: &'a str, labels: &Labels) -> Vec<&'a str> {
    if labels.find(text).is_empty() { text.split(',').map(str::trim).collect() } else { vec![text] }
}

fn find_class(text: &str, labels: &Labels, classes: usize) -> Result<i64, ClassifierError> {
    let failed = |reason: String| ClassifierError::Class { wanted: text.to_owned(), reason };
    if text.eq_ignore_ascii_case("top1") {
        return Ok(-1);
    }
    if let Ok(id) = text.parse::<usize>() {
        return if id < classes {
            Ok(id as i64)
        } else {
            Err(failed(format!("its classes are 0 to {}", classes.saturating_sub(1))))
        };
    }
    match labels.find(text)[..] {
        [class] if class < classes => Ok(class as i64),
        [] if labels.is_empty() => Err(failed("no --labels are given".into())),
        [] => match &labels.similar(text, 5)[..] {
            [] => Err(failed("no label is like it".into())),
            near => Err(failed(format!("did you mean {}?", near.join(" or ")))),
        },
        ref several => {
            let ids: Vec<String> = several.iter().map(usize::to_string).collect();
            Err(failed(format!("the classes {} go by that name: give the number", ids.join(", "))))
        }
    }
}
