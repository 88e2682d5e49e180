//! What several commands tell about a model and its device.

use gradcast::classifier::Prepared;
use gradcast::engine::Engine;
use gradcast::explain::Report;

/// The model, its target layer and what was assumed.
pub fn model(name: &str, model: &Prepared) {
    running(name, &model.report, &model.notes);
}

/// The same of a model that runs already.
pub fn running(name: &str, report: &Report, notes: &[String]) {
    let layer = &report.layer;
    tell!(
        "model:   {name} ({} classes, {}×{} input); {} at `{}` ({}×{}×{}): {}",
        report.score.classes,
        report.input.width,
        report.input.height,
        report.method,
        layer.name,
        layer.channels,
        layer.height,
        layer.width,
        report.reason
    );
    for note in notes {
        tell!("note:    {note}");
    }
}

/// The device, and why not a better one where `auto` chose.
pub fn device(engine: &Engine) {
    tell!("device:  {}", engine.device());
    for (device, reason) in engine.passed_over() {
        tracing::info!("{device} does not start: {reason}");
    }
    if !engine.passed_over().is_empty() {
        let passed: Vec<String> = engine.passed_over().iter().map(|(device, _)| device.to_string()).collect();
        tell!("note:    {} did not start here (`gradcast doctor` says why)", passed.join(" and "));
    }
}
