//! What was found and decided: nothing is assumed in silence.

use serde::Serialize;

use super::input::{Input, Preprocess};
use super::layer::Layer;
use super::method::Method;
use super::score::Ending;

/// The class score of a model, in names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreInfo {
    /// The graph output the score was found behind.
    pub output: String,
    /// The value that holds the raw scores.
    pub value: String,
    /// What the model makes of them.
    pub ending: Ending,
    /// The number of classes.
    pub classes: usize,
}

/// What [`explain`](super::explain) wrote, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The method.
    pub method: Method,
    /// The model's own input.
    pub input: Input,
    /// How frames become that input; `None`: the model's own input was kept.
    pub preprocess: Option<Preprocess>,
    /// Pictures per run: the batch that was written.
    pub batch: usize,
    /// Classes per run that can be asked for.
    pub classes: usize,
    /// The class score.
    pub score: ScoreInfo,
    /// The target layer; the maps have its height and width.
    pub layer: Layer,
    /// Why this layer.
    pub reason: String,
    /// Whether the gradient starts as one row of the classifier's weight instead of at the score.
    pub sparse_seed: bool,
    /// The operators that were differentiated, sorted.
    pub rules: Vec<String>,
    /// What was taken for granted or changed.
    pub assumptions: Vec<String>,
}

/// What [`inspect`](super::inspect) found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The model's own input.
    pub input: Input,
    /// The batch the shapes below were worked out for.
    pub batch: usize,
    /// The class score.
    pub score: ScoreInfo,
    /// Every layer that can be explained, nearest to the score first.
    pub layers: Vec<Layer>,
    /// The layer that is taken when none is named; `None` where there is no such layer.
    pub default: Option<String>,
    /// Why that one, or why there is none.
    pub reason: String,
    /// What was taken for granted or changed.
    pub assumptions: Vec<String>,
}
