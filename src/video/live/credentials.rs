//! User names and passwords, and keeping them out of everything that is shown.

use std::fmt;
use std::path::Path;

use crate::video::error::{Result, VideoError};

/// A user name and a password. Neither `Debug` nor anything else of it shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// Shorter passwords would blot out half of every message.
const SHORTEST_SCRUBBED: usize = 3;

impl Credentials {
    /// From what somebody typed.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    /// From `GRADCAST_USER` and `GRADCAST_PASSWORD`; `None` where neither is set.
    pub fn from_environment() -> Option<Self> {
        let [user, password] = ["GRADCAST_USER", "GRADCAST_PASSWORD"].map(|name| std::env::var(name).ok());
        (user.is_some() || password.is_some())
            .then(|| Self::new(user.unwrap_or_default(), password.unwrap_or_default()))
    }

    /// From a file whose first line is `user:password`.
    ///
    /// # Errors
    /// Of kind `Usage` when the file cannot be read or its first line is something else.
    pub fn from_file(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| {
            VideoError::usage(format!("the credentials in {name} cannot be read: {e}"), "check the path").because(e)
        })?;
        let (user, password) = text.lines().next().and_then(|line| line.split_once(':')).ok_or_else(|| {
            VideoError::usage(format!("{name} holds no credentials"), "write user:password into its first line")
        })?;
        Ok(Self::new(user.trim(), password.trim_end()))
    }

    /// From the part of a URL before `@`; a piece may be percent-encoded.
    pub(super) fn from_userinfo(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self::new(percent_decoded(user), percent_decoded(password))
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

/// Text with its %xx put right; what is no %xx stays.
pub(super) fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What follows `://`, in two: credentials, and the rest. Passwords with a bare `@` or `#` come apart
/// properly; one with a bare `/` does not, and is no valid URL in any program.
pub(crate) fn split_credentials(rest: &str) -> (Option<&str>, &str) {
    let authority = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest.get(..authority).and_then(|a| a.rfind('@')) {
        Some(at) => (rest.get(..at), rest.get(at + 1..).unwrap_or_default()),
        None => (None, rest),
    }
}

/// Whether what follows `://` may hold a password with a bare `/` or `?` in it: where it ends, nobody can tell.
pub(super) fn may_hold_password(rest: &str) -> bool {
    let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // The colons of [::1] are none of these.
    let address = authority.strip_prefix('[').and_then(|inner| inner.split_once(']'));
    address.map_or(authority, |(_, port)| port).contains(':') && behind.contains('@')
}

/// Parameters of URLs whose values nobody else should see.
const SECRET_PARAMETERS: [&str; 7] = ["password=", "passwd=", "pass=", "pwd=", "token=", "secret=", "key="];

/// Parameters of URLs whose values tell which picture is meant. All others may be secrets: every maker of cameras
/// has words of his own for them.
const PLAIN_PARAMETERS: [&str; 18] = [
    "cam",
    "camera",
    "ch",
    "channel",
    "codec",
    "fps",
    "id",
    "profile",
    "proto",
    "resolution",
    "size",
    "stream",
    "subtype",
    "track",
    "trackid",
    "transportmode",
    "unicast",
    "videocodec",
];

/// A text without the secrets that its URLs hold.
pub fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"<>".contains(c)).unwrap_or(after.len());
        let url = &after[..end];
        let authority = &url[..url.find(['/', '?']).unwrap_or(end)];
        let within = if may_hold_password(url) { url } else { authority };
        rest = within.rfind('@').map_or(after, |at| &after[at + 1..]);
        // A name and a password whose host is missing look like a host and its port.
        let host = &rest[..rest.find(|c: char| c.is_whitespace() || "/?\"'<>()".contains(c)).unwrap_or(rest.len())];
        if let Some((name, port)) = host.trim_end_matches([':', ',', ';', '.']).rsplit_once(':')
            && !port.is_empty()
            && !port.ends_with(']')
            && !port.bytes().all(|b| b.is_ascii_digit())
        {
            out.extend([name, ":***"]);
            rest = &rest[name.len() + 1 + port.len()..];
        }
    }
    out.push_str(rest);
    let out = if text.contains("://") { plain_parameters(&out) } else { out };
    SECRET_PARAMETERS.iter().fold(out, |text, name| without_values(&text, name))
}

