//! Workers: each with its own session, all fed from one queue.
//!
//! Each stream has a [`Seat`] with a bounded line of jobs, and is served by its weight. A recorded file waits for
//! room in its line ([`Seat::submit`]); live streams never wait ([`Seat::offer`]): a newer frame takes an older one's place.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::queue::{Line, Queue, Taker};
use super::session::{Input, Session, SessionOptions};
use super::{Device, EngineError, Explanation};

/// How the engine is started.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    pub device: Device,
    /// Threads for the model on the CPU in all, at least 1.
    pub threads: usize,
    /// How long a worker waits for a batch to fill after its first frame.
    pub deadline: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { device: Device::Auto, threads, deadline: Duration::from_millis(1) }
    }
}

/// One frame for the engine.
pub struct Job {
    /// The frame's number in its stream; comes back with the outcome.
    pub seq: u64,
    /// Packed RGB of the size [`Engine::frame_size`] says; comes back for reuse.
    pub image: Vec<u8>,
    /// Makes `image`, where it is not made yet, when the frame's turn has come: one that a newer frame replaces costs nothing.
    pub view: Option<View>,
    /// Classes to explain, −1 the most probable.
    pub classes: Arc<[i64]>,
    /// Where the outcome goes: the stream that sent the frame.
    pub reply: Sender<Outcome>,
}

/// See [`Job::view`]; fails with a sentence.
pub type View = Box<dyn FnOnce(&mut Vec<u8>) -> Result<(), String> + Send>;

/// What became of a [`Job`].
pub struct Outcome {
    pub seq: u64,
    pub image: Vec<u8>,
    pub result: Result<Explanation, Arc<EngineError>>,
}

/// What the engine has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Frames explained.
    pub frames: u64,
    /// Runs of the model.
    pub runs: u64,
    /// Runs that succeeded, by the number of frames in them: at `n` those with more than 2ⁿ⁻¹, up to 2ⁿ.
    pub batches: [u64; BATCH_STEPS],
    /// Time spent in runs, summed over workers.
    pub busy: Duration,
    /// Frames that wait for their turn.
    pub queued: usize,
}

/// Batches of 1, 2, 4, … 256 frames; larger ones count with the last.
pub const BATCH_STEPS: usize = 9;

#[derive(Default)]
struct Counters {
    frames: AtomicU64,
    runs: AtomicU64,
    batches: [AtomicU64; BATCH_STEPS],
    busy_ns: AtomicU64,
}

/// A stream's place at an engine; dropping it gives the place up, and what waits there.
pub struct Seat(Line<Job>);

impl Seat {
    /// Queues a frame at once. Gives back what the stream has no room for: the frame that waited longest, or this one
    /// where every worker is gone, which [`Engine::is_whole`] tells.
    pub fn offer(&self, job: Job) -> Option<Job> {
        self.0.offer(job)
    }

    /// Queues a frame; waits while the stream has no room.
    ///
    /// # Errors
    /// [`EngineError::Worker`] where every worker is gone.
    pub fn submit(&self, job: Job) -> Result<(), EngineError> {
        self.0.submit(job).map_err(|_| EngineError::Worker("no worker is left".into()))
    }
}

/// A running engine. Dropping it waits for the runs that are under way; what is queued is dropped.
pub struct Engine {
    queue: Arc<Queue<Job>>,
    workers: Vec<JoinHandle<()>>,
    counters: Arc<Counters>,
    device: Device,
    passed_over: Vec<(Device, String)>,
    batch: usize,
    frame_size: (usize, usize),
}

/// On the CPU one-threaded workers beat one many-threaded run when frames queue up, but each holds
/// its copy of the weights: past this many, workers get more threads instead.
const MAX_CPU_WORKERS: usize = 4;

impl Engine {
    /// Starts sessions for `model` (an explained model's bytes) and their workers.
    ///
    /// # Errors
    /// As [`Session::start`].
    pub fn start(model: &[u8], options: &EngineOptions) -> Result<Self, EngineError> {
        let threads = options.threads.max(1);
        let cpu_workers = threads.min(MAX_CPU_WORKERS);
        let per_worker = threads / cpu_workers;
        let first = Session::start(model, &SessionOptions { device: options.device, threads: per_worker })?;
        let (device, batch, frame_size) = (first.device(), first.batch(), first.frame_size());
        let passed_over = first.passed_over().to_vec();
        // A GPU serialises runs; a second worker prepares the next batch meanwhile.
        let count = if device.is_gpu() { 2 } else { cpu_workers };
        let mut sessions = vec![first];
        for _ in 1..count {
            sessions.push(Session::start(model, &SessionOptions { device, threads: per_worker })?);
        }

        let (queue, counters) = (Queue::new(), Arc::default());
        let workers = Vec::with_capacity(count);
        // Made first, so that the workers that did start end where another does not.
        let mut engine = Self { queue, workers, counters, device, passed_over, batch, frame_size };
        for (index, session) in sessions.into_iter().enumerate() {
            let (taker, counters, deadline) = (engine.queue.taker(), Arc::clone(&engine.counters), options.deadline);
            let worker = std::thread::Builder::new()
                .name(format!("engine-{index}"))
                .spawn(move || serve(session, &taker, deadline, &counters))
                .map_err(|e| EngineError::Worker(format!("its thread does not start: {e}")))?;
            engine.workers.push(worker);
        }
        Ok(engine)
    }

