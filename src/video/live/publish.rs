//! An RTSP server of our own: one per address and port, shared by all streams published there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as gst_rtsp_server;
use gstreamer_rtsp_server::gio;
use gstreamer_rtsp_server::gst_rtsp;
use gstreamer_rtsp_server::prelude::*;
use url::{Host, Url};

use super::broadcast::{Broadcast, Subscription};
use super::clock;
use super::credentials::percent_decoded;
use super::feed::Feed;
use crate::sync::lock;
use crate::video::description::Description;
use crate::video::error::{Result, VideoError};

/// The RTSP servers of this program.
#[derive(Debug)]
pub struct RtspServer;

/// A published stream. Dropping it takes the stream away at once; the server ends with its last.
#[derive(Debug)]
pub struct Mount {
    at: SocketAddr,
    path: String,
    url: String,
}

/// Who may watch: a name and a password.
type Login = (String, String);

/// One server at work in its own thread.
struct Running {
    rtsp: gst_rtsp_server::RTSPServer,
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
    /// What the server itself says of its port: it was asked for any.
    port: u16,
    mounts: Mounts,
    /// Who may watch, by path; empty where everybody may.
    logins: BTreeMap<String, Login>,
}

/// Streams by path, as the server's own thread sees them.
type Mounts = Arc<Mutex<BTreeMap<String, Broadcast>>>;

type Servers = BTreeMap<SocketAddr, Running>;

/// One lock for all: publishing and taking away are rare.
static SERVERS: LazyLock<Mutex<Servers>> = LazyLock::new(Mutex::default);

/// A set of bits, whatever its type says: 1 is basic, 2 is digest.
const BASIC_AND_DIGEST: gst_rtsp::RTSPAuthMethod = gst_rtsp::RTSPAuthMethod::__Unknown(3);
/// Clients that may be connected at once.
const MOST_SESSIONS: u32 = 64;
/// Seconds after which a client that went without a word is forgotten.
const SESSION_SECONDS: u32 = 30;
/// How often such clients are looked for.
const CLEANUP: Duration = Duration::from_secs(2);
/// How often it is looked which clients have gone.
const KEPT: Duration = Duration::from_secs(1);
/// Without packets for so long, a stream is not offered: its client would hang.
const SILENT: Duration = Duration::from_secs(5);
/// How long the server waits for a stream's first packet; meanwhile it answers nobody.
const FIRST: Duration = Duration::from_secs(4);
/// Packets that wait for a client's pipeline: a few seconds.
const ROOM: usize = 64;
/// How long one look for a packet, for room or for the server's thread takes.
const POLL: Duration = Duration::from_millis(100);
const NO_ROOM: Duration = Duration::from_millis(5);
const LET_GO: Duration = Duration::from_secs(1);

impl RtspServer {
    /// Publishes a stream at `rtsp://[user:password@]host[:port]/path`, from where any number of
    /// players can read it by TCP or UDP. Credentials are demanded of them. Port 0 takes a free
    /// one, which [`Mount::url`] tells.
    ///
    /// # Errors
    /// Of kind `Usage`: an address that is none, is taken, or would let everybody in the network
    /// watch without a password. Of kind `Run`: the server does not start.
    pub fn mount(url: &str, broadcast: &Broadcast, description: &Description) -> Result<Mount> {
        crate::video::init()?;
        let place = Place::parse(url)?;
        let mut at = place.resolve()?;
        let mut servers = servers();
        if !servers.contains_key(&at) {
            let neighbour = servers.keys().find(|other| other.port() == at.port());
            let server = Running::start(&place, at, neighbour)?;
            at.set_port(server.port);
            servers.insert(at, server);
        }
        let Some(server) = servers.get_mut(&at) else {
            return Err(VideoError::run("the RTSP server does not start", "try again"));
        };
        let added = server.add(&place, broadcast, description);
        end_if_unused(&mut servers, at);
        added?;
        let url = format!("rtsp://{}{}", place.host_and(at.port()), place.path);
        Ok(Mount { at, path: place.path, url })
    }
}

impl Mount {
    /// Where the stream is, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut servers = servers();
        if let Some(server) = servers.get_mut(&self.at) {
            server.remove(&self.path);
        }
        end_if_unused(&mut servers, self.at);
    }
}

