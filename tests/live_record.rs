//! Recordings: files that play, limits that hold, disks that fail; and single pictures.

mod live_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gradcast::video::Description;
use gradcast::video::live::{self, Jpegs, OutputHealth, RecordOptions, Recorder};
use live_support::{Live, held, look, pictures_seen, run, shapes, wait_for};

const SOON: Duration = Duration::from_secs(20);
/// Set for the process that is killed: the folder it records into.
const VICTIM: &str = "GRADCAST_TEST_RECORD_INTO";
/// Set for the process that may mount.
const NAMESPACE: &str = "GRADCAST_TEST_NAMESPACE";

fn options(dir: &Path, segment: u64) -> RecordOptions {
    let mut options = RecordOptions::new(dir).unwrap();
    options.segment = Duration::from_secs(segment);
    options.retry = Duration::from_secs(1);
    options
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// Frames that ffmpeg and GStreamer decode of a file, and what ffmpeg complained of.
fn played(path: &Path) -> (usize, usize, String) {
    let file = path.to_str().unwrap();
    let args = ["-v", "error", "-select_streams", "v:0", "-count_frames", "-show_entries", "stream=nb_read_frames"];
    let (_, out, err) = run("ffprobe", &[&args[..], &["-of", "csv=p=0", file]].concat(), SOON);
    let location = format!("location={file}");
    let args = ["-v", "filesrc", &location, "!", "qtdemux", "!", "avdec_h264", "!", "identity", "name=seen"];
    let (_, seen, _) =
        run("gst-launch-1.0", &[&args[..], &["silent=false", "!", "fakesink", "sync=false"]].concat(), SOON);
    (out.trim().trim_end_matches(',').parse().unwrap_or(0), pictures_seen(&seen), err)
}

#[test]
fn a_recording_is_cut_by_time_without_losing_a_frame_and_ends_within_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let live = Live::start(shapes(60), 25);
    let recorder = Recorder::start("cam 1", &live.broadcast, options(&dir.path().join("new"), 4)).unwrap();
    wait_for("a third file", 3 * SOON, || recorder.counters().files >= 3);
    std::thread::sleep(Duration::from_secs(1));
    assert!(matches!(recorder.health(), OutputHealth::Up { .. }), "{:?}", recorder.health());
    let counters = recorder.counters();
    let begin = Instant::now();
    recorder.stop();
    println!("{counters:?}, ended in {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(counters.dropped, 0);
    let files = files(&dir.path().join("new"));
    assert!((3..=4).contains(&files.len()), "{files:?}");
    let mut all = 0;
    for file in &files {
        let (ffmpeg, gst, said) = played(file);
        println!("{}: {ffmpeg} frames by ffmpeg, {gst} by GStreamer; {said}", file.display());
        assert!(said.is_empty() && ffmpeg == gst && ffmpeg > 0, "{said}");
        let (_, start, _) = run(
            "ffprobe",
            &["-v", "error", "-show_entries", "format=start_time,duration", "-of", "csv=p=0", file.to_str().unwrap()],
            SOON,
        );
        println!("start and duration: {start}");
        let times: Vec<f64> = start.trim().split(',').map(|t| t.parse().unwrap()).collect();
        assert!(times[0].abs() < 0.1, "a file begins at zero: {start}");
        // Cut at the first key frame behind the time; one comes every two seconds.
        let last = *file == files[files.len() - 1];
        assert!(last || (3.5..8.0).contains(&times[1]), "{start}");
        all += ffmpeg as u64;
    }
    // The last one as well: an ordinary MP4, its index at the end, and as long as what was shown.
    let last = &files[files.len() - 1];
    let (boxes, times) = (boxes(last), shown_at(last));
    println!("{boxes:?}");
    assert!(boxes.last().is_some_and(|name| name == "moov") && !boxes.contains(&"moof".into()), "{boxes:?}");
    let args = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", last.to_str().unwrap()];
    let length: f64 = run("ffprobe", &args, SOON).1.trim().parse().unwrap();
    assert!((length - times[times.len() - 1]).abs() < 0.5, "{length} s, and frames at {times:?}");
    // Counted before the end, which records what came meanwhile.
    let pushed = live.pushed.load(std::sync::atomic::Ordering::Relaxed);
    assert!(all >= counters.packets && all <= pushed, "{all} of {}, {pushed} pushed", counters.packets);
    if let Some(picture) = look("recorded.png") {
        let args = ["-v", "error", "-y", "-ss", "1", "-i", files[1].to_str().unwrap(), "-frames:v", "1", &picture];
        assert!(run("ffmpeg", &args, SOON).0);
    }
}

#[test]
fn the_oldest_files_go_at_the_limit_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let holiday = dir.path().join("holiday-2020.mp4");
    let (old, others) = (dir.path().join("cam-20200101T000000Z.mp4"), dir.path().join("door-20200101T000000Z.mp4"));
    for file in [&holiday, &old, &others] {
        let file = std::fs::File::create(file).unwrap();
        file.set_len(5000).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    let live = Live::start(shapes(30), 25);
    let mut options = options(dir.path(), 2);
    options.keep_bytes = Some(1);
    let recorder = Recorder::start("cam", &live.broadcast, options).unwrap();
    wait_for("a third file", SOON, || recorder.counters().files >= 3);
    wait_for("the removal", SOON, || recorder.counters().removed >= 3);
    println!("{:?}", recorder.counters());
    recorder.stop();
    assert!(holiday.exists() && !old.exists() && !others.exists());
    assert!(files(dir.path()).len() <= 4, "{:?}", files(dir.path()));
}

#[test]
fn two_recorders_of_one_name_never_share_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let live = Live::start(shapes(30), 25);
    let recorders: Vec<_> =
        (0..4).map(|_| Recorder::start("live", &live.broadcast, options(dir.path(), 600)).unwrap()).collect();
    wait_for("all", SOON, || recorders.iter().all(|r| r.counters().packets > 30));
    let written: std::collections::BTreeSet<_> = recorders.iter().map(|r| r.file().unwrap()).collect();
    drop(recorders);
    assert_eq!((written.len(), files(dir.path()).len()), (4, 4));
    for file in &written {
        let (frames, _, said) = played(file);
        assert!(frames > 30 && said.is_empty(), "{frames} {said}");
    }
}

