//! Many streams: started, looked after, changed while the others go on.
//!
//! Whatever may block (a model, a file on a network disk, the end of a stream that hangs) happens in a thread of that
//! stream alone. The lock is held for moments only, so nobody who looks waits for who changes.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::config::{Changes, Config, ModelConfig, Stamp, StreamConfig};
use super::metrics::{EngineNumbers, Metrics, Number, Tally};
use super::station::{OpenExtra, StartError, Station, Workshop, Written};
use crate::classifier::Classifier;
use crate::stream::StreamError;
use crate::stream::live::{HUNG, LiveHandle, Meters, ModelError, Models, State};
use crate::sync::lock;
use crate::video::live::SourceCounters;

/// All streams of a program.
pub struct Monitor {
    workshop: Workshop,
    metrics: Metrics,
    inner: Mutex<Inner>,
    /// One configuration is taken over at a time.
    changing: Mutex<()>,
    /// The first streams are being started; who does that tells of those that do not start.
    beginning: AtomicBool,
    stopping: AtomicBool,
    /// Each thread that starts or ends a stream holds a clone.
    starts: Arc<()>,
    ends: Arc<()>,
    /// When the streams were looked after last.
    looked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Inner {
    config: Config,
    /// By the name that streams give; `None`: the built-in model.
    models: BTreeMap<Option<String>, Arc<Model>>,
    posts: BTreeMap<String, Post>,
    ticket: u64,
}

/// A stream that did not start.
#[derive(Debug, Clone)]
pub struct Missing {
    pub why: String,
    pub since: Instant,
    /// When it is tried again.
    pub again: Instant,
}

/// A stream's place in the monitor.
struct Post {
    config: StreamConfig,
    phase: Phase,
    /// The stream as it runs, or as it came to its end; `None` where it has not started.
    handle: Option<LiveHandle>,
    /// Why it did not start.
    why: Option<StartError>,
    /// Since when it is to start.
    since: Instant,
    /// Failures in a row.
    failures: u32,
    began: Instant,
    meters: Meters,
    counted: Arc<Mutex<Counted>>,
}

enum Phase {
    /// A thread starts it, or ends it before it is started again. The number says which thread.
    Busy(u64),
    Running(Box<Station>),
    /// It is started again at that time.
    Waiting(Instant),
    /// It came to its end.
    Over,
}

/// What a stream's source and outputs have counted, for the metrics: counters never go back.
#[derive(Default)]
struct Counted {
    /// Before the stream was started again.
    before: (SourceCounters, Written),
    written: Written,
    handle: Option<LiveHandle>,
}

/// A model of the configuration, loaded by the first stream that wants it.
#[derive(Default)]
struct Model {
    loaded: OnceLock<Loaded>,
    loading: Mutex<()>,
}

struct Loaded {
    models: Arc<Models>,
    /// Its files as they were when it was loaded.
    files: BTreeMap<PathBuf, Stamp>,
}

/// Pauses before a stream that failed is started again: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long streams may take to end.
const ENDING: Duration = Duration::from_secs(3);
/// How long the first streams are waited for when one of them runs already.
const FIRST_STARTS: Duration = Duration::from_secs(30);
/// How long streams of a new configuration are waited for.
const NEW_STARTS: Duration = Duration::from_secs(8);
/// How often it is looked whether what is waited for is there.
const LOOK: Duration = Duration::from_millis(10);
/// A stream that ran so long has recovered.
const RECOVERED: Duration = Duration::from_secs(60);

impl Monitor {
    /// A monitor without streams.
    pub fn new(workshop: Workshop) -> Arc<Self> {
        let monitor = Arc::new(Self {
            workshop,
            metrics: Metrics::new(),
            inner: Mutex::default(),
            changing: Mutex::default(),
            beginning: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            starts: Arc::default(),
            ends: Arc::default(),
            looked: Mutex::default(),
        });
        let engines = Arc::downgrade(&monitor);
        monitor.metrics.set_engines(move || engines.upgrade().map_or_else(Vec::new, |monitor| monitor.engines()));
        monitor
    }