/// The last stream is gone: so goes the server, within the lock, so that the next to come finds the
/// port free.
fn end_if_unused(servers: &mut Servers, at: SocketAddr) {
    if servers.get(&at).is_some_and(Running::is_unused)
        && let Some(server) = servers.remove(&at)
    {
        server.stop();
    }
}

fn servers() -> MutexGuard<'static, Servers> {
    lock(&SERVERS)
}

/// What an address says.
#[derive(Debug)]
struct Place {
    host: String,
    port: u16,
    path: String,
    login: Option<Login>,
}

impl Place {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            VideoError::usage(
                format!("the stream cannot be published there: {why}"),
                "write rtsp://127.0.0.1:8554/name, or rtsp://user:password@0.0.0.0:8554/name for the network",
            )
        };
        // The text itself is never shown: it may hold a password.
        let url = Url::parse(text).map_err(|e| wrong(&format!("the address is not understood ({e})")))?;
        if url.scheme() != "rtsp" {
            return Err(wrong(&format!("{}:// is not rtsp://", url.scheme())));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the address has a ? or # in it"));
        }
        let host = url.host().ok_or_else(|| wrong("the address has no host"))?;
        let login = credentials(&url);
        if login.is_none() && !is_loopback(&host) {
            return Err(VideoError::usage(
                format!("{host} can be reached from the network, and nobody would be asked for a password"),
                "write rtsp://user:password@… , or publish at 127.0.0.1",
            ));
        }
        if login.as_ref().is_some_and(|(user, password)| user.is_empty() || password.is_empty()) {
            return Err(wrong("the address has a name without a password, or a password without a name"));
        }
        let path = url.path().trim_end_matches('/');
        Ok(Self {
            host: host.to_string(),
            port: url.port().unwrap_or(554),
            path: if path.is_empty() { "/".into() } else { path.into() },
            login,
        })
    }

    /// The one address that is meant: names have several, and several names may be one address.
    fn resolve(&self) -> Result<SocketAddr> {
        let not_found = |why: &str| {
            VideoError::usage(
                format!("rtsp://{} cannot be opened: {why}", self.host_and(self.port)),
                "check the host of the address",
            )
        };
        let found = (self.host.trim_matches(['[', ']']), self.port).to_socket_addrs();
        let found: Vec<_> = found.map_err(|e| not_found("the host is not known").because(e))?.collect();
        // `localhost` is 127.0.0.1 to those who write numbers.
        let first = found.iter().find(|at| at.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| not_found("the host has no address"))
    }

    /// As it was written, with a port.
    fn host_and(&self, port: u16) -> String {
        format!("{}:{port}", self.host)
    }
}

/// Whether only this machine can reach a host. Names other than `localhost` may mean anything.
pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// Name and password of an address, with their %xx put right.
pub(super) fn credentials(url: &Url) -> Option<Login> {
    let password = url.password().map(percent_decoded);
    (!url.username().is_empty() || password.is_some())
        .then(|| (percent_decoded(url.username()), password.unwrap_or_default()))
}

impl Running {
    /// `neighbour` is another server of ours at the same port.
    fn start(place: &Place, at: SocketAddr, neighbour: Option<&SocketAddr>) -> Result<Self> {
        let rtsp = gst_rtsp_server::RTSPServer::new();
        rtsp.set_address(&at.ip().to_string());
        rtsp.set_service(&at.port().to_string());
        if let Some(pool) = rtsp.session_pool() {
            pool.set_max_sessions(MOST_SESSIONS);
        }
        // Clients live in the server's own thread: nothing is taken away under their hands.
        if let Some(pool) = rtsp.thread_pool() {
            pool.set_max_threads(0);
        }
        if place.login.is_some() {
            let auth = gst_rtsp_server::RTSPAuth::new();
            auth.set_supported_methods(BASIC_AND_DIGEST);
            rtsp.set_auth(Some(&auth));
        }
        let (mounts, guests) = (Mounts::default(), Guests::default());
        attend(&rtsp, &mounts, &guests);
        let listening = rtsp.create_source(gio::Cancellable::NONE).map_err(|e| not_started(place, neighbour, e))?;
        let port = u16::try_from(rtsp.bound_port()).unwrap_or(place.port);
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        listening.attach(Some(&context));
        let (pool, sessions) = (rtsp.session_pool(), rtsp.session_pool());
        glib::timeout_source_new(CLEANUP, None, glib::Priority::DEFAULT, move || {
            if let Some(pool) = &pool {
                pool.cleanup();
            }
            glib::ControlFlow::Continue
        })
        .attach(Some(&context));
        // As late as what gst-rtsp-server puts off: all of that has been done since the time before.
        glib::timeout_source_new(KEPT, None, glib::Priority::DEFAULT_IDLE, move || {
            for guest in guests.gone() {
                // Of one that hung up without a farewell, they would take places until they expire.
                for session in &guest.sessions {
                    let _ = sessions.as_ref().map(|sessions| sessions.remove(session));
                }
            }
            glib::ControlFlow::Continue
        })
        .attach(Some(&context));
        let runs = main_loop.clone();
        let thread = std::thread::Builder::new()
            .name("rtsp-server".into())
            .spawn(move || {
                let context = runs.context();
                let _ = context.with_thread_default(|| runs.run());
                listening.destroy();
            })
            .map_err(|e| {
                VideoError::run("no thread for the RTSP server can be started", "close other programs").because(e)
            })?;
        Ok(Self { rtsp, context, main_loop, thread: Some(thread), port, mounts, logins: BTreeMap::new() })
    }

