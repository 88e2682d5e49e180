//! The web console: every stream live in the browser, its controls, and the same for programs.
//!
//! ```text
//! browser ── guard: token, Host, Origin ──┬─ /                        page/: built in, nothing else is served
//!                                         ├─ /api/streams/…           states, history, controls, snapshots
//!                                         ├─ /whep/NAME               WebRTC: offer in, answer out
//!                                         ├─ /streams/NAME/mjpeg      for `<img>` and curl
//!                                         └─ /metrics /healthz /readyz
//! ```
//!
//! One thread with a runtime of its own. What may take long runs beside it; every number of
//! connections, viewers and bytes has a limit.

mod guard;
mod live;
mod mjpeg;
mod routes;
mod seats;
mod server;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Missing;
use crate::stream::live::Control;
use crate::video::VideoError;
use crate::video::live::{Broadcast, Jpegs, ViewerOptions};

/// What the console shows: the program behind it.
pub trait Console: Send + Sync + 'static {
    /// Every stream, in the order in which they are shown.
    fn streams(&self) -> Vec<Arc<dyn Channel>>;
    /// Streams that did not start, by name.
    fn missing(&self) -> BTreeMap<String, Missing>;
    /// Streams that are being started, by name, and since when.
    fn starting(&self) -> BTreeMap<String, Instant>;
    /// Whether every stream turns: one that hangs will not go on by itself.
    fn is_alive(&self) -> bool;
    /// Why the program is not ready, a line for each reason; empty while frames flow.
    fn not_ready(&self) -> Vec<String>;
    /// Numbers for Prometheus.
    fn metrics(&self) -> String;
    /// Whether there is a configuration that can be read again.
    fn can_reload(&self) -> bool;
    /// Reads the configuration again, for some seconds at most.
    fn reload(&self) -> Reload;
}

/// What came of reading the configuration again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// It holds now: what changed.
    Done(String),
    /// It is being taken over: what changed so far, and where the rest is told.
    GoesOn(String),
    /// It was being read already.
    UnderWay,
    /// It stays as it was: what is wrong with the new one.
    Refused(String),
}

/// A stream, as the console needs it: what [`LiveHandle`](crate::stream::live::LiveHandle) offers. Nothing here waits
/// but [`snapshot`](Self::snapshot), which takes the time of encoding and writing.
pub trait Channel: Send + Sync + 'static {
    /// Its name, the key to everything.
    fn name(&self) -> &str;
    /// Its `Status`, as JSON.
    fn status(&self) -> serde_json::Value;
    /// Its `Moment`s, as JSON, oldest first.
    fn history(&self) -> serde_json::Value;
    /// Changes what is shown.
    ///
    /// # Errors
    /// A sentence that says which words are understood.
    fn change(&self, control: Control, word: &str) -> Result<(), String>;
    /// Encoded pictures, for WebRTC.
    fn broadcast(&self) -> &Broadcast;
    /// The newest picture, for everything else.
    fn jpegs(&self) -> &Jpegs;
    /// Writes the newest picture to disk, and tells where.
    ///
    /// # Errors
    /// A sentence that says what failed.
    fn snapshot(&self) -> Result<PathBuf, String>;
}

/// How the console is served.
#[derive(Debug, Clone)]
pub struct WebOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What a client must know; not needed on loopback.
    pub token: Option<String>,
    /// How many may watch one stream, and all together: WebRTC and MJPEG alike.
    pub viewers_per_stream: usize,
    pub viewers: usize,
    /// How browsers are answered; addresses are found by themselves where none are given.
    pub webrtc: ViewerOptions,
}

impl WebOptions {
    /// 16 viewers per stream, 64 in all.
    ///
    /// # Errors
    /// See [`ViewerOptions::new`].
    pub fn new(listen: SocketAddr, token: Option<String>) -> Result<Self, VideoError> {
        Ok(Self { listen, token, viewers_per_stream: 16, viewers: 64, webrtc: ViewerOptions::new()? })
    }
}

/// Why the console does not start.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Wrong usage: everybody on the network could watch.
    #[error("the web console at {0} can be reached from outside, and has no token")]
    NoToken(SocketAddr),
    /// The address cannot be listened on.
    #[error("the web console cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The runtime does not start.
    #[error("the web console does not start: {0}")]
    Start(#[from] std::io::Error),
}

impl WebError {
    /// What to do about it: one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoToken(_) => "give a token, or listen on 127.0.0.1",
            Self::Listen(_, e) => match e.kind() {
                std::io::ErrorKind::AddrInUse => "another program has that port: end it, or choose another port",
                std::io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose a higher one",
                _ => "choose an address of this machine, such as 127.0.0.1:8080",
            },
            Self::Start(_) => "look at the limits of this process (ulimit -a)",
        }
    }

    /// Whether it is the user's command that is wrong.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoToken(_))
    }
}

/// How long connections may take to end.
const FAREWELL: Duration = Duration::from_millis(300);

/// The web console while it is served. Dropping it ends it, its viewers included.
pub struct Web {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A console's address that is taken; who asks there waits until it is [served](Bound::serve).
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    options: WebOptions,
}

impl Bound {
    /// Serves the console from now on.
    ///
    /// # Errors
    /// See [`WebError`].
    pub fn serve(self, console: Arc<dyn Console>) -> Result<Web, WebError> {
        let Self { listener, address, options } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build()?;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("web".into()).spawn(move || {
            let router = routes::router(options, console);
            runtime.block_on(server::serve(listener, router, stopped));
            runtime.shutdown_timeout(FAREWELL);
        })?;
        Ok(Web { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Web {
    /// Takes the address, before anything that the console shows is started.
    ///
    /// # Errors
    /// See [`WebError`].
    pub fn bind(options: WebOptions) -> Result<Bound, WebError> {
        let listen = options.listen;
        if !listen.ip().to_canonical().is_loopback() && options.token.as_ref().is_none_or(String::is_empty) {
            return Err(WebError::NoToken(listen));
        }
        let listener = TcpListener::bind(listen).map_err(|e| WebError::Listen(listen, e))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address, options })
    }

    /// Takes the address and serves the console from now on.
    ///
    /// # Errors
    /// See [`WebError`].
    pub fn start(options: WebOptions, console: Arc<dyn Console>) -> Result<Self, WebError> {
        Self::bind(options)?.serve(console)
    }

    /// Where it listens; tells the port where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address at which others find it: one of this machine where it listens on all.
    pub fn reachable(&self) -> SocketAddr {
        let (ip, here) = (self.address.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        if !ip.is_unspecified() {
            return self.address;
        }
        let fits = |own: &IpAddr| !own.is_loopback() && (ip.is_ipv6() || own.is_ipv4());
        let own = routes::own_addresses(here).into_iter().find(fits).unwrap_or(here);
        SocketAddr::new(own, self.address.port())
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
