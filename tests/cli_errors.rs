//! Every failure has its documented exit code and a message that names the cure; nothing is left
//! under the output's name, and nothing hangs.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::cli::{fails, gradcast, succeeds};

fn annotate(input: &Path, output: &Path) -> Command {
    let mut command = gradcast();
    command.arg("annotate").arg(input).arg("-o").arg(output).args(["--device", "cpu"]);
    command
}

/// A message of two lines: what failed on what, and what to do.
fn is_clear(said: &str, names: &str) {
    assert!(said.starts_with("error: "), "{said}");
    assert!(said.contains(names), "`{names}` is not named in: {said}");
    assert!(said.lines().any(|l| l.trim_start().starts_with("try: ")), "no cure in: {said}");
}

/// Whatever the command left in the folder.
fn left_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect()
}

#[test]
fn unreadable_inputs_exit_with_3_leave_nothing_and_do_not_hang() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inputs =
        ["videos/audio_only.m4a", "videos/empty.mp4", "videos/random_bytes.mp4", "videos/nowhere.mp4", "videos"];
    for input in inputs {
        let started = Instant::now();
        let said = fails(&mut annotate(&material.join(input), &folder.path().join("out.mp4")), 3);
        assert!(started.elapsed() < Duration::from_secs(10), "{input} took {:?}", started.elapsed());
        is_clear(&said, input.rsplit('/').next().unwrap());
        println!("{input}: {said}");
        assert_eq!(left_in(folder.path()), Vec::<PathBuf>::new(), "{input}");
    }
}

#[test]
fn models_that_cannot_be_explained_exit_with_4() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = material.join("videos/single_frame.mp4");
    let models = [
        "models/robustness/mobilenetv2-12.onnx.lfs-pointer.onnx",
        "models/robustness/mobilenet_v2_fp32_missing_external_data.onnx",
        "models/robustness/squeezenet_fp16_truncated.onnx",
        "images/winml_kitten_224.png",
        "models/nowhere.onnx",
    ];
    for model in models {
        let mut command = annotate(&clip, &folder.path().join("out.mp4"));
        let said = fails(command.arg("--model").arg(material.join(model)), 4);
        is_clear(&said, model.rsplit('/').next().unwrap());
        println!("{model}: {said}");
        assert_eq!(left_in(folder.path()), Vec::<PathBuf>::new(), "{model}");
    }
    let mut command = annotate(&clip, &folder.path().join("out.mp4"));
    command.arg("--model").arg(material.join("models/mobilenet_v2_1.0_224_fp32.onnx"));
    let said = fails(command.args(["--layer", "no_such_layer"]), 4);
    is_clear(&said, "no_such_layer");
}

#[test]
fn wrong_usage_exits_with_2_before_any_work() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = material.join("videos/single_frame.mp4");
    let out = folder.path().join("out.mp4");
    let cases: [&[&str]; 8] = [
        &["--class", "no such thing"],
        &["--class", "99999"],
        &["--labels", "/no/such/file"],
        &["--opacity", "2"],
        &["--encoder", "no_such_encoder"],
        &["--input-size", "0x0"],
        &["--colormap", "rainbows"],
        &["--stream", "7"],
    ];
    for case in cases {
        let said = fails(annotate(&clip, &out).args(case), 2);
        println!("{case:?}: {said}");
        assert_eq!(left_in(folder.path()), Vec::<PathBuf>::new(), "{case:?}");
    }
    let said = fails(&mut annotate(&clip, &folder.path().join("out.xyz")), 2);
    is_clear(&said, "xyz");
    // Vorbis does not fit into mp4: said before work starts, and --no-audio helps.
    let webm = material.join("videos/moviepy_big_buck_bunny_432_433.webm");
    let said = fails(&mut annotate(&webm, &out), 2);
    is_clear(&said, "--no-audio");
    assert_eq!(left_in(folder.path()), Vec::<PathBuf>::new());
    succeeds(annotate(&webm, &out).arg("--no-audio"));
}

