//! Running the `gradcast` command as a user does, and reading what it wrote.

use std::ffi::OsString;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The command under test, with nothing of the caller's terminal in it.
pub fn gradcast() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradcast"));
    command.env_remove("RUST_LOG").stdin(std::process::Stdio::null());
    command
}

/// Runs `command`, which must succeed; else the test fails with all that it said.
pub fn succeeds(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs `command`, which must fail with `code`; returns what it said on standard error.
pub fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// The command while it runs; killed where a test fails.
pub struct Running(pub Child);

impl Running {
    pub fn signal(&self, signal: i32) {
        // SAFETY: a signal to a child of ours that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
    }

    /// Its exit code and what it said on a piped standard error, once it has ended.
    pub fn said(mut self) -> (i32, String) {
        let until = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "the command does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut said = String::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            pipe.read_to_string(&mut said).unwrap();
        }
        (status.code().unwrap_or(-1), said)
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of an events file.
pub fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the events are there");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Flags for the material's MobileNetV2 as it wants to be used.
pub fn mobilenet(material: &Path) -> Vec<OsString> {
    vec![
        "--model".into(),
        material.join("models/mobilenet_v2_1.0_224_fp32.onnx").into(),
        "--labels".into(),
        material.join("catalogue/synset.txt").into(),
        "--preprocess".into(),
        "inception".into(),
    ]
}
