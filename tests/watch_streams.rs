//! Promise: a camera that goes and comes back never ends what is published, and streams come and go without disturbing
//! the others.

#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::time::{Duration, Instant};

use common::monitor;
use gradcast::monitor::config::Config;
use gradcast::stream::live::State;
use gradcast::video::live::{Health, LiveOptions, LiveSource};
use rtsp::{H264, Rtsp, clip, free_port, within};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn what_is_published_goes_on_while_the_camera_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let out = format!("rtsp://127.0.0.1:{}/out", free_port());
    let config = format!(
        "[models.m]\ndevice = \"cpu\"\n[streams.door]\nurl = {:?}\nmodel = \"m\"\npublish = [{out:?}]\n",
        camera.url()
    );
    let monitor = monitor(&config, folder.path());
    let stream = monitor.stream("door").unwrap();
    assert!(within(SOON, || stream.status().state == State::Live).is_some(), "{:?}", stream.status());
    let viewer = LiveSource::start(out.parse().unwrap(), LiveOptions::new().unwrap()).unwrap();
    let mut last = None;
    let mut watch = |what: &str, time: Duration| {
        let until = Instant::now() + time;
        let mut count = 0;
        while Instant::now() < until {
            let frame = viewer.frames().recv_timeout(Duration::from_secs(10));
            let frame = frame.unwrap_or_else(|e| panic!("{what}: {e}, {:?}", viewer.health()));
            assert!(last.is_none_or(|last| frame.pts() > last), "{what}: times rise");
            last = Some(frame.pts());
            count += 1;
        }
        println!("{what}: {count} frames");
        assert!(count > 0);
    };
    watch("live", Duration::from_secs(2));
    for round in 0..3 {
        camera.kill();
        assert!(within(SOON, || stream.status().state == State::Away).is_some());
        assert!(stream.status().reason.is_some_and(|r| !r.is_empty()));
        watch("away", Duration::from_secs(2));
        camera.restart();
        let back = within(SOON, || stream.status().state == State::Live).expect("it comes back");
        println!("round {round}: live again after {back:?}");
        assert!(back < Duration::from_secs(2), "{back:?}");
        watch("back", Duration::from_secs(1));
    }
    assert!(matches!(viewer.health(), Health::Up { .. }));
    assert_eq!(viewer.counters().failures.values().sum::<u64>(), 0, "the published stream never ended");
    monitor.stop();
}

#[test]
fn streams_are_added_and_removed_while_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let model = "[models.m]\ndevice = \"cpu\"\n";
    let stream = |name: &str| format!("[streams.{name}]\nurl = \"test\"\nmodel = \"m\"\n");
    let monitor = monitor(&format!("{model}{}{}", stream("a"), stream("b")), folder.path());
    let a = monitor.stream("a").unwrap();
    assert!(within(SOON, || a.status().state == State::Live).is_some());
    let before = a.status().frames_out;
    let other = format!("{model}{}{}", stream("a"), stream("c"));
    let changes = monitor.apply(Config::parse(&other, "test.toml", folder.path()).unwrap());
    assert_eq!((changes.added, changes.removed, changes.changed), (vec!["c".into()], vec!["b".into()], vec![]));
    assert!(monitor.stream("b").is_none());
    let c = monitor.stream("c").unwrap();
    assert!(within(SOON, || c.status().state == State::Live).is_some());
    assert!(within(SOON, || a.status().frames_out > before + 10).is_some());
    assert!(!a.is_stopping() && a.status().state == State::Live, "a was not disturbed");
    let begun = Instant::now();
    monitor.stop();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
