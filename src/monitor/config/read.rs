//! From TOML to [`Config`]. Values remember where they stood, so that every error names its line and key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use super::error::{COMPARE, ConfigError};
use super::values::{
    Between, Bytes, FirstPause, Keep, Latency, Limit, Link, Listen, LongestPause, Secret, Segment, Share,
};
use super::{
    Config, CredentialsFrom, HttpConfig, LogConfig, ModelConfig, RecordConfig, StreamConfig, is_name, stamp,
    stream_name,
};
use crate::classifier::{ModelFlags, Size};
use crate::paint::{ColorMap, Look, Normalize, Style};
use crate::stream::live::Pace;
use crate::video::live::{Transport, mask};
use crate::video::{Description, VideoError};

/// A larger file is no configuration.
const MAX_BYTES: u64 = 1 << 20;

const SECTIONS: [&str; 5] = ["defaults", "http", "log", "models", "streams"];

/// Keys that `false` switches off, for a stream that is to do without what `[defaults]` say.
const SWITCHES: [&str; 2] = ["events", "record"];

/// Keys that stand for each other: a stream that has one inherits none of its group.
const ALTERNATIVES: [&[&str]; 1] = [&["credentials-file", "user", "password-env"]];

/// The keys of a stream and of `[defaults]`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct StreamKeys {
    url: Option<Spanned<Link>>,
    credentials_file: Option<Spanned<PathBuf>>,
    user: Option<Spanned<String>>,
    password_env: Option<Spanned<String>>,
    tls_insecure: Option<bool>,
    transport: Option<Transport>,
    latency: Option<Latency>,
    silence: Option<Limit>,
    retry_first: Option<FirstPause>,
    retry_most: Option<Spanned<LongestPause>>,
    size: Option<Size>,
    fps: Option<Between<1, 240>>,
    repeat: Option<bool>,
    realtime: Option<Spanned<bool>>,
    model: Option<Spanned<String>>,
    every: Option<Between<1, 100_000>>,
    weight: Option<Between<1, 100>>,
    pace: Option<Pace>,
    colormap: Option<ColorMap>,
    opacity: Option<Share>,
    style: Option<Style>,
    normalize: Option<Normalize>,
    label: Option<bool>,
    publish: Option<Vec<Spanned<Link>>>,
    push: Option<Vec<Spanned<Link>>>,
    record: Option<RecordKeys>,
    events: Option<Spanned<PathBuf>>,
    snapshots: Option<PathBuf>,
    encoder: Option<Spanned<String>>,
    quality: Option<Between<0, 100>>,
}

#[derive(Deserialize)]
#[serde(
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "a table such as { dir = \"recordings\" } is wanted"
)]
struct RecordKeys {
    dir: PathBuf,
    segment: Option<Segment>,
    keep: Option<Spanned<Keep>>,
    keep_bytes: Option<Bytes>,
}

const SEGMENT: std::time::Duration = std::time::Duration::from_secs(600);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct HttpKeys {
    listen: Option<Spanned<Listen>>,
    token: Option<Spanned<Secret>>,
    token_file: Option<Spanned<PathBuf>>,
}

/// The environment variable with the token of a console that has none of its own.
const TOKEN: &str = "GRADCAST_TOKEN";

/// Where the console listens: this machine alone.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

pub(super) fn load(path: &Path, description: Option<&Description>) -> Result<Config, ConfigError> {
    let name = path.display().to_string();
    let text =
        read_text(path).map_err(|e| ConfigError::plain(&name, format!("it cannot be read: {e}"), "check the path"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, &name, folder, description)
}

/// A file's text, as long as it is no longer than any of ours.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// `description`: that of the pipelines, where it is not the built-in one.
pub(super) fn parse(
    text: &str,
    name: &str,
    folder: &Path,
    description: Option<&Description>,
) -> Result<Config, ConfigError> {
    let broken = |e: VideoError| ConfigError::plain(name, e.to_string(), "this is a fault of the program");
    let built_in = description.is_none().then(Description::built_in).transpose().map_err(broken)?;
    let encoders =
        description.or(built_in.as_ref()).map_or_else(Vec::new, |d| d.live.encoders.keys().cloned().collect());
    // What could be read of a faulty text names the key of the fault.
    let (root, faults) = DeTable::parse_recoverable(text);
    let document = Document { name, text, root: root.get_ref(), folder, encoders };
    match faults.first() {
        None => document.read(),
        Some(fault) => Err(document.toml_error(fault)),
    }
}

/// A text that is TOML, for errors and relative paths.
struct Document<'a> {
    name: &'a str,
    text: &'a str,
    root: &'a DeTable<'a>,
    folder: &'a Path,
    /// The live encoders that there are.
    encoders: Vec<String>,
}

