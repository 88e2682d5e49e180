//! A live stream as others see it: its state, its controls, its newest picture.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Sender;
use serde::Serialize;

use super::controls::{Control, Known, Wishes};
use super::meters::Meters;
use super::models::{Models, Running};
use super::run::LiveSettings;
use crate::paint::Look;
use crate::stream::events::PredictionEvent;
use crate::sync::lock;
use crate::video::live::{Broadcast, Jpegs, SourceCounters, file_name};

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No picture has come yet.
    Connecting,
    /// Frames flow.
    Live,
    /// The source was there and is away.
    Away,
    /// The source came to its end.
    Ended,
    /// The stream failed; it is started again where it is watched.
    Failed,
}

/// A stream, at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub name: String,
    /// The source, without credentials.
    pub source: String,
    pub state: State,
    /// How long it has been in that state, seconds.
    pub seconds: u64,
    /// Why, where it is not live, or hangs.
    pub reason: Option<String>,
    /// Width and height of the frames that go out.
    pub size: Option<[usize; 2]>,
    /// Frames per second that went out over the last seconds.
    pub fps: f64,
    /// Maps per second.
    pub maps_per_second: f64,
    /// How long the source has given no picture, seconds; `None`: it never has.
    pub quiet_seconds: Option<u64>,
    /// Age of the map that is drawn, milliseconds; `None`: none is.
    pub map_age_ms: Option<u64>,
    pub predictions: Vec<PredictionEvent>,
    pub model: String,
    pub device: String,
    /// The layer that runs. After a change, the old one's map is drawn until the new one's comes.
    pub layer: String,
    pub layers: Vec<String>,
    pub controls: Wishes,
    /// A control that could not be obeyed, a sink in trouble.
    pub trouble: Option<String>,
    pub frames_in: u64,
    pub frames_out: u64,
    pub explained: u64,
    /// Frames that nobody saw: nobody fetched them in time, or the encoder was behind.
    pub dropped: u64,
    pub reconnects: u64,
}

/// What was recognised at a moment.
#[derive(Debug, Clone, Serialize)]
pub struct Moment {
    /// Unix time, milliseconds.
    pub time_ms: u64,
    pub predictions: Vec<PredictionEvent>,
}

/// Pictures flow while the next comes within three of its gaps: within these bounds.
const FLOWS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// A loop that has not turned for so long hangs.
pub const HUNG: Duration = Duration::from_secs(10);
/// How long a snapshot waits for a picture.
const PATIENCE: Duration = Duration::from_secs(2);
/// Moments that are kept: one a second, ten minutes.
const HISTORY: usize = 600;
const MOMENT_EVERY: Duration = Duration::from_secs(1);

/// Where a trouble may be; the first is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// What takes the encoded pictures: a recording, a push.
    Outlet,
    /// The loop's own outputs: the encoder.
    Output,
    Events,
    Model,
    Layer,
    /// An output cannot keep up.
    Pace,
}

/// What the loop tells.
pub(super) struct Now {
    pub state: State,
    pub since: Instant,
    pub reason: Option<String>,
    pub size: Option<[usize; 2]>,
    pub map_age: Option<Duration>,
    pub predictions: Vec<PredictionEvent>,
    pub troubles: BTreeMap<Part, String>,
    pub counters: SourceCounters,
    /// Pictures of the source, and those of them that were shown.
    came: Flow,
    shown: Flow,
    /// How many were shown, when it was last looked.
    shown_before: u64,
    pub out: Rate,
    pub maps: Rate,
    /// When the loop turned last.
    pub turned: Instant,
    history: VecDeque<Moment>,
    noted: Option<Instant>,
}

impl Now {
    fn new() -> Self {
        Self {
            state: State::Connecting,
            since: Instant::now(),
            reason: None,
            size: None,
            map_age: None,
            predictions: Vec::new(),
            troubles: BTreeMap::new(),
            counters: SourceCounters::default(),
            came: Flow::default(),
            shown: Flow::default(),
            shown_before: 0,
            out: Rate::default(),
            maps: Rate::default(),
            turned: Instant::now(),
            history: VecDeque::new(),
            noted: None,
        }
    }

    /// Something is wrong with a part, or no longer. Tells whether that is new.
    pub fn set_trouble(&mut self, part: Part, what: Option<String>) -> bool {
        let before = match &what {
            Some(what) => self.troubles.insert(part, what.clone()),
            None => self.troubles.remove(&part),
        };
        before != what
    }

    /// What the source has counted by now, and how many of its pictures have been shown; to be told many times a second.
    pub fn note_frames(&mut self, counters: SourceCounters, shown: u64) {
        if counters.received > self.counters.received {
            self.came.note();
        }
        if shown > self.shown_before {
            self.shown.note();
        }
        self.counters = counters;
        self.shown_before = shown;
    }

    /// How long the source has given no picture; `None`: it never has.
    pub fn quiet(&self) -> Option<Duration> {
        self.came.quiet()
    }

