//! A recorded file at the pace `every`: each frame waits for its own map, nothing is dropped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::events::{EventLog, FrameEvent, MapEvent, predictions};
use super::{ClassCount, Seen, StageTimes, StreamError, Summary, Viewer};
use crate::classifier::Labels;
use crate::engine::{Engine, EngineError, Explanation, Job, Outcome, Seat};
use crate::paint::{Fit, HeatStats, Look};
use crate::video::{Frame, Sink, Source};

/// How a file is annotated.
pub struct AnnotateOptions<'a> {
    /// The stream's name in events.
    pub name: String,
    pub look: Look,
    pub fit: Fit,
    /// Classes to explain, −1 the most probable.
    pub classes: Arc<[i64]>,
    pub labels: &'a Labels,
    /// The explained layer and the method, for events.
    pub layer: String,
    pub method: String,
    pub events: Option<EventLog>,
    /// Raised from outside, it ends the input early; the output is finished properly.
    pub interrupt: Arc<AtomicBool>,
}

/// How many classes an event lists.
const TOP: usize = 5;

/// Takes every frame of `source` through `engine` and the painter to `sink`, in order, and finishes
/// `sink`. `progress` hears the number of frames written so far.
///
/// # Errors
/// The first thing that failed, wherever it was; nothing hangs on the others.
pub fn annotate(
    mut source: Box<dyn Source>,
    mut sink: Box<dyn Sink>,
    engine: &Engine,
    mut options: AnnotateOptions,
    mut progress: impl FnMut(u64),
) -> Result<Summary, StreamError> {
    let started = Instant::now();
    let events = options.events.take();
    // Frames under way are bounded here; a frame enters this queue before its job enters the
    // engine's, so jobs and outcomes are bounded with them.
    let (frames_in, frames) = bounded::<Frame>(engine.capacity());
    let (reply, outcomes) = unbounded::<Outcome>();
    let (recycle, spare) = unbounded::<Vec<u8>>();
    let canceller = source.canceller();
    // It outlasts the feeder, whose last frames still wait there.
    let seat = engine.seat(1, engine.capacity());

    let mut painter = PaintLoop::new(&options, engine.frame_size(), events);
    let (fed, painted) = std::thread::scope(|scope| {
        let feed = Feed { seat: &seat, input: engine.frame_size(), options: &options, frames: frames_in, reply, spare };
        let source = &mut source;
        let feeder = scope.spawn(move || feed.run(source.as_mut()));
        let painted = painter.run(&frames, &outcomes, &recycle, sink.as_mut(), &mut progress);
        if painted.is_err() {
            canceller.cancel();
        }
        // Without these the feeder would wait for room for ever.
        drop((frames, outcomes, recycle));
        let fed = feeder.join().unwrap_or_else(|panic| Err(StreamError::died(&*panic)));
        (fed, painted)
    });
    // The reader's failure is the cause where there is one: the painter only misses what never came.
    let fed = fed?;
    painted?;
    let source_summary = source.summary();
    let finishing = Instant::now();
    let sink_summary = sink.finish()?;
    painter.stages.encode += finishing.elapsed();
    if let Some(events) = painter.events.take() {
        events.finish()?;
    }

    let mut classes: Vec<ClassCount> =
        painter.counts.into_iter().map(|(class, frames)| ClassCount { class, frames }).collect();
    classes.sort_by_key(|c| (std::cmp::Reverse(c.frames), c.class));
    Ok(Summary {
        frames_in: fed.frames,
        frames_out: painter.written,
        dropped: fed.frames - painter.written,
        without_evidence: painter.without_evidence,
        not_finite: painter.not_finite,
        elapsed: started.elapsed(),
        stages: StageTimes { decode: fed.decode, view: fed.view, ..painter.stages },
        classes,
        interrupted: options.interrupt.load(SeqCst),
        source: source_summary,
        sink: sink_summary,
    })
}

/// The reading half: frames to the painter, their small pictures to the engine.
struct Feed<'a, 'o> {
    seat: &'a Seat,
    /// Width and height of what the model sees.
    input: (usize, usize),
    options: &'a AnnotateOptions<'o>,
    frames: Sender<Frame>,
    reply: Sender<Outcome>,
    spare: Receiver<Vec<u8>>,
}

#[derive(Default)]
struct Fed {
    frames: u64,
    decode: Duration,
    view: Duration,
}

