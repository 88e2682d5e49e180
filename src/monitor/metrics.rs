//! Numbers for Prometheus. Whatever is counted elsewhere is read at scrape time; nothing is kept twice,
//! and a stream that is removed takes its series with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::engine::Work;
use crate::stream::live::{Meters, Models};
use crate::sync::lock;

/// What `/metrics` answers as its type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters of a stream. The format adds `_total` to their names.
type CounterRow = (&'static str, &'static str, fn(&Meters) -> &Counter);
const COUNTERS: [CounterRow; 6] = [
    ("gradcast_frames", "Frames that came from the source", |m| &m.frames_in),
    ("gradcast_output_frames", "Frames that went to the outputs, stills included", |m| &m.frames_out),
    ("gradcast_explained_frames", "Frames with a map of their own", |m| &m.explained),
    ("gradcast_reused_maps", "Frames painted with an older frame's map", |m| &m.reused),
    ("gradcast_failed_frames", "Frames whose run of the model failed", |m| &m.failed),
    ("gradcast_still_frames", "Stills shown while the source was away", |m| &m.stills),
];

type GaugeRow = (&'static str, &'static str, fn(&Meters) -> &Gauge);
const GAUGES: [GaugeRow; 3] = [
    ("gradcast_stream_up", "1 while the source is there, 0 while it is away", |m| &m.up),
    ("gradcast_quiet_seconds", "Since the source gave a picture; -1: it never has", |m| &m.quiet),
    ("gradcast_frames_under_way", "Frames of the stream that are with the model", |m| &m.under_way),
];

/// Histograms of a stream, in seconds.
type HistogramRow = (&'static str, &'static str, fn(&Meters) -> &Histogram);
const HISTOGRAMS: [HistogramRow; 2] = [
    ("gradcast_map_age_seconds", "Age of the map that is drawn", |m| &m.map_age),
    ("gradcast_delay_seconds", "From a frame's arrival to its being painted and handed to the outputs", |m| &m.delay),
];

type StageRow = (&'static str, fn(&Meters) -> &Histogram);
const STAGES: [StageRow; 6] = [
    ("decode", |m| &m.decode),
    ("view", |m| &m.view),
    ("model", |m| &m.model),
    ("paint", |m| &m.paint),
    ("output", |m| &m.output),
    ("encode", |m| &m.encode),
];

/// What else is counted of a stream, by its source and its sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    /// Frames that the source decoded.
    Received,
    /// Frames that came damaged.
    Damaged,
    /// Bytes that the source received.
    ReceivedBytes,
    /// Frames or packets that were dropped, by cause.
    Dropped,
    /// Attempts to reach the source that failed, and connections that were lost, by reason.
    SourceFailures,
    /// Connections that were lost after frames had come, by reason.
    Reconnects,
    /// Times a push to another server failed or broke off.
    PushFailures,
    /// Recorded files.
    RecordedFiles,
    /// Recorded files that were removed at a limit.
    RemovedFiles,
    /// Times a recording could not be written.
    RecordFailures,
    /// Outputs and viewers that take encoded pictures now.
    Takers,
}

