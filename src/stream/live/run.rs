//! The loop of one live stream.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};

use super::controls::{HELP, Wishes};
use super::event_feed::EventFeed;
use super::explainer::{Explained, Explainer};
use super::handle::{LiveHandle, Part, State};
use super::meters::{Meters, since};
use super::models::{ModelError, Models, Reply, Running};
use super::newest::Newest;
use crate::engine::{ClassMap, Outcome};
use crate::paint::Look;
use crate::stream::events::{EventLog, FrameEvent, MapEvent, PredictionEvent};
use crate::stream::{Seen, StreamError};
use crate::sync::lock;
use crate::video::live::{self, Broadcast, Health, Jpegs, LiveSource};
use crate::video::{Frame, FrameFormat, VideoError};

/// Which frames wait for a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// None: every frame is shown on time, with the newest map
    #[default]
    Latest,
    /// All: each frame is shown with its own map
    Every,
}

/// How a live stream runs.
pub struct LiveSettings {
    pub name: String,
    pub look: Look,
    pub pace: Pace,
    /// The model sees one frame in so many, at least 1.
    pub every: u64,
    /// The stream's share of its engine against other streams', at least 1.
    pub weight: usize,
    pub events: Option<EventLog>,
    pub meters: Meters,
    /// The folder for snapshots.
    pub snapshots: PathBuf,
    pub jpegs: Jpegs,
    /// Opens the outputs once the size of the pictures is known.
    pub open: OpenOutputs,
}

/// See [`LiveSettings::open`]. It gets the format of the frames as they go out, and the broadcast that
/// viewers of the stream listen to.
pub type OpenOutputs =
    Box<dyn FnOnce(&Arc<FrameFormat>, &Broadcast) -> Result<Vec<Box<dyn Output>>, StreamError> + Send>;

/// Where painted frames go.
pub trait Output: Send {
    /// Takes the next frame. Never waits: what finds no room is dropped and counted.
    fn push(&mut self, frame: &Frame);
    /// What is wrong with it, if anything; the stream goes on.
    fn trouble(&mut self) -> Option<String> {
        None
    }
    /// Whether it drops more than somebody would miss because it cannot keep up, in words; nothing is broken.
    fn behind(&self) -> Option<String> {
        None
    }
    /// Ends it properly, within two seconds.
    fn finish(self: Box<Self>);
}

/// A running stream.
pub struct Live {
    handle: LiveHandle,
    thread: JoinHandle<Result<(), StreamError>>,
}

impl Live {
    /// Starts the loop of `source` with `models`, whose engine is started first where it does not run yet.
    ///
    /// # Errors
    /// Where the model cannot run.
    pub fn start(source: LiveSource, models: &Arc<Models>, settings: LiveSettings) -> Result<Self, ModelError> {
        let model = models.get(None)?;
        let (wake, woken) = bounded(1);
        let classes = model.classes.clone();
        let wishes = Wishes { classes, layer: None, look: settings.look, paused: false, help: false };
        let handle = LiveHandle::new(&settings, source.address().to_string(), models, &model, wishes, wake);
        let shared = handle.clone();
        let work = move || {
            let run =
                catch_unwind(AssertUnwindSafe(|| Loop::new(shared.clone(), source, model, settings, woken).run()));
            let outcome = run.unwrap_or_else(|panic| Err(StreamError::died(&*panic)));
            let mut now = lock(&shared.0.now);
            match &outcome {
                Ok(()) => now.enter(State::Ended, None),
                Err(e) => now.enter(State::Failed, Some(e.to_string())),
            }
            shared.0.meters.rest();
            outcome
        };
        let name = format!("live-{}", handle.name());
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(work)
            .map_err(|e| crate::engine::EngineError::Worker(format!("the thread of the stream does not start: {e}")))?;
        Ok(Self { handle, thread })
    }

    /// The stream as others see it.
    pub fn handle(&self) -> &LiveHandle {
        &self.handle
    }

    /// Whether its loop has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What stopped it.
    pub fn join(self) -> Result<(), StreamError> {
        self.thread.join().unwrap_or_else(|panic| Err(StreamError::died(&*panic)))
    }
}