#[test]
fn a_small_limit_is_kept_with_long_files_too() {
    const MOST: u64 = 400_000;
    let dir = tempfile::tempdir().unwrap();
    let live = Live::start(shapes(60), 25);
    let mut options = options(dir.path(), 3600);
    options.keep_bytes = Some(MOST);
    let recorder = Recorder::start("cam", &live.broadcast, options).unwrap();
    let size = || files(dir.path()).iter().filter_map(|f| f.metadata().ok()).map(|meta| meta.len()).sum::<u64>();
    let (mut largest, mut written) = (0, 0);
    wait_for("removals", SOON, || {
        (largest, written) = (largest.max(size()), recorder.counters().files);
        recorder.counters().removed >= 3
    });
    println!("{largest} bytes at most in {written} files");
    // The file that is being written is not cut before a second has passed.
    assert!(largest < 2 * MOST, "{largest} bytes");
}

/// A small disk, where tests may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(kilobytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k");
        let (ok, _, err) = run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", dir.path().to_str()?], SOON);
        if !ok {
            eprintln!("no small disk can be mounted here: {err}");
        }
        ok.then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = self.0.path().to_str().unwrap_or_default();
        run("umount", &["-l", path], SOON);
    }
}

/// Runs a test again where everybody may mount, unless it runs there already.
fn in_a_namespace_of_its_own(test: &str) {
    let said = match std::env::var_os(NAMESPACE) {
        Some(_) => String::new(),
        None => {
            let mut again = Command::new("unshare");
            again.args(["--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
            let out = again.args(["--exact", test, "--nocapture"]).env(NAMESPACE, "1").output().unwrap();
            let said = [out.stdout, out.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
            println!("{said}");
            assert!(out.status.success() || !said.contains("running 1 test"), "{}", out.status);
            said
        }
    };
    if !said.contains("1 passed") || said.contains("skipped:") {
        eprintln!("skipped: no small disk can be mounted here");
    }
}

#[test]
fn a_full_disk_is_said_survived_and_tried_again() {
    let Some(disk) = SmallDisk::new(4096) else {
        return in_a_namespace_of_its_own("a_full_disk_is_said_survived_and_tried_again");
    };
    let live = Live::start(shapes(60), 25);
    let watcher = live.broadcast.subscribe(1000);
    let recorder = Recorder::start("cam", &live.broadcast, options(disk.0.path(), 600)).unwrap();
    wait_for("a beginning", SOON, || matches!(recorder.health(), OutputHealth::Up { .. }));
    let filler = disk.0.path().join("filler");
    let _ = std::fs::write(&filler, vec![0; 4 << 20]);
    let mut health = recorder.health();
    wait_for("the failure", SOON, || {
        health = recorder.health();
        matches!(&health, OutputHealth::Down { said, attempts, .. } if said.contains("full") && *attempts >= 2)
    });
    println!("{health:?} {:?}", recorder.counters());
    assert!(recorder.counters().dropped > 0);
    let partial = files(disk.0.path()).into_iter().find(|f| f.extension().is_some_and(|e| e == "mp4")).unwrap();
    let (ffmpeg, gst, _) = played(&partial);
    println!("what was written before plays: {ffmpeg} and {gst} frames");
    assert!(ffmpeg > 10 && gst > 10);
    std::fs::remove_file(&filler).unwrap();
    wait_for("the recording to go on", SOON, || matches!(recorder.health(), OutputHealth::Up { .. }));
    recorder.stop();
    // Not one empty file is left, and the stream felt nothing.
    for file in files(disk.0.path()) {
        assert!(played(&file).0 > 0, "{}", file.display());
    }
    assert_eq!(watcher.dropped(), 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_said_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("blocked");
    std::fs::write(&blocked, "a file, not a folder").unwrap();
    let live = Live::start(shapes(10), 25);
    let recorder = Recorder::start("cam", &live.broadcast, options(&blocked, 600)).unwrap();
    wait_for("the failure", SOON, || matches!(recorder.health(), OutputHealth::Down { attempts: 2.., .. }));
    println!("{:?}", recorder.health());
    std::fs::remove_file(&blocked).unwrap();
    wait_for("the recording", SOON, || matches!(recorder.health(), OutputHealth::Up { .. }));
}

/// Not a test of its own: what the next one starts and kills.
#[test]
fn records_until_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let dir = PathBuf::from(dir);
    let live = Live::start(shapes(60), 25);
    let _recorder = Recorder::start("cam", &live.broadcast, options(&dir, 600)).unwrap();
    let listener = live.broadcast.subscribe(100);
    let first = listener.next(SOON).unwrap().pts();
    // The length of what was encoded, for the one who kills.
    while let Some(packet) = listener.next(SOON) {
        std::fs::write(dir.join("length"), format!("{:.3}", (packet.pts() - first).as_secs_f64())).unwrap();
    }
}

#[test]
fn what_was_recorded_plays_after_kill_9_up_to_the_last_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "records_until_killed", "--nocapture"])
        .env(VICTIM, dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let length = || std::fs::read_to_string(dir.path().join("length")).ok().and_then(|t| t.parse::<f64>().ok());
    wait_for("seven seconds", Duration::from_secs(60), || length().is_some_and(|l| l > 7.3));
    victim.kill().unwrap();
    victim.wait().unwrap();
    let length = length().unwrap();
    let file = files(dir.path()).into_iter().find(|f| f.extension().is_some_and(|e| e == "mp4")).unwrap();
    let (ffmpeg, gst, said) = played(&file);
    let frames = shown_at(&file);
    let last = *frames.last().unwrap();
    println!("encoded {length} s; ffmpeg plays {ffmpeg} frames up to {last} s, GStreamer {gst}; {said}");
    assert!(last > length - 1.0, "{last} of {length} s play");
    // The kill may cut a frame in two, which one shows and the other does not.
    assert!(ffmpeg.abs_diff(gst) <= 1, "{ffmpeg} frames in ffmpeg, {gst} in GStreamer");
}

/// The top boxes of an MP4.
fn boxes(file: &Path) -> Vec<String> {
    let (bytes, mut at, mut names) = (std::fs::read(file).unwrap(), 0, Vec::new());
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        names.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        at += match size {
            0 => bytes.len() - at,
            1 => u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap()) as usize,
            size => size as usize,
        };
    }
    names
}

