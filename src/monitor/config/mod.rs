//! The configuration of `gradcast watch`: streams, models, the console, the log. Plain data; how it is
//! read is in [`read`].

mod error;
mod read;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

pub use error::ConfigError;
pub use values::{FirstPause, Keep, Latency, Limit, Link, Listen, LongestPause, Secret, Segment};

use crate::classifier::{ModelFlags, Size};
use crate::paint::{Look, Style};
use crate::stream::live::Pace;
use crate::video::Description;
use crate::video::live::Transport;

/// All that `gradcast watch` is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub models: BTreeMap<String, ModelConfig>,
    /// Never empty.
    pub streams: BTreeMap<String, StreamConfig>,
    /// `None`: no web console.
    pub http: Option<HttpConfig>,
    pub log: LogConfig,
}

/// A model that streams refer to by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelConfig {
    /// `None`: the built-in model.
    pub path: Option<PathBuf>,
    pub flags: ModelFlags,
    /// Its files as they were when the configuration was read: one that was replaced makes another model. Those that only
    /// the model itself names are known once it was loaded.
    pub files: BTreeMap<PathBuf, Stamp>,
}

impl ModelConfig {
    /// Looks at its files again.
    pub(super) fn look_again(&mut self) {
        self.files.iter_mut().for_each(|(path, known)| *known = stamp(path));
    }

    /// Looks at these as well.
    pub(super) fn look_also_at(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        for path in files {
            self.files.entry(path).or_insert_with_key(|path| stamp(path));
        }
    }
}

/// What tells a file from the one that took its place: when it was written, and its length in bytes. `None`: it is not
/// there.
pub type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// One stream. What is `None` is left to the part that it concerns.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// The source: `0`, `/dev/video0`, a URL, a file, `test`.
    pub url: Link,
    /// Credentials that are not in the URL.
    pub credentials: Option<CredentialsFrom>,
    /// The file with the credentials, as it was when the configuration was read.
    pub credentials_stamp: Stamp,
    /// Whether a TLS certificate that nobody vouches for will do.
    pub tls_insecure: bool,
    pub transport: Option<Transport>,
    /// How long packets wait for those before them.
    pub latency: Option<Duration>,
    /// How long no picture may come before the connection is made anew.
    pub silence: Option<Limit>,
    /// The pauses between attempts: the first, and the longest.
    pub retry_first: Option<Duration>,
    pub retry_most: Option<Duration>,
    /// What a camera is asked for.
    pub size: Option<Size>,
    /// Frames per second that a camera is asked for.
    pub fps: Option<u32>,
    /// Whether a file begins again at its end.
    pub repeat: bool,
    /// Whether a file is played at its own pace, and not as fast as it can be read.
    pub realtime: bool,

    /// A name of [`Config::models`]; `None`: the built-in model.
    pub model: Option<String>,
    /// Each how many-th frame goes to the model, from 1.
    pub every: u32,
    /// Share of the engine against the other streams', from 1.
    pub weight: usize,
    pub pace: Pace,
    pub look: Look,

    /// Addresses of our own RTSP server.
    pub publish: Vec<Link>,
    /// Other servers that the stream is pushed to.
    pub push: Vec<Link>,
    pub record: Option<RecordConfig>,
    /// A file of JSON lines.
    pub events: Option<PathBuf>,
    /// The folder of snapshots.
    pub snapshots: Option<PathBuf>,
    /// A row of the table of live encoders.
    pub encoder: Option<String>,
    /// 0 (worst) to 100 (best).
    pub quality: Option<u8>,
}

impl StreamConfig {
    /// A stream of `url` with everything else at its default.
    pub fn new(url: Link) -> Self {
        Self {
            url,
            credentials: None,
            credentials_stamp: None,
            tls_insecure: false,
            transport: None,
            latency: None,
            silence: None,
            retry_first: None,
            retry_most: None,
            size: None,
            fps: None,
            repeat: false,
            realtime: true,
            model: None,
            every: 1,
            weight: 1,
            pace: Pace::default(),
            look: Look::default(),
            publish: Vec::new(),
            push: Vec::new(),
            record: None,
            events: None,
            snapshots: None,
            encoder: None,
            quality: None,
        }
    }

    /// Looks at its files again.
    pub(super) fn look_again(&mut self) {
        if let Some(CredentialsFrom::File(path)) = &self.credentials {
            self.credentials_stamp = stamp(path);
        }
    }

    /// Whether a stream that runs as this becomes `other` by another look alone, at the same size of the picture.
    pub fn differs_in_look(&self, other: &Self) -> bool {
        let beside = |stream: &Self| stream.look.style == Style::SideBySide;
        *self != *other && beside(self) == beside(other) && Self { look: other.look, ..self.clone() } == *other
    }

    /// Whether nothing is made of its pictures, but for what a console shows.
    pub fn is_for_nobody(&self) -> bool {
        !self.is_encoded() && self.events.is_none()
    }

    /// Whether its pictures are encoded for more than browsers, which may come or not.
    pub fn is_encoded(&self) -> bool {
        !self.publish.is_empty() || !self.push.is_empty() || self.record.is_some()
    }
}

