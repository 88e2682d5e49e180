//! Running models for live streams: each layer's engine is started once, shared, and given up when
//! nobody looks any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::classifier::{Classifier, ClassifierError, Labels, Prepared};
use crate::engine::{Engine, EngineError, EngineOptions};
use crate::explain::{Method, Report};
use crate::paint::Fit;
use crate::sync::{lock, try_lock};

/// How long a worker waits for a batch to fill: a frame's time at 30 fps, no more.
const BATCH_DEADLINE: Duration = Duration::from_millis(35);

/// A running model as a stream uses it.
pub struct Running {
    pub engine: Engine,
    pub labels: Labels,
    pub fit: Fit,
    /// What the command line or the configuration asks for: −1 is the most probable.
    pub classes: Vec<i64>,
    pub report: Report,
    /// What was assumed or chosen, one sentence each.
    pub notes: Vec<String>,
}

impl Running {
    /// The explained layer.
    pub fn layer(&self) -> &str {
        &self.report.layer.name
    }

    /// How the maps are made.
    pub fn method(&self) -> Method {
        self.report.method
    }
}

/// A layer that was asked for, and the model that runs for it or why it does not.
pub type Reply = (Option<String>, Result<Arc<Running>, ModelError>);

/// What can keep a model from running.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// One classifier, with an engine for each of its layers that somebody looks at.
pub struct Models {
    classifier: Classifier,
    layers: Vec<String>,
    running: Mutex<HashMap<Option<String>, Weak<Running>>>,
    /// Held while one starts. Who only looks does not wait for it.
    starting: Mutex<()>,
}

impl Models {
    /// Finds out which layers can be explained; nothing runs yet.
    ///
    /// # Errors
    /// Where the model cannot be explained at all.
    pub fn new(classifier: Classifier) -> Result<Self, ClassifierError> {
        let layers = classifier.inspect()?.layers.into_iter().map(|l| l.name).collect();
        Ok(Self { classifier, layers, running: Mutex::default(), starting: Mutex::default() })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.classifier.name
    }

    /// Layers that can be explained, nearest to the score first.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The model running for `layer` (`None`: the default, or what its flags say); it is started where it
    /// does not run yet, which takes up to seconds.
    ///
    /// # Errors
    /// Where the layer cannot be explained or the device does not start.
    pub fn get(&self, layer: Option<&str>) -> Result<Arc<Running>, ModelError> {
        let key = layer.map(str::to_owned);
        let there = || {
            let running = lock(&self.running).get(&key).and_then(Weak::upgrade);
            running.filter(|there| there.engine.is_whole())
        };
        // What runs is had at once, also while another layer takes long to start.
        if let Some(there) = there() {
            return Ok(there);
        }
        let _one_at_a_time = lock(&self.starting);
        if let Some(there) = there() {
            return Ok(there);
        }
        let prepared = self.classifier.clone().with_layer(layer).prepare()?;
        let options = EngineOptions { deadline: BATCH_DEADLINE, ..prepared.engine_options() };
        let engine = Engine::start(&prepared.bytes, &options)?;
        let Prepared { report, labels, fit, classes, notes, .. } = prepared;
        let started = Arc::new(Running { engine, labels, fit, classes, report, notes });
        let mut running = lock(&self.running);
        running.retain(|_, r| r.strong_count() > 0);
        running.insert(key, Arc::downgrade(&started));
        Ok(started)
    }

    /// As [`Models::get`], in the background: the video goes on meanwhile.
    /// The reply says which layer was asked for.
    pub fn request(self: &Arc<Self>, layer: Option<String>, reply: Sender<Reply>) {
        let (models, asked, answer) = (Arc::clone(self), layer.clone(), reply.clone());
        let work = move || {
            let model = models.get(asked.as_deref());
            // A stream that is gone no longer wants its model.
            let _ = answer.send((asked, model));
        };
        if let Err(e) = std::thread::Builder::new().name("model-start".into()).spawn(work) {
            let why = EngineError::Worker(format!("the thread that starts it does not start: {e}"));
            let _ = reply.send((layer, Err(why.into())));
        }
    }

    /// Whether an engine is being started.
    pub fn is_starting(&self) -> bool {
        try_lock(&self.starting).is_none()
    }

    /// Every engine that runs now, with its layer.
    pub fn running(&self) -> Vec<Arc<Running>> {
        let running = lock(&self.running);
        running.values().filter_map(Weak::upgrade).collect()
    }
}
