//! What can go wrong with pictures and sound, in words that name the cure.

/// Whose fault it was, which the command line maps to its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input cannot be read (exit code 3).
    Input,
    /// What was asked for cannot be done: the output exists, the container cannot hold a track,
    /// no such encoder (exit code 2). Found out before work starts.
    Usage,
    /// It failed while running (exit code 1).
    Run,
}

/// One thing that failed: what and on what (`Display`), and what to do about it ([`hint`](Self::hint)).
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct VideoError {
    kind: ErrorKind,
    what: String,
    hint: String,
    #[source]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl VideoError {
    /// The input cannot be read.
    pub fn input(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, what, hint)
    }

    /// What was asked for cannot be done.
    pub fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, what, hint)
    }

    /// It failed while running.
    pub fn run(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Run, what, hint)
    }

    fn new(kind: ErrorKind, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: hint.into(), cause: None }
    }

    /// Adds what lies underneath, for `--verbose`.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a sentence to the message.
    #[must_use]
    pub(crate) fn adding(mut self, more: &str) -> Self {
        self.what.push_str(more);
        self
    }

    /// Whose fault it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it: one sentence.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Every fallible call of this module.
pub type Result<T> = std::result::Result<T, VideoError>;
