//! Where live pictures come from, as people write it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use super::credentials::{Credentials, mask, may_hold_password, split_credentials};
use crate::video::error::{Result, VideoError};

/// What sort of source an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A camera of this machine.
    Camera,
    /// A network camera or an RTSP server.
    Rtsp,
    /// Motion JPEG, HLS or a file behind a web server.
    Http,
    /// A recorded file.
    File,
    /// The built-in clip, over and over.
    Test,
}

/// A source as people write it: `0`, `/dev/video0`, a device's name, `rtsp://…`, `rtsps://…`,
/// `http(s)://…`, a path, `test`. What it shows of itself never holds credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    place: Place,
    credentials: Option<Credentials>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The camera behind a device file.
    Device(PathBuf),
    /// The camera of this name.
    CameraName(String),
    Url(Kind, Url),
    File(PathBuf),
    Test,
}

/// Schemes that can be opened.
const SCHEMES: [(&str, Kind); 4] =
    [("rtsp", Kind::Rtsp), ("rtsps", Kind::Rtsp), ("http", Kind::Http), ("https", Kind::Http)];

const FORMS: &str = "give 0, /dev/video0, a camera's name, rtsp://…, rtsps://…, http://…, https://…, a file, or test \
                     (`gradcast live --list` lists cameras)";

impl FromStr for Address {
    type Err = VideoError;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let plain = |place| Ok(Self { place, credentials: None });
        if text.is_empty() {
            return Err(VideoError::usage("the address of the source is empty", FORMS));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::from_url(text, scheme, rest);
        }
        if text == "test" {
            return plain(Place::Test);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return plain(Place::Device(format!("/dev/video{text}").into()));
        }
        if text.starts_with("/dev/") {
            return plain(Place::Device(text.into()));
        }
        match looks_like_a_file(text) {
            true => plain(Place::File(text.into())),
            false => plain(Place::CameraName(text.into())),
        }
    }
}

/// A name with a slash or an ending, or one that exists. Cameras have names like “USB2.0 Camera”.
fn looks_like_a_file(text: &str) -> bool {
    text.contains('/') || has_ending(text) || Path::new(text).exists()
}

/// Whether a name ends as files do: shortly, and without spaces.
pub(crate) fn has_ending(text: &str) -> bool {
    let ending = Path::new(text).extension().and_then(|e| e.to_str());
    ending.is_some_and(|e| (1..=5).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_alphanumeric()))
}

impl Address {
    fn from_url(text: &str, scheme: &str, rest: &str) -> Result<Self> {
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            return Ok(Self { place: Place::File(rest.into()), credentials: None });
        }
        let kind = SCHEMES.iter().find(|(name, _)| *name == scheme).map(|(_, kind)| *kind);
        let kind = kind.ok_or_else(|| {
            VideoError::usage(format!("{} cannot be opened: no source is a “{scheme}”", mask(text)), FORMS)
        })?;
        if may_hold_password(rest) {
            return Err(VideoError::usage(
                format!("where the password ends in the address of the source, a {scheme} one, is not clear"),
                "write / as %2F and ? as %3F in a password, and @ as %40 behind the host",
            ));
        }
        // Taken out before anything else sees them; passwords with a bare # or @ in them work as well.
        let (credentials, rest) = split_credentials(rest);
        let credentials = credentials.map(Credentials::from_userinfo);
        let not_understood = || {
            VideoError::usage(
                // What follows a colon may be a password whose host is missing.
                format!("the address {scheme}://{} is not understood", rest.split(':').next().unwrap_or_default()),
                "write it as rtsp://user:password@host:554/path, with special characters as %40 and the like",
            )
        };
        let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|e| not_understood().because(e))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(not_understood());
        }
        Ok(Self { place: Place::Url(kind, url), credentials })
    }

    /// A file, whatever its name looks like.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::File(path.into()), credentials: None }
    }

    /// The camera behind a device file.
    pub fn device(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Device(path.into()), credentials: None }
    }

    /// What sort of source it names.
    pub fn kind(&self) -> Kind {
        match &self.place {
            Place::Device(_) | Place::CameraName(_) => Kind::Camera,
            Place::Url(kind, _) => *kind,
            Place::File(_) => Kind::File,
            Place::Test => Kind::Test,
        }
    }

    /// Whether it carried credentials of its own.
    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Device(path) | Place::File(path) => path.display().fmt(f),
            Place::CameraName(name) => f.write_str(name),
            Place::Url(_, url) => f.write_str(&mask(url.as_str())),
            Place::Test => f.write_str("test"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({:?}, {self})", self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn every_way_to_write_a_source() {
        let table = [
            ("0", Kind::Camera, "/dev/video0"),
            ("/dev/video12", Kind::Camera, "/dev/video12"),
            ("USB2.0 HD UVC WebCam", Kind::Camera, "USB2.0 HD UVC WebCam"),
            ("rtsp://10.0.0.1/live", Kind::Rtsp, "rtsp://10.0.0.1/live"),
            ("RTSPS://[::1]:322/a b", Kind::Rtsp, "rtsps://[::1]:322/a%20b"),
            ("https://host/x.m3u8?token=abc", Kind::Http, "https://host/x.m3u8?token=***"),
            ("clip.mp4", Kind::File, "clip.mp4"),
            ("./a b", Kind::File, "./a b"),
            ("file:///tmp/x", Kind::File, "/tmp/x"),
            (" test ", Kind::Test, "test"),
        ];
        for (text, kind, shown) in table {
            let a = address(text);
            assert_eq!((a.kind(), a.to_string().as_str()), (kind, shown), "{text}");
        }
    }

    #[test]
    fn credentials_are_taken_out() {
        for text in ["rtsp://me:s3cr3t@host/x", "rtsp://me:s3%63r3t@host/x"] {
            let a = address(text);
            assert_eq!(a.credentials(), Some(&Credentials::new("me", "s3cr3t")));
            assert_eq!(a.to_string(), "rtsp://host/x");
            assert!(!format!("{a:?}").contains("s3"), "{a:?}");
        }
        let odd = address("rtsp://me:a#b@c@host:8554");
        assert_eq!(odd.credentials(), Some(&Credentials::new("me", "a#b@c")));
        assert_eq!(odd.to_string(), "rtsp://host:8554");
        assert_eq!(address("rtsp://me:s3cr3t@host/x%40y").to_string(), "rtsp://host/x%40y");
        assert_eq!(address("rtsp://[::1]/x@y").to_string(), "rtsp://[::1]/x@y");
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        let secret = ["ftp://me:s3cr3t@host/x", "rtsp://me:s3cr3t@", "rtsp://me:s3cr3t@host:99999999/"];
        // A port or half a password, a path or the other half: nobody can tell.
        let unclear = [
            "rtsp://me:s3cr3t/1@host/x",
            "rtsp://me:12/s3cr3t@host/x",
            "http://me:1?s3cr3t@host",
            "rtsp://me:a@s3cr3t/b@host",
            "rtsp://me:s3cr3t",
        ];
        for text in ["", "rtsp://"].iter().chain(&secret).chain(&unclear) {
            let e = text.parse::<Address>().unwrap_err();
            assert!(!e.to_string().contains("s3cr3t") && !e.hint().contains("s3cr3t"), "{e}");
            assert_eq!(e.kind(), crate::video::ErrorKind::Usage);
        }
    }
}
