//! What is wrong with a configuration, and where.

use std::fmt;

/// One thing that is wrong: in which file, on which line, at which key. It never shows credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub(super) file: String,
    pub(super) line: Option<usize>,
    /// Dotted; empty where it is no key's fault.
    pub(super) key: String,
    pub(super) what: String,
    pub(super) hint: &'static str,
}

/// What helps with most mistakes.
pub(super) const COMPARE: &str = "compare it with `gradcast watch --print-config`";

impl ConfigError {
    /// Something that is no line's fault.
    pub(super) fn plain(file: impl Into<String>, what: impl Into<String>, hint: &'static str) -> Self {
        Self { file: file.into(), line: None, key: String::new(), what: what.into(), hint }
    }

    /// The line at fault, from 1; `None` where the whole file is.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The key at fault, such as `streams.door.latency`; empty where it is no key's fault.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the user can do about it, one line.
    pub fn hint(&self) -> &'static str {
        self.hint
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ", {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}