    fn is_unused(&self) -> bool {
        lock(&self.mounts).is_empty()
    }

    fn add(&mut self, place: &Place, broadcast: &Broadcast, description: &Description) -> Result<()> {
        let at = place.host_and(self.port);
        if lock(&self.mounts).contains_key(&place.path) {
            return Err(VideoError::usage(
                format!("two streams would be published at rtsp://{at}{}", place.path),
                "give each its own path",
            ));
        }
        let points = self.rtsp.mount_points().ok_or_else(|| {
            VideoError::run("the RTSP server has no mount points", "this is a fault of gst-rtsp-server")
        })?;
        let factory = factory(broadcast, description);
        match (&place.login, self.rtsp.auth()) {
            (None, None) => {}
            (Some((user, password)), Some(auth)) => {
                if self.logins.values().any(|(name, known)| name == user && known != password) {
                    return Err(VideoError::usage(
                        format!("{user} has two passwords at rtsp://{at}"),
                        "give each name one password on a port",
                    ));
                }
                self.logins.insert(place.path.clone(), (user.clone(), password.clone()));
                // GStreamer's names have letters and digits; people's have anything.
                let role: String = user.bytes().fold("user".into(), |name, byte| format!("{name}-{byte:x}"));
                let token = gst_rtsp_server::RTSPToken::builder().field("media.factory.role", role.as_str()).build();
                auth.add_basic(&gst_rtsp_server::RTSPAuth::make_basic(user, password), &token);
                auth.add_digest(user, password, &token);
                let role = gst::Structure::builder(role.as_str())
                    .field("media.factory.access", true)
                    .field("media.factory.construct", true)
                    .build();
                factory.add_role_from_structure(&role);
            }
            _ => {
                return Err(VideoError::usage(
                    format!("rtsp://{at} would have streams with and without a password"),
                    "give all streams on a port credentials, or none",
                ));
            }
        }
        lock(&self.mounts).insert(place.path.clone(), broadcast.clone());
        points.add_factory(&place.path, factory);
        Ok(())
    }

    /// Takes a stream away, and whoever watches it.
    fn remove(&mut self, path: &str) {
        lock(&self.mounts).remove(path);
        if let Some(points) = self.rtsp.mount_points() {
            points.remove_factory(path);
        }
        if let Some((user, password)) = self.logins.remove(path)
            && !self.logins.values().any(|(name, _)| *name == user)
            && let Some(auth) = self.rtsp.auth()
        {
            auth.remove_basic(&gst_rtsp_server::RTSPAuth::make_basic(&user, &password));
            auth.remove_digest(&user);
        }
        let path = path.to_owned();
        self.send_away(move |client| watches(client, &path));
    }

    /// Closes clients, in the thread they live in.
    fn send_away(&self, who: impl Fn(&gst_rtsp_server::RTSPClient) -> bool + Send + 'static) {
        let (rtsp, (done, wait)) = (self.rtsp.clone(), crossbeam_channel::bounded(1));
        self.context.invoke(move || {
            let mut choose = |_: &gst_rtsp_server::RTSPServer, client: &gst_rtsp_server::RTSPClient| match who(client) {
                true => gst_rtsp_server::RTSPFilterResult::Remove,
                false => gst_rtsp_server::RTSPFilterResult::Keep,
            };
            rtsp.client_filter(Some(&mut choose));
            let _ = done.send(());
        });
        let _ = wait.recv_timeout(LET_GO);
    }

