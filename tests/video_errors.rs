//! What cannot be read or written says so at once, in one sentence with a cure, and leaves nothing
//! behind.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use gradcast::video::{
    ErrorKind, FileSink, FileSource, SinkOptions, SinkSummary, SourceOptions, SourceSummary, VideoError,
};

fn run(
    input: &Path,
    output: &Path,
    source: &SourceOptions,
    sink: &SinkOptions,
) -> Result<(SourceSummary, SinkSummary), VideoError> {
    let mut source = FileSource::open(input, source)?;
    let info = source.info().clone();
    let tracks = source.take_tracks();
    let mut sink = FileSink::create(output, sink, &info, tracks)?;
    source.start()?;
    while let Some(frame) = source.next()? {
        sink.push(frame)?;
    }
    Ok((source.summary(), sink.finish()?))
}

fn refused(input: &Path, output: &Path, source: &SourceOptions, sink: &SinkOptions) -> VideoError {
    let begun = Instant::now();
    let error = run(input, output, source, sink).expect_err("it must not work");
    assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
    assert!(!error.hint().is_empty() && !error.to_string().contains('\n'), "{error}");
    let left: Vec<_> = std::fs::read_dir(output.parent().unwrap())
        .into_iter()
        .flatten()
        .map(|e| e.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with("out."))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    error
}

#[test]
fn unreadable_files_are_refused_with_a_reason() {
    let Some(material) = common::material() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (source, sink) = (SourceOptions::new().unwrap(), SinkOptions::new().unwrap());
    let videos = material.join("videos");
    let text = folder.path().join("text.mp4");
    std::fs::write(&text, "this is a text and no video\n".repeat(100)).unwrap();
    let cases = [
        (videos.join("audio_only.m4a"), "no video"),
        (videos.join("empty.mp4"), "empty"),
        (videos.join("random_bytes.mp4"), "neither a video nor a picture"),
        (videos.join("slideshow_free_14.csv"), "no video"),
        (videos.join("nothing.mp4"), "No such file"),
        (videos.clone(), "folder"),
        (text, "no video"),
    ];
    for (input, why) in cases {
        let error = refused(&input, &folder.path().join("out.mp4"), &source, &sink);
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.to_string().contains(why), "“{error}” does not say “{why}”");
    }
}

#[test]
fn wrong_wishes_are_refused_before_work_starts() {
    let Some(material) = common::material() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let videos = material.join("videos");
    let out = |name: &str| folder.path().join(name);
    let (mut source, sink) = (SourceOptions::new().unwrap(), SinkOptions::new().unwrap());
    let short = videos.join("single_frame.mp4");
    let bunny = videos.join("moviepy_big_buck_bunny_432_433.webm");
    let told = |error: VideoError, what: &str, cure: &str| {
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.hint().contains(cure), "{}", error.hint());
    };
    told(refused(&bunny, &out("out.mp4"), &source, &sink), "MP4 cannot hold the sound track (Vorbis)", "--no-audio");
    told(refused(&short, &out("out.xyz"), &source, &sink), "extension", ".mp4");
    told(refused(&short, &out("out.png"), &source, &sink), "picture", "mp4");
    told(refused(&short, &out("none/out.mp4"), &source, &sink), "cannot be written", "folder");
    let mut vp8 = sink.clone();
    vp8.encoder = Some("vp8".into());
    told(refused(&short, &out("out.mp4"), &source, &vp8), "MP4 cannot hold", "mkv");
    vp8.encoder = Some("betamax".into());
    told(refused(&short, &out("out.mp4"), &source, &vp8), "no encoder betamax", "x264");
    source.stream = 1;
    told(refused(&short, &out("out.mp4"), &source, &sink), "no video stream 1", "--stream 0");
    source.stream = 0;

    let existing = out("there.mp4");
    std::fs::write(&existing, "mine").unwrap();
    let error = run(&short, &existing, &source, &sink).unwrap_err();
    told(error, "exists already", "--overwrite");
    assert_eq!(std::fs::read(&existing).unwrap(), b"mine");
    let mut replace = sink.clone();
    replace.overwrite = true;
    run(&short, &existing, &source, &replace).unwrap();
    assert!(std::fs::metadata(&existing).unwrap().len() > 1000);

    // Without its sound, the clip fits.
    source.copy_tracks = false;
    run(&bunny, &out("silent.mp4"), &source, &sink).unwrap();
}

#[test]
fn damaged_files_are_read_as_far_as_they_go_and_told() {
    let Some(material) = common::material() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let input = material.join("videos/cockatoo_truncated_faststart.mp4");
    let (source, sink) = (SourceOptions::new().unwrap(), SinkOptions::new().unwrap());
    let (read, written) = run(&input, &folder.path().join("a.mp4"), &source, &sink).unwrap();
    assert_eq!((read.frames, written.frames), (35, 35));
    assert!(read.warnings.iter().any(|w| w.contains("cut short")), "{read:?}");
    let input = material.join("videos/cockatoo_bitflips.mkv");
    let (read, written) = run(&input, &folder.path().join("b.mp4"), &source, &sink).unwrap();
    assert_eq!((read.frames, written.frames), (60, 60));
    assert!(read.warnings.iter().any(|w| w.contains("damaged")), "{read:?}");
    // Whole files, whatever lasts longest in them, are not suspected.
    for whole in ["torchcodec_nasa_13013.mp4", "cockatoo_vfr.mkv", "moviepy_fire2.mp4"] {
        let input = material.join("videos").join(whole);
        let output = folder.path().join(format!("{whole}.mkv"));
        let (read, _) = run(&input, &output, &source, &sink).unwrap();
        assert_eq!(read.warnings, Vec::<String>::new(), "{whole}");
    }
}

/// Ctrl-C: frames stop, the file is finished properly, and the sound ends with the video.
#[test]
fn an_interrupted_file_is_whole_and_its_tracks_end_together() {
    let Some(material) = common::material() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for extension in ["mp4", "mkv", "mov"] {
        let input = material.join("videos/intel_car-detection.mp4");
        let output = folder.path().join(format!("a.{extension}"));
        let mut source = FileSource::open(&input, &SourceOptions::new().unwrap()).unwrap();
        let info = source.info().clone();
        let tracks = source.take_tracks();
        let options = SinkOptions::new().unwrap();
        let mut sink = FileSink::create(&output, &options, &info, tracks).unwrap();
        source.start().unwrap();
        for _ in 0..50 {
            sink.push(source.next().unwrap().unwrap()).unwrap();
        }
        source.canceller().cancel();
        assert!(source.next().unwrap().is_none());
        assert_eq!(sink.finish().unwrap().frames, 50);
        let sound = common::ffprobe::packets(&output, 1);
        let end = sound.last().unwrap().pts.unwrap();
        assert!((3.97..4.0).contains(&end), "50 frames last 4 s, the sound {end}");
        assert_eq!(common::ffprobe::frames(&output, 0).len(), 50);
    }
}
