//! Many streams: started, looked after, changed while the others go on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::config::{Changes, Config, StreamConfig};
use super::metrics::{EngineNumbers, Metrics, Number, Tally};
use super::station::{OpenExtra, StartError, Station, Workshop, Written};
use crate::classifier::{Classifier, ClassifierError};
use crate::stream::StreamError;
use crate::stream::live::{LiveHandle, Meters, ModelError, Models, State};
use crate::sync::{lock, try_lock};

/// All streams of a program.
pub struct Monitor {
    workshop: Workshop,
    metrics: Metrics,
    inner: Mutex<Inner>,
    shown: Mutex<Shown>,
    stopping: AtomicBool,
}

/// What others look at. Held for moments only, while [`Inner`] may be held for as long as a model takes to load.
#[derive(Default)]
struct Shown {
    streams: BTreeMap<String, LiveHandle>,
    models: BTreeMap<Option<String>, Arc<Models>>,
    missing: BTreeMap<String, Missing>,
}

#[derive(Default)]
struct Inner {
    config: Config,
    /// By the name that streams give; `None`: the built-in model.
    models: BTreeMap<Option<String>, Arc<Models>>,
    posts: BTreeMap<String, Post>,
    missing: BTreeMap<String, Missing>,
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
    models: Arc<Models>,
    station: Option<Station>,
    handle: LiveHandle,
    /// Failures in a row, and when it is started again.
    failures: u32,
    again: Option<Instant>,
    began: Instant,
    /// What its outputs have counted, for the metrics.
    written: Arc<Mutex<Written>>,
}

/// Pauses before a stream that failed is started again: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the end waits for a model that is being loaded.
const PATIENCE: Duration = Duration::from_secs(2);
/// A loop that has not turned for so long hangs.
const HUNG: Duration = Duration::from_secs(10);
/// A stream that ran so long has recovered.
const RECOVERED: Duration = Duration::from_secs(60);

