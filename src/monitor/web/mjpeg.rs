//! A stream as pictures one after another, for `<img>` and curl.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use super::routes::App;
use super::seats::Seat;
use crate::video::live::Jpeg;

/// At most 15 pictures a second.
const APART: Duration = Duration::from_millis(66);
/// The same picture is sent again after this time, so that somebody who has left is noticed.
const AGAIN: Duration = Duration::from_secs(2);
/// How long there may be no picture at all.
const NONE: Duration = Duration::from_secs(10);

const BOUNDARY: &str = "picture";
pub(super) const CONTENT_TYPE: &str = "multipart/x-mixed-replace; boundary=picture";

struct Reader {
    app: App,
    name: String,
    _seat: Seat,
    sent: Option<Jpeg>,
    at: Instant,
}

/// The pictures of a stream until the stream is removed. Each is taken when the reader has room for it, so
/// a slow one gets fewer, and never old ones.
pub(super) fn body(app: App, name: String, seat: Seat) -> Body {
    let reader = Reader { app, name, _seat: seat, sent: None, at: Instant::now() };
    Body::from_stream(stream::unfold(reader, |mut reader| async move {
        let part = reader.next().await?;
        Some((Ok::<_, Infallible>(part), reader))
    }))
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        let mut look = self.at + APART;
        let first = self.sent.is_none();
        loop {
            sleep_until(look).await;
            look = Instant::now() + APART;
            let stream = self.app.stream(&self.name)?;
            let seen = self.sent.as_ref().map(|picture| picture.pts);
            let newer = move || stream.jpegs().after(seen, Duration::ZERO);
            let newer = tokio::task::spawn_blocking(newer).await.ok()?.ok()?;
            let waited = self.at.elapsed();
            let picture = match (newer, &self.sent) {
                (Some(newer), _) => newer,
                (None, Some(old)) if waited > AGAIN => old.clone(),
                (None, None) if waited > NONE => return None,
                _ => continue,
            };
            self.at = Instant::now();
            let part = part(&picture.data, first);
            self.sent = Some(picture);
            return Some(part);
        }
    }
}

/// A picture with the boundary behind it: browsers show a picture when they see its end.
fn part(picture: &[u8], first: bool) -> Bytes {
    let opening = if first { format!("--{BOUNDARY}\r\n") } else { String::new() };
    let head = format!("{opening}Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
    let tail = format!("\r\n--{BOUNDARY}\r\n");
    Bytes::from([head.as_bytes(), picture, tail.as_bytes()].concat())
}
