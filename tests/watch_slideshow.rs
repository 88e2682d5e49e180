//! Promise: the events of a watched camera name what it shows within a second of each change.

#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use common::cli::{Running, events, gradcast, mobilenet};
use rtsp::Rtsp;
use serde_json::Value;

#[test]
fn a_watched_slideshow_is_named_within_a_second_of_each_change() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events.jsonl");
    let server = Rtsp::serve(&material.join("videos/slideshow_free_14.mp4"));
    let child = gradcast()
        .args(["watch", &server.url(), "--device", "cpu"])
        .args(mobilenet(&material))
        .arg("--events")
        .arg(&log)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let watch = Running(child);
    let pts = |event: &Value| event["pts_ns"].as_u64().unwrap() as f64 / 1e9;
    // A client begins at the first frame of the clip, whose photos last a second each.
    let lasts = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        // The last line may be under way.
        let all: Vec<Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        all.last().map_or(0.0, |last| pts(last) - pts(&all[0]))
    };
    let until = Instant::now() + Duration::from_secs(60);
    while lasts() < 14.5 {
        assert!(Instant::now() < until, "events of {:.1} s", lasts());
        thread::sleep(Duration::from_millis(500));
    }
    watch.signal(libc::SIGTERM);
    assert_eq!(watch.said().0, 130);

    let events = events(&log);
    let class = |event: &Value| event["predictions"][0]["class"].as_u64();
    let table = std::fs::read_to_string(material.join("videos/slideshow_free_14.csv")).unwrap();
    let rows = table.lines().skip(1).filter(|l| !l.is_empty()).map(|row| row.split(',').collect::<Vec<_>>());
    // One photo the model takes for another, live or not.
    let photos: Vec<(f64, u64, &str)> = rows
        .filter(|row| row[4] == row[6])
        .map(|row| (row[0].parse().unwrap(), row[2].parse().unwrap(), row[4]))
        .collect();
    assert_eq!(photos.len(), 13);

    // When the clip began: its first frames may have come before anybody looked, so the times of the frames that the model
    // saw tell, by the photo that was named soonest.
    let seen = |event: &Value| event["map_pts_ns"].as_u64().map_or(f64::NAN, |ns| ns as f64 / 1e9);
    let near = pts(&events[0]);
    let began = photos.iter().flat_map(|(change, wanted, _)| {
        let by_it = events.iter().filter(|e| class(e) == Some(*wanted)).map(move |e| seen(e) - change);
        by_it.filter(move |began| (*change > 0.0) && (began - near).abs() < 0.9)
    });
    let began = began.fold(f64::INFINITY, f64::min);
    println!("the clip began {:.3} s before the first event", near - began);
    for (change, wanted, name) in photos {
        let between = |from: f64, to: f64| {
            let ours = move |e: &&Value| (from..to).contains(&(pts(e) - began - change));
            events.iter().filter(ours)
        };
        let named = between(0.0, 1.0).find(|e| class(e) == Some(wanted));
        let named = named.unwrap_or_else(|| panic!("{name} is not named within a second"));
        println!("{name}: {:.3} s after the change", pts(named) - began - change);
        let last = between(0.0, 0.9).next_back().unwrap();
        assert_eq!(class(last), Some(wanted), "{name} is named and then forgotten: {last}");
    }
}