    fn stop(mut self) {
        self.send_away(|_| true);
        self.main_loop.quit();
        let until = Instant::now() + LET_GO;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(NO_ROOM);
            }
            match thread.is_finished() {
                true => drop(thread.join()),
                false => tracing::warn!(port = self.port, "the RTSP server does not stop and is left behind"),
            }
        }
    }
}

fn not_started(place: &Place, neighbour: Option<&SocketAddr>, e: glib::Error) -> VideoError {
    let at = place.host_and(place.port);
    let (why, hint) = match e.kind::<gio::IOErrorEnum>() {
        Some(gio::IOErrorEnum::AddressInUse) if neighbour.is_some() => (
            "another stream is published at that port of another address".to_owned(),
            "publish both at the same host, or at ports of their own",
        ),
        Some(gio::IOErrorEnum::AddressInUse) => {
            ("another program listens there".to_owned(), "choose another port, or end the other program")
        }
        Some(gio::IOErrorEnum::PermissionDenied) => {
            ("ports below 1024 need privileges".to_owned(), "choose another port, such as 8554")
        }
        _ => (e.message().to_owned(), "check host and port of the address"),
    };
    VideoError::usage(format!("rtsp://{at} cannot be opened: {why}"), hint).because(e)
}

/// Every client, held for a while after everybody else has let go of it.
///
/// When sending to a client fails, gst-rtsp-server 1.22 has its main loop close it later and does not hold on to it meanwhile
/// (`do_send_data` and `do_close` in rtsp-client.c). One that was gone by then took the whole program with it, or the lock that it
/// found in what had been the client was never free again.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<Vec<Guest>>>);

struct Guest {
    client: gst_rtsp_server::RTSPClient,
    sessions: Vec<gst_rtsp_server::RTSPSession>,
    /// Nobody else held it last time.
    alone: bool,
}

impl Guests {
    fn welcome(&self, client: &gst_rtsp_server::RTSPClient) {
        lock(&self.0).push(Guest { client: client.clone(), sessions: Vec::new(), alone: false });
    }

    fn note(&self, client: &gst_rtsp_server::RTSPClient, session: &gst_rtsp_server::RTSPSession) {
        if let Some(guest) = lock(&self.0).iter_mut().find(|guest| guest.client == *client) {
            guest.sessions.push(session.clone());
        }
    }

    /// Those that nobody else has held since the last time.
    fn gone(&self) -> Vec<Guest> {
        let left = |guest: &mut Guest| {
            let alone = guest.client.ref_count() == 1;
            std::mem::replace(&mut guest.alone, alone) && alone
        };
        lock(&self.0).extract_if(.., left).collect()
    }
}

/// Sees to it that clients are served at once or told that they cannot be.
fn attend(rtsp: &gst_rtsp_server::RTSPServer, mounts: &Mounts, guests: &Guests) {
    let (mounts, guests) = (Arc::clone(mounts), guests.clone());
    rtsp.connect_client_connected(move |_, client| {
        guests.welcome(client);
        let known = guests.clone();
        client.connect_new_session(move |client, session| {
            session.set_timeout(SESSION_SECONDS);
            known.note(client, session);
        });
        let offered = Arc::clone(&mounts);
        client.connect_pre_describe_request(move |_, context| match stream_of(&offered, context) {
            Some(broadcast) if !broadcast.flows(SILENT) => gst_rtsp::RTSPStatusCode::ServiceUnavailable,
            _ => gst_rtsp::RTSPStatusCode::Ok,
        });
        // By UDP the first key frame may get lost: there is another one soon.
        let played = Arc::clone(&mounts);
        client.connect_play_request(move |_, context| {
            if let Some(broadcast) = stream_of(&played, context) {
                broadcast.want_key();
            }
        });
    });
}

/// The stream that a request is about.
fn stream_of(mounts: &Mounts, context: &gst_rtsp_server::RTSPContext) -> Option<Broadcast> {
    let asked = context.uri()?.decode_path_components();
    let mounts = lock(mounts);
    // Requests name the stream itself or something below it (`/cam/stream=0`).
    let names = |(path, _): &(&String, &Broadcast)| {
        let mut asked = asked.iter().filter(|part| !part.is_empty());
        path.split('/').filter(|part| !part.is_empty()).all(|part| asked.next().is_some_and(|a| a == part))
    };
    // `/cam` is not meant where there is a `/cam/garden`.
    let found = mounts.iter().filter(names).max_by_key(|(path, _)| path.len());
    found.map(|(_, broadcast)| broadcast.clone())
}

