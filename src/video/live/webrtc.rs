//! One browser that watches a stream over WebRTC: offer in (WHEP), answer out, packets until it leaves.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_video as gst_video;
use gstreamer_webrtc as gst_webrtc;

use super::broadcast::{Broadcast, Subscription};
use super::clock;
use super::feed::{Feed, put_away};
use crate::video::bus::Heard;
use crate::video::description::{self, Description, fill, named};
use crate::video::error::{Result, VideoError};

/// How browsers are answered.
#[derive(Debug, Clone)]
pub struct ViewerOptions {
    /// Own addresses at which a browser may find us; none: whatever libnice finds, loopback left out.
    pub addresses: Vec<IpAddr>,
    /// `stun://host:port`, for browsers behind another router; not needed on one network.
    pub stun: Option<String>,
    /// How the pipeline is put together.
    pub description: Description,
}

impl ViewerOptions {
    /// Found on every address but loopback, no STUN, the built-in description.
    ///
    /// # Errors
    /// See [`Description::built_in`].
    pub fn new() -> Result<Self> {
        Ok(Self { addresses: Vec::new(), stun: None, description: Description::built_in()? })
    }
}

/// A browser that watches. Dropping it ends the connection; it also ends by itself when the browser leaves,
/// goes silent or never comes, and when the stream ends.
#[derive(Debug)]
pub struct Viewer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    over: AtomicBool,
    /// When the browser was last heard, in nanoseconds of [`clock::now`].
    heard: AtomicU64,
}

