//! Workers: each with its own session, all fed from one bounded channel.
//!
//! A recorded file waits for room in the channel ([`Engine::submit`]). Live streams never wait: each has
//! a [`Seat`], which says how many of its frames may be under way. The channel is first in, first out,
//! so streams that always hold a frame in it are served in turn, and no scheduler is needed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

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
    /// Jobs that may wait at least; 0: as many as keep the workers busy.
    pub room: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { device: Device::Auto, threads, deadline: Duration::from_millis(1), room: 0 }
    }
}

/// One frame for the engine.
pub struct Job {
    /// The frame's number in its stream; comes back with the outcome.
    pub seq: u64,
    /// Packed RGB of the size [`Engine::frame_size`] says; comes back for reuse.
    pub image: Vec<u8>,
    /// Classes to explain, −1 the most probable.
    pub classes: Arc<[i64]>,
    /// Where the outcome goes: the stream that sent the frame.
    pub reply: Sender<Outcome>,
}

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
    /// Frames that wait in the channel.
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

/// A live stream's place at an engine; dropping it gives the place up.
pub struct Seat {
    weight: usize,
    seated: Arc<AtomicUsize>,
    slots: usize,
}

impl Seat {
    /// How many of the stream's frames may be under way: its share of the engine by weight, at least one.
    pub fn share(&self) -> usize {
        let seated = self.seated.load(Relaxed).max(self.weight);
        (self.slots * self.weight / seated).max(self.weight)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seated.fetch_sub(self.weight, Relaxed);
    }
}

/// A running engine. Dropping it lets the workers finish what is queued and joins them.
pub struct Engine {
    jobs: Option<Sender<Job>>,
    workers: Vec<JoinHandle<()>>,
    counters: Arc<Counters>,
    device: Device,
    passed_over: Vec<(Device, String)>,
    batch: usize,
    frame_size: (usize, usize),
    /// The weights of all seats together.
    seated: Arc<AtomicUsize>,
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

        let (jobs, queue) = bounded::<Job>(options.room.max(count * batch));
        let counters = Arc::new(Counters::default());
        let mut workers = Vec::with_capacity(count);
        for (index, session) in sessions.into_iter().enumerate() {
            let (queue, counters, deadline) = (queue.clone(), Arc::clone(&counters), options.deadline);
            let worker = std::thread::Builder::new()
                .name(format!("engine-{index}"))
                .spawn(move || serve(session, &queue, deadline, &counters))
                .map_err(|e| EngineError::Worker(format!("its thread does not start: {e}")))?;
            workers.push(worker);
        }
        let seated = Arc::default();
        Ok(Self { jobs: Some(jobs), workers, counters, device, passed_over, batch, frame_size, seated })
    }

    /// The device it runs on; never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.device
    }

    /// What `auto` tried before, with the reasons.
    pub fn passed_over(&self) -> &[(Device, String)] {
        &self.passed_over
    }

    /// Frames that can be under way at once before [`Engine::submit`] waits: the queue and one batch a worker.
    pub fn capacity(&self) -> usize {
        2 * self.workers.len() * self.batch
    }

    /// `(width, height)` of the small picture a [`Job`] carries.
    pub fn frame_size(&self) -> (usize, usize) {
        self.frame_size
    }

    /// Queues a frame; waits while the queue is full.
    ///
    /// # Errors
    /// [`EngineError::Worker`] where every worker is gone.
    pub fn submit(&self, job: Job) -> Result<(), EngineError> {
        let gone = || EngineError::Worker("no worker is left".into());
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())
    }

    /// Queues a frame if there is room at once; gives it back if not, or if every worker is gone: then
    /// [`Engine::is_whole`] says so.
    ///
    /// # Errors
    /// The job itself.
    pub fn try_submit(&self, job: Job) -> Result<(), Job> {
        let Some(jobs) = &self.jobs else { return Err(job) };
        jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Whether every worker is there. One that is gone leaves the others more to do than they can; a new engine is due.
    pub fn is_whole(&self) -> bool {
        self.workers.iter().all(|worker| !worker.is_finished())
    }

    /// A place for a live stream; `weight` (at least 1) is its share against the other streams'.
    pub fn seat(&self, weight: usize) -> Seat {
        let weight = weight.max(1);
        self.seated.fetch_add(weight, Relaxed);
        Seat { weight, seated: Arc::clone(&self.seated), slots: self.workers.len() * self.batch }
    }

    /// What it has done so far.
    pub fn work(&self) -> Work {
        Work {
            queued: self.jobs.as_ref().map_or(0, Sender::len),
            frames: self.counters.frames.load(Relaxed),
            runs: self.counters.runs.load(Relaxed),
            batches: self.counters.batches.each_ref().map(|count| count.load(Relaxed)),
            busy: Duration::from_nanos(self.counters.busy_ns.load(Relaxed)),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.jobs = None;
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
fn serve(mut session: impl Run, queue: &Receiver<Job>, deadline: Duration, counters: &Counters) {
    while let Ok(first) = queue.recv() {
        let jobs = fill(first, queue, session.batch(), deadline);
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

/// Where a batch of `frames` counts in [`Work::batches`].
fn batch_step(frames: usize) -> usize {
    (frames.max(1).next_power_of_two().trailing_zeros() as usize).min(BATCH_STEPS - 1)
}

/// Takes what is queued until the batch is full or `deadline` has passed since its first frame.
fn fill(first: Job, queue: &Receiver<Job>, batch: usize, deadline: Duration) -> Vec<Job> {
    let until = Instant::now() + deadline;
    let mut jobs = vec![first];
    while jobs.len() < batch {
        match queue.recv_deadline(until) {
            Ok(job) => jobs.push(job),
            Err(_) => break,
        }
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
        let (jobs, queue) = bounded(usize::from(count));
        let (reply, results) = crossbeam_channel::unbounded();
        for n in 0..count {
            let job = Job { seq: n.into(), image: vec![n], classes: Arc::new([-1]), reply: reply.clone() };
            assert!(jobs.send(job).is_ok());
        }
        drop((jobs, reply));
        let worker = std::thread::spawn(move || {
            serve(fake, &queue, Duration::from_millis(1), &Counters::default());
        });
        let mut found: Vec<_> = (0..count).map(|_| None).collect();
        // Ends when every sender is gone: nothing hangs on a dead worker.
        for outcome in results {
            found[outcome.seq as usize] = Some(outcome.result.map(|e| e.scores[0]).map_err(|e| e.to_string()));
        }
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
    fn seats_share_the_slots_by_weight_and_nobody_is_left_without() {
        let seated = Arc::new(AtomicUsize::new(0));
        let seat = |weight| {
            seated.fetch_add(weight, Relaxed);
            Seat { weight, seated: Arc::clone(&seated), slots: 4 }
        };
        let alone = seat(1);
        assert_eq!(alone.share(), 4);
        let heavy = seat(3);
        assert_eq!((alone.share(), heavy.share()), (1, 3));
        let many: Vec<Seat> = (0..12).map(|_| seat(1)).collect();
        assert!(many.iter().all(|s| s.share() == 1));
        drop((many, heavy));
        assert_eq!(alone.share(), 4);
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
