//! What can stop a stream.

use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::EngineError;
use crate::paint::PaintError;
use crate::video::{ErrorKind, VideoError};

/// Why a stream stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error(transparent)]
    Video(#[from] VideoError),
    #[error(transparent)]
    Engine(#[from] Arc<EngineError>),
    #[error("a frame cannot be painted: {0}")]
    Paint(#[from] PaintError),
    #[error("the events cannot be written to {path}: {source}")]
    Events { path: PathBuf, source: std::io::Error },
    /// A thread of the stream panicked.
    #[error("the stream died: {0}")]
    Died(String),
}

impl StreamError {
    /// Of a panic.
    pub(crate) fn died(panic: &(dyn std::any::Any + Send)) -> Self {
        Self::Died(crate::engine::panic_text(panic))
    }

    /// The input itself is at fault, and would be again: a file that breaks off.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Video(e) if e.kind() == ErrorKind::Input)
    }

    /// What the user can do about it, one line.
    pub fn hint(&self) -> String {
        match self {
            Self::Video(e) => e.hint().to_owned(),
            Self::Engine(e) => e.hint(),
            Self::Events { .. } => "choose another place for --events".into(),
            Self::Paint(_) | Self::Died(_) => {
                "this is a defect of gradcast: please report it with the output of --verbose".into()
            }
        }
    }
}

impl From<EngineError> for StreamError {
    fn from(error: EngineError) -> Self {
        Self::Engine(Arc::new(error))
    }
}