impl Shared {
    fn hear(&self) {
        self.heard.store(u64::try_from(clock::now().as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn silent_for(&self) -> Duration {
        clock::now().saturating_sub(Duration::from_nanos(self.heard.load(Relaxed)))
    }
}

/// How long one step of the negotiation may take.
const STEP: Duration = Duration::from_secs(3);
/// How long candidates are gathered; what is there by then is offered.
const GATHER: Duration = Duration::from_secs(2);
/// How long a browser may take to connect after the answer.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a connection may be interrupted. Browsers report about once a second.
const SILENCE: Duration = Duration::from_secs(15);
/// How often the connection is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Packets that may wait for a browser; more would be delay.
const ROOM: usize = 32;
const LET_GO: Duration = Duration::from_secs(2);

impl Viewer {
    /// Answers a browser's offer; the stream flows as soon as it connects. May take some seconds.
    ///
    /// # Errors
    /// Of kind `Input`: the offer is not understood or wants no H.264. Of kind `Run`: GStreamer fails.
    pub fn answer(broadcast: &Broadcast, offer: &str, options: &ViewerOptions) -> Result<(Self, String)> {
        crate::video::init()?;
        // GStreamer complains aloud about an empty one.
        if offer.is_empty() {
            return Err(refused("it is empty"));
        }
        let offer =
            gst_sdp::SDPMessage::parse_buffer(offer.as_bytes()).map_err(|e| refused("it is no SDP").because(e))?;
        let (payload, profile) = payload(&offer)?;
        let outputs = &options.description.live.outputs;
        let text = format!("{} ! {}", outputs.packets, fill(&outputs.webrtc, &[("payload", &payload.to_string())]));
        let connection = Connection::new(description::pipeline(&text)?)?;
        connection.watch(broadcast)?;
        connection.reach(options);
        clock::join(&connection.pipeline);
        connection.pipeline.set_state(gst::State::Playing).map_err(|e| failed("it does not start").because(e))?;
        let answer = name_profile(&connection.negotiate(offer)?, payload, &profile);
        let shared = Arc::new(Shared::default());
        let (mine, broadcast) = (Arc::clone(&shared), broadcast.clone());
        std::thread::Builder::new()
            .name("viewer".into())
            .spawn(move || {
                connection.serve(&broadcast, &mine);
                drop(connection);
                mine.over.store(true, Relaxed);
            })
            .map_err(|e| failed("there is no thread for it").because(e))?;
        Ok((Self { shared }, answer))
    }

    /// Whether the browser has left.
    pub fn is_over(&self) -> bool {
        self.shared.over.load(Relaxed)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
    }
}

/// The pipeline of a viewer; stopped when dropped.
struct Connection {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    packets: gst_app::AppSrc,
    peer: gst::Element,
}

impl Drop for Connection {
    fn drop(&mut self) {
        put_away(&self.pipeline, LET_GO);
    }
}

impl Connection {
    fn new(pipeline: gst::Pipeline) -> Result<Self> {
        Ok(Self {
            bus: pipeline.bus().ok_or_else(|| failed("its pipeline has no bus"))?,
            packets: named(&pipeline, "packets")?,
            peer: named(&pipeline, "peer")?,
            pipeline,
        })
    }

    /// A browser that has lost packets asks for a key frame: its wish goes to the encoder.
    fn watch(&self, broadcast: &Broadcast) -> Result<()> {
        let pad = self.packets.static_pad("src").ok_or_else(|| failed("its pipeline has no beginning"))?;
        let broadcast = broadcast.clone();
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if info.event().is_some_and(|event| gst_video::ForceKeyUnitEvent::is(event)) {
                broadcast.want_key();
            }
            gst::PadProbeReturn::Ok
        });
        Ok(())
    }

    /// Where candidates come from, and that lost packets are sent again.
    fn reach(&self, options: &ViewerOptions) {
        if let Some(stun) = &options.stun {
            self.peer.set_property("stun-server", stun);
        }
        let sender: Option<gst_webrtc::WebRTCRTPTransceiver> = self.peer.emit_by_name("get-transceiver", &[&0i32]);
        if let Some(sender) = sender {
            sender.set_property("do-nack", true);
        }
        let agent: gst::Object = self.peer.property("ice-agent");
        // Nothing is asked of the routers around, nor offered to them.
        if agent.has_property_with_type("agent", glib::Object::static_type()) {
            let nice: Option<glib::Object> = agent.property("agent");
            if let Some(nice) = nice.filter(|nice| nice.has_property("upnp")) {
                nice.set_property("upnp", false);
            }
        }
        for address in &options.addresses {
            if !agent.emit_by_name::<bool>("add-local-ip-address", &[&address.to_string()]) {
                tracing::debug!(%address, "not usable for WebRTC");
            }
        }
    }

    /// The answer, with every candidate in it.
    fn negotiate(&self, offer: gst_sdp::SDPMessage) -> Result<String> {
        let offer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Offer, offer);
        self.ask("set-remote-description", |promise| {
            self.peer.emit_by_name::<()>("set-remote-description", &[&offer, promise]);
        })?;
        let reply = self.ask("create-answer", |promise| {
            self.peer.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, promise]);
        })?;
        let answer: gst_webrtc::WebRTCSessionDescription =
            reply.and_then(|r| r.get("answer").ok()).ok_or_else(|| failed("it has no answer"))?;
        if !answer.sdp().medias().any(|m| m.media() == Some("video") && m.attribute_val("sendonly").is_some()) {
            return Err(refused("it wants no H.264 that can be sent"));
        }
        self.ask("set-local-description", |promise| {
            self.peer.emit_by_name::<()>("set-local-description", &[&answer, promise]);
        })?;
        let until = Instant::now() + GATHER;
        let gathered = || {
            self.peer.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state")
                == gst_webrtc::WebRTCICEGatheringState::Complete
        };
        while !gathered() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let local: Option<gst_webrtc::WebRTCSessionDescription> = self.peer.property("local-description");
        let local = local.ok_or_else(|| failed("it has no description"))?;
        local.sdp().as_text().map_err(|e| failed("its answer cannot be written").because(e))
    }

    /// Asks webrtcbin for something, and waits for its reply, but never for ever.
    fn ask(&self, what: &str, call: impl FnOnce(&gst::Promise)) -> Result<Option<gst::Structure>> {
        let (tell, hear) = bounded(1);
        let promise = gst::Promise::with_change_func(move |reply| {
            let _ = tell.try_send(reply.map(|r| r.map(ToOwned::to_owned)));
        });
        call(&promise);
        let reply = hear.recv_timeout(STEP).map_err(|e| failed(&format!("{what} takes too long")).because(e))?;
        let reply = reply.map_err(|e| failed(&format!("{what} is not possible: {e:?}")))?;
        match reply.as_ref().and_then(|r| r.get::<glib::Error>("error").ok()) {
            Some(e) => Err(refused(&format!("{what}: {}", e.message())).because(e)),
            None => Ok(reply),
        }
    }

    fn state(&self) -> gst_webrtc::WebRTCPeerConnectionState {
        self.peer.property("connection-state")
    }

    /// Feeds the browser until one of both has had enough.
    fn serve(&self, broadcast: &Broadcast, shared: &Arc<Shared>) {
        use gst_webrtc::WebRTCPeerConnectionState::{Closed, Connected, Failed};
        let mut heard = Heard::default();
        let mut well = || {
            heard.listen(&self.bus, gst::ClockTime::ZERO);
            let gone = matches!(self.state(), Closed | Failed) || heard.error.is_some() || heard.eos;
            !gone && !shared.stop.load(Relaxed)
        };
        let until = Instant::now() + CONNECT;
        while self.state() != Connected {
            if !well() || Instant::now() > until {
                return;
            }
            std::thread::sleep(LOOK);
        }
        self.listen(shared);
        // Only now: the connection begins with a key frame, and with nothing old.
        let packets = broadcast.subscribe(ROOM);
        let mut feed = Feed::new(self.packets.clone(), Duration::ZERO);
        let mut whole = true;
        while well() && shared.silent_for() < SILENCE && !packets.ended() {
            whole = hand_on(&packets, &mut feed, broadcast, whole);
        }
    }

    /// Notes whenever the browser reports. One that vanished without a word would stay for ever.
    fn listen(&self, shared: &Arc<Shared>) {
        shared.hear();
        let bin = self.peer.downcast_ref::<gst::Bin>().and_then(|peer| peer.by_name("rtpbin"));
        let session = bin.and_then(|bin| bin.emit_by_name::<Option<glib::Object>>("get-internal-session", &[&0u32]));
        let Some(session) = session else { return };
        let shared = Arc::clone(shared);
        session.connect("on-receiving-rtcp", false, move |_| {
            shared.hear();
            None
        });
    }
}