/// Replaces the values of all parameters (`?name=value&…`) but the plain ones.
fn plain_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['?', '&']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        let name = after.find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).unwrap_or(after.len());
        let is_parameter = name > 0 && after[name..].starts_with('=');
        if is_parameter && !PLAIN_PARAMETERS.contains(&after[..name].to_ascii_lowercase().as_str()) {
            let value = &after[name + 1..];
            let end = value.find(|c: char| c.is_whitespace() || "&\"'<>".contains(c)).unwrap_or(value.len());
            out.push_str(&after[..=name]);
            out.push_str(if end > 0 { "***" } else { "" });
            rest = &value[end..];
        }
    }
    out.push_str(rest);
    out
}

/// Replaces what follows `name` by stars, wherever it stands.
pub(crate) fn without_values(text: &str, name: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    while let Some(at) = lower[done..].find(name) {
        let value = done + at + name.len();
        let ends = |c: char| c.is_whitespace() || "&/\"'<>".contains(c);
        let end = lower[value..].find(ends).map_or(text.len(), |n| value + n);
        out.push_str(&text[done..value]);
        out.push_str("***");
        done = end;
    }
    out.push_str(&text[done..]);
    out
}

/// A text of somebody else's (a message of GStreamer's) that may be shown.
pub(crate) fn scrub(text: &str, credentials: Option<&Credentials>) -> String {
    let text = mask(text);
    match credentials {
        Some(c) if c.password.len() >= SHORTEST_SCRUBBED => text.replace(&c.password, "***"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left_in_a_text() {
        let text = "Failed: rtsp://admin:p@ss@10.0.0.2/live?channel=2&loginuse=a&loginpas=geheim&subtype=1 see http://u:v@h \
                    or rtsp://h/user=a_password=abc/x";
        let shown = scrub(text, Some(&Credentials::new("admin", "p@ss")));
        assert_eq!(
            shown,
            "Failed: rtsp://10.0.0.2/live?channel=2&loginuse=***&loginpas=***&subtype=1 see http://h \
             or rtsp://h/user=a_password=***/x"
        );
        assert_eq!(scrub("the word swordfish", Some(&Credentials::new("x", "swordfish"))), "the word ***");
        assert_eq!(format!("{:?}", Credentials::new("admin", "p")), "Credentials(hidden)");
    }

    #[test]
    fn a_password_of_any_characters_is_hidden() {
        let table = [
            ("'rtsp://admin:it's@h/x'", "'rtsp://h/x'"),
            ("rtsp://admin:12/34@h/x", "rtsp://h/x"),
            ("rtsp://admin:a?b@h/x?channel=2 <rtsp://a:b@c>", "rtsp://h/x?channel=2 <rtsp://c>"),
            ("rtsp://admin:a@b/c@h", "rtsp://h"),
            ("rtsp://admin:secret", "rtsp://admin:***"),
            (
                "rtsp://h:554, http://h:80: refused; http://h: refused",
                "rtsp://h:554, http://h:80: refused; http://h: refused",
            ),
            ("rtsp://h/x@y and http://[::1]/@z", "rtsp://h/x@y and http://[::1]/@z"),
        ];
        for (text, shown) in table {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn a_url_may_encode_its_credentials() {
        let c = Credentials::from_userinfo("me%40home:a%2Fb%zz:c%4");
        assert_eq!((c.user(), c.password()), ("me@home", "a/b%zz:c%4"));
    }

    #[test]
    fn a_file_holds_them_in_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera");
        std::fs::write(&path, "admin:a:b c\n").unwrap();
        assert_eq!(Credentials::from_file(&path).unwrap(), Credentials::new("admin", "a:b c"));
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(!Credentials::from_file(&path).unwrap_err().to_string().contains("nothing"));
    }
}