/// How often the loop looks after what does not come by itself.
const TICK: Duration = Duration::from_millis(100);
/// Pause between stills, and before a silent source's last picture is shown again.
const STILL_EVERY: Duration = Duration::from_millis(200);
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// How long a source may be away before the picture says so.
const AWAY_AFTER: Duration = Duration::from_millis(500);
/// How long to wait for the first frame, which settles the size, before a still settles it.
const SETTLE_AFTER: Duration = Duration::from_secs(3);
/// A map older than this is said to be.
const OLD_MAP: Duration = Duration::from_millis(500);
/// A pause that somebody forgot ends: nothing is recorded and nobody sees anything meanwhile.
const PAUSE_MOST: Duration = Duration::from_secs(600);
/// Pause before a model that failed is started again.
const MODEL_RETRY: Duration = Duration::from_secs(5);
/// Frames that may wait for their maps at the pace `every`.
const HELD: usize = 8;
/// How long the end waits for models that are being let go.
const MODEL_END: Duration = Duration::from_secs(1);
/// How long a frame of a file that is read for its events waits for its event to be taken.
const EVENT_PATIENCE: Duration = Duration::from_secs(1);
/// The least time between two frames that go out.
const STEP: Duration = Duration::from_millis(1);

/// A frame at the pace `every`.
struct Held {
    frame: Frame,
    /// Whether the model was asked about it.
    asked: bool,
}

struct Loop {
    handle: LiveHandle,
    source: LiveSource,
    settings: LiveSettings,
    outputs: Option<Vec<Box<dyn Output>>>,
    explainer: Explainer,
    seen: Seen,
    wishes: Wishes,
    woken: Receiver<()>,
    /// Where models that were asked for arrive.
    models: (Sender<Reply>, Receiver<Reply>),
    /// The layer that runs, the one that was asked for last, and when a failed model is asked for again.
    layer: Option<String>,
    asked_layer: Option<String>,
    model_retry: Option<Instant>,
    /// A model is being started.
    starting: bool,
    events: Option<EventFeed>,
    /// Models that are being let go.
    retired: Vec<JoinHandle<()>>,
    newest: Newest,
    /// At the pace `every`: frames in order, and answers that wait for their frame.
    held: VecDeque<Held>,
    answers: BTreeMap<u64, Option<Explained>>,
    /// The newest frame as it came; while paused, the one that is shown.
    last: Option<Frame>,
    frozen: Option<Frame>,
    pause_ends: Option<Instant>,
    shown: Instant,
    came: Instant,
    out_pts: Duration,
    out_seq: u64,
    /// Pictures of the source that were shown.
    shown_new: u64,
    checked: Instant,
}

impl Loop {
    fn new(
        handle: LiveHandle,
        source: LiveSource,
        model: Arc<Running>,
        settings: LiveSettings,
        woken: Receiver<()>,
    ) -> Self {
        let wishes = lock(&handle.0.wishes).clone();
        let seen = Seen::new(wishes.look, model.fit, model.engine.frame_size()).with_classes(wishes.classes.len());
        let explainer = explainer(model, &settings, &wishes);
        let now = Instant::now();
        Self {
            handle,
            source,
            outputs: None,
            explainer,
            seen,
            wishes,
            woken,
            models: unbounded(),
            layer: None,
            asked_layer: None,
            model_retry: None,
            starting: false,
            events: None,
            retired: Vec::new(),
            newest: Newest::default(),
            held: VecDeque::new(),
            answers: BTreeMap::new(),
            last: None,
            frozen: None,
            pause_ends: None,
            shown: now,
            came: now,
            out_pts: Duration::ZERO,
            out_seq: 0,
            shown_new: 0,
            checked: now,
            settings,
        }
    }

    fn run(mut self) -> Result<(), StreamError> {
        let lost = self.settings.meters.events_lost.clone();
        self.events = self.settings.events.take().map(|log| EventFeed::start(log, lost)).transpose()?;
        let outcome = self.turn();
        let Self { explainer, outputs, source, retired, events, .. } = self;
        // What waits for the model is for nobody.
        drop(explainer);
        // All at once: the slowest one decides how long the end takes.
        std::thread::scope(|scope| {
            for output in outputs.into_iter().flatten() {
                scope.spawn(|| output.finish());
            }
            scope.spawn(|| source.stop());
            scope.spawn(|| wait_for(&retired, MODEL_END));
            scope.spawn(|| events.map(EventFeed::finish));
        });
        outcome
    }