type Value<'a> = Spanned<DeValue<'a>>;
type Key<'a> = Spanned<DeString<'a>>;
type Entry<'a> = (&'a Key<'a>, &'a Value<'a>);

impl<'a> Document<'a> {
    fn read(&self) -> Result<Config, ConfigError> {
        if let Some((key, _)) = self.root.iter().find(|(key, _)| !SECTIONS.contains(&key.get_ref().as_ref())) {
            let what = format!("there is no such section: use one of {}", SECTIONS.join(", "));
            return Err(self.error(key.span(), what));
        }
        let mut models = BTreeMap::new();
        for (name, value) in self.section("models")? {
            models.insert(self.name_of(name)?, self.model(value)?);
        }
        let defaults = self.root.get("defaults");
        if let Some(defaults) = defaults
            && let Some(url) = self.read_value::<StreamKeys>(defaults.clone())?.url
        {
            return Err(self.error(url.span(), "every stream has a url of its own"));
        }
        let mut streams = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (name, value) in self.section("streams")? {
            let known = self.name_of(name)?;
            let keys = self.read_value(self.laid_over(defaults, value)?)?;
            let stream = self.stream(&known, name.span(), keys, &models, &mut taken)?;
            streams.insert(known, stream);
        }
        if streams.is_empty() {
            return Err(ConfigError::plain(self.name, "it describes no stream", "add [streams.NAME] with a url"));
        }
        let http = self.root.get("http").map(|value| self.http(value)).transpose()?;
        let log = self.root.get("log").map_or(Ok(LogConfig::default()), |value| self.read_value(value.clone()))?;
        Ok(Config { models, streams, http, log })
    }

