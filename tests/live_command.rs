//! Promise: `gradcast live test` works with nothing else: a window with video, heat and label; a key changes the
//! picture; `q` ends it. And without a window: published, seen by another client, with events.

#[path = "common/screen.rs"]
mod screen;

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::cli::{Running, events, gradcast};
use screen::{Screen, Viewer};

const SOON: Duration = Duration::from_secs(30);

fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + SOON;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Mean difference of two pictures, in levels.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len().max(1) as f64
}

#[test]
fn the_window_shows_video_heat_and_label_and_obeys_keys() {
    let screen = Screen::new();
    let viewer = Viewer::on(&screen);
    let child = gradcast()
        .args(["live", "test", "--device", "cpu"])
        .env("DISPLAY", &screen.name)
        .env_remove("WAYLAND_DISPLAY")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let live = Running(child);
    let window = wait_for("the window", || viewer.windows().first().copied());
    let size = wait_for("the picture", || Some(viewer.size(window)).filter(|(w, h)| *w >= 640 && *h >= 360));
    viewer.point_at(window);
    std::thread::sleep(Duration::from_secs(3));

    // Frozen, two screenshots are alike; a key changes the picture.
    viewer.press(&[u32::from(b' ')]);
    std::thread::sleep(Duration::from_secs(2));
    let before = viewer.shot(size, "live-paused");
    std::thread::sleep(Duration::from_millis(500));
    let same = difference(&before, &viewer.shot(size, "live-paused-again"));
    assert!(same < 0.5, "a paused picture stands still: {same:.2}");
    let changed = |name: &str, least: f64| {
        wait_for(name, || Some(difference(&before, &viewer.shot(size, name))).filter(|levels| *levels > least))
    };
    viewer.press(&[u32::from(b'/')]);
    let helped = changed("live-help", 0.5);
    viewer.press(&[u32::from(b'c')]);
    let recoloured = changed("live-colours", helped + 1.0);
    println!("paused {same:.2}, with help {helped:.2}, in other colours {recoloured:.2} levels");

    // It moves again.
    viewer.press(&[u32::from(b' ')]);
    std::thread::sleep(Duration::from_secs(1));
    let one = viewer.shot(size, "live-one");
    wait_for("the video to run", || Some(()).filter(|()| difference(&one, &viewer.shot(size, "live-two")) > 0.5));

    viewer.press(&[u32::from(b'q')]);
    let (code, said) = live.said();
    println!("{said}");
    assert_eq!(code, 0);
    assert!(said.contains("frames:") && said.contains("device:  cpu"), "{said}");
}

