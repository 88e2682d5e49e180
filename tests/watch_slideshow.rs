//! Promise: the events of a watched camera name what it shows within a second.

#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::collections::HashMap;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::cli::{events, gradcast, mobilenet};
use rtsp::Rtsp;

#[test]
fn a_watched_slideshow_is_named_within_a_second_of_each_change() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events.jsonl");
    let server = Rtsp::serve(&material.join("videos/slideshow_free_14.mp4"));
    let mut child = gradcast()
        .args(["watch", &server.url(), "--device", "cpu"])
        .args(mobilenet(&material))
        .arg("--events")
        .arg(&log)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_secs(24));
    // SAFETY: a signal to a child of ours that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let table = std::fs::read_to_string(material.join("videos/slideshow_free_14.csv")).unwrap();
    let truth: Vec<u64> = table
        .lines()
        .skip(1)
        .filter(|l| !l.is_empty())
        .map(|l| l.split(',').nth(2).unwrap().parse().unwrap())
        .collect();
    // A photo a second: the clip begins at the first frame, and its end is the next beginning.
    let events = events(&log);
    let first = events[0]["pts_ns"].as_u64().unwrap();
    let mut named: HashMap<u64, HashMap<u64, usize>> = HashMap::new();
    for event in &events {
        let second = (event["pts_ns"].as_u64().unwrap() - first) / 1_000_000_000;
        if let Some(class) = event["predictions"][0]["class"].as_u64() {
            *named.entry(second).or_default().entry(class).or_default() += 1;
        }
    }
    for (second, class) in truth.iter().enumerate() {
        println!("second {second}: {class} is wanted, named are {:?}", named.get(&(second as u64)));
    }
    // The engine's and the network's delay may carry a name a little over the edge, so a photo may be named in its own
    // second or in the first half of the next.
    let count = truth.len() as u64;
    let right = (0..count)
        .filter(|second| {
            let class = truth[*second as usize];
            [*second, second + 1].iter().any(|s| named.get(s).is_some_and(|n| n.contains_key(&class)))
        })
        .count();
    println!("{right} of {count} photos named within a second, {} events", events.len());
    assert!(right >= truth.len() - 1, "{right} of {count}");
}