impl Feed<'_, '_> {
    fn run(self, source: &mut dyn Source) -> Result<Fed, StreamError> {
        let mut fed = Fed::default();
        let mut viewer = Viewer::new(self.options.fit, self.input);
        source.start()?;
        while !self.options.interrupt.load(SeqCst) {
            let asked = Instant::now();
            let Some(frame) = source.next()? else { break };
            fed.decode += asked.elapsed();

            let viewing = Instant::now();
            let mut image = self.spare.try_recv().unwrap_or_default();
            viewer.view(&frame, &mut image)?;
            fed.view += viewing.elapsed();

            let seq = frame.seq();
            if self.frames.send(frame).is_err() {
                // The painter is gone, and says why.
                break;
            }
            fed.frames += 1;
            let (classes, reply) = (Arc::clone(&self.options.classes), self.reply.clone());
            self.seat.submit(Job { seq, image, view: None, classes, reply })?;
        }
        Ok(fed)
    }
}

/// The writing half: each frame in order, with its own map.
struct PaintLoop<'a, 'o> {
    options: &'a AnnotateOptions<'o>,
    seen: Seen,
    /// Outcomes that came before their frame's turn.
    early: BTreeMap<u64, Result<Explanation, Arc<EngineError>>>,
    events: Option<EventLog>,
    counts: HashMap<usize, u64>,
    stages: StageTimes,
    written: u64,
    without_evidence: u64,
    not_finite: u64,
}

impl<'a, 'o> PaintLoop<'a, 'o> {
    fn new(options: &'a AnnotateOptions<'o>, input: (usize, usize), events: Option<EventLog>) -> Self {
        Self {
            options,
            seen: Seen::new(options.look, options.fit, input),
            early: BTreeMap::new(),
            events,
            counts: HashMap::new(),
            stages: StageTimes::default(),
            written: 0,
            without_evidence: 0,
            not_finite: 0,
        }
    }

    fn run(
        &mut self,
        frames: &Receiver<Frame>,
        outcomes: &Receiver<Outcome>,
        recycle: &Sender<Vec<u8>>,
        sink: &mut dyn Sink,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), StreamError> {
        for frame in frames {
            let waiting = Instant::now();
            let Some(result) = self.outcome_of(frame.seq(), outcomes, recycle) else {
                // Every sender is gone: the reader or the engine failed, and the reader says how.
                return Err(EngineError::Worker("it left frames without an answer".into()).into());
            };
            let explanation = result?;
            self.stages.wait += waiting.elapsed();

            let painting = Instant::now();
            let names: Vec<String> = explanation.maps.iter().map(|m| self.options.labels.name(m.class)).collect();
            let (painted, stats) = self.seen.paint(&frame, &explanation.maps, &names)?;
            self.note(&frame, &explanation, &stats)?;
            drop(frame);
            self.stages.paint += painting.elapsed();

            let handing = Instant::now();
            sink.push(painted)?;
            self.stages.encode += handing.elapsed();
            self.written += 1;
            progress(self.written);
        }
        Ok(())
    }

    fn outcome_of(
        &mut self,
        seq: u64,
        outcomes: &Receiver<Outcome>,
        recycle: &Sender<Vec<u8>>,
    ) -> Option<Result<Explanation, Arc<EngineError>>> {
        loop {
            if let Some(result) = self.early.remove(&seq) {
                return Some(result);
            }
            let outcome = outcomes.recv().ok()?;
            // The reader may be done, and then needs no more pictures.
            let _ = recycle.send(outcome.image);
            self.early.insert(outcome.seq, outcome.result);
        }
    }

    /// Counts, and writes the event.
    fn note(&mut self, frame: &Frame, explanation: &Explanation, stats: &[HeatStats]) -> Result<(), StreamError> {
        let top = explanation.top(TOP);
        if let Some(first) = top.first() {
            *self.counts.entry(first.class).or_default() += 1;
        }
        self.without_evidence += u64::from(stats.iter().all(|s| s.peak.is_none()));
        self.not_finite += u64::from(stats.iter().any(|s| s.not_finite > 0));
        let Some(events) = &mut self.events else { return Ok(()) };
        let pts_ns = u64::try_from(frame.pts().as_nanos()).ok();
        events.write(&FrameEvent {
            stream: &self.options.name,
            frame: self.written,
            time: None,
            pts_ns,
            map_pts_ns: pts_ns,
            predictions: predictions(&top, self.options.labels),
            maps: explanation
                .maps
                .iter()
                .zip(stats)
                .map(|(map, stats)| MapEvent::new(map.class, &self.options.layer, &self.options.method, stats))
                .collect(),
        })
    }
}
