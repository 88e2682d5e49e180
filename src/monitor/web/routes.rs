//! What is at which address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::{Guard, guard};
use super::mjpeg;
use super::seats::{Seats, Viewers};
use super::server::Reached;
use super::{Channel, Console, Reload, WebOptions};
use crate::monitor::{Missing, metrics};
use crate::stream::live::Control;
use crate::video::ErrorKind;
use crate::video::live::{Viewer, ViewerOptions};

/// The page: all that is ever served besides the streams.
const PAGE: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// Bytes of a request; offers of browsers have about eight thousand.
const BODY: usize = 64 << 10;
/// How long a request may take, from its head to the head of its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the first picture is waited for.
const FIRST: Duration = Duration::from_millis(500);
/// Own addresses that a browser is told at most.
const ADDRESSES: usize = 8;

/// What the routes share.
#[derive(Clone)]
pub(super) struct App(Arc<Shared>);

struct Shared {
    console: Arc<dyn Console>,
    seats: Seats,
    viewers: Viewers,
    webrtc: ViewerOptions,
    /// Whether others than this machine may watch.
    shared: bool,
}

impl App {
    /// A stream by its name.
    pub fn stream(&self, name: &str) -> Option<Arc<dyn Channel>> {
        self.0.console.streams().into_iter().find(|stream| stream.name() == name)
    }

    fn find(&self, name: &str) -> Result<Arc<dyn Channel>, Refused> {
        self.stream(name).ok_or_else(|| unknown(name))
    }

    /// How each stream is, those that did not start included, by name.
    fn statuses(&self) -> BTreeMap<String, Value> {
        let console = &self.0.console;
        let running = console.streams().into_iter().map(|stream| (stream.name().to_owned(), stream.status()));
        let missing = console.missing().into_iter().map(|(name, missing)| {
            let Missing { why, since, .. } = missing;
            let seconds = since.elapsed().as_secs();
            let status = json!({ "name": name, "state": "missing", "seconds": seconds, "reason": why });
            (name, status)
        });
        let starting = console.starting().into_iter().map(|(name, since)| {
            let status = json!({ "name": name, "state": "starting", "seconds": since.elapsed().as_secs() });
            (name, status)
        });
        running.chain(missing).chain(starting).collect()
    }
}

fn unknown(name: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("there is no stream {name}"))
}

/// An answer that says what is wrong.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(json!({ "error": self.1 }))).into_response();
        if self.0 == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        response
    }
}

type Answer = Result<Response, Refused>;

pub(super) fn router(options: WebOptions, console: Arc<dyn Console>) -> Router {
    let shared = options.token.is_some();
    let gate = Arc::new(Guard::new(options.token));
    let seats = Seats::new(options.viewers_per_stream, options.viewers);
    let (viewers, webrtc) = (Viewers::default(), options.webrtc);
    let app = App(Arc::new(Shared { console, seats, viewers, webrtc, shared }));
    let page = PAGE.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }))
    });
    page.route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .route("/api/reload", get(can_reload).post(reload))
        .route("/api/streams", get(streams))
        .route("/api/streams/{name}", get(status))
        .route("/api/streams/{name}/history", get(history))
        .route("/api/streams/{name}/controls", post(change))
        .route("/api/streams/{name}/snapshot", post(snapshot))
        .route("/api/streams/{name}/snapshot.jpg", get(picture))
        .route("/streams/{name}/mjpeg", get(pictures))
        .route("/whep/{name}", post(watch))
        .route("/whep/{name}/{id}", delete(leave))
        .fallback(async || Refused(StatusCode::NOT_FOUND, "there is nothing here".into()))
        .with_state(app)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(limit))
        .layer(middleware::from_fn_with_state(gate, guard))
}

/// No request waits for ever.
async fn limit(request: Request, next: Next) -> Response {
    let late = |_| Refused(StatusCode::SERVICE_UNAVAILABLE, "that takes too long".into()).into_response();
    tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(late)
}

/// Runs what may take its time beside the server.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    let failed = |e| Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("a fault of the program: {e}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

async fn healthy(State(app): State<App>) -> Response {
    match app.0.console.is_alive() {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "a stream hangs\n").into_response(),
    }
}

async fn ready(State(app): State<App>) -> Response {
    match app.0.console.not_ready() {
        reasons if reasons.is_empty() => "ready\n".into_response(),
        reasons => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response(),
    }
}

async fn numbers(State(app): State<App>) -> Answer {
    let text = aside(move || app.0.console.metrics()).await?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// Whether the page should offer it.
async fn can_reload(State(app): State<App>) -> Json<Value> {
    Json(json!({ "configuration": app.0.console.can_reload() }))
}

async fn reload(State(app): State<App>) -> Answer {
    let answer = |status: StatusCode, what: String| (status, Json(json!({ "reloaded": what }))).into_response();
    match aside(move || app.0.console.reload()).await? {
        Reload::Done(what) => Ok(answer(StatusCode::OK, what)),
        Reload::GoesOn(what) => Ok(answer(StatusCode::ACCEPTED, what)),
        Reload::UnderWay => {
            Err(Refused(StatusCode::CONFLICT, "a reload is under way: try again when it is over".into()))
        }
        Reload::Refused(why) => Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, why)),
    }
}

