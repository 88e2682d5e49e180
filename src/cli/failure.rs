//! How a command fails: one line saying what failed and on what, one saying what to do, and the
//! documented exit code.

use std::process::ExitCode;

use gradcast::classifier::ClassifierError;
use gradcast::engine::EngineError;
use gradcast::monitor::StartError;
use gradcast::monitor::config::ConfigError;
use gradcast::stream::StreamError;
use gradcast::stream::live::ModelError;
use gradcast::video::{ErrorKind, VideoError};

/// The documented exit codes (see `--help`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Running = 1,
    Usage = 2,
    Input = 3,
    Model = 4,
    Device = 5,
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// A command's failure, ready to be told.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    error: anyhow::Error,
    hint: String,
}

impl Failure {
    pub fn new(code: Code, error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Self { code, error: error.into(), hint: hint.into() }
    }

    /// Wrong usage, found after parsing.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Code::Usage, anyhow::Error::msg(message.into()), hint)
    }

    /// The exit code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Tells the user on standard error and gives the exit code.
    pub fn report(&self, verbose: bool) -> ExitCode {
        tell!("error: {}", self.error);
        if !self.hint.is_empty() {
            tell!("  try: {}", self.hint);
        }
        if verbose {
            for cause in self.error.chain().skip(1) {
                tell!("  because: {cause}");
            }
        }
        self.code.into()
    }
}

impl From<ClassifierError> for Failure {
    fn from(error: ClassifierError) -> Self {
        let code = if error.is_usage() { Code::Usage } else { Code::Model };
        let hint = error.hint();
        Self::new(code, error, hint)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint();
        Self::new(Code::Usage, error, hint)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = match &error {
            e if e.is_device() => Code::Device,
            EngineError::Session(_) => Code::Model,
            _ => Code::Running,
        };
        let hint = error.hint();
        Self::new(code, error, hint)
    }
}

impl From<VideoError> for Failure {
    fn from(error: VideoError) -> Self {
        let code = match error.kind() {
            ErrorKind::Input => Code::Input,
            ErrorKind::Usage => Code::Usage,
            ErrorKind::Run => Code::Running,
        };
        let hint = error.hint().to_owned();
        Self::new(code, error, hint)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Classifier(error) => error.into(),
            ModelError::Engine(error) => error.into(),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Video(error) => error.into(),
            StartError::Model(error) => error.into(),
            StartError::Stream(error) => error.into(),
        }
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Video(error) => error.into(),
            error => {
                let hint = error.hint();
                Self::new(Code::Running, error, hint)
            }
        }
    }
}
