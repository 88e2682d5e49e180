//! Promise: a panic, a bad source or an output that cannot be written in one stream never touches another; and the one
//! that panicked is started again.

#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gradcast::monitor::config::Config;
use gradcast::monitor::{Monitor, OpenExtra, Workshop};
use gradcast::stream::live::{Output, State};
use gradcast::video::live::EncoderOptions;
use gradcast::video::{Description, Frame, FrameFormat};
use rtsp::{free_port, within};

const SOON: Duration = Duration::from_secs(20);
/// Held by tests that start encoders over and over, or count the threads that do.
static STARTS: Mutex<()> = Mutex::new(());
/// Frames after which the output panics.
const FUSE: usize = 15;

struct Panics(usize);

impl Output for Panics {
    fn push(&mut self, _: &Frame) {
        self.0 += 1;
        assert!(self.0 < FUSE, "the fuse has burnt down");
    }

    fn finish(self: Box<Self>) {}
}

/// A number of the metrics; 0 where it is not there.
fn number(metrics: &str, name: &str) -> f64 {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
}

#[test]
fn trouble_in_one_stream_never_touches_another() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that cannot be made: something else bears its name.
    std::fs::write(folder.path().join("taken"), "").unwrap();
    let config = format!(
        "[defaults]\nmodel = \"m\"\nevery = 2\n[models.m]\ndevice = \"cpu\"\n\
         [streams.a-panics]\nurl = \"test\"\n\
         [streams.b-away]\nurl = \"rtsp://127.0.0.1:{}/nobody\"\n\
         [streams.c-unwritable]\nurl = \"test\"\nrecord = {{ dir = \"taken/records\" }}\n\
         [streams.d-good]\nurl = \"test\"\n",
        free_port()
    );
    let config = Config::parse(&config, "test.toml", folder.path()).unwrap();
    // The first stream by name gets it.
    let fuse: OpenExtra = Box::new(|_: &Arc<FrameFormat>| Ok(Box::new(Panics(0)) as Box<dyn Output>));
    let monitor = common::start(config, common::workshop(folder.path()), Some(fuse));
    let (bad, good) = (monitor.stream("a-panics").unwrap(), monitor.stream("d-good").unwrap());
    assert!(within(SOON, || good.status().state == State::Live).is_some());

    // The good stream's widest gap while the other panics, fails and comes back.
    let (mut frames, mut at, mut widest, mut failed) = (good.status().frames_out, Instant::now(), Duration::ZERO, None);
    let received = || number(&monitor.metrics().text(), "gradcast_received_frames_total{stream=\"a-panics\"}");
    let mut most = 0.0;
    let again = within(SOON, || {
        assert!(monitor.look_after());
        let out = good.status().frames_out;
        if out > frames {
            (widest, frames, at) = (widest.max(at.elapsed()), out, Instant::now());
        }
        if bad.status().state == State::Failed {
            failed = bad.status().reason;
        }
        let counted = received();
        assert!(counted >= most, "what the source counts goes on as well: {counted} after {most}");
        most = counted;
        // A handle of its own after the new start.
        let new = monitor.stream("a-panics").unwrap().status();
        failed.is_some() && new.state == State::Live
    });
    assert!(again.is_some(), "{:?}", monitor.stream("a-panics").unwrap().status());
    assert!(failed.is_some_and(|why| why.contains("the fuse has burnt down")));
    println!("the widest gap of the good stream: {widest:?}");
    assert!(widest < Duration::from_secs(1) && good.status().state == State::Live && !good.is_stopping());
    assert!(bad.meters().frames_in.get() > FUSE as u64, "the new start goes on counting");

    let unwritable = monitor.stream("c-unwritable").unwrap().status();
    assert!(unwritable.state == State::Live && unwritable.trouble.is_some(), "{unwritable:?}");
    let metrics = monitor.metrics().text();
    for name in [
        "gradcast_record_failures_total{stream=\"c-unwritable\"}",
        "gradcast_stage_seconds_count{stream=\"c-unwritable\",stage=\"encode\"}",
        "gradcast_stage_seconds_count{stream=\"c-unwritable\",stage=\"decode\"}",
    ] {
        assert!(number(&metrics, name) > 0.0, "{name}\n{metrics}");
    }
    let reasons = monitor.not_ready();
    assert!(matches!(&reasons[..], [only] if only.starts_with("b-away: ")), "{reasons:?}");
    assert!(monitor.is_alive());
    monitor.stop();
}

#[test]
fn a_stream_that_does_not_start_is_said_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let good = "[models.m]\ndevice = \"cpu\"\n[streams.good]\nurl = \"test\"\nmodel = \"m\"\n";
    let late = folder.path().join("late.mp4");
    let both = format!("{good}[streams.late]\nurl = {late:?}\nmodel = \"m\"\nrepeat = true\n");
    let parse = |text: &str| Config::parse(text, "test.toml", folder.path()).unwrap();
    let monitor = common::monitor(&both, folder.path());
    let stream = monitor.stream("good").unwrap();
    assert!(monitor.stream("late").is_none() && monitor.missing()["late"].why.contains("late.mp4"));
    assert!(monitor.not_ready().iter().any(|line| line.starts_with("late: it did not start")));

    let down = "gradcast_stream_up{stream=\"late\"} 0";
    assert!(monitor.metrics().text().contains(down), "an alarm on what is down sounds");
    assert!(monitor.metrics().text().contains("gradcast_quiet_seconds{stream=\"late\"} -1"), "it never gave a picture");
    assert!(monitor.apply(parse(&both)).is_empty());
    assert!(monitor.look_after() && monitor.missing().contains_key("late"), "still");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/shapes.mp4"), &late).unwrap();
    assert!(monitor.apply(parse(&both)).is_empty());
    assert!(monitor.missing().is_empty());
    let late = monitor.stream("late").expect("it is there now");
    assert!(within(SOON, || late.status().state == State::Live && monitor.not_ready().is_empty()).is_some());
    assert!(!stream.is_stopping() && !stream.has_ended());
    monitor.apply(parse(good));
    assert!(!monitor.metrics().text().contains("late"), "its series end with it");
    monitor.stop();
}

