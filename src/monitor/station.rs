//! One configured stream at work: its source, its loop, and the outputs that share its encoder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::monitor::config::{CredentialsFrom, Link, RecordConfig, StreamConfig};
use crate::stream::live::{Live, LiveHandle, LiveSettings, Meters, ModelError, Models, Output, Pace};
use crate::stream::{EventLog, StreamError};
use crate::video::live::{
    Address, Broadcast, Credentials, EncoderOptions, Jpegs, Keep, LiveEncoder, LiveOptions, LiveSource, Mount,
    OutputHealth, PushOptions, Pusher, RecordCounters, RecordOptions, Recorder, Retry, RtspServer,
};
use crate::video::{Description, Frame, FrameFormat, VideoError};

/// Why a stream cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Video(#[from] VideoError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Opens an output that only this command has: the window.
pub type OpenExtra = Box<dyn FnOnce(&Arc<FrameFormat>) -> Result<Box<dyn Output>, StreamError> + Send>;

/// What all streams of a monitor share.
#[derive(Clone)]
pub struct Workshop {
    pub description: Description,
    pub encoder: EncoderOptions,
    /// Snapshots of streams that name no folder.
    pub snapshots: PathBuf,
}

/// What the outputs of a stream have counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub record: RecordCounters,
    pub push_failures: u64,
}

/// A stream at work.
pub struct Station {
    live: Live,
    outlets: Outlets,
}

/// What takes the encoded pictures. They subscribe before the first frame and outlast the loop.
#[derive(Default)]
struct Outlets {
    mounts: Vec<Mount>,
    pushers: Vec<Pusher>,
    recorder: Option<Recorder>,
}

/// Frames that wait at the pace `every`.
const KEEP: usize = 4;

impl Station {
    /// Starts a stream.
    ///
    /// # Errors
    /// What no other attempt would mend: wrong words, a model that does not run, an address that is taken.
    pub fn start(
        name: &str,
        config: &StreamConfig,
        models: &Arc<Models>,
        meters: Meters,
        workshop: &Workshop,
        extra: Option<OpenExtra>,
    ) -> Result<Self, StartError> {
        let (address, options) = source_of(config, workshop)?;
        let events = config.events.as_deref().map(EventLog::append).transpose()?;
        let encoder = EncoderOptions {
            encoder: config.encoder.clone().or_else(|| workshop.encoder.encoder.clone()),
            quality: config.quality.or(workshop.encoder.quality),
            ..workshop.encoder.clone()
        };
        if config.is_encoded() {
            encoder.check()?;
        }
        let counted = meters.clone();
        let open = move |format: &Arc<FrameFormat>, broadcast: &Broadcast| {
            let encoded = Encoded::new(Arc::clone(format), broadcast.clone(), encoder, counted);
            let mut outputs: Vec<Box<dyn Output>> = vec![Box::new(encoded)];
            outputs.extend(extra.map(|extra| extra(format)).transpose()?);
            Ok(outputs)
        };
        let settings = LiveSettings {
            name: name.to_owned(),
            look: config.look,
            pace: config.pace,
            every: u64::from(config.every),
            weight: config.weight,
            events,
            meters,
            snapshots: config.snapshots.clone().unwrap_or_else(|| workshop.snapshots.clone()),
            jpegs: Jpegs::new(None, &workshop.description)?,
            open: Box::new(open),
        };
        let live = Live::start(LiveSource::start(address, options)?, models, settings)?;
        match Outlets::open(name, config, live.handle().broadcast(), workshop) {
            Ok(outlets) => Ok(Self { live, outlets }),
            Err(e) => {
                live.handle().stop();
                Err(e.into())
            }
        }
    }

    /// The stream as others see it.
    pub fn handle(&self) -> &LiveHandle {
        self.live.handle()
    }

    /// What is wrong with its outputs.
    pub fn trouble(&self) -> Option<String> {
        self.outlets.trouble()
    }

    /// What its outputs have done.
    pub fn written(&self) -> Written {
        Written {
            record: self.outlets.recorder.as_ref().map(Recorder::counters).unwrap_or_default(),
            push_failures: self.outlets.pushers.iter().map(Pusher::failures).sum(),
        }
    }

    /// Whether its loop has ended by itself.
    pub fn is_finished(&self) -> bool {
        self.live.is_finished()
    }

    /// Ends it properly: what is recorded is whole.
    ///
    /// # Errors
    /// What stopped it before, if anything did.
    pub fn stop(self) -> Result<(), StreamError> {
        self.live.handle().stop();
        let outcome = self.live.join();
        self.outlets.finish();
        outcome
    }
}

impl Outlets {
    fn open(name: &str, config: &StreamConfig, broadcast: &Broadcast, workshop: &Workshop) -> Result<Self, VideoError> {
        let description = &workshop.description;
        let mount = |url: &Link| RtspServer::mount(url.expose(), broadcast, description);
        let push = |url: &Link| {
            let options = PushOptions { description: description.clone(), ..PushOptions::new()? };
            Pusher::start(url.expose(), broadcast, options)
        };
        let record = |record: &RecordConfig| {
            let RecordConfig { segment, keep, keep_bytes, .. } = *record;
            let description = description.clone();
            let options = RecordOptions { segment, keep, keep_bytes, description, ..RecordOptions::new(&record.dir)? };
            Recorder::start(name, broadcast, options)
        };
        Ok(Self {
            mounts: config.publish.iter().map(mount).collect::<Result<_, _>>()?,
            pushers: config.push.iter().map(push).collect::<Result<_, _>>()?,
            recorder: config.record.as_ref().map(record).transpose()?,
        })
    }

