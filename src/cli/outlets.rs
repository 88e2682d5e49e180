//! Flags that `live` and `watch` share: how a source is read, and where its pictures go.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _};
use gradcast::classifier::Size;
use gradcast::monitor::Workshop;
use gradcast::monitor::config::{
    Config, CredentialsFrom, FirstPause, HttpConfig, Keep, Latency, Limit, Link, Listen, LongestPause, ModelConfig,
    RecordConfig, Secret, Segment, StreamConfig,
};
use gradcast::stream::live::Pace;
use gradcast::video::Description;
use gradcast::video::live::{EncoderOptions, Transport};

use super::failure::Failure;
use super::flags::{ModelArgs, PictureArgs};

/// All that is said of a stream on the command line.
#[derive(clap::Args)]
pub struct StreamArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    picture: PictureArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    outlets: OutletArgs,

    /// Replace keys of the built-in GStreamer launch descriptions (see pipelines/)
    #[arg(long, value_name = "FILE.toml", help_heading = "Outputs")]
    pipeline: Option<PathBuf>,
}

/// What the built-in model is called in the configuration that is made of a command line.
const BUILT_IN: &str = "shapes";

impl StreamArgs {
    /// Says it of every stream of a configuration.
    ///
    /// # Errors
    /// Where two of the flags contradict each other.
    pub fn lay_on(&self, config: &mut Config) -> Result<(), Failure> {
        let Self { model, picture, source, pace, outlets, .. } = self;
        if let (Some(first), Some(most)) = (source.retry_first, source.retry_most)
            && first.0 > most.0
        {
            return Err(Failure::usage("--retry-most is shorter than --retry-first", "give a longer --retry-most"));
        }
        if outlets.keep.is_some_and(|keep| keep.0 < outlets.segment.0) {
            return Err(Failure::usage(
                "--keep is shorter than --segment",
                "give a longer --keep or a shorter --segment",
            ));
        }
        if !source.realtime && !outlets.is_empty() {
            let what = "--realtime=false reads a file faster than anybody can watch it: only --events goes with it";
            return Err(Failure::usage(what, "leave it out, or use `gradcast annotate` to make a video"));
        }
        let file = model.model.as_deref().and_then(Path::file_stem);
        let model_name = file.map_or_else(|| BUILT_IN.to_owned(), |stem| stem.to_string_lossy().into_owned());
        for (name, stream) in &mut config.streams {
            (stream.look, stream.model) = (picture.look(), Some(model_name.clone()));
            source.lay_on(stream);
            pace.lay_on(stream);
            outlets.lay_on(name, stream);
            if let Some(RecordConfig { dir, .. }) = &stream.record {
                std::fs::create_dir_all(dir).map_err(|e| {
                    let what = format!("{} cannot be recorded into: {e}", dir.display());
                    Failure::usage(what, "choose another folder for --record")
                })?;
            }
        }
        config.models.insert(
            model_name,
            ModelConfig { path: model.model.clone(), flags: model.flags.clone(), ..ModelConfig::default() },
        );
        config.http = outlets.http();
        Ok(())
    }

    /// Looks at what was typed, and not said by the environment: `given` is the command line as it was parsed.
    ///
    /// # Errors
    /// Where a flag would do nothing.
    pub fn check(&self, given: Option<&ArgMatches>) -> Result<(), Failure> {
        let typed = given.and_then(|given| given.value_source("token")) == Some(ValueSource::CommandLine);
        if typed && self.outlets.http.is_none() {
            return Err(Failure::usage("--token is for the console, and there is none", "add --http ADDRESS:PORT"));
        }
        Ok(())
    }

    /// What all streams share.
    ///
    /// # Errors
    /// Where the description of `--pipeline` is not understood.
    pub fn workshop(&self) -> Result<Workshop, Failure> {
        let description = self.pipeline.as_deref().map_or_else(Description::built_in, Description::load)?;
        let encoder = EncoderOptions { description: description.clone(), ..EncoderOptions::new()? };
        Ok(Workshop { description, encoder, snapshots: PathBuf::from(".") })
    }

    /// Whether no picture would be seen without a window, and one is to be seen.
    pub fn wants_window(&self) -> bool {
        self.outlets.is_empty() && self.outlets.events.is_none() && self.source.realtime
    }

    /// The first flag of these on a command line. `--pipeline` is none: it is of all streams.
    pub fn said_in(given: &ArgMatches) -> Option<String> {
        let said = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine) && id != "pipeline";
        let flags = Self::augment_args(clap::Command::new("stream"));
        let said = flags.get_arguments().filter(|flag| said(flag.get_id().as_str()));
        said.filter_map(|flag| flag.get_long()).next().map(|name| format!("--{name}"))
    }

    /// With several streams, what all of them would write to.
    pub fn shared_target(&self) -> Option<String> {
        let OutletArgs { events, publish, push, .. } = &self.outlets;
        let file = events.iter().map(|path| path.display().to_string());
        let links = publish.iter().chain(push).map(Link::to_string);
        file.chain(links).find(|target| !target.contains("{name}"))
    }
}

/// How a source is read.
#[derive(clap::Args)]
#[command(next_help_heading = "Source")]
struct SourceArgs {
    /// Size to ask a camera for; other sources are scaled to it
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,

