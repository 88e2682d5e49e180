//! Why a source is away: GStreamer's errors and the system's, sorted.

use std::fmt;
use std::io;
use std::time::Duration;

use gstreamer as gst;

use super::address::Kind;

/// Why a source is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nobody listens at the address.
    Refused,
    /// It demands other credentials.
    Unauthorised,
    /// The server knows no such stream.
    NotFound,
    /// It does not answer, or sends no first picture.
    Timeout,
    /// The connection is open, but no more pictures come.
    Stall,
    /// It ended the stream.
    Eos,
    /// What it says makes no sense.
    Nonsense,
    /// Its pictures need a decoder that is not installed.
    Decoder,
    /// No secure connection: its certificate is not accepted.
    Tls,
    /// It cannot be reached, or the connection broke.
    Network,
    /// The camera is unplugged or busy.
    Device,
    /// The options changed: it is connected anew.
    Changed,
}

/// Label, words.
const TEXTS: [(Reason, &str, &str); 12] = [
    (Reason::Refused, "refused", "nobody listens there"),
    (Reason::Unauthorised, "unauthorised", "it demands another user name or password"),
    (Reason::NotFound, "not_found", "there is no such stream"),
    (Reason::Timeout, "timeout", "no answer"),
    (Reason::Stall, "stall", "the connection is open but nothing comes"),
    (Reason::Eos, "eos", "the stream was ended"),
    (Reason::Nonsense, "nonsense", "what comes is not understood"),
    (Reason::Decoder, "decoder", "no installed decoder understands the pictures"),
    (Reason::Tls, "tls", "the secure connection fails; is the certificate to be trusted?"),
    (Reason::Network, "network", "the connection is broken"),
    (Reason::Device, "device", "the camera is not there or is used by another program"),
    (Reason::Changed, "changed", "connecting anew with other options"),
];

impl Reason {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TEXTS.iter().map(|(reason, ..)| *reason)
    }

    /// A short name, for metrics.
    pub fn label(self) -> &'static str {
        self.text().0
    }

    /// In words.
    pub fn words(self) -> &'static str {
        self.text().1
    }

    fn text(self) -> (&'static str, &'static str) {
        TEXTS.iter().find(|(reason, ..)| *reason == self).map_or(("other", "it is away"), |(_, l, w)| (l, w))
    }

    /// The first and the longest pause before the next attempts, where they are not the usual ones: cameras lock out
    /// whoever tries a wrong password too often.
    pub(super) fn pauses(self) -> Option<(Duration, Duration)> {
        (self == Self::Unauthorised).then_some((Duration::from_secs(10), Duration::from_secs(300)))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// One failed attempt, in words without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub reason: Reason,
    pub said: String,
}

impl Failure {
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        Self { reason, said: format!("{reason} ({detail})") }
    }
}

/// What GStreamer's texts tell; the first row that is found in one counts.
const TOLD: [(&str, Reason); 19] = [
    ("unauthorized", Reason::Unauthorised),
    ("forbidden", Reason::Unauthorised),
    ("not found", Reason::NotFound),
    ("(404)", Reason::NotFound),
    ("refused", Reason::Refused),
    ("certificate", Reason::Tls),
    ("tls", Reason::Tls),
    ("timeout", Reason::Timeout),
    ("timed out", Reason::Timeout),
    ("could not receive any udp", Reason::Timeout),
    ("parse error", Reason::Nonsense),
    ("not implemented", Reason::Nonsense),
    ("invalid", Reason::Nonsense),
    ("no supported stream", Reason::Nonsense),
    ("does not support", Reason::Nonsense),
    // A length that nobody could mean.
    ("out of memory", Reason::Nonsense),
    ("end-of-file", Reason::Network),
    ("system error", Reason::Network),
    ("unreachable", Reason::Network),
];

/// The reason behind an error of GStreamer's, by what it says of itself (`text`) and by its kind.
pub(super) fn of_error(kind: Kind, secure: bool, error: &gst::glib::Error, text: &str) -> Reason {
    if kind == Kind::Camera {
        return Reason::Device;
    }
    let text = text.to_lowercase();
    // A port that answers, and yet no connection.
    if secure && text.contains("failed to connect") {
        return Reason::Tls;
    }
    if let Some((_, reason)) = TOLD.iter().find(|(told, _)| text.contains(told)) {
        return *reason;
    }
    match (error.kind::<gst::StreamError>(), error.kind::<gst::ResourceError>(), error.kind::<gst::CoreError>()) {
        (Some(gst::StreamError::CodecNotFound), ..) | (_, _, Some(gst::CoreError::MissingPlugin)) => Reason::Decoder,
        // The general “data stream error” follows whatever broke the connection.
        (Some(gst::StreamError::Failed), ..) => Reason::Network,
        (Some(_), ..) => Reason::Nonsense,
        (_, Some(gst::ResourceError::NotAuthorized), _) => Reason::Unauthorised,
        (_, Some(gst::ResourceError::NotFound), _) => Reason::NotFound,
        _ => Reason::Network,
    }
}

/// Whether a camera that opened did not deliver what it was asked for.
pub(super) fn is_of_format(message: &gst::message::Error) -> bool {
    use gst::{CoreError, ResourceError, StreamError};
    let error = message.error();
    message.debug().is_some_and(|debug| debug.contains("not-negotiated"))
        || error.kind() == Some(ResourceError::Settings)
        || matches!(error.kind(), Some(CoreError::Negotiation | CoreError::MissingPlugin))
        || matches!(error.kind(), Some(StreamError::CodecNotFound | StreamError::Decode | StreamError::Format))
}

/// The reason behind an error of the system's.
pub(super) fn of_system(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Reason::Timeout,
        _ => Reason::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_words() {
        let labels: std::collections::HashSet<_> = Reason::all().map(Reason::label).collect();
        assert_eq!(labels.len(), TEXTS.len());
        assert!(Reason::all().all(|r| r.label() != "other"));
    }

    #[test]
    fn what_gstreamer_says_is_sorted() {
        let failed = |domain: gst::ResourceError| gst::glib::Error::new(domain, "x");
        let read = failed(gst::ResourceError::Read);
        let table = [
            ("Unauthorized (401)", false, Reason::Unauthorised),
            ("Not Found (404)", false, Reason::NotFound),
            ("Could not receive message. (Parse error)", false, Reason::Nonsense),
            ("Could not receive message. (Received end-of-file)", false, Reason::Network),
            ("Failed to connect. (Generic error)", true, Reason::Tls),
            ("Failed to connect. (Generic error)", false, Reason::Network),
        ];
        for (text, secure, reason) in table {
            assert_eq!(of_error(Kind::Rtsp, secure, &read, text), reason, "{text}");
        }
        let codec = gst::glib::Error::new(gst::StreamError::CodecNotFound, "x");
        assert_eq!(of_error(Kind::Http, false, &codec, ""), Reason::Decoder);
    }
}
