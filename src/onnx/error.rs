//! What can be wrong with a graph.

/// Why a model's graph cannot be understood. [`GraphError::hint`] says what to do about it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The file holds no graph.
    #[error("the model has no graph")]
    NoGraph,
    /// Too old an operator set.
    #[error("the model uses operator set {found} of ai.onnx; 7 is the oldest that is understood")]
    Opset {
        /// The version the model imports.
        found: i64,
    },
    /// A node reads a value that nothing makes.
    #[error("node {node} reads {value:?}, which nothing in the model makes")]
    Undefined {
        /// The node.
        node: String,
        /// The name it reads.
        value: String,
    },
    /// A graph output that nothing makes.
    #[error("the model's output {0:?} is made by nothing in the model")]
    UndefinedOutput(String),
    /// Two things make a value of one name.
    #[error("the value {0:?} is made twice")]
    Duplicate(String),
    /// A value depends on itself.
    #[error("the nodes form a circle through {0}")]
    Cycle(String),
    /// An initialiser or a constant is malformed.
    #[error("the constant {name:?} is damaged: {source}")]
    Tensor {
        /// The name of the constant.
        name: String,
        /// What is wrong with it.
        source: super::TensorError,
    },
    /// Model-local functions call each other in a circle, or unfold into too many nodes.
    #[error("the model's own functions cannot be unfolded: {0}")]
    Functions(String),
    /// An operator whose old meaning has no counterpart in operator set 13.
    #[error("node {node} ({op_type}, operator set {opset}) has no counterpart today: {why}")]
    Uplift {
        /// The node.
        node: String,
        /// Its operator.
        op_type: String,
        /// The operator set of the model.
        opset: i64,
        /// What is in the way.
        why: String,
    },
    /// Shapes, types or attributes of a node do not fit together.
    #[error("node {node} ({op_type}) does not fit its inputs: {why}")]
    Shape {
        /// The node.
        node: String,
        /// Its operator.
        op_type: String,
        /// What does not fit.
        why: String,
    },
}

impl GraphError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoGraph => "export the model again; a file without a graph has nothing to run",
            Self::Opset { .. } => "export the model again with operator set 13 or later",
            Self::Undefined { .. }
            | Self::UndefinedOutput(_)
            | Self::Duplicate(_)
            | Self::Cycle(_)
            | Self::Tensor { .. } => {
                "the file is damaged or was edited wrongly: check it with onnx.checker and export it again"
            }
            Self::Functions(_) => "export the model again without model-local functions",
            Self::Uplift { .. } => {
                "convert the model with onnx.version_converter, or export it again with operator set 13 or later"
            }
            Self::Shape { .. } => {
                "check the input size (--input-size) and the batch: the model may accept only the size it was exported with"
            }
        }
    }
}