    /// The entries of a section, which may be left out.
    fn section(&self, name: &str) -> Result<impl Iterator<Item = Entry<'a>>, ConfigError> {
        Ok(self.root.get(name).map(|value| self.table(value)).transpose()?.into_iter().flatten())
    }

    fn table<'v>(&self, value: &'v Value<'a>) -> Result<&'v DeTable<'a>, ConfigError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.error(value.span(), "a section with keys is wanted here")),
        }
    }

    /// The name of a stream or model.
    fn name_of(&self, key: &Key<'a>) -> Result<String, ConfigError> {
        stream_name(key.get_ref()).map_err(|what| self.error(key.span(), what))
    }

    fn read_value<T: DeserializeOwned>(&self, value: Value<'a>) -> Result<T, ConfigError> {
        T::deserialize(ValueDeserializer::from(value)).map_err(|e| self.toml_error(&e))
    }

    /// A stream's keys with the defaults where it is silent.
    fn laid_over(&self, defaults: Option<&Value<'a>>, stream: &Value<'a>) -> Result<Value<'a>, ConfigError> {
        let own = self.table(stream)?;
        let mut table = own.clone();
        if let Some(defaults) = defaults {
            for (key, value) in self.table(defaults)? {
                let group = ALTERNATIVES.iter().find(|group| group.contains(&key.get_ref().as_ref()));
                if !group.is_some_and(|group| group.iter().any(|other| own.contains_key(*other))) {
                    lay_under(&mut table, key, value);
                }
            }
        }
        for key in SWITCHES {
            if matches!(table.get(key).map(Spanned::get_ref), Some(DeValue::Boolean(false))) {
                table.remove(key);
            }
        }
        Ok(Spanned::new(stream.span(), DeValue::Table(table)))
    }

    fn model(&self, value: &Value<'a>) -> Result<ModelConfig, ConfigError> {
        let mut table = self.table(value)?.clone();
        let path = table.remove("path").map(|path| self.read_value::<PathBuf>(path)).transpose()?;
        let mut flags: ModelFlags = self.read_value(Spanned::new(value.span(), DeValue::Table(table)))?;
        flags.labels = flags.labels.map(|labels| self.folder.join(labels));
        let limits = [("batch", flags.batch, 256), ("threads", flags.threads, 1024)];
        for (key, number, most) in limits {
            if number.is_some_and(|n| !(1..=most).contains(&n)) {
                let span = self.table(value)?.get(key).map_or(value.span(), Spanned::span);
                return Err(self.error(span, format!("a whole number from 1 to {most} is wanted")));
            }
        }
        let path = path.map(|path| self.folder.join(path));
        let card = path.as_ref().map(|path| path.with_extension("toml"));
        let known: Vec<PathBuf> = [&path, &card, &flags.labels].into_iter().flatten().cloned().collect();
        let mut model = ModelConfig { path, flags, ..ModelConfig::default() };
        model.look_also_at(known);
        Ok(model)
    }

    /// `at` is where the stream's name stands; `taken` what other streams write to.
    fn stream(
        &self,
        name: &str,
        at: Range<usize>,
        keys: StreamKeys,
        models: &BTreeMap<String, ModelConfig>,
        taken: &mut BTreeSet<String>,
    ) -> Result<StreamConfig, ConfigError> {
        let url = keys.url.ok_or_else(|| self.error(at, "a stream wants a url"))?.into_inner();
        let credentials = self.credentials(keys.credentials_file, keys.user, keys.password_env)?;
        if let Some(model) = &keys.model
            && !models.contains_key(model.get_ref())
        {
            let there: Vec<&str> = models.keys().map(String::as_str).collect();
            let there = if there.is_empty() { "none".into() } else { there.join(", ") };
            let what = format!("there is no [models.{}]; there are: {there}", model.get_ref());
            return Err(self.error(model.span(), what));
        }
        if let (Some(first), Some(most)) = (&keys.retry_first, &keys.retry_most)
            && first.0 > most.get_ref().0
        {
            return Err(self.error(most.span(), "it is shorter than retry-first"));
        }
        let publish = self.targets(name, keys.publish, &["rtsp"], taken, |link| {
            let open = !link.is_loopback() && !link.has_credentials();
            open.then_some("anybody who reaches that address could watch: put user:password@ before the host")
        })?;
        let push = self.targets(name, keys.push, &["rtsp", "rtsps"], taken, |_| None)?;
        let events = keys.events.map(|events| {
            let path = self.path_for(name, events.get_ref());
            self.take(events.span(), &path.display(), path.display().to_string(), taken).map(|()| path)
        });
        if let Some(encoder) = &keys.encoder
            && !self.encoders.contains(encoder.get_ref())
        {
            let what =
                format!("there is no live encoder {}: choose one of {}", encoder.get_ref(), self.encoders.join(", "));
            return Err(self.error(encoder.span(), what));
        }
        if let Some(realtime) = keys.realtime.as_ref().filter(|realtime| !*realtime.get_ref())
            && (!publish.is_empty() || !push.is_empty() || keys.record.is_some())
        {
            let what = "false reads a file faster than anybody can watch it: only events go with it, and no publish, push \
                        or record, also of [defaults]";
            return Err(self.error(realtime.span(), what));
        }
        let look = Look::default();
        let credentials_stamp = match &credentials {
            Some(CredentialsFrom::File(path)) => stamp(path),
            _ => None,
        };
        Ok(StreamConfig {
            credentials,
            credentials_stamp,
            tls_insecure: keys.tls_insecure.unwrap_or(false),
            transport: keys.transport,
            latency: keys.latency.map(|l| l.0),
            silence: keys.silence,
            retry_first: keys.retry_first.map(|l| l.0),
            retry_most: keys.retry_most.map(|l| l.into_inner().0),
            size: keys.size,
            fps: keys.fps.map(|n| n.0),
            repeat: keys.repeat.unwrap_or(false),
            realtime: keys.realtime.is_none_or(Spanned::into_inner),
            model: keys.model.map(Spanned::into_inner),
            every: keys.every.map_or(1, |n| n.0),
            weight: keys.weight.map_or(1, |n| n.0 as usize),
            pace: keys.pace.unwrap_or_default(),
            look: Look {
                colormap: keys.colormap.unwrap_or(look.colormap),
                opacity: keys.opacity.map_or(look.opacity, |share| share.0),
                style: keys.style.unwrap_or(look.style),
                normalize: keys.normalize.unwrap_or(look.normalize),
                label: keys.label.unwrap_or(look.label),
            },
            publish,
            push,
            record: keys.record.map(|record| self.record(name, record)).transpose()?,
            events: events.transpose()?,
            encoder: keys.encoder.map(Spanned::into_inner),
            quality: keys.quality.and_then(|n| u8::try_from(n.0).ok()),
            snapshots: keys.snapshots.map(|dir| self.path_for(name, &dir)),
            ..StreamConfig::new(url.in_folder(self.folder))
        })
    }

    fn credentials(
        &self,
        file: Option<Spanned<PathBuf>>,
        user: Option<Spanned<String>>,
        password: Option<Spanned<String>>,
    ) -> Result<Option<CredentialsFrom>, ConfigError> {
        match (file, user, password) {
            (None, None, None) => Ok(None),
            (Some(file), None, None) => Ok(Some(CredentialsFrom::File(self.folder.join(file.into_inner())))),
            (None, Some(user), Some(password)) => {
                let (user, password) = (user.into_inner(), password.into_inner());
                Ok(Some(CredentialsFrom::Environment { user, password }))
            }
            (Some(file), ..) => Err(self.error(file.span(), "it goes without user and password-env")),
            (None, Some(only), None) => Err(self.error(only.span(), "password-env is wanted with it")),
            (None, None, Some(only)) => Err(self.error(only.span(), "user is wanted with it")),
        }
    }

    /// Addresses that a stream goes to, with its name filled in, each its own.
    fn targets(
        &self,
        name: &str,
        links: Option<Vec<Spanned<Link>>>,
        schemes: &[&str],
        taken: &mut BTreeSet<String>,
        wrong: impl Fn(&Link) -> Option<&'static str>,
    ) -> Result<Vec<Link>, ConfigError> {
        let mut targets = Vec::new();
        for link in links.unwrap_or_default() {
            let span = link.span();
            let link = link.into_inner().named(name);
            if !link.scheme().is_some_and(|scheme| schemes.contains(&scheme.as_str())) {
                let schemes: Vec<String> = schemes.iter().map(|s| format!("{s}://")).collect();
                return Err(self.error(span, format!("{link} does not begin with {}", schemes.join(" or "))));
            }
            if let Some(what) = wrong(&link) {
                return Err(self.error(span, what));
            }
            self.take(span, &link, link.expose().to_owned(), taken)?;
            targets.push(link);
        }
        Ok(targets)
    }

    /// Claims something that only one stream can write to.
    fn take(
        &self,
        span: Range<usize>,
        shown: &dyn Display,
        whole: String,
        taken: &mut BTreeSet<String>,
    ) -> Result<(), ConfigError> {
        if taken.insert(whole) {
            return Ok(());
        }
        Err(self.error(span, format!("{shown} is written to twice: put {{name}} into it, which stands for the stream")))
    }

    fn record(&self, name: &str, keys: RecordKeys) -> Result<RecordConfig, ConfigError> {
        let segment = keys.segment.map_or(SEGMENT, |l| l.0);
        if let Some(keep) = keys.keep.as_ref().filter(|keep| keep.get_ref().0 < segment) {
            let segment = humantime::format_duration(segment);
            return Err(self.error(keep.span(), format!("it is shorter than a segment, which lasts {segment}")));
        }
        Ok(RecordConfig {
            dir: self.path_for(name, &keys.dir),
            segment,
            keep: keys.keep.map(|keep| keep.into_inner().0),
            keep_bytes: keys.keep_bytes.map(|b| b.0),
        })
    }

    fn http(&self, value: &Value<'a>) -> Result<HttpConfig, ConfigError> {
        let keys: HttpKeys = self.read_value(value.clone())?;
        let token = match (keys.token, keys.token_file) {
            (Some(_), Some(file)) => return Err(self.error(file.span(), "it goes without token")),
            (Some(token), None) => Some(token.into_inner()),
            (None, Some(file)) => Some(self.token_in(&file)?),
            (None, None) => self.token_said(value.span())?,
        };
        let listen = keys.listen.as_ref().map_or(LISTEN, |listen| listen.get_ref().0);
        if let Some(open) = keys.listen.filter(|l| !l.get_ref().0.ip().is_loopback())
            && token.is_none()
        {
            return Err(self.error(
                open.span(),
                "others can connect to that address: a token or token-file is wanted, or GRADCAST_TOKEN",
            ));
        }
        Ok(HttpConfig { listen, token })
    }

    /// What the environment says where the configuration is silent.
    fn token_said(&self, section: Range<usize>) -> Result<Option<Secret>, ConfigError> {
        let said = std::env::var(TOKEN).ok().filter(|said| !said.is_empty());
        said.map(|said| said.parse().map_err(|what| self.error(section, format!("{TOKEN}: {what}")))).transpose()
    }

    fn token_in(&self, file: &Spanned<PathBuf>) -> Result<Secret, ConfigError> {
        let path = self.folder.join(file.get_ref());
        let text = read_text(&path).map_err(|e| self.error(file.span(), format!("it cannot be read: {e}")))?;
        text.lines().next().unwrap_or_default().parse().map_err(|what: String| self.error(file.span(), what))
    }

    /// A path with the stream's name filled in, relative to the file.
    fn path_for(&self, name: &str, path: &Path) -> PathBuf {
        self.folder.join(path.to_string_lossy().replace("{name}", name))
    }

    fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        match error.span() {
            Some(span) => self.error(span, error.message()),
            None => ConfigError::plain(self.name, mask(error.message()), COMPARE),
        }
    }

    fn error(&self, at: Range<usize>, what: impl AsRef<str>) -> ConfigError {
        let before = self.text.as_bytes().iter().take(at.start);
        ConfigError {
            file: self.name.to_owned(),
            line: Some(1 + before.filter(|b| **b == b'\n').count()),
            key: key_at(self.root, at.start).map_or_else(|| self.word_before(at.start), |(_, key)| mask(&key)),
            what: mask(what.as_ref()),
            hint: COMPARE,
        }
    }

    /// The key that a faulty line begins with, where there is one.
    fn word_before(&self, place: usize) -> String {
        let start = self.text.get(..place).and_then(|t| t.rfind('\n')).map_or(0, |end| end + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let key = line.split_once('=').map_or("", |(key, _)| key.trim());
        if is_name(key) { key.to_owned() } else { String::new() }
    }
}

