//! What can go wrong in the engine, in words that name the cure.

use std::path::PathBuf;

use super::Device;

/// Why the engine could not start, or a run of it failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The ONNX Runtime library could not be loaded.
    #[error("the ONNX Runtime library could not be loaded from {path}: {reason}")]
    Library { path: PathBuf, reason: String },

    /// A device that was asked for does not start here.
    #[error("the device `{device}` cannot start: {reason}")]
    Device { device: Device, reason: String },

    /// ONNX Runtime refused the explained model.
    #[error("ONNX Runtime cannot load the explained model: {0}")]
    Session(String),

    /// A run failed.
    #[error("running the model on `{device}` failed: {reason}")]
    Run { device: Device, reason: String },

    /// What the model is to look at could not be made of a frame.
    #[error("the model's picture of a frame cannot be made: {0}")]
    Picture(String),

    /// A worker thread is gone.
    #[error("an engine worker died: {0}")]
    Worker(String),
}

impl EngineError {
    /// What the user can do about it, one line.
    pub fn hint(&self) -> String {
        match self {
            Self::Library { .. } => "start through `scripts/run`, which fetches the library, or set GRADCAST_ORT_LIB \
                                     to a libonnxruntime.so of version 1.24 or later"
                .into(),
            Self::Device { device, .. } => device.cure().into(),
            Self::Session(_) => "`gradcast inspect MODEL` shows what was understood of the model; a file that \
                                 ONNX Runtime itself cannot load cannot be explained"
                .into(),
            Self::Run { .. } => "try `--device cpu`, and `--batch 1` if memory ran out".into(),
            Self::Picture(_) | Self::Worker(_) => {
                "this is a defect of gradcast: please report it with the output of --verbose".into()
            }
        }
    }

    /// Whether the cause is a device that is not there (exit code 5).
    pub fn is_device(&self) -> bool {
        matches!(self, Self::Device { .. } | Self::Library { .. })
    }
}

/// The first line of a runtime message: ONNX Runtime appends source positions and stack traces.
pub(super) fn brief(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