    /// The device it runs on; never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.device
    }

    /// What `auto` tried before, with the reasons.
    pub fn passed_over(&self) -> &[(Device, String)] {
        &self.passed_over
    }

    /// Frames that keep the workers busy: a batch each in work, and one that waits.
    pub fn capacity(&self) -> usize {
        2 * self.workers.len() * self.batch
    }

    /// `(width, height)` of the small picture a [`Job`] carries.
    pub fn frame_size(&self) -> (usize, usize) {
        self.frame_size
    }

    /// Whether every worker is there. One that is gone leaves the others more to do than they can; a new engine is due.
    pub fn is_whole(&self) -> bool {
        self.workers.iter().all(|worker| !worker.is_finished())
    }

    /// A place for a stream; `weight` (at least 1) is its share against other streams', and `room` how many of its frames
    /// may wait.
    pub fn seat(&self, weight: usize, room: usize) -> Seat {
        Seat(self.queue.line(weight, room))
    }

    /// What it has done so far.
    pub fn work(&self) -> Work {
        Work {
            queued: self.queue.waiting(),
            frames: self.counters.frames.load(Relaxed),
            runs: self.counters.runs.load(Relaxed),
            batches: self.counters.batches.each_ref().map(|count| count.load(Relaxed)),
            busy: Duration::from_nanos(self.counters.busy_ns.load(Relaxed)),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.close();
        for worker in self.workers.drain(..) {
            // A worker's panic has been reported to its stream as an outcome.
            let _ = worker.join();
        }
    }
}

/// What a worker runs.
trait Run {
    /// Frames per run.
    fn batch(&self) -> usize;
    fn run(&mut self, inputs: &[Input]) -> Result<Vec<Explanation>, EngineError>;
}

impl Run for Session {
    fn batch(&self) -> usize {
        self.batch()
    }

    fn run(&mut self, inputs: &[Input]) -> Result<Vec<Explanation>, EngineError> {
        self.run(inputs)
    }
}

/// A worker's life: fill a batch, run it, answer each frame's stream.
fn serve(mut session: impl Run, queue: &Taker<Job>, deadline: Duration, counters: &Counters) {
    while let Some(first) = queue.next(None) {
        let jobs: Vec<Job> = fill(first, queue, session.batch(), deadline).into_iter().filter_map(viewed).collect();
        if jobs.is_empty() {
            continue;
        }
        let inputs: Vec<Input> = jobs.iter().map(|job| Input { frame: &job.image, classes: &job.classes }).collect();
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| session.run(&inputs)));
        counters.busy_ns.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX), Relaxed);
        counters.runs.fetch_add(1, Relaxed);
        drop(inputs);
        match result {
            Ok(Ok(explanations)) => {
                counters.frames.fetch_add(jobs.len() as u64, Relaxed);
                counters.batches[batch_step(jobs.len())].fetch_add(1, Relaxed);
                for (job, explanation) in jobs.into_iter().zip(explanations) {
                    answer(job, Ok(explanation));
                }
            }
            Ok(Err(error)) => fail(jobs, error),
            // The session may be in any state after a panic: this worker ends.
            Err(panic) => return fail(jobs, EngineError::Worker(panic_text(&*panic))),
        }
    }
}

/// The job with its picture made; one that cannot be made is answered here, and harms no other stream.
fn viewed(mut job: Job) -> Option<Job> {
    let Some(view) = job.view.take() else { return Some(job) };
    let made = catch_unwind(AssertUnwindSafe(|| view(&mut job.image)));
    match made.unwrap_or_else(|panic| Err(panic_text(&*panic))) {
        Ok(()) => return Some(job),
        Err(why) => answer(job, Err(Arc::new(EngineError::Picture(why)))),
    }
    None
}

/// Where a batch of `frames` counts in [`Work::batches`].
fn batch_step(frames: usize) -> usize {
    (frames.max(1).next_power_of_two().trailing_zeros() as usize).min(BATCH_STEPS - 1)
}

/// Takes what is queued until the batch is full or `deadline` has passed since its first frame.
fn fill(first: Job, queue: &Taker<Job>, batch: usize, deadline: Duration) -> Vec<Job> {
    let until = Instant::now() + deadline;
    let mut jobs = vec![first];
    while jobs.len() < batch
        && let Some(job) = queue.next(Some(until))
    {
        jobs.push(job);
    }
    jobs
}

