//! Between a live stream and its engine: frames go in as the pace says, maps come back when they come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::meters::{Meters, since};
use super::models::Running;
use crate::engine::{ClassMap, Job, Outcome, Seat};
use crate::stream::events::{PredictionEvent, predictions};
use crate::stream::{StreamError, Viewer};
use crate::sync::lock;
use crate::video::Frame;

/// How many classes an event lists.
const TOP: usize = 5;

/// What the model said of a frame.
#[derive(Default)]
pub(super) struct Explained {
    pub seq: u64,
    pub pts: Duration,
    pub maps: Vec<ClassMap>,
    /// The names of the maps' classes.
    pub names: Vec<String>,
    pub predictions: Vec<PredictionEvent>,
    /// The layer that was explained, and the method.
    pub layer: String,
    pub method: String,
}

/// A frame that is with the model.
struct Sent {
    seq: u64,
    pts: Duration,
    at: Instant,
}

/// Hands frames of one stream to one engine, never waiting for it.
pub(super) struct Explainer {
    model: Arc<Running>,
    seat: Seat,
    viewer: Arc<Mutex<Viewer>>,
    classes: Arc<[i64]>,
    under_way: Vec<Sent>,
    spare: Vec<Vec<u8>>,
    reply: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
    meters: Meters,
}

impl Explainer {
    /// `room` frames may wait for their turn: at the pace `latest` one, and the newest wins.
    pub fn new(model: Arc<Running>, weight: usize, room: usize, classes: &[i64], meters: Meters) -> Self {
        let (reply, outcomes) = unbounded();
        Self {
            seat: model.engine.seat(weight, room),
            viewer: Arc::new(Mutex::new(Viewer::new(model.fit, model.engine.frame_size()))),
            model,
            classes: classes.into(),
            under_way: Vec::new(),
            spare: Vec::new(),
            reply,
            outcomes,
            meters,
        }
    }

    pub fn model(&self) -> &Arc<Running> {
        &self.model
    }

    /// Where outcomes arrive; each is to be handed to [`Explainer::take`].
    pub fn outcomes(&self) -> &Receiver<Outcome> {
        &self.outcomes
    }

    /// From the next frame on, other classes.
    pub fn explain(&mut self, classes: &[i64]) {
        self.classes = classes.into();
    }

    /// Offers a frame, of which the worker makes the small picture when its turn has come. Where there is no room, the frame
    /// that waited longest goes.
    pub fn offer(&mut self, frame: &Frame) {
        let (seq, pts) = (frame.seq(), frame.pts());
        let (viewer, viewed, frame) = (Arc::clone(&self.viewer), self.meters.view.clone(), frame.clone());
        let view = move |image: &mut Vec<u8>| {
            let started = Instant::now();
            lock(&viewer).view(&frame, image).map_err(|e| e.to_string())?;
            since(&viewed, started);
            Ok(())
        };
        let image = self.spare.pop().unwrap_or_default();
        let (classes, reply) = (Arc::clone(&self.classes), self.reply.clone());
        self.under_way.push(Sent { seq, pts, at: Instant::now() });
        if let Some(left) = self.seat.offer(Job { seq, image, view: Some(Box::new(view)), classes, reply }) {
            self.spare.push(left.image);
            self.sent(left.seq);
            // An engine that died gives back the frame itself; a new one will be asked.
            if left.seq != seq {
                self.meters.superseded.inc();
            }
        }
        self.count();
    }

    /// Takes an outcome in.
    ///
    /// # Errors
    /// What the model failed with on this frame; the stream can go on without a map.
    pub fn take(&mut self, outcome: Outcome) -> Result<Option<Explained>, StreamError> {
        self.spare.push(outcome.image);
        let sent = self.sent(outcome.seq);
        self.count();
        let Some(sent) = sent else { return Ok(None) };
        since(&self.meters.model, sent.at);
        let explanation = outcome.result.inspect_err(|_| {
            self.meters.failed.inc();
        })?;
        self.meters.explained.inc();
        let labels = &self.model.labels;
        Ok(Some(Explained {
            seq: sent.seq,
            pts: sent.pts,
            predictions: predictions(&explanation.top(TOP), labels),
            names: explanation.maps.iter().map(|m| labels.name(m.class)).collect(),
            maps: explanation.maps,
            layer: self.model.layer().to_owned(),
            method: self.model.method().to_string(),
        }))
    }

    /// What was sent under a number, and is with the model no longer.
    fn sent(&mut self, seq: u64) -> Option<Sent> {
        let at = self.under_way.iter().position(|sent| sent.seq == seq)?;
        Some(self.under_way.swap_remove(at))
    }

    fn count(&self) {
        self.meters.under_way.set(i64::try_from(self.under_way.len()).unwrap_or(i64::MAX));
    }
}