/// Number, name, help, what its rows differ by, and whether it can fall.
type NumberRow = (Number, &'static str, &'static str, Option<&'static str>, MetricType);
const NUMBERS: [NumberRow; 11] = {
    use MetricType::{Counter, Gauge};
    [
        (Number::Received, "gradcast_received_frames", "Frames that the source decoded", None, Counter),
        (Number::Damaged, "gradcast_damaged_frames", "Frames that came damaged", None, Counter),
        (Number::ReceivedBytes, "gradcast_received_bytes", "Bytes that the source received", None, Counter),
        (
            Number::Dropped,
            "gradcast_dropped_frames",
            "Frames dropped, by cause; superseded: the model never saw them, because a newer one came",
            Some("cause"),
            Counter,
        ),
        (
            Number::SourceFailures,
            "gradcast_source_failures",
            "Attempts to reach the source that failed, and connections that were lost, by reason",
            Some("reason"),
            Counter,
        ),
        (
            Number::Reconnects,
            "gradcast_reconnects",
            "Connections to the source that were lost after frames had come, by what ended them",
            Some("reason"),
            Counter,
        ),
        (
            Number::PushFailures,
            "gradcast_push_failures",
            "Times a push to another server failed or broke off",
            None,
            Counter,
        ),
        (Number::RecordedFiles, "gradcast_recorded_files", "Recorded files", None, Counter),
        (Number::RemovedFiles, "gradcast_removed_files", "Recorded files removed at a limit", None, Counter),
        (Number::RecordFailures, "gradcast_record_failures", "Times a recording could not be written", None, Counter),
        (
            Number::Takers,
            "gradcast_packet_takers",
            "Who takes encoded pictures now: recording, pushes, clients of published streams, browsers over WebRTC",
            None,
            Gauge,
        ),
    ]
};

/// The numbers of one stream at a scrape. What is added twice is summed.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(Number, String), u64>);

impl Tally {
    /// Adds to a number that has no rows.
    pub fn add(&mut self, number: Number, count: u64) {
        self.add_by(number, "", count);
    }

    /// Adds to one row of a number, such as the cause `encoder` of [`Number::Dropped`].
    pub fn add_by(&mut self, number: Number, by: &str, count: u64) {
        let sum = self.0.entry((number, by.to_owned())).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// An engine at a scrape.
#[derive(Debug, Clone)]
pub struct EngineNumbers {
    pub model: String,
    pub layer: String,
    pub device: String,
    pub work: Work,
}

impl EngineNumbers {
    /// Those of every engine that runs for a model.
    pub fn of(models: &Models) -> Vec<Self> {
        let numbers = |running: Arc<crate::stream::live::Running>| Self {
            model: models.name().to_owned(),
            layer: running.layer().to_owned(),
            device: running.engine.device().to_string(),
            work: running.engine.work(),
        };
        models.running().into_iter().map(numbers).collect()
    }
}

/// Reads the numbers that a stream's source and sinks count.
type ReadTally = dyn Fn(&mut Tally) + Send + Sync;
type ReadEngines = dyn Fn() -> Vec<EngineNumbers> + Send + Sync;

/// What is exported. Clones refer to the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    watched: Arc<Watched>,
}

impl Default for Metrics {
    fn default() -> Self {
        let watched = Arc::new(Watched::default());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&watched)));
        Self { registry: Arc::new(registry), watched }
    }
}

impl Metrics {
    /// Nothing but the version until streams are added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Exports a stream, in the place of one of the same name. `tally` is called at each scrape and must
    /// not wait.
    pub fn add_stream(&self, name: &str, meters: Meters, tally: impl Fn(&mut Tally) + Send + Sync + 'static) {
        lock(&self.watched.streams).insert(name.to_owned(), Stream { meters, tally: Arc::new(tally) });
    }

    /// Ends the series of a stream.
    pub fn remove_stream(&self, name: &str) {
        lock(&self.watched.streams).remove(name);
    }

    /// Exports what `engines` says at each scrape; it must not wait.
    pub fn set_engines(&self, engines: impl Fn() -> Vec<EngineNumbers> + Send + Sync + 'static) {
        *lock(&self.watched.engines) = Some(Arc::new(engines));
    }

    /// The answer to a scrape, of the type [`CONTENT_TYPE`].
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        if text::encode(&mut out, &self.registry).is_err() {
            tracing::warn!("the metrics could not be written");
        }
        out
    }
}

#[derive(Clone)]
struct Stream {
    meters: Meters,
    tally: Arc<ReadTally>,
}

#[derive(Default)]
struct Watched {
    streams: Mutex<BTreeMap<String, Stream>>,
    engines: Mutex<Option<Arc<ReadEngines>>>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.streams).keys()).finish()
    }
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

impl Collector for Watched {
    fn encode(&self, mut to: DescriptorEncoder) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let help = "The version of the program";
        let mut family = to.encode_descriptor("gradcast_build_info", help, None, MetricType::Gauge)?;
        family.encode_family(&version)?.encode_gauge(&1_u32)?;
        // Copied, so that nobody waits for whoever scrapes.
        let streams = lock(&self.streams).clone();
        encode_streams(&mut to, &streams)?;
        let engines = lock(&self.engines).clone();
        encode_engines(&mut to, &engines.map(|read| read()).unwrap_or_default())
    }
}

