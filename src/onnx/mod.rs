//! What an ONNX file is: its schema, loading it with limits, and its graph as an arena
//! with constant and shape folding.
//!
//! ```text
//! file ──load──► Model (schema, nothing lost) ──Graph::from_model──► Graph (arena, opset ≥ 13)
//!                                                     Graph::to_model ──► Model ──encode──► bytes
//! ```
//!
//! - [`schema`]: the messages, field by field.
//! - `load`, `external`, `wire`: a file into memory, distrusting all of it.
//! - `import`: a model into the arena; on the way `functions` unfolds what the model defines
//!   itself, `uplift` rewrites old operator sets, and an `If` with a known condition goes.
//! - `graph`, `tensor`, `attributes`: the arena, its constants, its attributes.
//! - `infer`: shapes and types of every value, one rule per operator; folding of shape arithmetic.
//! - `names`, `order`: what bodies of control flow read and define; topological order.
//! - `export`: the arena into a model again, pruned to what the outputs need.

mod attributes;
mod error;
mod export;
mod external;
mod functions;
mod graph;
mod import;
mod infer;
mod load;
mod names;
mod order;
pub mod schema;
mod tensor;
mod uplift;
mod wire;

pub use attributes::Attributes;
pub use error::GraphError;
pub use graph::{Graph, Node, NodeId, Value, ValueId};
pub use load::{Limits, LoadError, Model, Subject, load};
pub use schema::DataType;
pub use tensor::{Tensor, TensorError};