/// Adds a key where there is none; tables are merged.
fn lay_under<'a>(table: &mut DeTable<'a>, key: &Key<'a>, value: &Value<'a>) {
    match (table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.get_ref()) {
        (None, _) => {
            table.insert(key.clone(), value.clone());
        }
        (Some(DeValue::Table(there)), DeValue::Table(below)) => {
            for (key, value) in below {
                lay_under(there, key, value);
            }
        }
        (Some(_), _) => {}
    }
}

/// The dotted key that a place in the text belongs to, and how wide its key or value is: the narrowest
/// one that holds the place.
fn key_at(table: &DeTable<'_>, place: usize) -> Option<(usize, String)> {
    let mut found: Option<(usize, String)> = None;
    for (key, value) in table {
        let own = [key.span(), value.span()].into_iter().filter(|s| s.contains(&place)).map(|s| s.len()).min();
        let below = match value.get_ref() {
            DeValue::Table(table) => {
                key_at(table, place).map(|(width, rest)| (width, format!("{}.{rest}", key.get_ref())))
            }
            _ => None,
        };
        for candidate in own.map(|width| (width, key.get_ref().to_string())).into_iter().chain(below) {
            if found.as_ref().is_none_or(|(width, _)| candidate.0 <= *width) {
                found = Some(candidate);
            }
        }
    }
    found
}
