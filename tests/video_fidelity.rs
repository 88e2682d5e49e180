//! Frames out = frames in: for every readable clip, with its time, size, shape and colours, and
//! with its sound and subtitles bit for bit. Both sides are read by ffprobe.

mod common;

use std::path::Path;

use common::ffprobe::{self, Packet, Shown, Stream};
use gradcast::video::{FileSink, FileSource, Frame, FramePool, SinkOptions, SourceOptions, SourceSummary};

/// How a frame goes from source to sink.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// The decoder's own buffer.
    HandedOn,
    /// Copied into a pooled buffer, as when it is painted.
    Copied,
}

struct Case {
    clip: &'static str,
    stream: usize,
    /// Containers that can hold all of its tracks.
    into: &'static [&'static str],
}

const fn case(clip: &'static str, into: &'static [&'static str]) -> Case {
    Case { clip, stream: 0, into }
}

const ALL: &[&str] = &["mp4", "mkv", "mov", "webm"];
const H264: &[&str] = &["mp4", "mkv", "mov"];

const CASES: &[Case] = &[
    case("slideshow_free_14.mp4", &["mp4", "mkv"]),
    case("intel_car-detection.mp4", H264),
    case("imageio_cockatoo_yuv420.mp4", &["mp4", "mkv"]),
    case("imageio_cockatoo.mp4", H264),
    case("moviepy_fire2.mp4", H264),
    case("moviepy_big_buck_bunny_432_433.webm", &["mkv", "webm"]),
    case("streamio_awesome_movie.mov", H264),
    case("torchcodec_nasa_13013.mp4", H264),
    Case { stream: 1, ..case("torchcodec_nasa_13013.mp4", &["mp4"]) },
    case("torchcodec_bt709_full_range.mp4", ALL),
    case("decord_video_90.mov", ALL),
    case("cockatoo_odd_427x241_444.mp4", ALL),
    case("cockatoo_vfr.mkv", ALL),
    case("cockatoo_interlaced_h264.mp4", ALL),
    case("cockatoo_reschange_midstream.ts", ALL),
    case("cockatoo_bitflips.mkv", H264),
    case("cockatoo_truncated_faststart.mp4", H264),
    case("single_frame.mp4", ALL),
];

#[test]
fn every_frame_comes_out_as_it_went_in() {
    check_all(Way::HandedOn, |_| true);
}

#[test]
fn painted_frames_keep_time_and_format() {
    check_all(Way::Copied, |container| container == "mp4");
}

#[test]
fn pictures_come_in_and_go_out() {
    let Some(material) = common::material() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, extension) in [
        ("gradcam_both.png", "png"),
        ("gradcam_both.png", "jpg"),
        ("winml_kitten_224.png", "png"),
        ("winml_cat.jpg", "jpeg"),
        ("coral_cat_720p.jpg", "png"),
        ("gradcam_horses.jpg", "mp4"),
    ] {
        let input = material.join("images").join(name);
        let output = folder.path().join(format!("{name}.{extension}"));
        copy(&input, &output, 0, Way::HandedOn);
        let (before, after) = (ffprobe::streams(&input), ffprobe::streams(&output));
        assert_eq!(before[0].shown_size(), after[0].shown_size(), "{name}");
        let off = ffprobe::mean_difference((&input, 0), (&output, 0), before[0].shown_size());
        // Chroma is halved and JPEG loses a little.
        let most = if extension == "mp4" { 12.0 } else { 3.0 };
        assert!(off < most, "{name} → {extension}: {off} levels away on average");
    }
}

