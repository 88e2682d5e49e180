//! Promise: a window shows live pictures on a real display, never waits, hands on keys, says when it was closed, and
//! where there is no display says so.
//!
//! Each part runs in a process of its own, because a process has one display. `GRADCAST_PICTURES=FOLDER` keeps the
//! screenshots.

#[path = "common/screen.rs"]
mod screen;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gradcast::paint::{Fit, Look};
use gradcast::stream::Seen;
use gradcast::video::live::{Window, now};
use gradcast::video::{self, Description, ErrorKind, FileSource, Frame, FrameFormat, Region, RgbScaler, SourceOptions};
use screen::{Screen, Viewer};
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _};

/// Runs one of the parts below.
fn part(name: &str, display: Option<&str>) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact", "--ignored", "--nocapture"]).env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY");
    if let Some(display) = display {
        child.env("DISPLAY", display);
    }
    let done = child.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    println!("{said}");
    assert!(done.status.success() && said.contains("1 passed"), "{name}: {}", done.status);
}

#[test]
fn a_window_shows_pictures_takes_keys_and_says_when_it_was_closed() {
    part("on_a_screen", Some(&Screen::new().name));
}

#[test]
fn a_display_that_goes_away_is_said_and_ends_nothing_else() {
    part("on_a_screen_that_goes", Some(&Screen::new().name));
}

#[test]
fn without_a_display_it_is_a_usage_error_that_names_the_cure() {
    part("on_no_screen", None);
    part("on_no_screen", Some(":4242"));
}

fn clip() -> Vec<Frame> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shapes.mp4");
    let mut source = FileSource::open(&path, &SourceOptions::new().unwrap()).unwrap();
    video::Source::start(&mut source).unwrap();
    (0..12).map(|_| video::Source::next(&mut source).unwrap().unwrap()).collect()
}

