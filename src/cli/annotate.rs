//! `gradcast annotate`: the main job.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use gradcast::classifier::{Classifier, Prepared};
use gradcast::engine::Engine;
use gradcast::paint;
use gradcast::stream::{self, AnnotateOptions, EventLog, Summary};
use gradcast::video::{Description, FileSink, FileSource, SinkOptions, SourceInfo, SourceOptions};

use super::failure::{Code, Failure};
use super::flags::{ModelArgs, PictureArgs};
use super::{interrupt, progress, report};

/// Write a recorded video (or a picture) anew with the heat painted on every frame
///
/// Sound, subtitles, timing and colours stay what they are.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  gradcast annotate samples/shapes.mp4 -o out.mp4
  gradcast annotate street.mp4 -o annotated.mp4 --model mobilenetv2.onnx --labels synset.txt --preprocess imagenet
  gradcast annotate pets.mkv -o pets-heat.mkv --model resnet50.onnx --class 243,281 --style contour
  gradcast annotate clip.mov -o clip-heat.webm --encoder vp9 --quality 80 --events clip.jsonl")]
pub struct Args {
    /// A video or picture in any format that GStreamer reads
    #[arg(value_name = "INPUT")]
    input: PathBuf,

    /// Where the result goes; its extension chooses the format: mp4, mov, mkv, webm, or png, jpg for a picture
    #[arg(short, long, value_name = "OUTPUT")]
    output: PathBuf,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    picture: PictureArgs,

    #[command(flatten)]
    file: FileArgs,
}

/// Reading and writing files.
#[derive(clap::Args)]
#[command(next_help_heading = "File")]
struct FileArgs {
    /// Which of several video streams, counted from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    stream: usize,

    /// Leave sound and subtitles out
    #[arg(long)]
    no_audio: bool,

    /// The encoder: x264, x265, openh264, vp8, vp9, nvh264, vah264, v4l2h264 [default: what suits the output]
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,

    /// Picture quality, 0 (smallest file) to 100 (best) [default: the encoder's]
    #[arg(long, value_name = "0..100", value_parser = clap::value_parser!(u8).range(0..=100))]
    quality: Option<u8>,

    /// Replace the output if it exists
    #[arg(long)]
    overwrite: bool,

    /// Write one JSON object per frame: predictions, and where the heat is
    #[arg(long, value_name = "FILE.jsonl")]
    events: Option<PathBuf>,

    /// Replace keys of the built-in GStreamer launch descriptions (see pipelines/)
    #[arg(long, value_name = "FILE.toml")]
    pipeline: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let look = args.picture.look();
    let description = match &args.file.pipeline {
        Some(path) => Description::load(path)?,
        None => Description::built_in()?,
    };
    let source_options = SourceOptions {
        stream: args.file.stream,
        copy_tracks: !args.file.no_audio,
        description: description.clone(),
        ..SourceOptions::new()?
    };
    let mut source = FileSource::open(&args.input, &source_options)?;

    let classifier = Classifier::load(args.model.model.as_deref(), &args.model.flags)?;
    let model_name = classifier.name.clone();
    let model = classifier.prepare()?;
    let info = source.info().clone();
    let sink_options = SinkOptions {
        encoder: args.file.encoder.clone(),
        quality: args.file.quality,
        overwrite: args.file.overwrite,
        description,
        ..SinkOptions::new()?
    };
    // The picture that goes out may hold several panels.
    let (width, height) =
        paint::output_size(info.format.width(), info.format.height(), model.classes.len(), look.style);
    let painted = info.format.with_size(side(width), side(height))?;
    let out_info = SourceInfo { format: Arc::new(painted), ..info.clone() };
    let sink = FileSink::create(&args.output, &sink_options, &out_info, source.take_tracks())?;
    let engine = model.start()?;
    let events = args.file.events.as_deref().map(EventLog::create).transpose()?;
    tell_start(&info, &model_name, &model, &engine);

    let interrupt = interrupt::flag()?;
    let options = AnnotateOptions {
        name: args.input.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
        look,
        fit: model.fit,
        classes: model.classes.as_slice().into(),
        labels: &model.labels,
        layer: model.report.layer.name.clone(),
        method: model.report.method.to_string(),
        events,
        interrupt,
    };
    let bar = progress::bar(info.frames);
    let outcome =
        stream::annotate(Box::new(source), Box::new(sink), &engine, options, |frames| bar.set_position(frames));
    bar.finish_and_clear();
    let summary = outcome?;
    tell_end(&summary, &model, &engine);
    Ok(if summary.interrupted { Code::Interrupted.into() } else { ExitCode::SUCCESS })
}

fn side(pixels: usize) -> u32 {
    u32::try_from(pixels).unwrap_or(u32::MAX)
}

/// What was found and assumed, before the work.
fn tell_start(info: &SourceInfo, name: &str, model: &Prepared, engine: &Engine) {
    let format = &info.format;
    let length = info.duration.map(|d| format!(", {:.1} s", d.as_secs_f64())).unwrap_or_default();
    tell!("input:   {} ({}×{}, {}{length})", info.path.display(), format.width(), format.height(), info.video_codec);
    for track in &info.tracks {
        tracing::info!("{} track: {}", track.kind, track.codec);
    }
    report::model(name, model);
    report::device(engine);
}

/// The one summary at the end.
fn tell_end(summary: &Summary, model: &Prepared, engine: &Engine) {
    let sink = &summary.sink;
    tell!("output:  {} ({:.1} MB)", sink.path.display(), sink.bytes as f64 / 1e6);
    tell!(
        "frames:  {} in, {} out, {} dropped; {:.1} fps{}",
        summary.frames_in,
        summary.frames_out,
        summary.dropped,
        summary.fps(),
        if summary.interrupted { "; interrupted, the file is whole up to there" } else { "" }
    );
    let total = summary.frames_out.max(1) as f64;
    let classes: Vec<String> = summary
        .classes
        .iter()
        .take(3)
        .map(|c| format!("{} {:.0} %", model.labels.name(c.class), 100.0 * c.frames as f64 / total))
        .collect();
    if !classes.is_empty() {
        tell!("classes: {} of the frames", classes.join(", "));
    }
    let stages = &summary.stages;
    let work = engine.work();
    let seconds = |name: &str, d: std::time::Duration| format!("{name} {:.1} s", d.as_secs_f64());
    tell!(
        "time:    {} on {} ({}); {}",
        seconds("model", work.busy),
        engine.device(),
        seconds("all in all", summary.elapsed),
        [
            seconds("waiting for the decoder", stages.decode),
            seconds("scaling", stages.view),
            seconds("waiting for maps", stages.wait),
            seconds("painting", stages.paint),
            seconds("waiting for the encoder", stages.encode),
        ]
        .join(", ")
    );
    if summary.without_evidence > 0 {
        tell!("note:    {} frames have no positive evidence for their class", summary.without_evidence);
    }
    if summary.not_finite > 0 {
        tell!(
            "note:    the maps of {} frames held values that are not numbers: is the preprocessing right?",
            summary.not_finite
        );
    }
    for note in summary.source.warnings.iter().chain(&sink.notes) {
        tell!("note:    {note}");
    }
}
