//! Live video: cameras that come and go, and outputs that never stop.
//!
//! ```text
//! LiveSource: supervisor ── Connection: knock, rtspsrc | v4l2src | … ! decodebin ! … ! appsink
//!                 │◄── samples, or a Failure (Reason, words) ──┘   then a pause, and another one
//!                 └── Timeline: the source's times on the clock of `now()` ──► frames(), newest wins
//! ```

mod address;
mod backlog;
mod broadcast;
mod camera;
pub(crate) mod clock;
mod connection;
pub(crate) mod credentials;
mod decode_time;
mod encoder;
mod feed;
mod jpeg;
mod knock;
mod publish;
mod pulse;
mod push;
mod reason;
mod record;
mod recordings;
mod retry;
mod source;
mod timeline;
mod webrtc;
mod window;
mod x11;

pub use address::{Address, Kind};
pub use broadcast::{Broadcast, Packet, Subscription};
pub use camera::{Camera, CameraFormat, cameras, first_camera};
pub use clock::now;
pub use credentials::Credentials;
pub use credentials::mask;
pub use encoder::{EncoderOptions, LiveEncoder};
pub use feed::OutputHealth;
pub use jpeg::{Jpeg, Jpegs};
pub use publish::{Mount, RtspServer};
pub use push::{PushOptions, Pusher};
pub use reason::Reason;
pub use record::{RecordCounters, RecordOptions, Recorder};
pub use retry::Retry;
pub use source::{Health, Keep, LiveOptions, LiveSource, SourceCounters, Transport};
pub use timeline::Timeline;
pub use webrtc::{Viewer, ViewerOptions};
pub use window::{Key, Window};
pub(crate) use {address::has_ending, credentials::split_credentials, publish::is_loopback, recordings::file_name};
