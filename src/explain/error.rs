//! Why a model cannot be explained, in words that name the cure.

use crate::onnx::GraphError;

/// Why [`explain`](super::explain) or [`inspect`](super::inspect) gave up.
///
/// [`Display`](std::fmt::Display) says what failed and on what; [`hint`](Self::hint) says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The graph itself could not be understood.
    #[error("the model's graph cannot be understood")]
    Graph(#[from] GraphError),

    /// There is not exactly one picture among the inputs, or it is not a picture.
    #[error("{0}")]
    Input(String),

    /// The input's height or width is left open, and nobody said how large it is.
    #[error("the model leaves the size of its input `{input}` open ({dims})")]
    OpenSize {
        /// The input's name.
        input: String,
        /// Its dimensions as the model states them.
        dims: String,
    },

    /// The frames cannot be prepared the way the options ask.
    #[error("{0}")]
    Preprocess(String),

    /// No output is a class score.
    #[error("no output of the model is a class score: {0}")]
    Score(String),

    /// No value or node has the name that was asked for.
    #[error("the model has no layer named `{name}`")]
    NoSuchLayer {
        /// What was asked for.
        name: String,
        /// Layers that can be explained, nearest to the score first.
        nearest: Vec<String>,
    },

    /// The value that was asked for cannot carry a map.
    #[error("`{name}` cannot be the target layer: {reason}")]
    UnfitLayer {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// Layers that can be explained, nearest to the score first.
        nearest: Vec<String>,
    },

    /// Nothing between input and score has a height and a width.
    #[error("no layer of the model can carry a map: {0}")]
    NoLayer(String),

    /// An operator between layer and score cannot be differentiated.
    #[error("operator {op} (node `{node}`) stands between layer `{layer}` and the score, and {reason}")]
    NoGradient {
        /// The operator, e.g. `Einsum`.
        op: String,
        /// The node's name, or its first output's where it has none.
        node: String,
        /// The target layer.
        layer: String,
        /// Why there is no gradient.
        reason: String,
        /// The nearest layer that works, if any does.
        nearest: Option<String>,
    },

    /// A shape that the gradient needs is not known when the graph is written.
    #[error("the shape of `{0}` is not known when the graph is written")]
    UnknownShape(String),

    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
}

impl ExplainError {
    /// What to do about it: one line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Graph(error) => error.hint().into(),
            Self::Input(_) => "gradcast explains classifiers with one picture as input, [N,3,H,W] or [N,H,W,3]".into(),
            Self::OpenSize { .. } => "say how large it is, e.g. --input-size 224x224".into(),
            Self::Preprocess(_) => {
                "choose another --preprocess (raw: the bytes as they are), --channels, --mean or --std".into()
            }
            Self::Score(_) => {
                "gradcast explains image classifiers; detectors and segmenters have no single class score to explain"
                    .into()
            }
            Self::NoSuchLayer { nearest, .. } | Self::UnfitLayer { nearest, .. } => match nearest.first() {
                Some(layer) => {
                    format!("leave --layer away, or name one that `gradcast inspect` lists, e.g. --layer {layer}")
                }
                None => "leave --layer away, or ask `gradcast inspect` for the layers".into(),
            },
            Self::NoLayer(_) => {
                "name a layer with height and width with --layer, if the model has one (`gradcast inspect` lists them)"
                    .into()
            }
            Self::NoGradient { nearest: Some(layer), .. } => {
                format!("the nearest layer that works is `{layer}`: try --layer {layer}")
            }
            Self::NoGradient { nearest: None, .. } => {
                "no layer of this model works; export it with other operators, or ask for a gradient rule for this one"
                    .into()
            }
            Self::UnknownShape(_) => "fix the model's input shape when exporting it, or give --input-size".into(),
            Self::Options(_) => "correct the options".into(),
        }
    }
}

/// Why one gradient rule could not be applied; the sweep adds which node it was.
#[derive(Debug, Clone)]
pub(crate) enum RuleError {
    /// The operator as used here has no gradient: "… reason …".
    Unsupported(String),
    /// The shape of this value is unknown.
    UnknownShape(String),
}

impl RuleError {
    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }

    /// The reason as the tail of "operator X stands between …, and …".
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unsupported(reason) => reason.clone(),
            Self::UnknownShape(value) => {
                format!("the shape of `{value}`, which its gradient needs, is not known")
            }
        }
    }
}

impl From<RuleError> for ExplainError {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Unsupported(reason) => Self::Options(reason),
            RuleError::UnknownShape(value) => Self::UnknownShape(value),
        }
    }
}