    fn turn(&mut self) -> Result<(), StreamError> {
        let no_frames = never();
        while !self.handle.is_stopping() {
            let full = self.settings.pace == Pace::Every && self.held.len() >= HELD;
            // Cloned channels are handles; `self` stays free for the arms.
            let frames = if full { no_frames.clone() } else { self.source.frames().clone() };
            let (outcomes, models, woken) =
                (self.explainer.outcomes().clone(), self.models.1.clone(), self.woken.clone());
            select! {
                recv(frames) -> frame => match frame {
                    Ok(frame) => self.frame(frame)?,
                    Err(_) => {
                        self.drain()?;
                        return match self.source.health() {
                            Health::Ended => Ok(()),
                            Health::Failed { said } => Err(VideoError::input(
                                format!("{} breaks off: {said}", self.source.address()),
                                "look whether another program plays it to its end",
                            )
                            .into()),
                            _ => Err(StreamError::Died("its source is gone".into())),
                        };
                    }
                },
                recv(outcomes) -> outcome => if let Ok(outcome) = outcome { self.outcome(outcome)? },
                recv(models) -> started => if let Ok((layer, model)) = started { self.swap(layer, model) },
                recv(woken) -> _ => self.obey()?,
                default(TICK) => {}
            }
            self.look_after()?;
        }
        Ok(())
    }