/// Where credentials are, so that they are in no configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsFrom {
    /// A file whose first line is `user:password`.
    File(PathBuf),
    /// The name of an environment variable that holds the password.
    Environment { user: String, password: String },
}

/// A recording cut into files by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    pub dir: PathBuf,
    /// Length of a file.
    pub segment: Duration,
    /// Age at which files are removed; `None`: never.
    pub keep: Option<Duration>,
    /// Bytes of the stream's files past which the oldest are removed; `None`: no limit.
    pub keep_bytes: Option<u64>,
}

/// The web console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// Always there where others than this machine can connect.
    pub token: Option<Secret>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogConfig {
    /// `None`: as `--log-format` says.
    pub format: Option<LogFormat>,
    /// In the words of `RUST_LOG`, which goes before it.
    #[serde(default, deserialize_with = "values::log_filter")]
    pub filter: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// An object a line, for machines
    Json,
}

/// A commented example that names every key.
pub fn example() -> &'static str {
    include_str!("../example.toml")
}

/// What differs between two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names of streams, in order.
    pub added: Vec<String>,
    /// Streams whose entry or whose model is another.
    pub changed: Vec<String>,
    pub removed: Vec<String>,
    /// Sections whose changes show only after a restart.
    pub after_restart: Vec<&'static str>,
}

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Config {
    /// Reads a configuration file; relative paths in it are relative to it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        read::load(path, None)
    }

    /// As [`Config::load`], for streams that run with this description of pipelines.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_for(description: &Description, path: &Path) -> Result<Self, ConfigError> {
        read::load(path, Some(description))
    }

    /// As [`Config::load`], from text: `name` is what errors call it, `folder` where relative paths begin.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Self, ConfigError> {
        read::parse(text, name, folder, None)
    }

    /// The configuration of `gradcast watch URL…`: streams with everything at its default. They are named
    /// by the last parts of the URLs' paths, where those differ, else `cam1`, `cam2`, …
    ///
    /// # Errors
    /// Where a URL is none; it is named by its place, since it may hold a password.
    pub fn from_urls<I: IntoIterator<Item: AsRef<str>>>(urls: I) -> Result<Self, ConfigError> {
        let links: Vec<Link> = (1..)
            .zip(urls)
            .map(|(n, url)| {
                let wrong =
                    |what: String| ConfigError::plain(format!("address {n}"), what, "give URLs, or one CONFIG.toml");
                url.as_ref().parse().map_err(wrong)
            })
            .collect::<Result<_, _>>()?;
        if links.is_empty() {
            return Err(ConfigError::plain("the command line", "no stream is given", "give URLs, or one CONFIG.toml"));
        }
        let names: Option<Vec<String>> = links.iter().map(|l| l.last_part().filter(|n| is_name(n))).collect();
        let names = names
            .filter(|names| names.iter().collect::<BTreeSet<_>>().len() == names.len())
            .unwrap_or_else(|| (1..=links.len()).map(|n| format!("cam{n}")).collect());
        let streams = names.into_iter().zip(links.into_iter().map(StreamConfig::new)).collect();
        Ok(Self { streams, ..Self::default() })
    }

    /// What becomes of the streams when `new` takes the place of `old`.
    pub fn diff(old: &Self, new: &Self) -> Changes {
        let names = |of: &Self, wanted: &dyn Fn(&String) -> bool| -> Vec<String> {
            of.streams.keys().filter(|name| wanted(name)).cloned().collect()
        };
        let sections = [("http", old.http != new.http), ("log", old.log != new.log)];
        Changes {
            added: names(new, &|name| !old.streams.contains_key(name)),
            changed: names(new, &|name| old.streams.contains_key(name) && old.entry(name) != new.entry(name)),
            removed: names(old, &|name| !new.streams.contains_key(name)),
            after_restart: sections.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect(),
        }
    }

    /// Looks also at the files that models turned out to have when they were loaded.
    pub(super) fn look_also_at(&mut self, known: &BTreeMap<String, ModelConfig>) {
        for (name, model) in &mut self.models {
            if let Some(known) = known.get(name).filter(|known| known.path == model.path) {
                model.look_also_at(known.files.keys().cloned());
            }
        }
    }

    /// The model of a stream; `None`: the built-in one as it is.
    pub fn model_of(&self, stream: &StreamConfig) -> Option<&ModelConfig> {
        stream.model.as_ref().and_then(|name| self.models.get(name))
    }

    /// The same, to be changed.
    pub(super) fn model_mut(&mut self, stream: &StreamConfig) -> Option<&mut ModelConfig> {
        stream.model.as_ref().and_then(|name| self.models.get_mut(name))
    }

    /// A stream with all that decides how it runs.
    fn entry(&self, name: &str) -> Option<(&StreamConfig, Option<&ModelConfig>)> {
        self.streams.get(name).map(|stream| (stream, self.model_of(stream)))
    }
}

/// Longer names make no good file names.
const LONGEST_NAME: usize = 64;

/// The name of a stream.
///
/// # Errors
/// A sentence that says what a name is made of.
pub fn stream_name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a name is made of up to {LONGEST_NAME} letters, digits, `-`, `_` and `.`, which it does not begin with"
        )),
    }
}

/// Whether a name can stand in a URL and in a file's name as it is.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}