    /// Starts every stream of a configuration, which takes as long as its models do; where one runs and another takes
    /// very long, that one goes on [starting](Self::starting). `extra` opens one more output of the first stream. A
    /// stream that cannot start does not hinder the others: it is [missing](Self::missing), and tried again.
    ///
    /// # Errors
    /// Where none can start: why the first could not.
    pub fn start(self: &Arc<Self>, config: Config, mut extra: Option<OpenExtra>) -> Result<(), StartError> {
        let _one_at_a_time = lock(&self.changing);
        self.beginning.store(true, SeqCst);
        let names: Vec<String> = config.streams.keys().cloned().collect();
        {
            let mut inner = lock(&self.inner);
            inner.config = config;
            for name in &names {
                self.admit(&mut inner, name);
                self.begin(&mut inner, name, extra.take());
            }
        }
        let begun = Instant::now();
        while self.is_under_way(&names) && (begun.elapsed() < FIRST_STARTS || !self.has_settled()) {
            thread::sleep(LOOK);
        }
        let mut inner = lock(&self.inner);
        self.beginning.store(false, SeqCst);
        let started = |post: &Post| post.handle.is_some() || post.why.is_none();
        if !inner.posts.values().any(started)
            && let Some(why) = std::mem::take(&mut inner.posts).into_values().find_map(|post| post.why)
        {
            return Err(why);
        }
        for (name, post) in &inner.posts {
            match &post.why {
                Some(why) => tracing::error!(stream = name, "the stream does not start: {why}"),
                None if post.handle.is_none() => tracing::warn!(stream = name, "the stream is still being started"),
                None => {}
            }
        }
        Ok(())
    }

    /// Gives a stream of the configuration a place; it is not started yet.
    fn admit(&self, inner: &mut Inner, name: &str) {
        let Some(config) = inner.config.streams.get(name) else { return };
        let (meters, counted) = (Meters::default(), Arc::default());
        self.export(name, &meters, &counted);
        let now = Instant::now();
        let post = Post {
            config: config.clone(),
            phase: Phase::Busy(0),
            handle: None,
            why: None,
            since: now,
            failures: 0,
            began: now,
            meters,
            counted,
        };
        inner.posts.insert(name.to_owned(), post);
    }

    /// Starts a stream, in a thread of its own.
    fn begin(self: &Arc<Self>, inner: &mut Inner, name: &str, extra: Option<OpenExtra>) {
        let Inner { config, models, posts, ticket } = inner;
        let Some(post) = posts.get_mut(name).filter(|_| !self.stopping.load(SeqCst)) else { return };
        *ticket += 1;
        post.phase = Phase::Busy(*ticket);
        post.began = Instant::now();
        let model = Arc::clone(models.entry(post.config.model.clone()).or_default());
        let entry = config.model_of(&post.config).cloned().unwrap_or_default();
        // The same meters: counters never go back.
        let (mut stream, meters, number) = (post.config.clone(), post.meters.clone(), *ticket);
        let (monitor, own_name) = (Arc::clone(self), name.to_owned());
        let work = move || {
            let started = or_died(|| {
                stream.look_again();
                let models = model.get(&entry)?;
                // What takes long comes first: it may have been changed or removed meanwhile, and another is started.
                let _running = models.get(None)?;
                match monitor.is_wanted(&own_name, number) {
                    true => Station::start(&own_name, &stream, &models, meters, &monitor.workshop, extra).map(Some),
                    false => Ok(None),
                }
            });
            if let Some(started) = started.transpose() {
                monitor.settle(&own_name, number, (&stream, &model), started);
            }
        };
        if let Err(e) = beside(&self.starts, name, work) {
            drop(post.miss(no_thread(&e).into()));
        }
    }

    /// Whether the start with this number is still to come about.
    fn is_wanted(&self, name: &str, number: u64) -> bool {
        lock(&self.inner).posts.get(name).is_some_and(|post| post.is_busy(number))
    }