impl Monitor {
    /// A monitor without streams.
    pub fn new(workshop: Workshop) -> Arc<Self> {
        let monitor = Arc::new(Self {
            workshop,
            metrics: Metrics::new(),
            inner: Mutex::default(),
            shown: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let engines = Arc::downgrade(&monitor);
        monitor.metrics.set_engines(move || engines.upgrade().map_or_else(Vec::new, |monitor| monitor.engines()));
        monitor
    }

    /// Starts every stream of a configuration, which takes as long as its models do. `extra` opens one more output of the
    /// first stream. A stream that cannot start does not hinder the others: it is [missing](Self::missing), and tried
    /// again.
    ///
    /// # Errors
    /// Where none can start: why the first could not.
    pub fn start(&self, config: Config, mut extra: Option<OpenExtra>) -> Result<(), StartError> {
        let mut first = None;
        let mut inner = lock(&self.inner);
        for (name, stream) in &config.streams {
            if self.stopping.load(SeqCst) {
                break;
            }
            if let Err(e) = self.open(&mut inner, &config, name, stream, extra.take()) {
                self.miss(&mut inner, name, &e);
                first.get_or_insert(e);
            }
        }
        if let Some(e) = first.filter(|_| inner.posts.is_empty()) {
            return Err(e);
        }
        for (name, missing) in &inner.missing {
            tracing::error!(stream = name, "the stream does not start: {}", missing.why);
        }
        inner.config = config;
        self.show(&inner);
        Ok(())
    }

    /// Keeps in mind that a stream did not start; it counts as one that is down.
    fn miss(&self, inner: &mut Inner, name: &str, why: &StartError) {
        let now = Instant::now();
        let since = inner.missing.get(name).map_or(now, |missing| missing.since);
        let missing = Missing { why: why.to_string(), since, again: now + LONGEST_PAUSE };
        inner.missing.insert(name.to_owned(), missing);
        self.metrics.add_stream(name, Meters::default(), |_| {});
    }

    /// Lets others see how things are now.
    fn show(&self, inner: &Inner) {
        let streams = inner.posts.iter().map(|(name, post)| (name.clone(), post.handle.clone())).collect();
        *lock(&self.shown) = Shown { streams, models: inner.models.clone(), missing: inner.missing.clone() };
    }

    fn open(
        &self,
        inner: &mut Inner,
        config: &Config,
        name: &str,
        stream: &StreamConfig,
        extra: Option<OpenExtra>,
    ) -> Result<(), StartError> {
        let meters = Meters::default();
        let (models, station) = or_died(|| {
            let models = models_of(inner, config, stream).map_err(ModelError::from)?;
            let station = Station::start(name, stream, &models, meters, &self.workshop, extra)?;
            Ok((models, station))
        })?;
        let handle = station.handle().clone();
        let written = Arc::default();
        self.export(name, &handle, &written);
        let post = Post {
            config: stream.clone(),
            models,
            station: Some(station),
            handle,
            failures: 0,
            again: None,
            began: Instant::now(),
            written,
        };
        inner.missing.remove(name);
        inner.posts.insert(name.to_owned(), post);
        self.show(inner);
        Ok(())
    }

    fn export(&self, name: &str, handle: &LiveHandle, written: &Arc<Mutex<Written>>) {
        let (handle, meters, written) = (handle.clone(), handle.meters().clone(), Arc::clone(written));
        let tally = move |tally: &mut Tally| {
            let (meters, source) = (handle.meters(), handle.source_counters());
            tally.add(Number::Received, source.received);
            tally.add(Number::Damaged, source.damaged);
            tally.add(Number::ReceivedBytes, source.bytes);
            tally.add_by(Number::Dropped, "source-overrun", source.dropped);
            tally.add_by(Number::Dropped, "decoder-behind", source.skipped);
            tally.add_by(Number::Dropped, "encoder-behind", meters.encoder_behind.get());
            let Written { record, push_failures } = *lock(&written);
            tally.add(Number::RecordedFiles, record.files);
            tally.add(Number::RemovedFiles, record.removed);
            tally.add(Number::RecordFailures, record.failures);
            tally.add_by(Number::Dropped, "recorder-behind", record.dropped);
            tally.add(Number::PushFailures, push_failures);
            tally.add(Number::Takers, handle.broadcast().subscribers() as u64);
            for (reason, count) in source.failures {
                tally.add_by(Number::SourceFailures, reason.label(), count);
            }
            for (reason, count) in source.reconnects {
                tally.add_by(Number::Reconnects, reason.label(), count);
            }
        };
        self.metrics.add_stream(name, meters, tally);
    }

    /// What every engine that runs has done.
    pub fn engines(&self) -> Vec<EngineNumbers> {
        // By the name of the configuration: two entries may be one file with other flags.
        let named = |(name, models): (&Option<String>, &Arc<Models>)| {
            let model = name.clone().unwrap_or_else(|| models.name().to_owned());
            let of = EngineNumbers::of(models).into_iter();
            of.map(|numbers| EngineNumbers { model: model.clone(), ..numbers }).collect::<Vec<_>>()
        };
        let models = lock(&self.shown).models.clone();
        models.iter().flat_map(named).collect()
    }

    /// Every stream, by name.
    pub fn streams(&self) -> Vec<LiveHandle> {
        lock(&self.shown).streams.values().cloned().collect()
    }

    /// One stream.
    pub fn stream(&self, name: &str) -> Option<LiveHandle> {
        lock(&self.shown).streams.get(name).cloned()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Looks after streams whose loop has ended; to be called a few times a second. Tells whether any
    /// stream is still to come.
    pub fn look_after(&self) -> bool {
        // A configuration is being taken over, which may take as long as its models do.
        let Some(mut inner) = try_lock(&self.inner) else { return true };
        self.try_missing(&mut inner);
        let (mut any, mut changed) = (!inner.missing.is_empty(), false);
        for (name, post) in &mut inner.posts {
            post.handle.report(post.station.as_ref().and_then(Station::trouble));
            if let Some(station) = &post.station {
                *lock(&post.written) = station.written();
            }
            if post.station.as_ref().is_some_and(Station::is_finished)
                && let Some(station) = post.station.take()
                && let Err(e) = station.stop()
            {
                post.failures = if post.began.elapsed() > RECOVERED { 1 } else { post.failures + 1 };
                let pause = FIRST_PAUSE.saturating_mul(1 << (post.failures - 1).min(10)).min(LONGEST_PAUSE);
                tracing::error!(stream = name, "{e}; started again in {} s", pause.as_secs());
                post.again = Some(Instant::now() + pause);
            }
            if post.again.is_some_and(|at| at <= Instant::now()) {
                post.again = None;
                post.began = Instant::now();
                // The same meters: counters never go back.
                let meters = post.handle.meters().clone();
                match or_died(|| Station::start(name, &post.config, &post.models, meters, &self.workshop, None)) {
                    Ok(station) => {
                        post.handle = station.handle().clone();
                        self.export(name, &post.handle, &post.written);
                        post.station = Some(station);
                        changed = true;
                    }
                    Err(e) => {
                        tracing::error!(stream = name, "{e}");
                        post.again = Some(Instant::now() + LONGEST_PAUSE);
                    }
                }
            }
            any |= post.station.is_some() || post.again.is_some();
        }
        if changed {
            self.show(&inner);
        }
        any
    }

    /// Starts what could not start before.
    fn try_missing(&self, inner: &mut Inner) {
        let due = |missing: &Missing| missing.again <= Instant::now();
        let names: Vec<String> = inner.missing.iter().filter(|(_, m)| due(m)).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return;
        }
        let config = std::mem::take(&mut inner.config);
        for name in names {
            let Some(stream) = config.streams.get(&name) else { continue };
            match self.open(inner, &config, &name, stream, None) {
                Ok(()) => tracing::info!(stream = name, "the stream has started now"),
                Err(e) => self.miss(inner, &name, &e),
            }
        }
        inner.config = config;
        self.show(inner);
    }

    /// Takes over another configuration: streams are added, changed and removed, the others go on
    /// undisturbed. A stream that cannot start does not hinder the others: it is [missing](Self::missing), and tried
    /// again.
    pub fn apply(&self, config: Config) -> Changes {
        let mut inner = lock(&self.inner);
        let changes = Config::diff(&inner.config, &config);
        let painted = inner.paint_otherwise(&changes, &config);
        let renewed = changes.changed.iter().filter(|name| !painted.contains(name));
        let gone: BTreeMap<String, Post> =
            changes.removed.iter().chain(renewed).filter_map(|name| inner.posts.remove_entry(name)).collect();
        self.show(&inner);
        changes.removed.iter().for_each(|name| self.metrics.remove_stream(name));
        stop_all(gone.into_values().filter_map(|post| post.station));
        // A model whose entry changed is read anew by the next stream that wants it; one that none wants goes.
        let old = std::mem::take(&mut inner.config);
        inner.models.retain(|name, _| {
            let same = name.as_ref().is_none_or(|n| old.models.get(n) == config.models.get(n));
            same && config.streams.values().any(|stream| stream.model == *name)
        });
        inner.missing.retain(|name, _| config.streams.contains_key(name));
        for (name, stream) in &config.streams {
            let wanted = changes.touches(name) || inner.missing.contains_key(name);
            if !wanted || inner.posts.contains_key(name) || self.stopping.load(SeqCst) {
                continue;
            }
            if let Err(e) = self.open(&mut inner, &config, name, stream, None) {
                tracing::error!(stream = name, "the stream does not start: {e}");
                self.miss(&mut inner, name, &e);
            }
        }
        inner.config = config;
        self.show(&inner);
        changes
    }

    /// Streams that did not start, by name.
    pub fn missing(&self) -> BTreeMap<String, Missing> {
        lock(&self.shown).missing.clone()
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
        self.streams().into_iter().filter_map(waiting).chain(missing).collect()
    }

    /// Whether the loops of all streams turn: a hung one is what a watchdog is for.
    pub fn is_alive(&self) -> bool {
        self.streams().iter().all(|stream| stream.has_ended() || stream.turned_within(HUNG))
    }

    /// Ends every stream properly, all at once.
    pub fn stop(&self) {
        self.stopping.store(true, SeqCst);
        // With the loops end their outputs, even while a model keeps the rest waiting.
        self.streams().iter().for_each(LiveHandle::stop);
        let until = Instant::now() + PATIENCE;
        let mut inner = loop {
            match try_lock(&self.inner) {
                Some(inner) => break inner,
                None if Instant::now() > until => return,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let posts = std::mem::take(&mut inner.posts);
        self.show(&inner);
        drop(inner);
        stop_all(posts.into_values().filter_map(|post| post.station));
    }
}

impl Inner {
    /// Changes streams of which only the look is another, while they go on. Tells which these are.
    fn paint_otherwise<'a>(&mut self, changes: &'a Changes, config: &Config) -> Vec<&'a String> {
        let takes = |name: &&String| {
            let (Some(post), Some(new)) = (self.posts.get_mut(*name), config.streams.get(*name)) else { return false };
            let same_model = self.config.model_of(&post.config) == config.model_of(new);
            let takes = same_model && post.config.differs_in_look(new);
            if takes {
                post.handle.set_look(new.look);
                post.config = new.clone();
            }
            takes
        };
        changes.changed.iter().filter(takes).collect()
    }
}

/// A panic on the way is the failure of that stream alone.
fn or_died<T>(start: impl FnOnce() -> Result<T, StartError>) -> Result<T, StartError> {
    let started = catch_unwind(AssertUnwindSafe(start));
    started.unwrap_or_else(|panic| Err(StreamError::died(&*panic).into()))
}

fn stop_all(stations: impl Iterator<Item = Station>) {
    std::thread::scope(|scope| {
        for station in stations {
            scope.spawn(move || {
                let name = station.handle().name().to_owned();
                if let Err(e) = station.stop() {
                    tracing::warn!(stream = name, "{e}");
                }
            });
        }
    });
}

fn models_of(inner: &mut Inner, config: &Config, stream: &StreamConfig) -> Result<Arc<Models>, ClassifierError> {
    if let Some(models) = inner.models.get(&stream.model) {
        return Ok(Arc::clone(models));
    }
    let entry = config.model_of(stream).cloned().unwrap_or_default();
    let models = Arc::new(Models::new(Classifier::load(entry.path.as_deref(), &entry.flags)?)?);
    inner.models.insert(stream.model.clone(), Arc::clone(&models));
    Ok(models)
}