#[test]
fn published_and_recorded_with_events_and_ended_within_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let (log, records) = (folder.path().join("events.jsonl"), folder.path().join("records"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("rtsp://127.0.0.1:{port}/cam");
    let child = gradcast()
        .args(["live", "test", "--no-window", "--device", "cpu", "--publish", &url])
        .arg("--record")
        .arg(&records)
        .arg("--events")
        .arg(&log)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let live = Running(child);
    let probe = || {
        let done = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name,width,height"])
            .args(["-of", "csv=p=0", &url])
            .output()
            .unwrap();
        Some(String::from_utf8_lossy(&done.stdout).trim().to_owned()).filter(|said| !said.is_empty())
    };
    let said = wait_for("the published stream", probe);
    assert!(said.starts_with("h264,1280,720"), "{said}");
    wait_for("fifty events", || std::fs::read_to_string(&log).ok().filter(|log| log.lines().count() > 50));
    let asked = Instant::now();
    live.signal(libc::SIGTERM);
    let (code, said) = live.said();
    assert!(asked.elapsed() < Duration::from_secs(4), "it took {:?} to end", asked.elapsed());
    assert_eq!(code, 130, "{said}");

    let events = events(&log);
    assert!(events.len() > 30, "{} events", events.len());
    let pts: Vec<u64> = events.iter().map(|e| e["pts_ns"].as_u64().unwrap()).collect();
    assert!(pts.windows(2).all(|w| w[0] < w[1]), "times rise");
    assert!(events.iter().any(|e| e["map_pts_ns"].as_u64().is_some_and(|map| map <= e["pts_ns"].as_u64().unwrap())));
    let files: Vec<_> = std::fs::read_dir(&records).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let done = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(&files[0])
        .output()
        .unwrap();
    let frames: u64 = String::from_utf8_lossy(&done.stdout).trim().parse().unwrap();
    assert!(frames > 30, "{frames} frames were recorded");
}

#[test]
fn what_cannot_start_says_so_with_its_exit_code() {
    let run = |args: &[&str]| {
        let mut command = gradcast();
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").arg("live").args(args);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&["test"]);
    assert!(code == Some(2) && said.contains("no display") && said.contains("--http"), "{code:?} {said}");
    let (code, said) = run(&["no-such-file.mp4", "--no-window"]);
    assert!(code == Some(3) && said.contains("no-such-file.mp4"), "{code:?} {said}");
    let (code, said) = run(&["test", "--publish", "rtsp://0.0.0.0:8554/x"]);
    assert!(code == Some(2) && said.contains("password"), "{code:?} {said}");
    let (code, said) = run(&["test", "--no-window", "--token", "correct horse"]);
    assert!(code == Some(2) && said.contains("--http") && !said.contains("horse"), "{code:?} {said}");
    let (code, said) = run(&["ftp://somewhere/x", "--no-window"]);
    assert!(code == Some(2), "{code:?} {said}");
    let (code, _) = run(&["--list"]);
    assert_eq!(code, Some(0));
}

/// A terminal that closes: the shell and the kernel both send the signal.
#[test]
fn a_second_hangup_ends_nothing_at_once_and_one_that_is_ignored_nothing_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, ignored: bool| {
        let log = folder.path().join(name);
        let trap = if ignored { "trap '' HUP; " } else { "" };
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("{trap}exec \"$@\""), "sh"]).arg(gradcast().get_program());
        command.args(["live", "test", "--no-window", "--device", "cpu", "--events"]).arg(&log);
        let live = Running(command.env_remove("RUST_LOG").stderr(Stdio::piped()).spawn().unwrap());
        let lines = move || std::fs::read_to_string(&log).map_or(0, |log| log.lines().count());
        wait_for("events", || Some(()).filter(|()| lines() > 0));
        (live, lines)
    };
    let (live, _) = start("one.jsonl", false);
    live.signal(libc::SIGHUP);
    live.signal(libc::SIGHUP);
    let (code, said) = live.said();
    assert!(code == 130 && said.contains("frames:"), "{code} {said}");

    let (live, lines) = start("two.jsonl", true);
    live.signal(libc::SIGHUP);
    let before = lines();
    wait_for("more events", || Some(()).filter(|()| lines() > before + 50));
    live.signal(libc::SIGTERM);
    let (code, said) = live.said();
    assert!(code == 130 && said.contains("frames:"), "{code} {said}");
}

#[test]
fn a_display_that_goes_away_ends_the_window_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (log, records) = (folder.path().join("events.jsonl"), folder.path().join("records"));
    let start = |screen: &Screen, more: &[&std::ffi::OsStr]| {
        let mut command = gradcast();
        command.args(["live", "test", "--device", "cpu"]).args(more).env("DISPLAY", &screen.name);
        Running(command.env_remove("WAYLAND_DISPLAY").stderr(Stdio::piped()).spawn().unwrap())
    };
    let screen = Screen::new();
    let alone = start(&screen, &[]);
    let outputs = ["--window".as_ref(), "--record".as_ref(), records.as_os_str(), "--events".as_ref(), log.as_os_str()];
    let live = start(&screen, &outputs);
    let viewer = Viewer::on(&screen);
    wait_for("both windows", || Some(()).filter(|()| viewer.windows().len() == 2));
    let lines = || std::fs::read_to_string(&log).map_or(0, |log| log.lines().count());
    wait_for("events", || Some(()).filter(|()| lines() > 30));
    drop(viewer);
    drop(screen);
    let (code, said) = alone.said();
    assert!(code == 1 && said.contains("the display is gone"), "{code} {said}");

    let before = lines();
    wait_for("more events", || Some(()).filter(|()| lines() > before + 50));
    live.signal(libc::SIGTERM);
    let (code, said) = live.said();
    assert!(code == 130 && said.contains("the other outputs go on"), "{code} {said}");
    let file = std::fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    let frames = common::ffprobe::frames(&file, 0).len();
    assert!(frames > 50, "{frames} frames were recorded");
}

#[test]
fn a_film_that_breaks_off_ends_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("breaking.toml");
    let launch = "filesrc name=input ! decodebin name=decode ! identity error-after=30";
    std::fs::write(&pipeline, format!("[live.source]\nfile = \"{launch}\"\n")).unwrap();
    let film = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shapes.mp4");
    for command in [&["live", "--no-window"][..], &["watch"]] {
        let log = folder.path().join(command[0]);
        let mut program = gradcast();
        program
            .args(command)
            .arg(&film)
            .args(["--device", "cpu", "--pipeline"])
            .arg(&pipeline)
            .arg("--events")
            .arg(&log);
        let (code, said) = Running(program.stderr(Stdio::piped()).spawn().unwrap()).said();
        assert!(code == 1 && said.contains("shapes.mp4 breaks off"), "{command:?}: {code} {said}");
        assert!((20..=30).contains(&events(&log).len()), "each picture once");
    }
}