    /// A stream has started, or it has not.
    fn settle(&self, name: &str, number: u64, of: (&StreamConfig, &Arc<Model>), started: Result<Station, StartError>) {
        let mut inner = lock(&self.inner);
        let Inner { config, models, posts, .. } = &mut *inner;
        let Some(post) = posts.get_mut(name).filter(|post| post.is_busy(number)) else {
            drop(inner);
            // It was changed or removed meanwhile, or all is over.
            if let Ok(station) = started {
                let _ = station.stop();
            }
            return;
        };
        let before = match started {
            Ok(station) => {
                if post.why.take().is_some() {
                    tracing::info!(stream = name, "the stream has started now");
                }
                // A file that came later than the configuration is no change of it.
                let stamp = of.0.credentials_stamp;
                post.config.credentials_stamp = stamp;
                config.streams.entry(name.to_owned()).and_modify(|stream| stream.credentials_stamp = stamp);
                if let (Some(loaded), Some(entry)) = (of.1.loaded.get(), config.model_mut(&post.config))
                    && models.get(&post.config.model).is_some_and(|model| Arc::ptr_eq(model, of.1))
                {
                    entry.files.clone_from(&loaded.files);
                }
                let handle = station.handle().clone();
                lock(&post.counted).handle = Some(handle.clone());
                post.phase = Phase::Running(Box::new(station));
                post.handle.replace(handle)
            }
            Err(why) => {
                let said = post.why.as_ref().map(StartError::to_string);
                if !self.beginning.load(SeqCst) && said != Some(why.to_string()) {
                    tracing::error!(stream = name, "the stream does not start: {why}");
                }
                post.miss(why)
            }
        };
        // The end of an engine takes as long as the run that is under way.
        drop(inner);
        drop(before);
    }

    fn export(&self, name: &str, meters: &Meters, counted: &Arc<Mutex<Counted>>) {
        let (read, counted) = (meters.clone(), Arc::clone(counted));
        let tally = move |tally: &mut Tally| {
            let (source, written, takers) = lock(&counted).sum();
            tally.add(Number::Received, source.received);
            tally.add(Number::Damaged, source.damaged);
            tally.add(Number::ReceivedBytes, source.bytes);
            tally.add_by(Number::Dropped, "source-overrun", source.dropped);
            tally.add_by(Number::Dropped, "decoder-behind", source.skipped);
            tally.add_by(Number::Dropped, "encoder-behind", read.encoder_behind.get());
            let Written { record, push_failures } = written;
            tally.add(Number::RecordedFiles, record.files);
            tally.add(Number::RemovedFiles, record.removed);
            tally.add(Number::RecordFailures, record.failures);
            tally.add_by(Number::Dropped, "recorder-behind", record.dropped);
            tally.add(Number::PushFailures, push_failures);
            tally.add(Number::Takers, takers);
            for (reason, count) in source.failures {
                tally.add_by(Number::SourceFailures, reason.label(), count);
            }
            for (reason, count) in source.reconnects {
                tally.add_by(Number::Reconnects, reason.label(), count);
            }
        };
        self.metrics.add_stream(name, meters.clone(), tally);
    }

    /// What every engine that runs has done.
    pub fn engines(&self) -> Vec<EngineNumbers> {
        // By the name of the configuration: two entries may be one file with other flags.
        let named = |(name, models): (Option<String>, Arc<Models>)| {
            let model = name.unwrap_or_else(|| models.name().to_owned());
            let of = EngineNumbers::of(&models).into_iter();
            of.map(|numbers| EngineNumbers { model: model.clone(), ..numbers }).collect::<Vec<_>>()
        };
        self.models().into_iter().flat_map(named).collect()
    }

    /// Every model that is loaded.
    fn models(&self) -> Vec<(Option<String>, Arc<Models>)> {
        let inner = lock(&self.inner);
        let loaded = |(name, model): (&Option<String>, &Arc<Model>)| {
            Some((name.clone(), Arc::clone(&model.loaded.get()?.models)))
        };
        inner.models.iter().filter_map(loaded).collect()
    }

    /// Every stream that has started, by name.
    pub fn streams(&self) -> Vec<LiveHandle> {
        lock(&self.inner).posts.values().filter_map(|post| post.handle.clone()).collect()
    }

