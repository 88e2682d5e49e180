//! Running an explained model: the runtime library, devices, sessions, batching workers.
//!
//! ```text
//! streams ──Job──► a line each ──► worker: fill a batch ──► Session: one run ──► Outcome to each job's stream
//! ```
//!
//! One run of the session is the one forward and one backward pass of Grad-CAM; the gradient is
//! part of the graph ([`crate::explain`]).

mod device;
mod error;
mod explanation;
mod queue;
mod runtime;
mod session;
mod workers;

pub use device::{Device, Trial, trials};
pub use error::EngineError;
pub use explanation::{ClassMap, Explanation, Prediction};
pub use runtime::{library_path, library_version};
pub use session::{Input, Session, SessionOptions, explain_tensor};
pub(crate) use workers::panic_text;
pub use workers::{BATCH_STEPS, Engine, EngineOptions, Job, Outcome, Seat, View, Work};