/// Hands one packet on. `whole`, and the answer: whether what went before can be decoded on from.
fn hand_on(packets: &Subscription, feed: &mut Feed, broadcast: &Broadcast, whole: bool) -> bool {
    let Some(packet) = packets.next(5 * LOOK) else { return whole };
    let fits = (whole || packet.is_key()) && feed.has_room() && feed.push(packet);
    if whole && !fits {
        broadcast.want_key();
    }
    fits
}

/// Profiles of H.264 that play what we send (constrained baseline), the most exact first.
const PROFILES: [&str; 5] = ["42e0", "42c0", "4200", "4d", "64"];

/// webrtcbin leaves the profile out of its answer; browsers then take it for another one than they have offered,
/// and show nothing.
fn name_profile(answer: &str, payload: u32, profile: &str) -> String {
    let start = format!("a=fmtp:{payload} ");
    match answer.contains("profile-level-id") || profile.is_empty() {
        true => answer.to_owned(),
        false => answer.replacen(&start, &format!("{start}profile-level-id={profile};"), 1),
    }
}

/// The browser's number for the H.264 that suits us best, and its profile and level.
fn payload(offer: &gst_sdp::SDPMessageRef) -> Result<(u32, String)> {
    // GStreamer takes these for granted.
    for name in ["ice-ufrag", "ice-pwd", "fingerprint", "setup"] {
        let everywhere = offer.medias().all(|m| m.attribute_val(name).or_else(|| offer.attribute_val(name)).is_some());
        if !everywhere || offer.medias_len() == 0 {
            return Err(refused(&format!("it has no {name}")));
        }
    }
    let mut found: Vec<(usize, u32, String)> = Vec::new();
    for media in offer.medias().filter(|m| m.media() == Some("video")) {
        let numbers = media.formats().filter_map(|f| f.parse::<u32>().ok());
        for number in numbers.filter(|n| (96..=127).contains(n)) {
            let of = |name: &str| {
                let all = media.attributes().filter(|a| a.key() == name).filter_map(|a| a.value());
                all.filter_map(|v| v.split_once(' ')).find(|(n, _)| *n == number.to_string()).map(|(_, rest)| rest)
            };
            let is_h264 = of("rtpmap").is_some_and(|m| m.to_ascii_uppercase().starts_with("H264/90000"));
            let terms = of("fmtp").unwrap_or_default().to_ascii_lowercase();
            if !is_h264 || !terms.contains("packetization-mode=1") {
                continue;
            }
            let profile = terms.split(';').find_map(|t| t.trim().strip_prefix("profile-level-id=")).unwrap_or_default();
            let profile: String = profile.chars().filter(char::is_ascii_hexdigit).take(6).collect();
            let rank = PROFILES.iter().position(|p| profile.starts_with(p)).unwrap_or(PROFILES.len());
            found.push((rank, number, profile));
        }
    }
    found
        .into_iter()
        .min()
        .map(|(_, number, profile)| (number, profile))
        .ok_or_else(|| refused("it wants no H.264 in packets of mode 1"))
}

