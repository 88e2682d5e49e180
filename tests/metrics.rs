//! What `/metrics` says: well-formed, with names that Prometheus likes, and only of streams that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gradcast::engine::Work;
use gradcast::monitor::metrics::{EngineNumbers, Metrics, Number};
use gradcast::stream::live::Meters;

/// Name with labels as they stand, and value.
type Series = BTreeMap<String, f64>;

/// Reads the exposition format, and refuses what a scraper would refuse.
fn read(text: &str) -> (Series, BTreeMap<String, String>) {
    let (mut series, mut types) = (Series::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    let body = text.strip_suffix("# EOF\n").expect("it ends properly");
    let mut family = String::new();
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(helped.insert(help.split(' ').next().unwrap().to_owned()), "twice: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            family = name.to_owned();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            assert!(bare.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{line}");
            let suffix = bare.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            let allowed: &[&str] = match types[&family].as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                other => panic!("{other}"),
            };
            assert!(allowed.contains(&suffix), "{line}");
            if let Some(labels) = name.strip_prefix(bare).filter(|l| !l.is_empty()) {
                labels_are_well_formed(labels);
            }
            let value = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() };
            assert!(series.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    (series, types)
}

fn labels_are_well_formed(labels: &str) {
    let mut rest = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).unwrap();
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{labels}");
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &value[end.unwrap() + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn engine(model: &str, work: Work) -> EngineNumbers {
    EngineNumbers { model: model.into(), layer: "top \"relu\"\n".into(), device: "cpu".into(), work }
}

#[test]
fn streams_engines_sources_and_sinks_are_exported() {
    let metrics = Metrics::new();
    let (a, b) = (Meters::default(), Meters::default());
    let removed = Arc::new(AtomicU64::new(7));
    let counted = Arc::clone(&removed);
    metrics.add_stream("a", a.clone(), move |tally| {
        tally.add(Number::Received, 12);
        tally.add_by(Number::Dropped, "encoder", 3);
        tally.add_by(Number::Dropped, "encoder", 1);
        tally.add_by(Number::Reconnects, "stall", 2);
        tally.add(Number::Takers, 1);
        tally.add(Number::RemovedFiles, counted.load(Relaxed));
    });
    metrics.add_stream("b", b, |_| ());
    metrics.set_engines(|| {
        let mut batches = Work::default().batches;
        (batches[0], batches[2]) = (2, 1);
        let work = Work { frames: 6, runs: 4, batches, busy: Duration::from_millis(1500), queued: 3 };
        vec![engine("shapes", work), engine("shapes", work), engine("birds", Work::default())]
    });
    a.frames_in.inc_by(10);
    a.explained.inc_by(4);
    a.reused.inc_by(6);
    a.superseded.inc_by(5);
    a.up.set(1);
    a.map_age.observe(0.04);
    a.delay.observe(0.003);
    a.paint.observe(0.002);
    a.paint.observe(100.0);

    let text = metrics.text();
    let (series, types) = read(&text);
    for (name, value) in [
        ("gradcast_frames_total{stream=\"a\"}", 10.0),
        ("gradcast_frames_total{stream=\"b\"}", 0.0),
        ("gradcast_explained_frames_total{stream=\"a\"}", 4.0),
        ("gradcast_reused_maps_total{stream=\"a\"}", 6.0),
        ("gradcast_received_frames_total{stream=\"a\"}", 12.0),
        ("gradcast_dropped_frames_total{stream=\"a\",cause=\"encoder\"}", 4.0),
        ("gradcast_dropped_frames_total{stream=\"a\",cause=\"superseded\"}", 5.0),
        ("gradcast_reconnects_total{stream=\"a\",reason=\"stall\"}", 2.0),
        ("gradcast_packet_takers{stream=\"a\"}", 1.0),
        ("gradcast_removed_files_total{stream=\"a\"}", 7.0),
        ("gradcast_stream_up{stream=\"a\"}", 1.0),
        ("gradcast_stream_up{stream=\"b\"}", 0.0),
        ("gradcast_map_age_seconds_count{stream=\"a\"}", 1.0),
        ("gradcast_delay_seconds_bucket{le=\"0.004\",stream=\"a\"}", 1.0),
        ("gradcast_stage_seconds_count{stream=\"a\",stage=\"paint\"}", 2.0),
        ("gradcast_stage_seconds_sum{stream=\"a\",stage=\"paint\"}", 100.002),
        ("gradcast_engine_queue_length{model=\"shapes\",layer=\"top \\\"relu\\\"\\n\",device=\"cpu\"}", 6.0),
        ("gradcast_engine_busy_seconds_total{model=\"shapes\",layer=\"top \\\"relu\\\"\\n\",device=\"cpu\"}", 3.0),
        ("gradcast_engine_runs_total{model=\"birds\",layer=\"top \\\"relu\\\"\\n\",device=\"cpu\"}", 0.0),
        ("gradcast_engine_batch_size_sum{model=\"shapes\",layer=\"top \\\"relu\\\"\\n\",device=\"cpu\"}", 12.0),
        ("gradcast_engine_batch_size_count{model=\"shapes\",layer=\"top \\\"relu\\\"\\n\",device=\"cpu\"}", 6.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}\n{text}");
    }
    assert_eq!(types["gradcast_stage_seconds"], "histogram");
    histograms_add_up(&series);

    // Read at scrape time.
    removed.store(9, Relaxed);
    assert_eq!(read(&metrics.text()).0["gradcast_removed_files_total{stream=\"a\"}"], 9.0);
}

/// Buckets rise up to `+Inf`, which holds the count.
fn histograms_add_up(series: &Series) {
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (name, value) in series {
        let Some((before, rest)) = name.split_once("le=\"") else { continue };
        let (le, after) = rest.split_once('"').unwrap();
        let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
        let count = format!("{}{}", before.replace("_bucket{", "_count{"), after.trim_start_matches(','));
        buckets.entry(count).or_default().push((le, *value));
    }
    assert!(buckets.len() > 8);
    for (count, mut found) in buckets {
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(found.windows(2).all(|w| w[0].1 <= w[1].1), "{count}: {found:?}");
        assert_eq!(found.last(), Some(&(f64::INFINITY, series[&count])), "{count}");
    }
}

#[test]
fn a_removed_stream_takes_its_series_with_it() {
    let metrics = Metrics::new();
    assert!(read(&metrics.text()).0.keys().all(|name| name.starts_with("gradcast_build_info")));
    metrics.add_stream("a", Meters::default(), |tally| tally.add(Number::Received, 1));
    metrics.add_stream("b", Meters::default(), |_| ());
    let again = Meters::default();
    again.frames_in.inc();
    metrics.add_stream("b", again, |_| ());
    metrics.remove_stream("a");
    metrics.remove_stream("a");
    let (series, _) = read(&metrics.text());
    assert!(!series.keys().any(|name| name.contains("\"a\"")), "{series:?}");
    assert_eq!(series["gradcast_frames_total{stream=\"b\"}"], 1.0);
}

#[test]
fn a_scrape_may_change_what_is_watched() {
    let metrics = Metrics::new();
    let inner = metrics.clone();
    metrics.add_stream("a", Meters::default(), move |_| inner.remove_stream("a"));
    assert!(metrics.text().contains("\"a\""));
    assert!(!metrics.text().contains("\"a\""));
}