fn fail(jobs: Vec<Job>, error: EngineError) {
    let error = Arc::new(error);
    for job in jobs {
        answer(job, Err(Arc::clone(&error)));
    }
}

fn answer(job: Job, result: Result<Explanation, Arc<EngineError>>) {
    // A stream that is gone no longer wants its answers.
    let _ = job.reply.send(Outcome { seq: job.seq, image: job.image, result });
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `batch` frames at a time, and ends as its name says on the frame whose first byte is 13.
    struct Fake {
        batch: usize,
        panics: bool,
    }

    impl Run for Fake {
        fn batch(&self) -> usize {
            self.batch
        }

        fn run(&mut self, inputs: &[Input]) -> Result<Vec<Explanation>, EngineError> {
            assert!(inputs.len() <= self.batch);
            if inputs.iter().any(|i| i.frame == [13]) {
                assert!(!self.panics, "thirteen");
                return Err(EngineError::Run { device: Device::Cpu, reason: "thirteen".into() });
            }
            let one =
                |i: &Input| Explanation { scores: vec![f32::from(i.frame[0])], probabilities: vec![], maps: vec![] };
            Ok(inputs.iter().map(one).collect())
        }
    }

    /// Sends frames 0..count through one worker; the outcomes by sequence number.
    fn outcomes(fake: Fake, count: u8) -> Vec<Option<Result<f32, String>>> {
        outcomes_of(fake, (0..count).map(|n| (vec![n], None)).collect())
    }

    fn outcomes_of(fake: Fake, pictures: Vec<(Vec<u8>, Option<View>)>) -> Vec<Option<Result<f32, String>>> {
        let queue = Queue::new();
        let seat = Seat(queue.line(1, pictures.len()));
        let taker = queue.taker();
        let (reply, results) = crossbeam_channel::unbounded();
        let mut found: Vec<_> = pictures.iter().map(|_| None).collect();
        for (n, (image, view)) in pictures.into_iter().enumerate() {
            let job = Job { seq: n as u64, image, view, classes: Arc::new([-1]), reply: reply.clone() };
            assert!(seat.submit(job).is_ok());
        }
        drop(reply);
        let worker = std::thread::spawn(move || {
            serve(fake, &taker, Duration::from_millis(1), &Counters::default());
        });
        // Ends when every sender is gone: nothing hangs on a dead worker.
        let mut missing = found.len();
        while missing > 0
            && let Ok(outcome) = results.recv()
        {
            found[outcome.seq as usize] = Some(outcome.result.map(|e| e.scores[0]).map_err(|e| e.to_string()));
            missing -= 1;
        }
        queue.close();
        assert!(worker.join().is_ok());
        found
    }

    #[test]
    fn every_frame_is_answered_by_its_own_result() {
        let found = outcomes(Fake { batch: 4, panics: false }, 11);
        assert!(found.iter().enumerate().all(|(n, r)| *r == Some(Ok(n as f32))), "{found:?}");
    }

    #[test]
    fn batches_count_by_powers_of_two() {
        for (frames, step) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 8), (9999, 8)] {
            assert_eq!(batch_step(frames), step, "{frames}");
        }
    }

    #[test]
    fn pictures_are_made_when_their_turn_comes_and_one_that_cannot_be_made_harms_no_other() {
        let byte = |byte: u8| -> View {
            Box::new(move |image| {
                *image = vec![byte];
                Ok(())
            })
        };
        let views: [View; 4] = [byte(7), Box::new(|_| Err("torn".into())), Box::new(|_| panic!("burst")), byte(8)];
        let pictures = views.into_iter().map(|view| (Vec::new(), Some(view))).collect();
        let found = outcomes_of(Fake { batch: 4, panics: false }, pictures);
        assert_eq!((&found[0], &found[3]), (&Some(Ok(7.0)), &Some(Ok(8.0))));
        for (failed, why) in found[1..3].iter().zip(["torn", "burst"]) {
            assert!(matches!(failed, Some(Err(e)) if e.contains("picture") && e.contains(why)), "{failed:?}");
        }
    }

    #[test]
    fn a_failing_run_fails_its_batch_and_the_worker_goes_on() {
        let found = outcomes(Fake { batch: 4, panics: false }, 20);
        assert_eq!(found[11], Some(Ok(11.0)));
        for failed in &found[12..16] {
            assert!(matches!(failed, Some(Err(e)) if e.contains("thirteen")), "{failed:?}");
        }
        assert_eq!(found[16], Some(Ok(16.0)));
    }

    #[test]
    fn a_panicking_worker_says_why_and_ends_without_hanging_anybody() {
        let found = outcomes(Fake { batch: 4, panics: true }, 20);
        for failed in &found[12..16] {
            assert!(matches!(failed, Some(Err(e)) if e.contains("died") && e.contains("thirteen")), "{failed:?}");
        }
        assert!(found[16..].iter().all(Option::is_none), "{found:?}");
    }
}
