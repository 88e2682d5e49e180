//! What the tests share.
#![allow(dead_code)] // every test file uses its own part

pub mod cli;
pub mod explain;
pub mod ffprobe;
pub mod onnx;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gradcast::monitor::config::Config;
use gradcast::monitor::{Monitor, OpenExtra, Workshop};
use gradcast::video::Description;
use gradcast::video::live::EncoderOptions;

use ort::environment::Environment;

/// The folder of real material, or `None` (said aloud) where it is absent and the test is skipped.
pub fn material() -> Option<PathBuf> {
    let folder = std::env::var_os("GRADCAST_MATERIAL")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/material"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the material is not at {} (set GRADCAST_MATERIAL)", folder.display());
    None
}

/// Every whole model of the material, or none.
pub fn models() -> Vec<PathBuf> {
    let Some(material) = material() else {
        return Vec::new();
    };
    let mut models: Vec<PathBuf> = ["models", "models/light"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(material.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect();
    models.sort();
    assert!(models.len() >= 14, "the material should hold 14 models: {models:?}");
    models
}

/// The one runtime environment of a test process.
pub fn runtime() -> Environment {
    static RUNTIME: OnceLock<Environment> = OnceLock::new();
    let start = || {
        let builder =
            ort::init_from(gradcast::engine::library_path()).expect("the runtime library loads: use scripts/test");
        builder.with_telemetry(false).build().expect("the runtime starts")
    };
    RUNTIME.get_or_init(start).clone()
}

/// The streams of a configuration, running; relative paths begin at `folder`.
pub fn monitor(config: &str, folder: &Path) -> Arc<Monitor> {
    let config = Config::parse(config, "test.toml", folder).unwrap();
    start(config, workshop(folder), None)
}

/// As [`monitor`], with a workshop and an output of the test's own.
pub fn start(config: Config, workshop: Workshop, extra: Option<OpenExtra>) -> Arc<Monitor> {
    let monitor = Monitor::new(workshop);
    monitor.start(config, extra).unwrap();
    monitor
}

/// What its streams share; snapshots go to `folder`.
pub fn workshop(folder: &Path) -> Workshop {
    let description = Description::built_in().unwrap();
    let encoder = EncoderOptions { description: description.clone(), ..EncoderOptions::new().unwrap() };
    Workshop { description, encoder, snapshots: folder.to_owned() }
}