#[test]
fn nothing_is_overwritten_unasked() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = material.join("videos/single_frame.mp4");
    let out = folder.path().join("out.mp4");
    std::fs::write(&out, b"precious").unwrap();
    is_clear(&fails(&mut annotate(&clip, &out), 2), "--overwrite");
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
    succeeds(annotate(&clip, &out).arg("--overwrite"));
    assert!(std::fs::read(&out).unwrap().len() > 100);
    // Not even its own input, however it is spelt.
    let copy = folder.path().join("copy.mp4");
    std::fs::copy(&clip, &copy).unwrap();
    let spelt = folder.path().join(".").join("copy.mp4");
    fails(annotate(&copy, &spelt).arg("--overwrite"), 2);
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&clip).unwrap());
}

#[test]
fn a_device_that_is_not_there_exits_with_5_and_its_reason() {
    if Path::new("/proc/driver/nvidia/version").exists() {
        eprintln!("skipped: this machine has an NVIDIA driver");
        return;
    }
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.mp4");
    for device in ["cuda", "tensorrt"] {
        let mut command = gradcast();
        command.arg("annotate").arg(material.join("videos/single_frame.mp4")).arg("-o").arg(&out);
        let said = fails(command.args(["--device", device]), 5);
        is_clear(&said, device);
        println!("{device}: {said}");
        assert!(!out.exists());
    }
    let mut command = annotate(&material.join("videos/single_frame.mp4"), &out);
    let said = fails(command.env("GRADCAST_ORT_LIB", "/no/such/libonnxruntime.so"), 5);
    is_clear(&said, "/no/such/libonnxruntime.so");
}

#[test]
fn watch_says_what_is_wrong_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cameras.toml");
    std::fs::write(&config, "[streams.a]\nurl = \"test\"\nurll = 3\n").unwrap();
    let watch = |words: &[&str]| {
        let mut command = gradcast();
        command.arg("watch").args(words).current_dir(folder.path());
        fails(&mut command, 2)
    };
    is_clear(&watch(&["cameras.toml"]), "cameras.toml, line 3, streams.a.urll");
    is_clear(&watch(&["nowhere.toml"]), "nowhere.toml");
    is_clear(&watch(&["cameras.toml", "--opacity", "0.5"]), "--opacity");
    is_clear(&watch(&["cameras.toml", "--model", "m.onnx", "--every=2"]), "--model");
    is_clear(&watch(&["test", "test", "--events", "e.jsonl"]), "e.jsonl");
    is_clear(&watch(&["ftp://host/a"]), "address 1");
    is_clear(&watch(&["cameras.toml", "test"]), "cameras.toml");
    is_clear(&watch(&["a", "b", "--push", "rtsp://127.0.0.1:1/x"]), "rtsp://127.0.0.1:1/x");
    is_clear(&watch(&["test", "--record", "cameras.toml/r"]), "cameras.toml/r");
    is_clear(&watch(&["test", "--publish", "rtsp://127.0.0.1:0/x", "--encoder", "theora"]), "x264");
    is_clear(&watch(&["test", "--record", "r", "--segment", "5s", "--keep", "2s"]), "--keep");
    is_clear(&watch(&["test", "--retry-first", "2s", "--retry-most", "1s"]), "--retry-most");
    assert!(watch(&["test", "--record", "r", "--segment", "10ms"]).contains("10ms is not from 1s to 1day"));
}

#[test]
fn live_says_what_is_wrong_with_its_words_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.mp4"), "").unwrap();
    std::fs::write(folder.path().join("text.mp4"), "nothing to see here".repeat(100)).unwrap();
    let live = |words: &[&str], code: i32| {
        let mut command = gradcast();
        command.args(["live", "--no-window"]).args(words).current_dir(folder.path());
        let said = fails(&mut command, code);
        assert!(!said.contains("s3cr3t"), "{said}");
        said
    };
    for file in ["nowhere.mp4", "empty.mp4", "text.mp4", "./"] {
        is_clear(&live(&[file], 3), file.trim_matches(['.', '/']));
    }
    live(&["rtsp://me:s3cr3t@host:99999999/"], 2);
    live(&["rtsp://me:s3cr3t@host/a", "rtsp://me:s3cr3t@host/b"], 2);
    live(&["test", "--push", "ftp://me:s3cr3t@host/"], 2);
    live(&["test", "--token", "s3cr3t"], 2);
    for name in ["", "..", "a/b"] {
        assert!(live(&["test", "--name", name], 2).contains("letters, digits"));
    }
    assert!(live(&["test", "--http", "here"], 2).contains("127.0.0.1:8080"));
    is_clear(&live(&["test", "--realtime=false", "--record", "r"], 2), "--realtime=false");
}