    /// A file's last frames still get their maps.
    fn drain(&mut self) -> Result<(), StreamError> {
        while !self.held.is_empty() && !self.handle.is_stopping() {
            lock(&self.handle.0.now).turned = Instant::now();
            match self.explainer.outcomes().recv_timeout(TICK) {
                Ok(outcome) => self.outcome(outcome)?,
                // Answers that will not come any more.
                Err(_) if !self.explainer.model().engine.is_whole() => {
                    self.held.iter_mut().for_each(|held| held.asked = false);
                    self.show_answered()?;
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// A frame from the source.
    fn frame(&mut self, frame: Frame) -> Result<(), StreamError> {
        self.came = Instant::now();
        self.settings.meters.frames_in.inc();
        if let Some(decoding) = frame.decode_time() {
            self.settings.meters.decode.observe(decoding.as_secs_f64());
        }
        if self.wishes.paused && self.frozen.is_none() {
            self.frozen = Some(frame.clone());
        }
        let frame = match &self.frozen {
            Some(frozen) => frozen.at(frame.pts(), frame.duration(), frame.seq()),
            None => frame,
        };
        let asked = frame.seq() % self.settings.every.max(1) == 0;
        if asked {
            self.explainer.offer(&frame);
        }
        self.last = Some(frame.clone());
        match self.settings.pace {
            Pace::Latest => self.show_new(&frame),
            Pace::Every => {
                self.held.push_back(Held { frame, asked });
                self.show_answered()
            }
        }
    }

    /// The model's word on a frame.
    fn outcome(&mut self, outcome: Outcome) -> Result<(), StreamError> {
        let seq = outcome.seq;
        let explained = match self.explainer.take(outcome) {
            Ok(explained) => explained,
            Err(StreamError::Engine(e)) => {
                // The video goes on without this map.
                self.trouble(Part::Model, Some(format!("the model failed on a frame: {e}")));
                None
            }
            Err(other) => return Err(other),
        };
        if explained.is_some() {
            let mut now = lock(&self.handle.0.now);
            now.maps.count();
            now.set_trouble(Part::Model, None);
        }
        if self.held.iter().any(|held| held.asked && held.frame.seq() == seq) {
            self.answers.insert(seq, explained);
            return self.show_answered();
        }
        if let Some(explained) = explained {
            self.newest.put(explained);
        }
        Ok(())
    }

    /// At the pace `every`: shows what has its map, in order.
    fn show_answered(&mut self) -> Result<(), StreamError> {
        while let Some(held) = self.held.front() {
            if held.asked {
                match self.answers.remove(&held.frame.seq()) {
                    Some(Some(explained)) => self.newest.put(explained),
                    Some(None) => {}
                    None => return Ok(()),
                }
            }
            if let Some(held) = self.held.pop_front() {
                self.show_new(&held.frame)?;
            }
        }
        Ok(())
    }

    /// Shows a frame for the first time, and counts how long it was under way.
    fn show_new(&mut self, frame: &Frame) -> Result<(), StreamError> {
        self.show(frame, None)?;
        self.shown_new += 1;
        if self.frozen.is_none() {
            self.settings.meters.delay.observe(frame.age().as_secs_f64());
        }
        Ok(())
    }

    /// Paints a frame with the newest map, and hands it to the outputs. A frame that was shown before comes with the time
    /// at which it was `taken`.
    fn show(&mut self, frame: &Frame, again: Option<Duration>) -> Result<(), StreamError> {
        let meters = &self.settings.meters;
        let painting = Instant::now();
        let taken = again.unwrap_or_else(|| frame.pts());
        let drawn = self.newest.on(taken);
        let (explained, age) = (drawn.map(|(explained, _)| explained), drawn.map(|(_, age)| age));
        let (maps, names): (&[ClassMap], &[String]) = explained.map_or((&[], &[]), |e| (&e.maps, &e.names));
        let mut captions: Vec<String> = Vec::new();
        if self.wishes.help {
            captions.extend(HELP.map(str::to_owned));
        }
        if self.wishes.paused {
            captions.push("paused".into());
        } else if let Some(age) = age.filter(|age| *age > OLD_MAP) {
            captions.push(format!("map {:.1} s old", age.as_secs_f64()));
        } else if let Some(age) = self.newest.age(taken).filter(|_| drawn.is_none()) {
            captions.push(format!("no map for {} s", age.as_secs()));
        }
        if again.is_some() && !self.wishes.paused {
            captions.push(format!("no new picture for {} s", self.came.elapsed().as_secs()));
        }
        let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
        let (painted, stats) = self.seen.paint_with(frame, maps, names, &captions)?;
        since(&meters.paint, painting);
        if let Some(age) = age {
            meters.map_age.observe(age.as_secs_f64());
            if !age.is_zero() {
                meters.reused.inc();
            }
        }

        let predicted: Vec<PredictionEvent> = explained.map_or_else(Vec::new, |e| e.predictions.clone());
        // What is shown again has been told.
        if let Some(events) = self.events.as_ref().filter(|_| again.is_none()) {
            // The map's own: another layer may be running by now.
            let (layer, method) = explained.map_or(("", ""), |e| (&e.layer, &e.method));
            let ns = |d: Duration| u64::try_from(d.as_nanos()).ok();
            let event = FrameEvent {
                stream: &self.settings.name,
                frame: self.out_seq,
                time: Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string()),
                pts_ns: ns(frame.pts()),
                map_pts_ns: explained.and_then(|e| ns(e.pts)),
                predictions: predicted.clone(),
                maps: maps
                    .iter()
                    .zip(&stats)
                    .map(|(map, stats)| MapEvent::new(map.class, layer, method, stats))
                    .collect(),
            };
            // A full disk does not stop a live stream; a file that is read for its events can wait for them.
            let read = self.settings.pace == Pace::Every && !self.source.is_paced();
            events.write(&event, if read { EVENT_PATIENCE } else { Duration::ZERO });
        }
        {
            let mut now = lock(&self.handle.0.now);
            now.map_age = age;
            now.predictions = predicted;
            now.remember();
        }
        self.hand_out(painted)
    }

    /// A painted frame to every output, with times that only rise.
    fn hand_out(&mut self, painted: Frame) -> Result<(), StreamError> {
        let handing = Instant::now();
        let pts = painted.pts().max(self.out_pts + STEP);
        let painted = painted.at(pts, painted.duration(), self.out_seq);
        self.out_pts = pts;
        self.out_seq += 1;
        self.shown = Instant::now();
        if self.outputs.is_none() {
            self.open(painted.format())?;
        }
        for output in self.outputs.iter_mut().flatten() {
            output.push(&painted);
        }
        self.settings.meters.frames_out.inc();
        since(&self.settings.meters.output, handing);
        let mut now = lock(&self.handle.0.now);
        now.out.count();
        now.size = Some([painted.format().width(), painted.format().height()]);
        drop(now);
        self.handle.0.jpegs.offer(&painted);
        Ok(())
    }

    fn open(&mut self, format: &Arc<FrameFormat>) -> Result<(), StreamError> {
        let open = std::mem::replace(&mut self.settings.open, Box::new(|_, _| Ok(Vec::new())));
        self.outputs = Some(open(format, self.handle.broadcast())?);
        Ok(())
    }

    /// Wishes have changed.
    fn obey(&mut self) -> Result<(), StreamError> {
        let wishes = lock(&self.handle.0.wishes).clone();
        if wishes.classes != self.wishes.classes {
            self.explainer.explain(&wishes.classes);
            self.explain_anew();
        }
        if wishes.look != self.wishes.look {
            self.seen.set_look(wishes.look);
        }
        if wishes.layer != self.asked_layer {
            self.asked_layer.clone_from(&wishes.layer);
            self.request();
        }
        if wishes.paused != self.wishes.paused {
            self.frozen = if wishes.paused { self.last.clone() } else { None };
            self.pause_ends = wishes.paused.then(|| Instant::now() + PAUSE_MOST);
            let said = if wishes.paused { "paused, for recordings and all viewers" } else { "it goes on" };
            tracing::info!(stream = self.settings.name, "{said}");
        }
        self.wishes = wishes;
        Ok(())
    }

    /// The last picture once more: a camera that sends only on motion may send no other for hours.
    fn explain_anew(&mut self) {
        // While frames wait for their maps, one of them would be pushed out.
        if self.held.is_empty()
            && self.came.elapsed() > SILENT_AFTER
            && let Some(last) = &self.last
        {
            self.explainer.offer(last);
        }
    }

    /// Asks for the model with the layer that is wanted, one start at a time.
    fn request(&mut self) {
        if !self.starting {
            self.starting = true;
            self.handle.0.models.request(self.asked_layer.clone(), self.models.0.clone());
        }
    }

    /// Lets go of a model in another thread: its end takes as long as the run that is under way.
    fn retire(&mut self, old: impl Send + 'static) {
        self.retired.retain(|thread| !thread.is_finished());
        // Where there is no thread, it is dropped here.
        self.retired.extend(std::thread::Builder::new().name("model-end".into()).spawn(move || drop(old)).ok());
    }

    /// A model is running: the stream moves over, and shows the old map until the new one comes.
    fn swap(&mut self, layer: Option<String>, model: Result<Arc<Running>, ModelError>) {
        self.starting = false;
        // Another layer has been asked for since.
        if layer != self.asked_layer {
            self.retire(model);
            self.request();
            return;
        }
        let model = match model {
            Ok(model) => model,
            Err(e) => {
                self.trouble(Part::Layer, Some(e.to_string()));
                if !self.explainer.model().engine.is_whole() {
                    self.model_retry = Some(Instant::now() + MODEL_RETRY);
                } else {
                    // The old layer stays, and the controls say so.
                    self.asked_layer.clone_from(&self.layer);
                    self.wishes.layer.clone_from(&self.layer);
                    lock(&self.handle.0.wishes).layer.clone_from(&self.layer);
                }
                return;
            }
        };
        self.trouble(Part::Layer, None);
        let old = std::mem::replace(&mut *lock(&self.handle.0.model), Arc::clone(&model));
        self.layer.clone_from(&self.asked_layer);
        let new = explainer(model, &self.settings, &self.wishes);
        let before = std::mem::replace(&mut self.explainer, new);
        self.retire((old, before));
        // What the old engine has not answered by now, the new one is asked.
        for held in self.held.iter().filter(|held| held.asked && !self.answers.contains_key(&held.frame.seq())) {
            self.explainer.offer(&held.frame);
        }
        self.explain_anew();
    }

    /// What does not come by itself: the source's health, stills, a model that died.
    fn look_after(&mut self) -> Result<(), StreamError> {
        if self.checked.elapsed() < TICK {
            return Ok(());
        }
        self.checked = Instant::now();
        // Whatever it died of: its last words may have been about another stream's frame.
        if self.model_retry.is_none() && !self.starting && !self.explainer.model().engine.is_whole() {
            self.model_retry = Some(Instant::now() + MODEL_RETRY);
        }
        if self.model_retry.is_some_and(|at| at <= Instant::now()) {
            self.model_retry = None;
            self.request();
        }
        if self.pause_ends.is_some_and(|ends| ends <= Instant::now()) {
            lock(&self.handle.0.wishes).paused = false;
            self.obey()?;
        }
        let trouble = self.outputs.iter_mut().flatten().find_map(|output| output.trouble());
        self.trouble(Part::Output, trouble);
        self.trouble(Part::Pace, self.outputs.iter().flatten().find_map(|output| output.behind()));
        self.trouble(Part::Events, self.events.as_ref().and_then(EventFeed::trouble));
        let health = self.source.health();
        let up = matches!(health, Health::Up { .. });
        let meters = &self.settings.meters;
        {
            let mut now = lock(&self.handle.0.now);
            now.turned = Instant::now();
            now.note_frames(self.source.counters(), self.shown_new);
            meters.quiet.set(now.quiet().map_or(-1, |quiet| i64::try_from(quiet.as_secs()).unwrap_or(i64::MAX)));
            match &health {
                Health::Connecting { last, .. } => {
                    now.enter(State::Connecting, last.as_ref().map(|(_, said)| said.clone()));
                }
                Health::Up { .. } => now.enter(State::Live, None),
                Health::Away { said, .. } => now.enter(State::Away, Some(said.clone())),
                Health::Ended => now.enter(State::Ended, None),
                Health::Failed { said } => now.enter(State::Failed, Some(said.clone())),
            }
        }
        meters.up.set(i64::from(up));
        if self.shown.elapsed() < STILL_EVERY {
            return Ok(());
        }
        match health {
            // A camera that sends only on motion: its last picture, so that nobody downstream times out.
            // Those that wait for their maps come first.
            _ if !self.held.is_empty() => Ok(()),
            Health::Up { .. } if self.came.elapsed() > SILENT_AFTER => match self.last.clone() {
                Some(last) => {
                    let again = last.at(live::now(), None, last.seq());
                    self.show(&again, Some(last.pts()))
                }
                None if self.came.elapsed() > SETTLE_AFTER => self.still(&["no picture yet", "the camera is silent"]),
                None => Ok(()),
            },
            Health::Away { since, said, .. } if self.came.elapsed() > AWAY_AFTER => {
                self.still(&[&format!("camera away since {}", clock_text(since)), &said])
            }
            Health::Connecting { since, last, .. } if since.elapsed().unwrap_or_default() > SETTLE_AFTER => {
                let why = last.map_or_else(|| "connecting".to_owned(), |(_, said)| said);
                self.still(&[&format!("no picture yet, since {}", clock_text(since)), &why])
            }
            _ => Ok(()),
        }
    }

    /// The last picture, dark, with words on it.
    fn still(&mut self, words: &[&str]) -> Result<(), StreamError> {
        let format = self.source.settle()?;
        let still = self.seen.still(self.last.as_ref(), &format, words)?;
        self.settings.meters.stills.inc();
        let still = still.at(live::now(), None, 0);
        self.hand_out(still)
    }

    /// Something is wrong with a part, or no longer; said once.
    fn trouble(&self, part: Part, what: Option<String>) {
        let said = what.clone();
        if lock(&self.handle.0.now).set_trouble(part, what)
            && let Some(said) = said
        {
            tracing::warn!(stream = self.settings.name, "{said}");
        }
    }
}

/// Waits until threads have ended, for as long as `most`.
fn wait_for(threads: &[JoinHandle<()>], most: Duration) {
    let until = Instant::now() + most;
    while Instant::now() < until && threads.iter().any(|thread| !thread.is_finished()) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What asks `model` for the stream's maps.
fn explainer(model: Arc<Running>, settings: &LiveSettings, wishes: &Wishes) -> Explainer {
    let room = if settings.pace == Pace::Every { HELD } else { 1 };
    Explainer::new(model, settings.weight, room, &wishes.classes, settings.meters.clone())
}

/// `12:03:22 UTC`.
fn clock_text(time: SystemTime) -> String {
    let whole = humantime::format_rfc3339_seconds(time).to_string();
    whole.get(11..19).map_or(whole.clone(), |clock| format!("{clock} UTC"))
}