    /// What is wrong with any of them.
    fn trouble(&self) -> Option<String> {
        let recording = self.recorder.as_ref().map(|r| ("the recording", r.health()));
        let pushing = self.pushers.iter().map(|p| (p.url(), p.health()));
        recording.into_iter().chain(pushing).find_map(|(what, health)| match health {
            OutputHealth::Down { said, .. } => Some(format!("{what}: {said}")),
            _ => None,
        })
    }

    /// All at once: the slowest decides how long the end takes.
    fn finish(self) {
        let Self { mounts, pushers, recorder } = self;
        std::thread::scope(|scope| {
            scope.spawn(move || drop(recorder));
            for pusher in pushers {
                scope.spawn(move || drop(pusher));
            }
            drop(mounts);
        });
    }
}

/// What a configuration says of a source.
fn source_of(config: &StreamConfig, workshop: &Workshop) -> Result<(Address, LiveOptions), VideoError> {
    let address: Address = config.url.expose().parse()?;
    let defaults = LiveOptions::new()?;
    let credentials = match &config.credentials {
        Some(CredentialsFrom::File(path)) => Some(Credentials::from_file(path)?),
        Some(CredentialsFrom::Environment { user, password }) => {
            let value = std::env::var(password).map_err(|e| {
                VideoError::usage(format!("the environment variable {password} cannot be read: {e}"), "set it")
            })?;
            Some(Credentials::new(user, value))
        }
        None => Credentials::from_environment(),
    };
    let options = LiveOptions {
        size: config.size.map(|s| (u32::try_from(s.width).unwrap_or(0), u32::try_from(s.height).unwrap_or(0))),
        fps: config.fps,
        transport: config.transport.unwrap_or(defaults.transport),
        latency: config.latency.unwrap_or(defaults.latency),
        credentials,
        tls_insecure: config.tls_insecure,
        silence: config.silence.map_or(defaults.silence, |limit| limit.duration()),
        retry: Retry {
            first: config.retry_first.unwrap_or(defaults.retry.first),
            most: config.retry_most.unwrap_or(defaults.retry.most),
            ..defaults.retry
        },
        repeat: config.repeat,
        realtime: config.realtime,
        keep: if config.pace == Pace::Every { Keep::All(KEEP) } else { Keep::Newest },
        description: workshop.description.clone(),
        ..defaults
    };
    Ok((address, options))
}

/// The encoder as an output. It is started for the first who takes its packets, works only while somebody does, and is
/// started again when it fails.
struct Encoded {
    encoder: Option<LiveEncoder>,
    format: Arc<FrameFormat>,
    broadcast: Broadcast,
    options: EncoderOptions,
    meters: Meters,
    failed: Option<String>,
    /// Not before this moment is it started again.
    again: Option<Instant>,
    pace: Behind,
}

/// Pause before an encoder that failed is started again.
const ENCODER_RETRY: Duration = Duration::from_secs(5);

impl Encoded {
    fn new(format: Arc<FrameFormat>, broadcast: Broadcast, options: EncoderOptions, meters: Meters) -> Self {
        let pace = Behind::default();
        Self { encoder: None, format, broadcast, options, meters, failed: None, again: None, pace }
    }

    /// The encoder, started where it does not run.
    fn encoder(&mut self) -> Option<&LiveEncoder> {
        if self.encoder.is_none() && self.again.is_none_or(|at| at <= Instant::now()) {
            match LiveEncoder::start_into(&self.broadcast, &self.format, &self.options) {
                Ok(encoder) => self.encoder = Some(encoder),
                Err(e) => self.fail(e.to_string()),
            }
        }
        self.encoder.as_ref()
    }

    fn fail(&mut self, why: String) {
        self.failed = Some(why);
        self.again = Some(Instant::now() + ENCODER_RETRY);
        if let Some(old) = self.encoder.take() {
            // Beside the video: its end may take as long as it hangs.
            let _ = std::thread::Builder::new().name("encoder-end".into()).spawn(move || drop(old));
        }
    }
}

impl Output for Encoded {
    fn push(&mut self, frame: &Frame) {
        if self.broadcast.subscribers() == 0 {
            self.pace = Behind::default();
            return self.broadcast.rest();
        }
        self.format = Arc::clone(frame.format());
        let Some(encoder) = self.encoder() else {
            self.meters.encoder_behind.inc();
            return;
        };
        let (taken, took) = (encoder.push(frame.clone()), encoder.took());
        self.pace.count(taken);
        if !taken {
            self.meters.encoder_behind.inc();
        }
        if let Some(took) = took {
            self.meters.encode.observe(took.as_secs_f64());
            self.failed = None;
        }
    }

    fn trouble(&mut self) -> Option<String> {
        if let Some(e) = self.encoder.as_ref().and_then(LiveEncoder::failed) {
            self.fail(e.to_string());
        }
        self.failed.clone().or_else(|| self.pace.trouble())
    }

    fn finish(self: Box<Self>) {
        match self.encoder {
            Some(encoder) => encoder.finish(),
            None => self.broadcast.end(),
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

    fn trouble(&self) -> Option<String> {
        let said = "the encoder is behind and drops frames: choose a smaller --size or a lower --quality";
        (self.share > Self::MUCH).then(|| said.to_owned())
    }
}
