//! A failing run stops the job with its cause, and nothing hangs or is left under the final name.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use gradcast::classifier::{Classifier, ModelFlags};
use gradcast::engine::Device;
use gradcast::paint::{Fit, Look};
use gradcast::stream::{AnnotateOptions, StreamError, annotate};
use gradcast::video::{FileSink, FileSource, SinkOptions, SourceOptions};

#[test]
fn a_failing_run_stops_the_job_with_its_cause() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.mp4");
    let flags = ModelFlags { device: Some(Device::Cpu), ..ModelFlags::default() };
    let model = Classifier::load(None, &flags).and_then(Classifier::prepare).unwrap();
    let engine = model.start().unwrap();
    let clip = material.join("videos/intel_car-detection.mp4");
    let mut source = FileSource::open(&clip, &SourceOptions::new().unwrap()).unwrap();
    let tracks = source.take_tracks();
    let sink = FileSink::create(&out, &SinkOptions::new().unwrap(), source.info(), tracks).unwrap();
    let options = AnnotateOptions {
        name: "street".into(),
        look: Look::default(),
        fit: Fit::default(),
        // The command line refuses such a class; here it stands for any run that fails.
        classes: Arc::new([99_999]),
        labels: &model.labels,
        layer: model.report.layer.name.clone(),
        method: "grad-cam".into(),
        events: None,
        interrupt: Arc::new(AtomicBool::new(false)),
    };
    let started = Instant::now();
    let error = annotate(Box::new(source), Box::new(sink), &engine, options, |_| ()).unwrap_err();
    println!("after {:?}: {error}\n  try: {}", started.elapsed(), error.hint());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, StreamError::Engine(_)), "{error:?}");
    assert!(!out.exists(), "only whole files get the final name");
}
