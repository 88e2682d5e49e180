//! One configured stream at work: its source, its loop, and the outputs that share its encoder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::encoded::Encoded;
use crate::monitor::config::{CredentialsFrom, Link, RecordConfig, StreamConfig};
use crate::stream::live::{Live, LiveHandle, LiveSettings, Meters, ModelError, Models, Output, Pace};
use crate::stream::{EventLog, StreamError};
use crate::video::live::{
    Address, Broadcast, Credentials, EncoderOptions, Jpegs, Keep, LiveOptions, LiveSource, Mount, OutputHealth,
    PushOptions, Pusher, RecordCounters, RecordOptions, Recorder, Retry, RtspServer,
};
use crate::video::{Description, FrameFormat, VideoError};

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

impl Written {
    /// Counts another's work as its own.
    pub fn add(&mut self, other: Self) {
        let (own, record) = (&mut self.record, other.record);
        own.files += record.files;
        own.removed += record.removed;
        own.packets += record.packets;
        own.dropped += record.dropped;
        own.failures += record.failures;
        self.push_failures += other.push_failures;
    }
}

/// A stream at work.
pub struct Station {
    live: Live,
    outlets: Outlets,
    /// Hangs up when the encoder has ended.
    encoded: Receiver<()>,
}

/// What takes the encoded pictures. They subscribe before the first frame and outlast the loop.
#[derive(Default)]
struct Outlets {
    mounts: Vec<Mount>,
    pushers: Vec<Pusher>,
    recorder: Option<Recorder>,
}

/// How long the end of the encoder is waited for before what takes its packets ends.
const ENCODER_ENDS: Duration = Duration::from_millis(1200);
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
        let (ends, encoded) = bounded(0);
        let open = move |format: &Arc<FrameFormat>, broadcast: &Broadcast| {
            let encoded = Encoded::new(Arc::clone(format), broadcast.clone(), encoder, counted, ends);
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
        // Before the source: of a file that is played in real time the beginning would be lost.
        let _model = models.get(None)?;
        let live = Live::start(LiveSource::start(address, options)?, models, settings)?;
        match Outlets::open(name, config, live.handle().broadcast(), workshop) {
            Ok(outlets) => Ok(Self { live, outlets, encoded }),
            Err(e) => {
                live.handle().stop();
                // The camera is free again for the next attempt.
                let _ = live.join();
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

    /// Ends it properly: what is recorded is whole. Tells what its outputs have done, and what stopped it before, if
    /// anything did.
    pub fn stop(self) -> (Written, Result<(), StreamError>) {
        self.live.handle().stop();
        // What is recorded ends with the encoder, and waits for nothing else that the loop lets go of.
        let _ = self.encoded.recv_timeout(ENCODER_ENDS);
        let written = self.written();
        let Self { live, outlets, .. } = self;
        let outcome = std::thread::scope(|scope| {
            scope.spawn(move || outlets.finish());
            live.join()
        });
        (written, outcome)
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
    let first = config.retry_first.unwrap_or(defaults.retry.first);
    let options = LiveOptions {
        size: config.size.map(|s| (u32::try_from(s.width).unwrap_or(0), u32::try_from(s.height).unwrap_or(0))),
        fps: config.fps,
        transport: config.transport.unwrap_or(defaults.transport),
        latency: config.latency.unwrap_or(defaults.latency),
        credentials,
        tls_insecure: config.tls_insecure,
        silence: config.silence.map_or(defaults.silence, |limit| limit.duration()),
        retry: Retry { first, most: config.retry_most.unwrap_or(defaults.retry.most.max(first)), ..defaults.retry },
        repeat: config.repeat,
        realtime: config.realtime,
        keep: if config.pace == Pace::Every { Keep::All(KEEP) } else { Keep::Newest },
        description: workshop.description.clone(),
        ..defaults
    };
    Ok((address, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_pause_that_is_said_alone_holds() {
        let description = Description::built_in().unwrap();
        let workshop = Workshop { description, encoder: EncoderOptions::new().unwrap(), snapshots: PathBuf::new() };
        let mut config = StreamConfig::new("test".parse().unwrap());
        let retry = |config: &StreamConfig| source_of(config, &workshop).unwrap().1.retry;
        assert_eq!(retry(&config), Retry::default());
        config.retry_first = Some(Duration::from_secs(30));
        assert_eq!(retry(&config).most, Duration::from_secs(30));
        config.retry_most = Some(Duration::from_secs(60));
        assert_eq!(retry(&config).most, Duration::from_secs(60));
    }
}