/// A pipe that nobody reads stands for a disk that hangs.
#[test]
fn events_that_cannot_be_written_hold_up_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("events.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opened, so that the program can open it, but never read.
    let _held = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let config =
        format!("[models.m]\ndevice = \"cpu\"\n[streams.a]\nurl = \"test\"\nmodel = \"m\"\nevents = {pipe:?}\n");
    let monitor = common::monitor(&config, folder.path());
    let stream = monitor.stream("a").unwrap();
    // Some hundred events fill the pipe and what may wait in front of it.
    assert!(within(Duration::from_secs(60), || stream.status().trouble.is_some()).is_some());
    println!("{:?} after {} frames", stream.status().trouble, stream.status().frames_out);
    let before = stream.status().frames_out;
    std::thread::sleep(Duration::from_secs(2));
    let frames = stream.status().frames_out - before;
    assert!(frames > 20 && stream.status().state == State::Live, "{frames} frames in two seconds");
    let begun = Instant::now();
    monitor.stop();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

/// A stream `a` of the test picture, whose encoder is launched in a way of its own.
fn encoded_by(launch: &str, folder: &Path) -> Arc<Monitor> {
    let rows = folder.join("encoders.toml");
    std::fs::write(&rows, format!("[live.encoders.x264]\nlaunch = '{launch}'\n")).unwrap();
    let description = Description::load(&rows).unwrap();
    let encoder = EncoderOptions { description: description.clone(), ..EncoderOptions::new().unwrap() };
    let workshop = Workshop { description, encoder, snapshots: folder.into() };
    let config = "[models.m]\ndevice = \"cpu\"\n[streams.a]\nurl = \"test\"\nmodel = \"m\"\n";
    common::start(Config::parse(config, "test.toml", folder).unwrap(), workshop, None)
}

#[test]
fn an_encoder_that_fails_is_started_again() {
    let _alone = STARTS.lock();
    let folder = tempfile::tempdir().unwrap();
    let launch = "videoconvert ! video/x-raw,format=I420 ! identity error-after=20 ! x264enc name=encoder tune=zerolatency \
                  speed-preset=ultrafast key-int-max={gop} ! video/x-h264,profile=constrained-baseline";
    let monitor = encoded_by(launch, folder.path());
    let stream = monitor.stream("a").unwrap();
    let packets = stream.broadcast().subscribe(64);
    assert!(packets.next(SOON).is_some());
    assert!(within(SOON, || stream.status().trouble.is_some_and(|t| t.contains("encoder failed"))).is_some());
    while packets.next(Duration::from_millis(200)).is_some() {}
    let shown = stream.status().frames_out;
    let again = packets.next(SOON).expect("packets come again");
    assert!(again.is_key());
    assert!(stream.status().frames_out > shown + 30, "the video went on meanwhile");
    assert!(within(SOON, || stream.status().trouble.is_none()).is_some(), "and the trouble is over");

    // It comes back also where nobody looks any more.
    assert!(within(SOON, || stream.status().trouble.is_some()).is_some());
    drop(packets);
    let flows = || stream.broadcast().flows(Duration::from_secs(1));
    assert!(within(SOON, || !flows()).is_some(), "nobody is let in meanwhile");
    assert!(within(SOON, || stream.status().trouble.is_none()).is_some());
    assert!(within(SOON, flows).is_some());
    monitor.stop();
}

/// A pipe that nobody reads stands for a device that hangs when it is opened.
#[test]
fn an_encoder_that_hangs_at_its_start_holds_up_no_picture() {
    let _alone = STARTS.lock();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("device");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let launch = format!(
        "videoconvert ! video/x-raw,format=I420 ! x264enc name=encoder tune=zerolatency speed-preset=ultrafast \
         key-int-max={{gop}} ! tee name=both ! queue ! filesink location={} async=false both. ! queue ! \
         video/x-h264,profile=constrained-baseline",
        pipe.display()
    );
    let monitor = encoded_by(&launch, folder.path());
    let stream = monitor.stream("a").unwrap();
    let packets = stream.broadcast().subscribe(64);
    let hangs = || stream.status().trouble.is_some_and(|t| t.contains("hangs"));
    assert!(within(SOON, hangs).is_some(), "{:?}", stream.status());
    let shown = stream.status().frames_out;
    assert!(within(SOON, || stream.status().frames_out > shown + 10).is_some(), "the video goes on");
    let starts = || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        names.filter(|name| name.starts_with("encoder-start")).count()
    };
    assert_eq!(starts(), 1, "one attempt, however long it takes");

    // It is taken up where it comes after all.
    let mut device = std::fs::File::open(&pipe).unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut device, &mut std::io::sink()));
    assert!(packets.next(SOON).is_some_and(|first| first.is_key()));
    assert!(within(SOON, || stream.status().trouble.is_none()).is_some());
    monitor.stop();
    drop(monitor);
    reader.join().unwrap().unwrap();
}
