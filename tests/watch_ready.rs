//! Promise: a stream is ready only while new pictures come and are shown, also where a silent camera is allowed; what is
//! shown meanwhile says so.

#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::time::Duration;

use gradcast::stream::live::{Control, State};
use rtsp::{H264, Rtsp, clip, within};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_camera_that_falls_silent_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let config = format!(
        "[models.m]\ndevice = \"cpu\"\n[streams.a]\nurl = {:?}\nmodel = \"m\"\nsilence = \"off\"\nevents = \"e.jsonl\"\n",
        server.url()
    );
    let monitor = common::monitor(&config, folder.path());
    let stream = monitor.stream("a").unwrap();
    let ready = || monitor.not_ready().is_empty();
    assert!(within(SOON, ready).is_some(), "{:?}", monitor.not_ready());

    server.freeze();
    assert!(within(SOON, || !ready()).is_some());
    assert_eq!(monitor.not_ready(), ["a: no new picture comes"]);
    let (status, out) = (stream.status(), stream.status().frames_out);
    assert_eq!(status.state, State::Live, "its silence is allowed: {status:?}");
    assert!(within(SOON, || stream.status().frames_out > out + 5).is_some(), "the last picture is shown again");
    assert!(within(SOON, || stream.status().quiet_seconds >= Some(3)).is_some());
    assert!(!monitor.metrics().text().contains("gradcast_quiet_seconds{stream=\"a\"} 0"));
    let told = std::fs::read_to_string(folder.path().join("e.jsonl")).unwrap().lines().count() as u64;
    assert!(told <= stream.meters().frames_in.get(), "what is shown again is told once");

    // What stands is explained anew when a viewer asks for something else.
    let (explained, layer) = (stream.meters().explained.get(), status.layers[1].clone());
    stream.change(Control::Layer, &layer).unwrap();
    assert!(within(SOON, || stream.status().layer == layer && stream.meters().explained.get() > explained).is_some());

    server.thaw();
    assert!(within(SOON, ready).is_some(), "{:?}", monitor.not_ready());
    stream.change(Control::Pause, "on").unwrap();
    assert!(within(SOON, || monitor.not_ready() == ["a: a viewer has paused it"]).is_some());
    stream.change(Control::Pause, "off").unwrap();
    assert!(within(SOON, ready).is_some());
    monitor.stop();
}