    /// One stream.
    pub fn stream(&self, name: &str) -> Option<LiveHandle> {
        lock(&self.inner).posts.get(name)?.handle.clone()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Looks after streams whose loop has ended and those that did not start; to be called a few times a second. It
    /// never waits. Tells whether any stream is still to come.
    pub fn look_after(self: &Arc<Self>) -> bool {
        *lock(&self.looked) = Some(Instant::now());
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        let mut due = Vec::new();
        for (name, post) in &inner.posts {
            match &post.phase {
                Phase::Running(station) => {
                    station.handle().report(station.trouble());
                    lock(&post.counted).written = station.written();
                    if station.is_finished() {
                        due.push(name.clone());
                    }
                }
                Phase::Waiting(at) if *at <= now => due.push(name.clone()),
                _ => {}
            }
        }
        for name in due {
            self.go_on(&mut inner, &name);
        }
        inner.posts.values().any(|post| !matches!(post.phase, Phase::Over))
    }

    /// Ends a stream whose loop has ended, or starts one that waits.
    fn go_on(self: &Arc<Self>, inner: &mut Inner, name: &str) {
        inner.ticket += 1;
        let number = inner.ticket;
        let Some(post) = inner.posts.get_mut(name) else { return };
        match std::mem::replace(&mut post.phase, Phase::Busy(number)) {
            Phase::Running(station) => {
                let (monitor, own_name) = (Arc::clone(self), name.to_owned());
                let work = move || {
                    let (written, outcome) = end(*station);
                    monitor.has_ended(&own_name, number, written, outcome);
                };
                if let Err(e) = beside(&self.ends, name, work) {
                    tracing::error!(stream = name, "{}", no_thread(&e));
                    post.phase = Phase::Waiting(Instant::now() + LONGEST_PAUSE);
                }
            }
            _ => self.begin(inner, name, None),
        }
    }

    /// A stream whose loop had ended is put away.
    fn has_ended(&self, name: &str, number: u64, written: Written, outcome: Result<(), StreamError>) {
        let mut inner = lock(&self.inner);
        let Some(post) = inner.posts.get_mut(name).filter(|post| post.is_busy(number)) else { return };
        lock(&post.counted).close(written);
        post.phase = match outcome {
            Ok(()) => Phase::Over,
            Err(e) if e.is_final() => {
                tracing::error!(stream = name, "{e}");
                Phase::Over
            }
            Err(e) => {
                post.failures = if post.began.elapsed() > RECOVERED { 1 } else { post.failures + 1 };
                let pause = FIRST_PAUSE.saturating_mul(1 << (post.failures - 1).min(10)).min(LONGEST_PAUSE);
                tracing::error!(stream = name, "{e}; started again in {} s", pause.as_secs());
                Phase::Waiting(Instant::now() + pause)
            }
        };
    }

    /// Takes over another configuration: streams are added, changed and removed, the others go on
    /// undisturbed. A stream that cannot start does not hinder the others: it is [missing](Self::missing), and tried
    /// again; one that takes long goes on [starting](Self::starting).
    pub fn apply(self: &Arc<Self>, mut config: Config) -> Changes {
        let _one_at_a_time = lock(&self.changing);
        let known = lock(&self.inner).config.models.clone();
        config.look_also_at(&known);
        let mut wanted: Vec<String> = Vec::new();
        let (changes, gone) = {
            let mut inner = lock(&self.inner);
            let changes = Config::diff(&inner.config, &config);
            let painted = inner.paint_otherwise(&changes, &config);
            let renewed = || changes.changed.iter().filter(|name| !painted.contains(name));
            let gone: Vec<Post> =
                changes.removed.iter().chain(renewed()).filter_map(|name| inner.posts.remove(name)).collect();
            changes.removed.iter().for_each(|name| self.metrics.remove_stream(name));
            // A model whose entry changed is read anew by the next stream that wants it; one that none wants goes.
            let old = std::mem::replace(&mut inner.config, config);
            let Inner { config, models, .. } = &mut *inner;
            models.retain(|name, _| {
                let same = name.as_ref().is_none_or(|n| old.models.get(n) == config.models.get(n));
                same && config.streams.values().any(|stream| stream.model == *name)
            });
            for name in changes.added.iter().chain(renewed()) {
                self.admit(&mut inner, name);
                wanted.push(name.clone());
            }
            for (name, post) in &mut inner.posts {
                let missing = post.why.is_some() && matches!(post.phase, Phase::Waiting(_));
                if missing || post.has_failed() {
                    post.phase = Phase::Busy(0);
                    wanted.push(name.clone());
                }
            }
            (changes, gone)
        };
        // What they wrote to, others may be about to write to.
        self.end_all(gone);
        {
            let mut inner = lock(&self.inner);
            wanted.iter().for_each(|name| self.begin(&mut inner, name, None));
        }
        let until = Instant::now() + NEW_STARTS;
        while self.is_under_way(&wanted) && Instant::now() < until {
            thread::sleep(LOOK);
        }
        changes
    }

    /// Whether any stream has started, or has been seen not to.
    fn has_settled(&self) -> bool {
        lock(&self.inner).posts.values().any(|post| post.handle.is_some() || post.why.is_some())
    }

    /// Whether any of these streams is being started or ended.
    fn is_under_way(&self, names: &[String]) -> bool {
        let inner = lock(&self.inner);
        let is_busy = |name| inner.posts.get(name).is_some_and(|post| matches!(post.phase, Phase::Busy(_)));
        names.iter().any(is_busy) && !self.stopping.load(SeqCst)
    }

    /// Streams that did not start, by name.
    pub fn missing(&self) -> BTreeMap<String, Missing> {
        let missing = |(name, post): (&String, &Post)| {
            let again = match post.phase {
                Phase::Waiting(again) => again,
                _ => Instant::now(),
            };
            Some((name.clone(), Missing { why: post.why.as_ref()?.to_string(), since: post.since, again }))
        };
        lock(&self.inner).posts.iter().filter_map(missing).collect()
    }

    /// Streams that are being started for the first time, by name, and since when.
    pub fn starting(&self) -> BTreeMap<String, Instant> {
        let inner = lock(&self.inner);
        let starting = inner.posts.iter().filter(|(_, post)| post.handle.is_none() && post.why.is_none());
        starting.map(|(name, post)| (name.clone(), post.since)).collect()
    }

    /// Why the program is not ready: a line for each stream without frames; empty when all is well.
    pub fn not_ready(&self) -> Vec<String> {
        let waiting = |handle: LiveHandle| {
            let status = handle.status();
            let reason = status.reason.unwrap_or_else(|| {
                let known = match status.state {
                    State::Ended => "the source has ended",
                    State::Live if !handle.turned_within(HUNG) => "it hangs",
                    State::Live if status.controls.paused => "a viewer has paused it",
                    State::Live => "no new picture comes",
                    _ => "no frames yet",
                };
                known.into()
            });
            let ready = handle.flows() && handle.turned_within(HUNG);
            (!ready).then(|| format!("{}: {reason}", status.name))
        };
        let missing = self.missing().into_iter().map(|(name, m)| format!("{name}: it did not start: {}", m.why));
        let starting = self.starting().into_keys().map(|name| format!("{name}: it is being started"));
        self.streams().into_iter().filter_map(waiting).chain(missing).chain(starting).collect()
    }

    /// Whether the loops of all streams turn, and whoever looks after them: a hung one is what a watchdog is for.
    pub fn is_alive(&self) -> bool {
        let looked_after = lock(&self.looked).is_none_or(|at| at.elapsed() < HUNG);
        looked_after && self.streams().iter().all(|stream| stream.has_ended() || stream.turned_within(HUNG))
    }

    /// Ends every stream properly, all at once. `false` where something goes on, as a model that is being started: it is
    /// in a library that does not bear the usual end of a process.
    pub fn stop(self: &Arc<Self>) -> bool {
        self.stopping.store(true, SeqCst);
        let posts = std::mem::take(&mut lock(&self.inner).posts);
        let ended = self.end_all(posts.into_values().collect());
        ended && Arc::strong_count(&self.starts) == 1 && !self.models().iter().any(|(_, models)| models.is_starting())
    }

    /// Ends streams, all at once; `false` where one takes too long, also of those that were ending before.
    fn end_all(&self, posts: Vec<Post>) -> bool {
        posts.iter().filter_map(|post| post.handle.as_ref()).for_each(LiveHandle::stop);
        for post in posts {
            let name = post.handle.as_ref().map(|handle| handle.name().to_owned()).unwrap_or_default();
            let work = move || {
                if let Phase::Running(station) = post.phase
                    && let (_, Err(e)) = end(*station)
                    && let Some(handle) = &post.handle
                {
                    tracing::warn!(stream = handle.name(), "{e}");
                }
            };
            if let Err(e) = beside(&self.ends, &name, work) {
                tracing::error!(stream = name, "{}", no_thread(&e));
            }
        }
        let until = Instant::now() + ENDING;
        while Arc::strong_count(&self.ends) > 1 && Instant::now() < until {
            thread::sleep(LOOK);
        }
        Arc::strong_count(&self.ends) == 1
    }
}

impl Inner {
    /// Changes streams of which only the look is another, while they go on. Tells which these are.
    fn paint_otherwise<'a>(&mut self, changes: &'a Changes, config: &Config) -> Vec<&'a String> {
        let takes = |name: &&String| {
            let (Some(post), Some(new)) = (self.posts.get_mut(*name), config.streams.get(*name)) else { return false };
            let same_model = self.config.model_of(&post.config) == config.model_of(new);
            let takes = same_model && post.config.differs_in_look(new) && !matches!(post.phase, Phase::Busy(_));
            let Some(handle) = post.handle.as_ref().filter(|_| takes) else { return false };
            handle.set_look(new.look);
            post.config = new.clone();
            true
        };
        changes.changed.iter().filter(takes).collect()
    }
}

