//! Between a live stream and its engine: frames go in as the pace says, maps come back when they come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::meters::{Meters, since};
use super::models::Running;
use crate::engine::{Explanation, Job, Outcome, Seat};
use crate::stream::{StreamError, Viewer};
use crate::video::Frame;

/// What the model said of a frame, with the names of the explained classes.
pub(super) struct Explained {
    pub seq: u64,
    pub pts: Duration,
    pub explanation: Explanation,
    pub names: Vec<String>,
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
    viewer: Viewer,
    classes: Arc<[i64]>,
    waiting: VecDeque<Frame>,
    /// Frames that may wait: at the pace `latest` one, and the newest wins.
    room: usize,
    under_way: Vec<Sent>,
    spare: Vec<Vec<u8>>,
    reply: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
    meters: Meters,
}

impl Explainer {
    pub fn new(model: Arc<Running>, weight: usize, room: usize, classes: &[i64], meters: Meters) -> Self {
        let (reply, outcomes) = unbounded();
        Self {
            seat: model.engine.seat(weight),
            viewer: Viewer::new(model.fit, model.engine.frame_size()),
            model,
            classes: classes.into(),
            waiting: VecDeque::new(),
            room: room.max(1),
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

    /// Whether another frame would push out a waiting one.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.room
    }

    /// Offers a frame; where no place is free it waits, and the oldest waiting one is dropped for it.
    pub fn offer(&mut self, frame: &Frame) -> Result<(), StreamError> {
        if self.is_full() {
            self.waiting.pop_front();
            self.meters.superseded.inc();
        }
        self.waiting.push_back(frame.clone());
        self.submit()
    }

    /// Takes an outcome in, and uses the place that it leaves.
    ///
    /// # Errors
    /// What the model failed with on this frame; the stream can go on without a map.
    pub fn take(&mut self, outcome: Outcome) -> Result<Option<Explained>, StreamError> {
        self.spare.push(outcome.image);
        let at = self.under_way.iter().position(|sent| sent.seq == outcome.seq);
        let sent = at.map(|at| self.under_way.swap_remove(at));
        self.submit()?;
        let Some(sent) = sent else { return Ok(None) };
        since(&self.meters.model, sent.at);
        let explanation = outcome.result.inspect_err(|_| {
            self.meters.failed.inc();
        })?;
        self.meters.explained.inc();
        let names = explanation.maps.iter().map(|m| self.model.labels.name(m.class)).collect();
        Ok(Some(Explained { seq: sent.seq, pts: sent.pts, explanation, names }))
    }

    fn submit(&mut self) -> Result<(), StreamError> {
        while self.under_way.len() < self.seat.share()
            && let Some(frame) = self.waiting.pop_front()
        {
            let started = Instant::now();
            let mut image = self.spare.pop().unwrap_or_default();
            self.viewer.view(&frame, &mut image)?;
            since(&self.meters.view, started);
            let (seq, pts) = (frame.seq(), frame.pts());
            let job = Job { seq, image, classes: Arc::clone(&self.classes), reply: self.reply.clone() };
            if let Err(job) = self.model.engine.try_submit(job) {
                // The next frame or outcome tries again.
                self.spare.push(job.image);
                self.waiting.push_front(frame);
                break;
            }
            self.under_way.push(Sent { seq, pts, at: Instant::now() });
        }
        self.meters.under_way.set(i64::try_from(self.under_way.len()).unwrap_or(i64::MAX));
        Ok(())
    }
}
