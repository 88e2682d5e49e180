//! Promise: a browser that vanishes without a word is forgotten, and nothing of it is left behind.

mod live_support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gradcast::video::live::{Broadcast, Viewer, ViewerOptions};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_webrtc as gst_webrtc;
use live_support::{Live, held, shapes, wait_for};

const SOON: Duration = Duration::from_secs(20);
const HERE: &str = "127.0.0.1";
/// Set for the process that watches: the folder where offer, answer and the number of packets lie.
const PEER: &str = "GRADCAST_TEST_WEBRTC_PEER";

fn put(dir: &Path, name: &str, text: &str) {
    let new = dir.join(format!("{name}.new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, dir.join(name)).unwrap();
}

fn get(dir: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(dir.join(name)).ok()
}

/// Not a test of its own: what the next one starts and kills.
#[test]
fn watches_until_killed() {
    let Some(dir) = std::env::var_os(PEER).map(PathBuf::from) else { return };
    gst::init().unwrap();
    let pipeline = gst::Pipeline::new();
    let peer = gst::ElementFactory::make("webrtcbin").property_from_str("bundle-policy", "max-bundle").build().unwrap();
    pipeline.add(&peer).unwrap();
    let agent: gst::Object = peer.property("ice-agent");
    assert!(agent.emit_by_name::<bool>("add-local-ip-address", &[&HERE]));
    let caps = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("encoding-name", "H264")
        .field("payload", 96)
        .field("clock-rate", 90_000)
        .field("packetization-mode", "1")
        .field("profile-level-id", "42e01f")
        .build();
    let direction = gst_webrtc::WebRTCRTPTransceiverDirection::Recvonly;
    let _: gst_webrtc::WebRTCRTPTransceiver = peer.emit_by_name("add-transceiver", &[&direction, &caps]);
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    peer.connect_pad_added(move |_, pad| {
        let count = Arc::clone(&count);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Relaxed);
            gst::PadProbeReturn::Drop
        });
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let offer: gst_webrtc::WebRTCSessionDescription = {
        let promise = gst::Promise::new();
        peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        promise.wait();
        promise.get_reply().unwrap().get("offer").unwrap()
    };
    peer.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
    let gathered = || peer.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state");
    wait_for("candidates", SOON, || gathered() == gst_webrtc::WebRTCICEGatheringState::Complete);
    let offer: gst_webrtc::WebRTCSessionDescription = peer.property("local-description");
    put(&dir, "offer", &offer.sdp().as_text().unwrap());
    wait_for("an answer", SOON, || dir.join("answer").exists());
    let answer = gstreamer_sdp::SDPMessage::parse_buffer(get(&dir, "answer").unwrap().as_bytes()).unwrap();
    let answer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Answer, answer);
    peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
    let begin = Instant::now();
    while begin.elapsed() < 6 * SOON {
        put(&dir, "seen", &seen.load(Relaxed).to_string());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The process that is a browser.
struct Browser {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A viewer whom packets have reached.
fn watch(broadcast: &Broadcast) -> (Viewer, Browser) {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "watches_until_killed", "--nocapture"])
        .env(PEER, dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("an offer", SOON, || dir.path().join("offer").exists());
    let options = ViewerOptions { addresses: vec![HERE.parse().unwrap()], ..ViewerOptions::new().unwrap() };
    let (viewer, answer) = Viewer::answer(broadcast, &get(dir.path(), "offer").unwrap(), &options).unwrap();
    put(dir.path(), "answer", &answer);
    let seen = || get(dir.path(), "seen").and_then(|text| text.parse::<u64>().ok());
    wait_for("packets", SOON, || seen().is_some_and(|packets| packets > 50));
    (viewer, Browser { child, _dir: dir })
}

#[test]
fn a_browser_that_vanishes_without_a_word_is_forgotten() {
    let live = Live::start(shapes(30), 25);
    // The first brings what stays: plugins and their own threads.
    let (viewer, browser) = watch(&live.broadcast);
    drop(viewer);
    wait_for("the viewer's end", SOON, || live.broadcast.subscribers() == 0);
    drop(browser);
    std::thread::sleep(Duration::from_secs(1));
    let before = held();

    let (viewer, browser) = watch(&live.broadcast);
    assert!(!viewer.is_over());
    drop(browser);
    let begin = Instant::now();
    // Fifteen seconds of silence, and what it takes to let go.
    wait_for("the viewer's end", 2 * SOON, || viewer.is_over());
    println!("forgotten after {:?}", begin.elapsed());
    assert_eq!(live.broadcast.subscribers(), 0);
    drop(viewer);
    wait_for("the threads' end", SOON, || held().0 <= before.0 && held().1 <= before.1);
    println!("threads and files before {before:?}, after {:?}", held());
}
