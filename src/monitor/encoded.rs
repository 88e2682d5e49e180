//! The encoder of a stream as one of its outputs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::stream::live::{Meters, Output};
use crate::video::live::{Broadcast, EncoderOptions, LiveEncoder};
use crate::video::{Frame, FrameFormat, Result};

/// It is started for the first who takes its packets, works only while somebody does, and is started again when it
/// fails. Starting and ending it happen beside the video: hardware can hang.
pub(super) struct Encoded {
    state: State,
    format: Arc<FrameFormat>,
    broadcast: Broadcast,
    options: EncoderOptions,
    meters: Meters,
    failed: Option<String>,
    /// Not before this moment is it started again.
    again: Option<Instant>,
    pace: Behind,
    /// Hangs up when all is over.
    _ends: Sender<()>,
}

enum State {
    Idle,
    /// It comes on the channel; the newest frames wait for it.
    Starting {
        since: Instant,
        encoder: Receiver<Result<LiveEncoder>>,
        frames: VecDeque<Frame>,
    },
    Working(LiveEncoder),
    /// The channel hangs up when the one that failed is gone.
    Ending(Receiver<()>),
}

/// Pause before an encoder that failed is started again.
const RETRY: Duration = Duration::from_secs(5);
/// How long a start may take before it is said to hang.
const START: Duration = Duration::from_secs(5);
/// Frames that wait for an encoder which is being started: as many as it takes at once.
const WAITING: usize = 2;

impl Encoded {
    /// `ends` hangs up when it has ended.
    pub fn new(
        format: Arc<FrameFormat>,
        broadcast: Broadcast,
        options: EncoderOptions,
        meters: Meters,
        ends: Sender<()>,
    ) -> Self {
        let (state, pace) = (State::Idle, Behind::default());
        Self { state, format, broadcast, options, meters, failed: None, again: None, pace, _ends: ends }
    }

    /// Goes on with what was begun beside the video.
    fn turn(&mut self) {
        match &mut self.state {
            State::Idle if self.again.is_none_or(|at| at <= Instant::now()) => self.start(),
            State::Ending(gone) if gone.try_recv() == Err(TryRecvError::Disconnected) => self.state = State::Idle,
            State::Starting { since, encoder, frames } => match encoder.try_recv() {
                Ok(Ok(encoder)) => {
                    let frames = std::mem::take(frames);
                    self.state = State::Working(encoder);
                    frames.into_iter().for_each(|frame| self.encode(frame));
                }
                Ok(Err(e)) => self.fail(e.to_string()),
                Err(TryRecvError::Disconnected) => self.fail("the live encoder died while it was started".into()),
                Err(TryRecvError::Empty) if since.elapsed() > START => {
                    self.failed = Some("the live encoder does not start: its device hangs".into());
                }
                Err(TryRecvError::Empty) => {}
            },
            _ => {}
        }
    }

    fn start(&mut self) {
        let (started, encoder) = bounded(1);
        let (broadcast, format, options) = (self.broadcast.clone(), Arc::clone(&self.format), self.options.clone());
        let work = move || {
            // Where nobody waits for it any more, it ends here.
            let _ = started.send(LiveEncoder::start_into(&broadcast, &format, &options));
        };
        match thread::Builder::new().name("encoder-start".into()).spawn(work) {
            Ok(_) => self.state = State::Starting { since: Instant::now(), encoder, frames: VecDeque::new() },
            Err(e) => self.fail(format!("no thread for the live encoder can be started: {e}")),
        }
    }

    fn fail(&mut self, why: String) {
        self.failed = Some(why);
        self.again = Some(Instant::now() + RETRY);
        // No new one while the old one hangs: each would stay for ever.
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Working(old) => State::Ending(old.let_go()),
            _ => State::Idle,
        };
    }

    fn encode(&mut self, frame: Frame) {
        let State::Working(encoder) = &self.state else { return };
        let (taken, took) = (encoder.push(frame), encoder.took());
        self.pace.count(taken);
        if !taken {
            self.meters.encoder_behind.inc();
        }
        if let Some(took) = took {
            self.meters.encode.observe(took.as_secs_f64());
            self.failed = None;
        }
    }
}

impl Output for Encoded {
    fn push(&mut self, frame: &Frame) {
        let wanted = self.broadcast.subscribers() > 0;
        // One that failed is tried also where nobody looks: who comes next would wait in vain.
        if !wanted && self.failed.is_none() {
            self.pace = Behind::default();
            return self.broadcast.rest();
        }
        self.format = Arc::clone(frame.format());
        self.turn();
        match &mut self.state {
            State::Working(_) => self.encode(frame.clone()),
            State::Starting { frames, .. } => {
                frames.push_back(frame.clone());
                if frames.len() > WAITING {
                    frames.pop_front();
                    self.meters.encoder_behind.inc();
                }
            }
            _ if wanted => {
                self.meters.encoder_behind.inc();
            }
            _ => {}
        }
    }

    fn trouble(&mut self) -> Option<String> {
        if let State::Working(encoder) = &self.state
            && let Some(e) = encoder.failed()
        {
            self.fail(e.to_string());
        }
        self.failed.clone()
    }

    fn behind(&self) -> Option<String> {
        self.pace.told()
    }

    fn finish(self: Box<Self>) {
        match self.state {
            State::Working(encoder) => encoder.finish(),
            _ => self.broadcast.end(),
        }
    }
}

/// Whether an encoder keeps up, over the last seconds.
#[derive(Default)]
struct Behind {
    since: Option<Instant>,
    pushed: u32,
    dropped: u32,
    /// Of the window before.
    share: f32,
}

impl Behind {
    const WINDOW: Duration = Duration::from_secs(5);
    /// A share of frames that somebody would miss.
    const MUCH: f32 = 0.05;

    fn count(&mut self, taken: bool) {
        self.pushed += 1;
        self.dropped += u32::from(!taken);
        if self.since.get_or_insert_with(Instant::now).elapsed() > Self::WINDOW {
            let share = self.dropped as f32 / self.pushed as f32;
            *self = Self { share, ..Self::default() };
        }
    }

    fn told(&self) -> Option<String> {
        (self.share > Self::MUCH).then(|| {
            let percent = (100.0 * self.share).round();
            format!(
                "the encoder is behind and drops {percent} % of the frames: choose a smaller size or a lower quality"
            )
        })
    }
}