fn encode_streams(to: &mut DescriptorEncoder, streams: &BTreeMap<String, Stream>) -> fmt::Result {
    for (name, help, of) in COUNTERS {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (stream, s) in streams {
            of(&s.meters).encode(family.encode_family(&[("stream", stream.as_str())])?)?;
        }
    }
    for (name, help, of) in GAUGES {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (stream, s) in streams {
            of(&s.meters).encode(family.encode_family(&[("stream", stream.as_str())])?)?;
        }
    }
    for (name, help, of) in HISTOGRAMS {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (stream, s) in streams {
            of(&s.meters).encode(family.encode_family(&[("stream", stream.as_str())])?)?;
        }
    }
    let help = "Time a frame spends in a stage";
    let mut family = to.encode_descriptor("gradcast_stage_seconds", help, None, MetricType::Histogram)?;
    for (stream, s) in streams {
        for (stage, of) in STAGES {
            of(&s.meters).encode(family.encode_family(&[("stream", stream.as_str()), ("stage", stage)])?)?;
        }
    }
    encode_tallies(to, streams)
}

fn encode_tallies(to: &mut DescriptorEncoder, streams: &BTreeMap<String, Stream>) -> fmt::Result {
    let read = |(name, stream): (&String, &Stream)| {
        let mut tally = Tally::default();
        tally.add_by(Number::Dropped, "superseded", stream.meters.superseded.get());
        tally.add_by(Number::Dropped, "events-behind", stream.meters.events_lost.get());
        (stream.tally)(&mut tally);
        (name.clone(), tally)
    };
    let tallies: Vec<(String, Tally)> = streams.iter().map(read).collect();
    for (number, name, help, by, kind) in NUMBERS {
        let mut family = to.encode_descriptor(name, help, None, kind)?;
        for (stream, tally) in &tallies {
            for ((_, row), count) in tally.0.range((number, String::new())..).take_while(|((n, _), _)| *n == number) {
                let mut labels: Labels = vec![("stream", stream)];
                labels.extend(by.map(|by| (by, row.as_str())));
                encode_number(family.encode_family(&labels)?, kind, *count)?;
            }
        }
    }
    Ok(())
}

fn encode_number(mut to: MetricEncoder, kind: MetricType, count: u64) -> fmt::Result {
    match kind {
        MetricType::Gauge => to.encode_gauge(&count),
        _ => to.encode_counter::<NoLabelSet, u64, f64>(&count, None),
    }
}

fn encode_engines(to: &mut DescriptorEncoder, engines: &[EngineNumbers]) -> fmt::Result {
    // Two engines with one name (a model that two streams configure alike) make one series.
    let mut sums: BTreeMap<(&str, &str, &str), Work> = BTreeMap::new();
    for engine in engines {
        let sum = sums.entry((&engine.model, &engine.layer, &engine.device)).or_default();
        let Work { frames, runs, batches, busy, queued } = engine.work;
        sum.frames += frames;
        sum.runs += runs;
        sum.busy += busy;
        sum.queued += queued;
        sum.batches.iter_mut().zip(batches).for_each(|(sum, count)| *sum += count);
    }
    type Row = (&'static str, &'static str, MetricType, fn(MetricEncoder, &Work) -> fmt::Result);
    let rows: [Row; 5] = [
        ("gradcast_engine_queue_length", "Frames that wait for the model", MetricType::Gauge, |mut to, w| {
            to.encode_gauge(&(w.queued as u64))
        }),
        ("gradcast_engine_frames", "Frames explained", MetricType::Counter, |to, w| {
            encode_number(to, MetricType::Counter, w.frames)
        }),
        ("gradcast_engine_runs", "Runs of the model", MetricType::Counter, |to, w| {
            encode_number(to, MetricType::Counter, w.runs)
        }),
        ("gradcast_engine_busy_seconds", "Time spent in runs, over all workers", MetricType::Counter, |mut to, w| {
            to.encode_counter::<NoLabelSet, f64, f64>(&w.busy.as_secs_f64(), None)
        }),
        ("gradcast_engine_batch_size", "Frames in a run that succeeded", MetricType::Histogram, |mut to, w| {
            let last = w.batches.len() - 1;
            let bound = |step: usize| if step < last { f64::from(1_u32 << step) } else { f64::INFINITY };
            let buckets: Vec<(f64, u64)> = w.batches.iter().enumerate().map(|(step, n)| (bound(step), *n)).collect();
            to.encode_histogram::<NoLabelSet>(w.frames as f64, w.batches.iter().sum(), &buckets, None)
        }),
    ];
    for (name, help, kind, encode) in rows {
        let mut family = to.encode_descriptor(name, help, None, kind)?;
        for ((model, layer, device), work) in &sums {
            encode(family.encode_family(&[("model", *model), ("layer", *layer), ("device", *device)])?, work)?;
        }
    }
    Ok(())
}