fn check_all(way: Way, wanted: impl Fn(&str) -> bool) {
    let Some(material) = common::material() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    // One clip alone, while looking for a fault.
    let only = std::env::var("CLIP").ok();
    for case in CASES {
        if only.as_ref().is_some_and(|only| !case.clip.contains(only.as_str())) {
            continue;
        }
        let input = material.join("videos").join(case.clip);
        for container in case.into.iter().filter(|c| wanted(c)) {
            let name = format!("{} stream {} → {container}", case.clip, case.stream);
            let output = folder.path().join(format!("{}.{}.{container}", case.clip, case.stream));
            let begun = std::time::Instant::now();
            copy(&input, &output, case.stream, way);
            let faults = compare(case, &input, &output, container);
            wrong.extend(faults.iter().map(|f| format!("{name}: {f}")));
            std::fs::remove_file(&output).unwrap();
            eprintln!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn copy(input: &Path, output: &Path, stream: usize, way: Way) -> SourceSummary {
    let mut options = SourceOptions::new().unwrap();
    options.stream = stream;
    let mut source = FileSource::open(input, &options).unwrap();
    let info = source.info().clone();
    let tracks = source.take_tracks();
    let pool = FramePool::new(info.format.clone()).unwrap();
    let mut sink = FileSink::create(output, &SinkOptions::new().unwrap(), &info, tracks).unwrap();
    source.start().unwrap();
    let mut seq = 0;
    while let Some(frame) = source.next().unwrap() {
        assert_eq!(frame.seq(), seq);
        seq += 1;
        let frame = match way {
            Way::HandedOn => frame,
            Way::Copied => repainted(&pool, &frame),
        };
        sink.push(frame).unwrap();
    }
    assert_eq!(sink.finish().unwrap().frames, seq);
    source.summary()
}

fn repainted(pool: &FramePool, frame: &Frame) -> Frame {
    let mut painted = pool.acquire().unwrap();
    let read = frame.read().unwrap();
    let format = frame.format().clone();
    for (index, to) in painted.planes().into_iter().enumerate() {
        let from = read.plane(index);
        let (width, height) = format.plane_size(index);
        let bytes = if format.pixels().planes() == 2 && index == 1 { width * 2 } else { width };
        for y in 0..height {
            to.data[y * to.stride..][..bytes].copy_from_slice(&from.data[y * from.stride..][..bytes]);
        }
    }
    painted.finish(frame)
}

fn compare(case: &Case, input: &Path, output: &Path, container: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (before, after) = (ffprobe::streams(input), ffprobe::streams(output));
    let video = |streams: &[Stream], n: usize| -> Stream {
        streams.iter().filter(|s| s.kind == "video").nth(n).unwrap().clone()
    };
    let (from, to) = (video(&before, case.stream), video(&after, 0));
    compare_pictures(&from, &to, container, &mut faults);
    let files = ((input, from.index), (output, to.index));
    let off = ffprobe::mean_difference(files.0, files.1, to.shown_size());
    if off > 8.0 {
        faults.push(format!("the first frame is {off} levels away on average"));
    }
    let origin = ffprobe::start(input);
    let mut shown = ffprobe::frames(input, from.index);
    let written = ffprobe::frames(output, to.index);
    if case.clip.ends_with(".ts") {
        // Two recordings one after another: the second starts its clock anew, and ffprobe shows
        // that. GStreamer lets the time go on.
        for (i, shown) in shown.iter_mut().enumerate() {
            shown.pts = origin + i as f64 * 0.05;
        }
    }
    compare_times(&shown, &written, origin, &from, &to, container, &mut faults);
    for kind in ["audio", "subtitle"] {
        let of = |streams: &[Stream]| -> Vec<Stream> { streams.iter().filter(|s| s.kind == kind).cloned().collect() };
        let (before, after) = (of(&before), of(&after));
        if before.len() != after.len() {
            faults.push(format!("{} {kind} tracks, {} before", after.len(), before.len()));
            continue;
        }
        for (from, to) in before.iter().zip(&after) {
            let packets = (ffprobe::packets(input, from.index), ffprobe::packets(output, to.index));
            compare_packets(packets, origin, (from, to), &mut faults);
        }
    }
    faults
}

fn compare_pictures(from: &Stream, to: &Stream, container: &str, faults: &mut Vec<String>) {
    let mut same = |what: &str, before: &dyn std::fmt::Debug, after: &dyn std::fmt::Debug| {
        let (before, after) = (format!("{before:?}"), format!("{after:?}"));
        if before != after {
            faults.push(format!("{what} {after}, was {before}"));
        }
    };
    same("size", &from.shown_size(), &to.shown_size());
    same("rotation left", &0, &to.rotation);
    let square = |s: &Stream| s.sample_aspect.replace("0:1", "1:1");
    same("sample aspect", &square(from), &square(to));
    // "unknown" is limited by convention.
    let range = |s: &Stream| s.range.replace("unknown", "tv");
    same("range", &range(from), &range(to));
    if container == "webm" {
        // The encoder of WebM writes down the guess where the source says nothing.
        if from.matrix != "unknown" {
            // Two names of the BT.601 matrix; VP9 has one code for it.
            let matrix = |s: &Stream| s.matrix.replace("bt470bg", "smpte170m");
            same("matrix", &matrix(from), &matrix(to));
        }
        return;
    }
    same("matrix", &from.matrix, &to.matrix);
    same("primaries", &from.primaries, &to.primaries);
    same("transfer", &from.transfer, &to.transfer);
}

fn compare_times(
    shown: &[Shown],
    written: &[Shown],
    origin: f64,
    from: &Stream,
    to: &Stream,
    container: &str,
    faults: &mut Vec<String>,
) {
    if shown.len() != written.len() {
        faults.push(format!("{} frames, {} before", written.len(), shown.len()));
        return;
    }
    // Each container rounds to its own clock; GStreamer's nanoseconds lie between.
    let rounding = from.tick.max(1e-9) / 2.0 + to.tick / 2.0 + 2e-6;
    for (i, (before, after)) in shown.iter().zip(written).enumerate() {
        let want = before.pts - origin;
        if (after.pts - want).abs() > rounding {
            faults.push(format!("frame {i} at {}, was at {want}", after.pts));
            return;
        }
    }
    // A frame lasts as long as the container says, or until the next one: MP4 knows nothing else.
    // What ffprobe tells where the rate varies is one tick, which is no duration.
    let last = shown.len() - 1;
    for (i, (before, after)) in shown.iter().zip(written).enumerate() {
        let said = before.duration.filter(|d| *d > 2.0 * from.tick);
        let until_next = (i < last).then(|| shown[i + 1].pts - before.pts);
        let Some(after) = after.duration.filter(|d| *d > 2.0 * to.tick) else {
            if matches!(container, "mp4" | "mov") && said.is_some() {
                faults.push(format!("frame {i} lasts nothing"));
            }
            continue;
        };
        let near = |d: Option<f64>| d.is_some_and(|d| (d - after).abs() <= 2.0 * rounding);
        let exact = match container {
            "mp4" | "mov" if i < last => near(until_next),
            _ => near(said) || near(until_next),
        };
        if !exact && (said.is_some() || until_next.is_some()) {
            faults.push(format!("frame {i} lasts {after}, was {said:?} or {until_next:?}"));
            return;
        }
    }
}

fn compare_packets(
    (mut before, mut after): (Vec<Packet>, Vec<Packet>),
    origin: f64,
    (from, to): (&Stream, &Stream),
    faults: &mut Vec<String>,
) {
    // What ends before the presentation starts is never heard (encoder priming), and what
    // straddles it has no place in GStreamer's muxers.
    before.retain(|p| p.pts.is_none_or(|pts| pts - origin > -1e-9 || origin > 0.0));
    // What lies behind the end that an edit list sets is never heard either.
    if let Some(end) = from.duration {
        before.retain(|p| p.pts.is_none_or(|pts| pts < from.start + end));
    }
    let subtitles = from.kind == "subtitle";
    if subtitles {
        // Empty texts are how MP4 spells a pause; muxers place them as they like. MP4 packs a text
        // with its length in front, Matroska without.
        let text = |p: &Packet, codec: &str| p.size > if codec == "mov_text" { 2 } else { 0 };
        before.retain(|p| text(p, &from.codec));
        after.retain(|p| text(p, &to.codec));
    }
    let name = format!("{} track {}", from.kind, from.index);
    if before.len() != after.len() {
        faults.push(format!("{name}: {} packets, {} before", after.len(), before.len()));
        return;
    }
    let tolerance = from.tick + to.tick;
    for (i, (a, b)) in before.iter().zip(&after).enumerate() {
        if from.codec == to.codec && (a.hash != b.hash || a.size != b.size) {
            faults.push(format!("{name}: packet {i} differs"));
            return;
        }
        if let (Some(a), Some(b)) = (a.pts, b.pts)
            && (a - origin - b).abs() > tolerance
        {
            faults.push(format!("{name}: packet {i} at {b}, was at {}", a - origin));
            return;
        }
    }
    if from.language != to.language && from.language.as_deref() != Some("und") && from.language.is_some() {
        faults.push(format!("{name}: language {:?}, was {:?}", to.language, from.language));
    }
}
