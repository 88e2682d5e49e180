//! Values as people write them: durations, sizes, addresses, secrets. Each refuses what makes no
//! sense, in words that show what would.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use url::Url;

use crate::video::live::{has_ending, is_loopback, mask, split_credentials};

/// Reads a value from a text in quotes. What was there instead is never quoted: it may be a secret.
fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from).map_err(|_| D::Error::custom("a text in quotes is wanted"))?;
    text.parse().map_err(D::Error::custom)
}

/// An address that people write: a source, or where a stream goes. It may hold credentials, so neither
/// `Debug` nor `Display` shows them; [`Link::expose`] does.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Link(String);

/// Schemes that something of ours opens, reads or serves.
const SCHEMES: [&str; 5] = ["rtsp", "rtsps", "http", "https", "file"];

impl Link {
    /// The address with its credentials.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part before `://`, in lower case; `None` for a device, a file or `test`.
    pub fn scheme(&self) -> Option<String> {
        self.0.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())
    }

    /// Whether it holds a user name or a password.
    pub fn has_credentials(&self) -> bool {
        self.0.split_once("://").is_some_and(|(_, rest)| split_credentials(rest).0.is_some())
    }

    /// Whether it names this machine and can be reached from this machine only.
    pub fn is_loopback(&self) -> bool {
        self.url().as_ref().and_then(Url::host).is_some_and(|host| is_loopback(&host))
    }

    /// The last part of its path, without an extension of a file; `None` where it has none.
    pub(super) fn last_part(&self) -> Option<String> {
        let path = match self.url() {
            Some(url) => url.path().to_owned(),
            None if self.0.contains('/') || self.0.contains('.') => self.0.clone(),
            None => return None,
        };
        let last = path.trim_end_matches('/').rsplit('/').next().filter(|last| !last.is_empty())?;
        Some(last.rsplit_once('.').map_or(last, |(stem, _)| stem).to_owned())
    }

    /// The address without its credentials, where it is a URL.
    fn url(&self) -> Option<Url> {
        let (scheme, rest) = self.0.split_once("://")?;
        Url::parse(&format!("{scheme}://{}", split_credentials(rest).1)).ok()
    }

    /// The address with `{name}` filled in.
    pub fn named(&self, name: &str) -> Self {
        Self(self.0.replace("{name}", name))
    }

    /// A file's path laid on `folder`; every other address as it is.
    pub(super) fn in_folder(self, folder: &Path) -> Self {
        if self.0.contains("://") || !(has_ending(&self.0) || self.0.contains('/')) {
            return self;
        }
        Self(folder.join(&self.0).to_string_lossy().into_owned())
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let link = Self(text.to_owned());
        if text.is_empty() || text.contains(|c: char| c.is_control()) {
            return Err("an address is wanted, such as rtsp://host/path".into());
        }
        let Some(scheme) = link.scheme() else { return Ok(link) };
        if !SCHEMES.contains(&scheme.as_str()) {
            return Err(format!("{link} begins with none of {}", SCHEMES.map(|s| format!("{s}://")).join(", ")));
        }
        let url = link.url().ok_or_else(|| format!("{link} is not an address such as rtsp://host:554/path"))?;
        if scheme != "file" && url.host_str().is_none_or(str::is_empty) {
            return Err(format!("{link} names no host"));
        }
        Ok(link)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&mask(&self.0))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