impl Post {
    /// It came to an end that another attempt, by itself, would come to as well.
    fn has_failed(&self) -> bool {
        let failed = |handle: &LiveHandle| handle.status().state == State::Failed;
        matches!(self.phase, Phase::Over) && self.handle.as_ref().is_some_and(failed)
    }

    fn is_busy(&self, number: u64) -> bool {
        matches!(self.phase, Phase::Busy(busy) if busy == number)
    }

    /// It did not start: it counts as one that is down. What ran before is to be dropped where nobody waits.
    #[must_use]
    fn miss(&mut self, why: StartError) -> Option<LiveHandle> {
        self.meters.rest();
        self.phase = Phase::Waiting(Instant::now() + LONGEST_PAUSE);
        if self.why.replace(why).is_none() {
            self.since = Instant::now();
        }
        lock(&self.counted).handle = None;
        self.handle.take()
    }
}

impl Counted {
    /// The last of what a start has counted.
    fn close(&mut self, written: Written) {
        self.written = written;
        let (source, written, _) = self.sum();
        (self.before, self.written, self.handle) = ((source, written), Written::default(), None);
    }

    /// Source, outputs, and who takes packets now.
    fn sum(&self) -> (SourceCounters, Written, u64) {
        let (mut source, mut written) = self.before.clone();
        if let Some(handle) = &self.handle {
            source.add(handle.source_counters());
        }
        written.add(self.written);
        (source, written, self.handle.as_ref().map_or(0, |handle| handle.broadcast().subscribers() as u64))
    }
}