/// Times of the frames that ffmpeg decodes.
fn shown_at(file: &Path) -> Vec<f64> {
    let args = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time"];
    let (_, out, _) = run("ffprobe", &[&args[..], &["-of", "csv=p=0", file.to_str().unwrap()]].concat(), SOON);
    out.lines().filter_map(|line| line.trim().trim_end_matches(',').parse().ok()).collect()
}

#[test]
fn recorders_that_come_and_go_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let live = Live::start(shapes(10), 25);
    let once = || {
        let recorder = Recorder::start("cam", &live.broadcast, options(dir.path(), 600)).unwrap();
        wait_for("packets", SOON, || recorder.counters().packets > 5);
    };
    once();
    let before = held();
    (0..10).for_each(|_| once());
    wait_for("the threads' end", SOON, || held().0 <= before.0 && held().1 <= before.1);
}

#[test]
fn a_picture_is_encoded_once_for_all_who_ask_and_never_for_nobody() {
    let frames = shapes(8);
    let jpegs = Jpegs::new(None, &Description::built_in().unwrap()).unwrap();
    assert!(jpegs.newest(Duration::from_millis(50)).unwrap().is_none());
    let threads = held().0;
    frames.iter().for_each(|frame| jpegs.offer(&frame.at(live::now(), None, 0)));
    assert_eq!(held().0, threads, "nobody asked, nothing was started");
    let all: Vec<_> = std::thread::scope(|s| {
        let asked: Vec<_> = (0..4).map(|_| s.spawn(|| jpegs.newest(SOON).unwrap().unwrap())).collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    });
    let first = &all[0];
    assert!(first.data.starts_with(&[0xff, 0xd8]) && first.data.ends_with(&[0xff, 0xd9]));
    assert!(all.iter().all(|jpeg| jpeg.data.as_ptr() == first.data.as_ptr()), "one picture for all");
    assert!(jpegs.after(Some(first.pts), Duration::from_millis(50)).unwrap().is_none(), "none is newer");
    std::thread::scope(|s| {
        let waits = s.spawn(|| jpegs.after(Some(first.pts), SOON).unwrap().unwrap());
        std::thread::sleep(Duration::from_millis(50));
        let begin = Instant::now();
        jpegs.offer(&frames[0].at(live::now(), None, 0));
        assert!(waits.join().unwrap().pts > first.pts);
        println!("{} bytes, a newer picture in {:?}", first.data.len(), begin.elapsed());
    });
    if let Some(picture) = look("picture.jpg") {
        std::fs::write(picture, &first.data).unwrap();
    }
}