/// Shows `frames` again and again for a while, at a usual pace.
fn play(window: &Window, frames: &[Frame], time: Duration) {
    let until = Instant::now() + time;
    for (seq, frame) in frames.iter().cycle().enumerate() {
        if Instant::now() >= until {
            break;
        }
        window.push(frame.at(now(), None, seq as u64));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Mean distance, in levels of 0..=255, of a screenshot from a frame.
fn distance(shot: &[u8], frame: &Frame, (width, height): (usize, usize)) -> f64 {
    let whole = Region { x: 0, y: 0, width: frame.format().width(), height: frame.format().height() };
    let mut rgb = vec![0; width * height * 3];
    RgbScaler::new().scale(&frame.read().unwrap(), whole, width, height, &mut rgb).unwrap();
    assert_eq!(shot.len(), rgb.len());
    shot.iter().zip(&rgb).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / rgb.len() as f64
}

#[test]
#[ignore = "run on a screen of its own by the test above"]
fn on_a_screen() {
    let description = Description::built_in().unwrap();
    video::init().unwrap();
    let frames = clip();
    let format = frames[0].format();
    let size = (format.width(), format.height());
    let viewer = Viewer::new();
    let window = Window::open("front door", format, &description).unwrap();

    // The picture.
    play(&window, &frames, Duration::from_secs(1));
    wait_for("the window", || viewer.windows().len() == 1);
    let id = viewer.windows()[0];
    assert_eq!(viewer.size(id), size);
    assert!(viewer.title(id).contains("front door"), "{}", viewer.title(id));
    let still = |frame: &Frame| play(&window, std::slice::from_ref(frame), Duration::from_millis(500));
    still(&frames[11]);
    let off = distance(&viewer.shot(size, "whole"), &frames[11], size);
    println!("the screen shows the frame within {off:.2} levels");
    assert!(off < 4.0);

    // Keys.
    viewer.point_at(id);
    let keys = window.keys();
    let pressed = |syms: &[u32]| {
        viewer.press(syms);
        let name = |key: &String| key.starts_with("Shift");
        let mut all = std::iter::from_fn(|| keys.recv_timeout(Duration::from_secs(5)).ok());
        all.find(|key| !name(key)).unwrap_or_else(|| panic!("no key arrived for {syms:x?}"))
    };
    const SHIFT: u32 = 0xffe1;
    for (syms, name) in [
        (&[u32::from(b'n')][..], "n"),
        (&[u32::from(b' ')], "space"),
        (&[0xff1b], "Escape"),
        (&[0xff53], "Right"),
        // The key is named, not the sign.
        (&[SHIFT, u32::from(b'/')], "slash"),
        (&[SHIFT, u32::from(b'=')], "equal"),
        (&[u32::from(b'-')], "minus"),
    ] {
        assert_eq!(pressed(syms), name);
    }

    // Another size of the window, and of the pictures.
    let half = (size.0 / 2, size.1 / 2);
    let to = ConfigureWindowAux::new().width(half.0 as u32).height(half.1 as u32);
    viewer.x.configure_window(id, &to).unwrap().check().unwrap();
    still(&frames[11]);
    let off = distance(&viewer.shot(half, "half"), &frames[11], half);
    println!("a window of half the size shows it within {off:.2} levels");
    assert!(off < 8.0);
    let other = Arc::new(FrameFormat::live(640, 360, None).unwrap());
    let mut seen = Seen::new(Look::default(), Fit::Stretch, (224, 224));
    let away = seen.still(None, &other, &["camera away since 12:03:22 UTC", "connection refused"]).unwrap();
    still(&away);
    viewer.shot(half, "away");
    still(&frames[0]);
    let off = distance(&viewer.shot(half, "back"), &frames[0], half);
    assert!(off < 8.0 && !window.is_closed(), "{off:.2} levels off after a change of size");

    // It never waits.
    let (begin, before) = (Instant::now(), window.dropped());
    for (seq, frame) in frames.iter().cycle().take(2000).enumerate() {
        window.push(frame.at(now(), None, seq as u64));
    }
    let took = begin.elapsed();
    println!("2000 pictures were handed over in {took:?}, {} gave way to newer ones", window.dropped() - before);
    assert!(took < Duration::from_secs(4) && window.dropped() > before);

    // Closing.
    assert!(!window.is_closed());
    viewer.close(id);
    wait_for("the end of the window", || window.is_closed());
    window.push(frames[0].at(now(), None, 0));
    let begin = Instant::now();
    drop(window);
    assert!(begin.elapsed() < Duration::from_secs(2), "closing took {:?}", begin.elapsed());
    wait_for("the window to vanish", || viewer.windows().is_empty());

    // Another one, gone without a single picture.
    let again = Window::open("front door", format, &description).unwrap();
    assert!(!again.is_closed());
}

#[test]
#[ignore = "run on a screen of its own by the test above"]
fn on_a_screen_that_goes() {
    video::init().unwrap();
    let frames = clip();
    let window = Window::open("front door", frames[0].format(), &Description::built_in().unwrap()).unwrap();
    play(&window, &frames, Duration::from_millis(500));
    let viewer = Viewer::new();
    wait_for("the window", || viewer.windows().len() == 1);
    assert_eq!(window.failure(), None);
    // The connection breaks off, as it does with a server that ends.
    viewer.x.kill_client(viewer.windows()[0]).unwrap().check().unwrap();
    wait_for("the failure", || {
        play(&window, &frames, Duration::from_millis(50));
        window.failure().is_some()
    });
    println!("{:?}", window.failure());
    // Nobody closed it.
    assert!(!window.is_closed());
    let begin = Instant::now();
    play(&window, &frames, Duration::from_millis(500));
    drop(window);
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[test]
#[ignore = "run without a screen by the test above"]
fn on_no_screen() {
    let format = {
        video::init().unwrap();
        Arc::new(FrameFormat::live(640, 360, None).unwrap())
    };
    let Err(error) = Window::open("front door", &format, &Description::built_in().unwrap()) else {
        panic!("a window without a display");
    };
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("no display") && error.hint().contains("DISPLAY"), "{error}: {}", error.hint());
}