    /// Whether pictures come and are shown, each at its own rate.
    fn flows(&self) -> bool {
        self.state == State::Live && self.came.flows() && self.shown.flows()
    }

    pub fn enter(&mut self, state: State, reason: Option<String>) {
        if self.state != state {
            self.since = Instant::now();
        }
        self.state = state;
        self.reason = reason;
    }

    /// Keeps what was recognised, once a second.
    pub fn remember(&mut self) {
        if self.predictions.is_empty() || self.noted.is_some_and(|at| at.elapsed() < MOMENT_EVERY) {
            return;
        }
        self.noted = Some(Instant::now());
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.history.push_back(Moment { time_ms, predictions: self.predictions.clone() });
    }
}

/// When something came last, and how long that took since the time before.
#[derive(Default)]
struct Flow {
    last: Option<Instant>,
    gap: Duration,
}

impl Flow {
    fn note(&mut self) {
        self.gap = self.quiet().unwrap_or_default();
        self.last = Some(Instant::now());
    }

    fn quiet(&self) -> Option<Duration> {
        self.last.map(|last| last.elapsed())
    }

    fn flows(&self) -> bool {
        let most = (3 * self.gap).clamp(FLOWS.0, FLOWS.1);
        self.quiet().is_some_and(|quiet| quiet < most)
    }
}

/// Events per second over the last two seconds.
#[derive(Default)]
pub(super) struct Rate(VecDeque<Instant>);

const RATE_OVER: Duration = Duration::from_secs(2);
const RATE_MOST: usize = 1024;

impl Rate {
    pub fn count(&mut self) {
        let now = Instant::now();
        self.0.push_back(now);
        while self.0.len() > RATE_MOST || self.0.front().is_some_and(|at| now - *at > RATE_OVER) {
            self.0.pop_front();
        }
    }

    fn per_second(&self) -> f64 {
        let now = Instant::now();
        let recent = self.0.iter().filter(|at| now - **at <= RATE_OVER).count();
        (10.0 * recent as f64 / RATE_OVER.as_secs_f64()).round() / 10.0
    }
}

pub(super) struct Shared {
    pub name: String,
    pub source: String,
    pub models: Arc<Models>,
    pub wishes: Mutex<Wishes>,
    pub model: Mutex<Arc<Running>>,
    pub now: Mutex<Now>,
    pub meters: Meters,
    pub stop: AtomicBool,
    /// Wakes the loop when wishes change.
    pub wake: Sender<()>,
    /// Encoded pictures, whether anybody takes them yet or not.
    pub broadcast: Broadcast,
    pub jpegs: Jpegs,
    /// Where snapshots go.
    pub snapshots: PathBuf,
}

/// A running stream; clones refer to the same.
#[derive(Clone)]
pub struct LiveHandle(pub(super) Arc<Shared>);

