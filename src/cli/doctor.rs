//! `gradcast doctor`: does everything that the main job needs really work here?

use std::process::ExitCode;

use console::style;
use gradcast::classifier::{Classifier, ModelFlags};
use gradcast::engine::{self, Device};
use gradcast::video::{self, Codec, live};
use gstreamer as gst;

use super::failure::{Code, Failure};
use super::{livetest, selftest};

/// Check this machine: versions, devices that really start, decoders, encoders, what is live, a self-test
#[derive(clap::Args)]
#[command(after_help = "\
Exits with 0 only when `gradcast annotate` can do its job here; what `live` and `watch` lack is said.

Examples:
  gradcast doctor")]
pub struct Args {}

/// What a check found.
enum Finding {
    /// It works.
    Good(String),
    /// It does not, but the main job does without; the cure is said.
    Missing(String, String),
    /// The main job cannot run; the cure is said.
    Broken(String, String),
}

type Check = fn() -> Vec<Finding>;

/// The checks in the order they are told.
const CHECKS: [(&str, Check); 12] = [
    ("gradcast", || vec![Finding::Good(env!("CARGO_PKG_VERSION").into())]),
    ("GStreamer", gstreamer_version),
    ("OpenCV", opencv_version),
    ("ONNX Runtime", runtime),
    ("Devices", devices),
    ("Self-test", self_test),
    ("Decoders", || codecs(video::decoders(), "decoder")),
    ("Encoders", || codecs(video::encoders(), "encoder")),
    ("Live", live_elements),
    ("Live encoder", live_encoder),
    ("Cameras", cameras),
    ("Window", window),
];

pub fn run(_: &Args) -> Result<ExitCode, Failure> {
    let mut works = true;
    for (name, check) in CHECKS {
        for (index, finding) in check().into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            match finding {
                Finding::Good(text) => println!("{name:<13} {} {text}", style("ok").green()),
                Finding::Missing(text, cure) => {
                    println!("{name:<13} {} {text}", style("--").yellow());
                    println!("{:<16} to have it: {cure}", "");
                }
                Finding::Broken(text, cure) => {
                    works = false;
                    println!("{name:<13} {} {text}", style("!!").red());
                    println!("{:<16} cure: {cure}", "");
                }
            }
        }
    }
    if works {
        println!(
            "\n`gradcast annotate` can do its job on this machine; so can `live` and `watch`, but for what is missing above."
        );
        Ok(ExitCode::SUCCESS)
    } else {
        println!("\n`gradcast annotate` cannot do its job here until what is marked !! is cured.");
        Ok(Code::Running.into())
    }
}

fn gstreamer_version() -> Vec<Finding> {
    let good = Finding::Good;
    match gst::init() {
        Ok(()) => vec![good(gst::version_string().trim_start_matches("GStreamer ").to_owned())],
        Err(e) => vec![Finding::Broken(e.to_string(), "install GStreamer 1.22 or later: `scripts/run doctor`".into())],
    }
}

fn opencv_version() -> Vec<Finding> {
    match opencv::core::get_version_string() {
        Ok(version) => vec![Finding::Good(version)],
        Err(e) => vec![Finding::Broken(e.to_string(), "install libopencv-imgproc: `scripts/run doctor`".into())],
    }
}

fn runtime() -> Vec<Finding> {
    match engine::library_version() {
        Ok(version) => vec![Finding::Good(format!("{version}\n{:<16} {}", "", engine::library_path().display()))],
        Err(e) => vec![Finding::Broken(e.to_string(), e.hint())],
    }
}

/// Devices are started and run, not asked for: what is compiled in says little.
fn devices() -> Vec<Finding> {
    let trials = Classifier::load(None, &ModelFlags::default())
        .and_then(Classifier::prepare)
        .map_err(|e| (e.to_string(), e.hint()))
        .and_then(|model| engine::trials(&model.bytes, model.input_size()).map_err(|e| (e.to_string(), e.hint())));
    match trials {
        Err((error, cure)) => vec![Finding::Broken(error, cure)],
        Ok(trials) => trials
            .into_iter()
            .map(|trial| match (trial.device, trial.failure) {
                (device, None) => Finding::Good(format!("{device} runs")),
                (Device::Cpu, Some(reason)) => Finding::Broken(reason, Device::Cpu.cure().into()),
                (device, Some(reason)) => Finding::Missing(format!("{device}: {reason}"), device.cure().into()),
            })
            .collect(),
    }
}

fn self_test() -> Vec<Finding> {
    match selftest::run() {
        Ok(text) => vec![Finding::Good(text)],
        Err(reason) => vec![Finding::Broken(
            format!("the built-in model does not explain a drawn shape: {reason}"),
            "see what ONNX Runtime and the devices say above".into(),
        )],
    }
}

fn codecs(found: video::Result<Vec<Codec>>, what: &str) -> Vec<Finding> {
    let codecs = match found {
        Ok(codecs) => codecs,
        Err(e) => return vec![Finding::Broken(e.to_string(), e.hint().to_owned())],
    };
    let (there, missing): (Vec<_>, Vec<_>) = codecs.into_iter().partition(|c| c.element.is_some());
    let there: Vec<String> =
        there.into_iter().map(|c| format!("{} ({})", c.name, c.element.unwrap_or_default())).collect();
    let told = missing.into_iter().map(|codec| {
        let (text, cure) = (format!("{}: no {what}", codec.name), format!("install {}", codec.package));
        if codec.essential { Finding::Broken(text, cure) } else { Finding::Missing(text, cure) }
    });
    std::iter::once(Finding::Good(there.join(", "))).chain(told).collect()
}

/// What `live` and `watch` are made of.
fn live_elements() -> Vec<Finding> {
    let (there, missing): (Vec<_>, Vec<_>) =
        livetest::ELEMENTS.into_iter().partition(|(element, ..)| gst::ElementFactory::find(element).is_some());
    let told = missing.into_iter().map(|(element, purpose, package)| {
        Finding::Missing(format!("{purpose}: no {element}"), format!("install {package}"))
    });
    let there: Vec<&str> = there.into_iter().map(|(_, purpose, _)| purpose).collect();
    std::iter::once(Finding::Good(there.join(", "))).chain(told).collect()
}

fn live_encoder() -> Vec<Finding> {
    match livetest::encoder() {
        Ok(what) => vec![Finding::Good(what)],
        Err(e) => vec![Finding::Missing(e.to_string(), e.hint().to_owned())],
    }
}

fn cameras() -> Vec<Finding> {
    match live::cameras() {
        Err(e) => vec![Finding::Missing(e.to_string(), e.hint().to_owned())],
        Ok(cameras) if cameras.is_empty() => {
            let cure = "connect one and be in the group `video`; `gradcast live test` needs none";
            vec![Finding::Missing("none of this machine".into(), cure.into())]
        }
        Ok(cameras) => cameras
            .into_iter()
            .map(|camera| Finding::Good(format!("{}  {}", camera.path.display(), camera.name)))
            .collect(),
    }
}

fn window() -> Vec<Finding> {
    match livetest::window() {
        Ok(()) => vec![Finding::Good("there is a display".into())],
        Err(e) => vec![Finding::Missing(e.to_string(), e.hint().to_owned())],
    }
}
