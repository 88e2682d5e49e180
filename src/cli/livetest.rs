//! The live checks of `gradcast doctor`: the encoder encodes, and the window finds a display.

use std::sync::Arc;
use std::time::Duration;

use gradcast::video::live::{EncoderOptions, LiveEncoder, Window, now};
use gradcast::video::{Description, FrameFormat, FramePool, VideoError};

/// Elements of live streams that no other check names: what they are for, and the package that brings them.
pub const ELEMENTS: [(&str, &str, &str); 8] = [
    ("v4l2src", "cameras of this machine", "gstreamer1.0-plugins-good"),
    ("rtspsrc", "RTSP cameras", "gstreamer1.0-plugins-good"),
    ("souphttpsrc", "HTTP cameras", "gstreamer1.0-plugins-good"),
    ("rtph264pay", "an RTSP server", "gstreamer1.0-plugins-good"),
    ("rtspclientsink", "pushing to RTSP servers", "gstreamer1.0-rtsp"),
    ("webrtcbin", "WebRTC", "gstreamer1.0-plugins-bad"),
    ("dtlssrtpenc", "encryption for WebRTC", "gstreamer1.0-plugins-bad"),
    ("nicesrc", "ways to browsers", "gstreamer1.0-nice"),
];

/// How long the first packet may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Encodes a picture as a live stream does. Tells what by.
///
/// # Errors
/// What is wrong, with its cure.
pub fn encoder() -> Result<String, VideoError> {
    let options = EncoderOptions::new()?;
    options.check()?;
    let format = Arc::new(FrameFormat::live(320, 240, Some((30, 1)))?);
    let encoder = LiveEncoder::start(&format, &options)?;
    let packets = encoder.broadcast().subscribe(1);
    let picture = FramePool::new(format)?.acquire()?;
    encoder.push(picture.finish_at(now(), None, 0));
    let came = packets.next(PATIENCE).is_some();
    let failed = encoder.failed();
    encoder.finish();
    match (came, failed) {
        (true, _) => Ok("x264 encodes".into()),
        (false, Some(e)) => Err(e),
        (false, None) => Err(VideoError::run("x264 gives nothing", "run again with GST_DEBUG=3 for the reason")),
    }
}

/// Whether a window could be shown; it appears with its first picture, and gets none.
///
/// # Errors
/// Why not.
pub fn window() -> Result<(), VideoError> {
    let format = Arc::new(FrameFormat::live(320, 240, None)?);
    Window::open("gradcast", &format, &Description::built_in()?).map(drop)
}
