//! A running stream as the console needs it.

use std::path::PathBuf;

use serde_json::Value;

use super::Channel;
use crate::stream::live::{Control, LiveHandle};
use crate::video::live::{Broadcast, Jpegs};

impl Channel for LiveHandle {
    fn name(&self) -> &str {
        self.name()
    }

    fn status(&self) -> Value {
        serde_json::to_value(self.status()).unwrap_or_default()
    }

    fn history(&self) -> Value {
        serde_json::to_value(self.history()).unwrap_or_default()
    }

    fn change(&self, control: Control, word: &str) -> Result<(), String> {
        self.change(control, word)
    }

    fn broadcast(&self) -> &Broadcast {
        self.broadcast()
    }

    fn jpegs(&self) -> &Jpegs {
        self.jpegs()
    }

    fn snapshot(&self) -> Result<PathBuf, String> {
        self.snapshot()
    }
}