fn refused(why: &str) -> VideoError {
    VideoError::input(
        format!("the offer of the browser cannot be answered: {why}"),
        "use a browser that plays H.264 over WebRTC, or the MJPEG address",
    )
}

fn failed(why: &str) -> VideoError {
    VideoError::run(
        format!("WebRTC failed: {why}"),
        "install gstreamer1.0-nice and gstreamer1.0-plugins-bad, or use the MJPEG address",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n";
    const ICE: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n\
        a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";

    fn offer(lines: &str) -> String {
        format!(
            "{HEAD}m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99\r\nc=IN IP4 0.0.0.0\r\n{ICE}a=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n{lines}"
        )
    }

    fn h264(number: u32, terms: &str) -> String {
        format!("a=rtpmap:{number} H264/90000\r\na=fmtp:{number} {terms}\r\n")
    }

    fn chosen(lines: &str) -> Option<u32> {
        crate::video::init().unwrap();
        payload(&gst_sdp::SDPMessage::parse_buffer(offer(lines).as_bytes()).unwrap()).ok().map(|(number, _)| number)
    }

    #[test]
    fn the_closest_profile_is_taken() {
        let [high, base] = ["64001f", "42e01f"].map(|p| format!("packetization-mode=1;profile-level-id={p}"));
        assert_eq!(chosen(&(h264(97, &high) + &h264(98, &base))), Some(98));
        assert_eq!(chosen(&h264(97, &high)), Some(97));
        assert_eq!(chosen(&h264(97, "packetization-mode=0;profile-level-id=42e01f")), None);
        assert_eq!(chosen("a=rtpmap:96 VP8/90000\r\n"), None);
    }

    #[test]
    fn an_offer_is_answered_in_its_own_numbers_and_nobody_waits_for_a_browser_that_never_comes() {
        let options = ViewerOptions { addresses: vec![IpAddr::from([127, 0, 0, 1])], ..ViewerOptions::new().unwrap() };
        let again = "a=rtcp-fb:98 nack\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n";
        let offer = offer(&(h264(98, "packetization-mode=1;profile-level-id=42e01f") + again));
        let (viewer, answer) = Viewer::answer(&Broadcast::new(), &offer, &options).unwrap();
        assert!(answer.contains("a=rtpmap:98 H264/90000") && answer.contains("a=sendonly"), "{answer}");
        assert!(answer.contains(" 127.0.0.1 ") && answer.contains("profile-level-id=42e01f"), "{answer}");
        // The packets and their repetitions, in this order: the browser shows the first.
        let ssrc = "1735549284";
        assert!(answer.contains(&format!("a=ssrc-group:FID {ssrc} ")), "{answer}");
        assert!(answer.contains(&format!("a=ssrc:{ssrc} msid:")), "{answer}");
        assert!(!viewer.is_over());
        let shared = Arc::clone(&viewer.shared);
        drop(viewer);
        let until = Instant::now() + Duration::from_secs(3);
        while !shared.over.load(Relaxed) {
            assert!(Instant::now() < until);
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "hello", HEAD, &offer(""), &offer("a=rtpmap:98 H264\r\na=fmtp:\r\n"), &HEAD.repeat(99)] {
            let e = Viewer::answer(&Broadcast::new(), text, &ViewerOptions::new().unwrap()).unwrap_err();
            assert_eq!(e.kind(), crate::video::ErrorKind::Input, "{e}: {text}");
        }
    }
}
