//! Running the `gradcast` command as a user does, and reading what it wrote.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

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