async fn streams(State(app): State<App>) -> Json<Vec<Value>> {
    Json(app.statuses().into_values().collect())
}

async fn status(State(app): State<App>, Path(name): Path<String>) -> Answer {
    let status = app.statuses().remove(&name).ok_or_else(|| unknown(&name))?;
    Ok(Json(status).into_response())
}

async fn history(State(app): State<App>, Path(name): Path<String>) -> Answer {
    Ok(Json(app.find(&name)?.history()).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    control: Control,
    value: Word,
}

/// What a control is set to, as people write it in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(serde_json::Number),
    Switch(bool),
}

impl Word {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Switch(on) => if on { "on" } else { "off" }.into(),
        }
    }
}

async fn change(
    State(app): State<App>,
    Path(name): Path<String>,
    change: Result<Json<Change>, JsonRejection>,
) -> Answer {
    let stream = app.find(&name)?;
    let Json(change) = change.map_err(|e| Refused(e.status(), e.body_text()))?;
    let refused = |why| Refused(StatusCode::UNPROCESSABLE_ENTITY, why);
    stream.change(change.control, &change.value.text()).map_err(refused)?;
    Ok(Json(stream.status()).into_response())
}

async fn snapshot(State(app): State<App>, Path(name): Path<String>) -> Answer {
    let stream = app.find(&name)?;
    let path = aside(move || stream.snapshot()).await?;
    path.map(|path| (StatusCode::CREATED, Json(json!({ "path": path }))).into_response())
        .map_err(|why| Refused(StatusCode::INTERNAL_SERVER_ERROR, why))
}

async fn picture(State(app): State<App>, Path(name): Path<String>) -> Answer {
    let stream = app.find(&name)?;
    let none = |why: String| Refused(StatusCode::SERVICE_UNAVAILABLE, why);
    let jpeg = aside(move || stream.jpegs().newest(FIRST)).await?.map_err(|e| none(e.to_string()))?;
    let jpeg = jpeg.ok_or_else(|| none("there is no picture yet".into()))?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg.data).into_response())
}

fn full() -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, "as many watch already as may".into())
}

async fn pictures(State(app): State<App>, Path(name): Path<String>) -> Answer {
    app.find(&name)?;
    app.0.viewers.tidy();
    let seat = app.0.seats.take(&name).ok_or_else(full)?;
    Ok(([(header::CONTENT_TYPE, mjpeg::CONTENT_TYPE)], mjpeg::body(app, name, seat)).into_response())
}

async fn watch(
    State(app): State<App>,
    Path(name): Path<String>,
    Extension(Reached(reached)): Extension<Reached>,
    headers: HeaderMap,
    offer: Bytes,
) -> Answer {
    let stream = app.find(&name)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/sdp") {
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "an offer is application/sdp".into()));
    }
    let offer = String::from_utf8(offer.into())
        .map_err(|_| Refused(StatusCode::BAD_REQUEST, "an offer is text in UTF-8".into()))?;
    let broadcast = stream.broadcast().clone();
    app.0.viewers.tidy();
    let seat = app.0.seats.take(&name).ok_or_else(full)?;
    let mut options = app.0.webrtc.clone();
    if options.addresses.is_empty() {
        // Without a token it is for this machine alone.
        options.addresses = if app.0.shared { own_addresses(reached) } else { vec![reached] };
    }
    let answered = aside(move || Viewer::answer(&broadcast, &offer, &options)).await?;
    let (viewer, answer) = answered.map_err(|e| {
        let input = e.kind() == ErrorKind::Input;
        let status = if input { StatusCode::NOT_ACCEPTABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
        tracing::debug!(stream = name, "a browser is not answered: {e}");
        Refused(status, e.to_string())
    })?;
    let id = app.0.viewers.add(viewer, seat);
    let place = url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    let head =
        [(header::CONTENT_TYPE, "application/sdp".to_owned()), (header::LOCATION, format!("/whep/{place}/{id:x}"))];
    Ok((StatusCode::CREATED, head, answer).into_response())
}

async fn leave(State(app): State<App>, Path((_, id)): Path<(String, String)>) -> Answer {
    let gone = u64::from_str_radix(&id, 16).is_ok_and(|id| app.0.viewers.remove(id));
    match gone {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Refused(StatusCode::NOT_FOUND, "nobody watches under that number".into())),
    }
}

/// Where a browser may find us: where it has found us, and the other addresses of this machine, for a
/// browser behind a proxy.
pub(super) fn own_addresses(reached: IpAddr) -> Vec<IpAddr> {
    let others = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
    });
    let of_use = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    };
    let mut all = vec![reached];
    all.extend(others.filter(of_use).filter(|ip| *ip != reached).take(ADDRESSES - 1));
    all
}