impl Model {
    fn get(&self, entry: &ModelConfig) -> Result<Arc<Models>, ModelError> {
        let _one_at_a_time = lock(&self.loading);
        if let Some(loaded) = self.loaded.get() {
            return Ok(Arc::clone(&loaded.models));
        }
        let mut entry = entry.clone();
        entry.look_again();
        let classifier = Classifier::load(entry.path.as_deref(), &entry.flags)?;
        entry.look_also_at(classifier.files().iter().cloned());
        let models = Arc::new(Models::new(classifier)?);
        let loaded = Loaded { models, files: entry.files };
        Ok(Arc::clone(&self.loaded.get_or_init(|| loaded).models))
    }
}

/// Runs what may take long in a thread, which `under_way` counts.
fn beside(under_way: &Arc<()>, stream: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let under_way = Arc::clone(under_way);
    let counted = move || {
        work();
        drop(under_way);
    };
    thread::Builder::new().name(format!("change-{stream}")).spawn(counted).map(drop)
}

fn no_thread(error: &io::Error) -> StreamError {
    StreamError::Died(format!("no thread can be started: {error}"))
}

/// A panic on the way is the failure of that stream alone.
fn or_died<T>(start: impl FnOnce() -> Result<T, StartError>) -> Result<T, StartError> {
    let started = catch_unwind(AssertUnwindSafe(start));
    started.unwrap_or_else(|panic| Err(StreamError::died(&*panic).into()))
}

fn end(station: Station) -> (Written, Result<(), StreamError>) {
    let written = station.written();
    let ended = catch_unwind(AssertUnwindSafe(|| station.stop()));
    ended.unwrap_or_else(|panic| (written, Err(StreamError::died(&*panic))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Description;
    use crate::video::live::EncoderOptions;

    #[test]
    fn who_is_no_longer_looked_after_is_not_alive() {
        let description = Description::built_in().unwrap();
        let encoder = EncoderOptions::new().unwrap();
        let monitor = Monitor::new(Workshop { description, encoder, snapshots: PathBuf::new() });
        assert!(monitor.is_alive(), "it has not begun");
        monitor.look_after();
        assert!(monitor.is_alive());
        *lock(&monitor.looked) = Instant::now().checked_sub(HUNG);
        assert!(!monitor.is_alive());
    }
}
