//! `gradcast doctor`: 0 only where the main job can run, and every problem with its cure.

mod common;

use common::cli::{gradcast, succeeds};

#[test]
fn a_healthy_machine_passes() {
    let said = String::from_utf8(succeeds(gradcast().arg("doctor")).stdout).unwrap();
    for part in [
        "GStreamer",
        "OpenCV",
        "ONNX Runtime",
        "cpu runs",
        "Self-test",
        "H.264",
        "x264",
        "WebRTC",
        "x264 encodes",
        "Cameras",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    assert!(!said.contains("!!"), "{said}");
}

#[test]
fn a_machine_without_the_runtime_fails_with_the_cure() {
    let output = gradcast().arg("doctor").env("GRADCAST_ORT_LIB", "/no/such/lib.so").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("/no/such/lib.so") && said.contains("cure:"), "{said}");
}