/// Something nobody else should see, such as the token of the web console.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Shorter tokens can be guessed.
const SHORTEST_SECRET: usize = 8;

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.chars().count() < SHORTEST_SECRET {
            return Err(format!("a token has at least {SHORTEST_SECRET} characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Where a server listens: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or a port of this machine alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let here = |port: &str| port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let port = text.strip_prefix("localhost:").unwrap_or(text);
        let address = text.parse().ok().or_else(|| here(port));
        address.map(Self).ok_or_else(|| "an address and a port are wanted, as 127.0.0.1:8080".into())
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

/// Milliseconds.
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// How long packets wait for those before them.
pub type Latency = Lasting<0, { 60 * SECOND }>;
/// The pause before the second attempt to reach a source, and the longest of those after it.
pub type FirstPause = Lasting<50, { 60 * SECOND }>;
pub type LongestPause = Lasting<50, HOUR>;
/// Length of a recorded file, and the age at which it is removed: up to ten years.
pub type Segment = Lasting<SECOND, DAY>;
pub type Keep = Lasting<SECOND, { 3650 * DAY }>;

/// A duration with its unit, from `LEAST` to `MOST` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasting<const LEAST: u64, const MOST: u64>(pub Duration);

impl<const LEAST: u64, const MOST: u64> FromStr for Lasting<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text.trim())
            .map_err(|_| format!("`{}` is not a duration such as 250ms, 10s, 10m or 24h", mask(text)))?;
        let [least, most] = [LEAST, MOST].map(Duration::from_millis);
        if !(least..=most).contains(&duration) {
            let [least, most] = [least, most].map(humantime::format_duration);
            return Err(format!("{} is not from {least} to {most}", humantime::format_duration(duration)));
        }
        Ok(Self(duration))
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Lasting<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from).map_err(|_| {
            D::Error::custom("a duration with its unit is wanted, in quotes, such as \"250ms\" or \"10s\"")
        })?;
        text.parse().map_err(D::Error::custom)
    }
}

/// How long something may last before it counts as broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// For ever; written `off`.
    Off,
    After(Duration),
}

impl Limit {
    /// `None`: for ever.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::After(duration) => Some(duration),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // From half a second to a day.
        type Allowed = Lasting<500, 86_400_000>;
        match text.trim() {
            "off" => Ok(Self::Off),
            text => text.parse::<Allowed>().map(|a| Self::After(a.0)),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)
            .map_err(|_| D::Error::custom("a duration in quotes is wanted, such as \"10s\", or \"off\""))?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Bytes, written as `20GB` or `512MiB`; at least one mebibyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: bytesize::ByteSize =
            text.trim().parse().map_err(|_| format!("`{}` is not a size such as 500MB or 20GB", mask(text)))?;
        if size.as_u64() < bytesize::MIB { Err(format!("{size} is less than 1 MiB")) } else { Ok(Self(size.as_u64())) }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Between<const LEAST: u32, const MOST: u32>(pub u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Between<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wanted = || D::Error::custom(format!("a whole number from {LEAST} to {MOST} is wanted"));
        let number = i64::deserialize(from).map_err(|_| wanted())?;
        u32::try_from(number).ok().filter(|n| (LEAST..=MOST).contains(n)).map(Self).ok_or_else(wanted)
    }
}

/// A share from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(pub f32);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wanted = || D::Error::custom("a number from 0 to 1 is wanted");
        let share = f32::deserialize(from).map_err(|_| wanted())?;
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(wanted()) }
    }
}

/// A filter in the words of `RUST_LOG`.
pub(super) fn log_filter<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from).map_err(|_| D::Error::custom("a text in quotes is wanted"))?;
    tracing_subscriber::EnvFilter::try_new(&text)
        .map_err(|_| D::Error::custom(format!("`{text}` is not a filter such as warn,gradcast=info")))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_shows_its_credentials() {
        for text in [
            "rtsp://me:s3cr3t@host/x",
            "rtsp://me:53/cr3t@host/x",
            "rtsp://me:a#s3cr3t@b@host:8554/x",
            "https://host/x.m3u8?password=s3cr3t",
        ] {
            let Ok(link) = text.parse::<Link>() else { panic!("{text}") };
            let shown = format!("{link} {link:?}");
            assert!(!shown.contains("s3") && !shown.contains("cr3t") && shown.contains("host"), "{shown}");
            assert_eq!(link.expose(), text);
        }
        assert_eq!(mask("a `rtsp://u:p@h/x`, then file:///y"), "a `rtsp://h/x`, then file:///y");
        for bad in
            ["", "ftp://me:s3cr3t@host", "rtsp://me:s3cr3t@", "rtsp://me:s3cr3t@host:99999999/", "rtsp://me:a/s3cr3t@h"]
        {
            let error = bad.parse::<Link>().unwrap_err();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn what_is_on_this_machine_is_known() {
        for (text, loopback) in [
            ("rtsp://127.0.0.1:8554/x", true),
            ("rtsp://u:p@localhost/x", true),
            ("rtsp://[::1]:8554/x", true),
            ("rtsp://0.0.0.0:8554/x", false),
            ("rtsp://camera/x", false),
            ("0", false),
        ] {
            assert_eq!(text.parse::<Link>().unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