impl LiveHandle {
    pub(super) fn new(
        settings: &LiveSettings,
        source: String,
        models: &Arc<Models>,
        model: &Arc<Running>,
        wishes: Wishes,
        wake: Sender<()>,
    ) -> Self {
        Self(Arc::new(Shared {
            name: settings.name.clone(),
            source,
            models: Arc::clone(models),
            wishes: Mutex::new(wishes),
            model: Mutex::new(Arc::clone(model)),
            now: Mutex::new(Now::new()),
            meters: settings.meters.clone(),
            stop: AtomicBool::new(false),
            wake,
            broadcast: Broadcast::new(),
            jpegs: settings.jpegs.clone(),
            snapshots: settings.snapshots.clone(),
        }))
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How it is now.
    pub fn status(&self) -> Status {
        let model = Arc::clone(&lock(&self.0.model));
        let controls = lock(&self.0.wishes).clone();
        let meters = &self.0.meters;
        let now = lock(&self.0.now);
        let stood = now.turned.elapsed();
        let hangs = now.state == State::Live && stood > HUNG;
        Status {
            name: self.0.name.clone(),
            source: self.0.source.clone(),
            state: now.state,
            seconds: now.since.elapsed().as_secs(),
            reason: if hangs { Some(format!("it hangs, for {} s", stood.as_secs())) } else { now.reason.clone() },
            size: now.size,
            fps: now.out.per_second(),
            maps_per_second: now.maps.per_second(),
            quiet_seconds: now.quiet().map(|quiet| quiet.as_secs()),
            map_age_ms: now.map_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            predictions: now.predictions.clone(),
            model: self.0.models.name().to_owned(),
            device: model.engine.device().to_string(),
            layer: model.layer().to_owned(),
            layers: self.0.models.layers().to_vec(),
            controls,
            trouble: now.troubles.values().next().cloned(),
            frames_in: meters.frames_in.get(),
            frames_out: meters.frames_out.get(),
            explained: meters.explained.get(),
            dropped: now.counters.dropped + meters.encoder_behind.get(),
            reconnects: now.counters.reconnects.values().sum(),
        }
    }

    /// What was recognised over the last ten minutes, a moment a second, oldest first.
    pub fn history(&self) -> Vec<Moment> {
        lock(&self.0.now).history.iter().cloned().collect()
    }

    /// Changes what is shown. A class or a look shows with the next frame, a layer when its engine runs.
    ///
    /// # Errors
    /// A sentence that says which words are understood.
    pub fn change(&self, control: Control, word: &str) -> Result<(), String> {
        let model = Arc::clone(&lock(&self.0.model));
        let top = lock(&self.0.now).predictions.first().map(|p| p.class);
        let known = Known {
            labels: &model.labels,
            classes: model.report.score.classes,
            layers: self.0.models.layers(),
            layer: model.layer(),
            top,
        };
        let mut wishes = lock(&self.0.wishes);
        // Whoever presses twice means the layer behind the one that is still being started.
        let asked = wishes.layer.clone();
        let known = Known { layer: asked.as_deref().unwrap_or(known.layer), ..known };
        wishes.change(control, word, &known)?;
        drop(wishes);
        // A full channel has a wake-up in it already.
        let _ = self.0.wake.try_send(());
        Ok(())
    }

    /// Changes the look from the next frame on; a style of another size takes a new start.
    pub fn set_look(&self, look: Look) {
        lock(&self.0.wishes).look = look;
        let _ = self.0.wake.try_send(());
    }

    /// Encoded pictures, for viewers that come and go.
    pub fn broadcast(&self) -> &Broadcast {
        &self.0.broadcast
    }

    /// The newest picture as JPEG, encoded once however many ask, and only while somebody does.
    pub fn jpegs(&self) -> &Jpegs {
        &self.0.jpegs
    }

    /// Why something that is written or sent is not whole, where that is so now: a sink, the encoder, the events.
    pub fn loss(&self) -> Option<String> {
        let now = lock(&self.0.now);
        [Part::Outlet, Part::Output, Part::Events].iter().find_map(|part| now.troubles.get(part).cloned())
    }

    /// A sink that takes the encoded pictures is in trouble, or no longer.
    pub fn report(&self, trouble: Option<String>) {
        // Its owner has logged it.
        lock(&self.0.now).set_trouble(Part::Outlet, trouble);
    }

    /// Writes the newest picture into the snapshot folder, and tells where.
    ///
    /// # Errors
    /// A sentence that says what failed.
    pub fn snapshot(&self) -> Result<PathBuf, String> {
        let jpeg = self.0.jpegs.newest(PATIENCE).map_err(|e| e.to_string())?.ok_or("there is no picture yet")?;
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string().replace(':', "");
        let path = self.0.snapshots.join(format!("{}-{time}.jpg", file_name(&self.0.name)));
        write_new(&path, &jpeg.data).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        Ok(path)
    }

    /// Counters for the monitor.
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// What the source has counted.
    pub fn source_counters(&self) -> SourceCounters {
        lock(&self.0.now).counters.clone()
    }

    /// The model that runs now.
    pub fn model(&self) -> Arc<Running> {
        Arc::clone(&lock(&self.0.model))
    }

    /// Asks the stream to end; its outputs are finished properly.
    pub fn stop(&self) {
        self.0.stop.store(true, SeqCst);
        let _ = self.0.wake.try_send(());
    }

    /// Whether the loop has turned lately: it does so many times a second.
    pub fn turned_within(&self, time: Duration) -> bool {
        lock(&self.0.now).turned.elapsed() < time
    }

    /// Whether new pictures come, and are shown.
    pub fn flows(&self) -> bool {
        let paused = lock(&self.0.wishes).paused;
        lock(&self.0.now).flows() && !paused
    }

    /// Whether its loop has ended, well or not.
    pub fn has_ended(&self) -> bool {
        matches!(lock(&self.0.now).state, State::Ended | State::Failed)
    }

    /// Whether it has been asked to end.
    pub fn is_stopping(&self) -> bool {
        self.0.stop.load(SeqCst)
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::options().write(true).create_new(true).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_flow_while_they_come_and_are_shown() {
        let mut now = Now::new();
        now.enter(State::Live, None);
        let received = |received| SourceCounters { received, ..SourceCounters::default() };
        let before = |flow: &mut Flow, s| flow.last = flow.last.map(|last| last - Duration::from_secs(s));
        assert!(!now.flows());
        now.note_frames(received(1), 0);
        assert!(!now.flows(), "nothing has been shown");
        now.note_frames(received(1), 1);
        assert!(now.flows());
        before(&mut now.shown, 3);
        now.note_frames(received(2), 1);
        assert!(!now.flows(), "pictures come, and what is shown stands");
        now.note_frames(received(2), 2);
        assert!(now.flows(), "it was only slow");
        before(&mut now.shown, 4);
        assert!(now.flows(), "that is its rate");
        before(&mut now.came, 3);
        assert!(!now.flows(), "no picture comes");
    }
}