    /// Frames per second to ask a camera for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=240))]
    fps: Option<u32>,

    /// How RTP packets travel [default: tcp]
    #[arg(long, value_enum)]
    transport: Option<Transport>,

    /// How long RTP packets wait for those before them [default: 200ms]
    #[arg(long, value_name = "TIME")]
    latency: Option<Latency>,

    /// Connect anew after so long without a picture; "off" for cameras that send only on motion [default: 5s]
    #[arg(long, value_name = "TIME|off")]
    silence: Option<Limit>,

    /// First pause before an absent source is tried again [default: 250ms]
    #[arg(long, value_name = "TIME")]
    retry_first: Option<FirstPause>,

    /// Longest pause, to which the first one grows [default: 1s]
    #[arg(long, value_name = "TIME")]
    retry_most: Option<LongestPause>,

    /// A file whose first line is user:password (or set GRADCAST_USER and GRADCAST_PASSWORD)
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,

    /// Take any certificate of a camera behind rtsps:// or https://
    #[arg(long)]
    tls_insecure: bool,

    /// Begin a file again at its end
    #[arg(long)]
    repeat: bool,

    /// Play a file at its own pace; false: as fast as it is read, for --events with --pace every
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set,
          default_value_t = true, default_missing_value = "true", hide_possible_values = true)]
    realtime: bool,
}

/// Which frames are explained.
#[derive(clap::Args)]
#[command(next_help_heading = "Pace")]
struct PaceArgs {
    /// Which frames wait for a map
    #[arg(long, value_enum, default_value_t)]
    pace: Pace,

    /// Explain one frame in so many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    every: u32,
}

/// Where the pictures go, any number at once. {name} stands for the stream's name.
#[derive(clap::Args)]
#[command(next_help_heading = "Outputs")]
struct OutletArgs {
    /// Publish on an RTSP server of our own, as rtsp://127.0.0.1:8554/cam
    #[arg(long, value_name = "URL")]
    publish: Vec<Link>,

    /// Push to another RTSP server
    #[arg(long, value_name = "URL")]
    push: Vec<Link>,

    /// Serve the web console, as 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<Listen>,

    /// What the console asks for; needed for addresses that others can reach
    #[arg(long, value_name = "TOKEN", env = "GRADCAST_TOKEN", hide_env_values = true)]
    token: Option<Secret>,

    /// Record into files in this folder
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// Length of a recorded file
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "record")]
    segment: Segment,

    /// Remove recorded files of this age
    #[arg(long, value_name = "TIME", requires = "record")]
    keep: Option<Keep>,

    /// Remove the oldest recordings in the folder when they take more, as 20GB
    #[arg(long, value_name = "BYTES", requires = "record")]
    keep_bytes: Option<bytesize::ByteSize>,

    /// Write one JSON object per frame: predictions, and where the heat is
    #[arg(long, value_name = "FILE.jsonl")]
    events: Option<PathBuf>,

    /// H.264 encoder of what is published, pushed, recorded and shown in browsers: x264, openh264, nvh264, vah264 or
    /// v4l2h264 [default: x264]
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,

    /// Quality of it, 0 (worst) to 100 (best) [default: 70]
    #[arg(long, value_name = "0..100", value_parser = clap::value_parser!(u8).range(0..=100))]
    quality: Option<u8>,

    /// Where snapshots go [default: here]
    #[arg(long, value_name = "DIR")]
    snapshots: Option<PathBuf>,
}

impl SourceArgs {
    fn lay_on(&self, stream: &mut StreamConfig) {
        stream.size = self.size;
        stream.fps = self.fps;
        stream.transport = self.transport;
        stream.latency = self.latency.map(|time| time.0);
        stream.silence = self.silence;
        stream.retry_first = self.retry_first.map(|pause| pause.0);
        stream.retry_most = self.retry_most.map(|pause| pause.0);
        stream.credentials = self.credentials_file.clone().map(CredentialsFrom::File);
        stream.tls_insecure = self.tls_insecure;
        stream.repeat = self.repeat;
        stream.realtime = self.realtime;
    }
}

impl PaceArgs {
    fn lay_on(&self, stream: &mut StreamConfig) {
        (stream.pace, stream.every) = (self.pace, self.every);
    }
}

impl OutletArgs {
    /// Whether any picture would be seen.
    fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.push.is_empty() && self.http.is_none() && self.record.is_none()
    }

    fn lay_on(&self, name: &str, stream: &mut StreamConfig) {
        let path = |path: &Path| PathBuf::from(path.to_string_lossy().replace("{name}", name));
        stream.publish = self.publish.iter().map(|link| link.named(name)).collect();
        stream.push = self.push.iter().map(|link| link.named(name)).collect();
        stream.record = self.record.as_deref().map(|dir| RecordConfig {
            dir: path(dir),
            segment: self.segment.0,
            keep: self.keep.map(|age| age.0),
            keep_bytes: self.keep_bytes.map(|b| b.as_u64()),
        });
        stream.events = self.events.as_deref().map(path);
        stream.encoder.clone_from(&self.encoder);
        stream.quality = self.quality;
        stream.snapshots = self.snapshots.as_deref().map(path);
    }

    fn http(&self) -> Option<HttpConfig> {
        self.http.map(|Listen(listen)| HttpConfig { listen, token: self.token.clone() })
    }
}