/// Whether a client has a session on a path, and not on one above it.
fn watches(client: &gst_rtsp_server::RTSPClient, path: &str) -> bool {
    let mut found = false;
    client.session_filter(Some(&mut |_, session| {
        session.filter(Some(&mut |_, media| {
            found |= media.matches(path).is_some_and(|length| usize::try_from(length) == Ok(path.len()));
            gst_rtsp_server::RTSPFilterResult::Keep
        }));
        gst_rtsp_server::RTSPFilterResult::Keep
    }));
    found
}

/// Makes a pipeline for each client that comes, none for all: one that takes nothing would hold up the others.
fn factory(broadcast: &Broadcast, description: &Description) -> gst_rtsp_server::RTSPMediaFactory {
    let text = &description.live.outputs;
    let factory = gst_rtsp_server::RTSPMediaFactory::new();
    factory.set_launch(&format!("( {} ! {} )", text.packets, text.publish));
    factory.set_shared(false);
    let broadcast = broadcast.clone();
    factory.connect_media_configure(move |_, media| {
        let element = media.element();
        if let Some(pipeline) = element.parent().and_then(|p| p.downcast::<gst::Pipeline>().ok()) {
            clock::join(&pipeline);
        }
        let source = element.downcast::<gst::Bin>().ok().and_then(|bin| bin.by_name("packets"));
        let Some(source) = source.and_then(|s| s.downcast::<gst_app::AppSrc>().ok()) else {
            tracing::error!("the description [live.outputs] has no appsrc named packets");
            return;
        };
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        media.connect_unprepared(move |_| ends.store(true, Ordering::Relaxed));
        let subscription = broadcast.subscribe(ROOM);
        let fed =
            std::thread::Builder::new().name("rtsp-feed".into()).spawn(move || feed(source, &subscription, &over));
        if let Err(e) = fed {
            tracing::error!(error = %e, "no thread for an RTSP client can be started");
        }
    });
    factory
}

/// Feeds a client's pipeline until it is over.
fn feed(source: gst_app::AppSrc, packets: &Subscription, over: &AtomicBool) {
    let (begun, mut came) = (Instant::now(), false);
    let mut feed = Feed::new(source.clone(), Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        if !feed.has_room() {
            std::thread::sleep(NO_ROOM);
            continue;
        }
        match packets.next(POLL) {
            Some(packet) => {
                came = true;
                if !feed.push(packet) {
                    return;
                }
            }
            None if packets.ended() => return feed.end(),
            None if !came && begun.elapsed() > FIRST => {
                gst::element_error!(source, gst::ResourceError::Read, ["no packets come"]);
                return;
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ErrorKind;
    use super::*;

    #[test]
    fn an_address_says_where_and_who() {
        let place = Place::parse("rtsp://an%40na:p%3Aw@0.0.0.0:8554/rack/3/").unwrap();
        assert_eq!((place.host.as_str(), place.port, place.path.as_str()), ("0.0.0.0", 8554, "/rack/3"));
        assert_eq!(place.login, Some(("an@na".into(), "p:w".into())));
        for open in ["rtsp://127.0.0.1:1/a", "rtsp://localhost:1/a", "rtsp://[::1]:1/a", "rtsp://127.8.8.8"] {
            assert!(Place::parse(open).is_ok(), "{open}");
        }
    }

    #[test]
    fn what_would_be_open_to_the_network_or_is_no_address_is_refused() {
        let refused = [
            "rtsp://0.0.0.0:8554/cam",
            "rtsp://192.168.1.5/cam",
            "rtsp://cam.example/x",
            "rtsp://[::]:8554/x",
            "rtsp://user@0.0.0.0/x",
            "rtsp://:secret@127.0.0.1/x",
            "http://127.0.0.1/x",
            "rtsp://127.0.0.1/x?y",
            "8554",
            "",
        ];
        for text in refused {
            let e = Place::parse(text).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Usage, "{text}");
            assert!(!format!("{e} {} {e:?}", e.hint()).contains("secret"), "{e:?}");
        }
    }
}
