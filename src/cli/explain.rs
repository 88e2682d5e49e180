//! `gradcast explain`: one picture, or one tensor.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use gradcast::classifier::{Classifier, Prepared};
use gradcast::engine::{EngineError, Explanation, Input, Session, SessionOptions, explain_tensor};
use gradcast::paint::HeatStats;
use gradcast::stream::{Seen, Viewer};
use gradcast::video::{FileSink, FileSource, Frame, SinkOptions, SourceInfo, SourceOptions};
use ndarray::{Array1, Array3, ArrayD, Axis};

use super::failure::{Code, Failure};
use super::flags::{ModelArgs, PictureArgs};
use super::report;

/// Explain one picture, or one tensor
///
/// The tensor is a .npy file exactly as the model's own input wants it: float32, no preprocessing applied.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  gradcast explain dog.jpg -o dog-heat.png --model mobilenetv2.onnx --labels synset.txt
  gradcast explain both.png -o both-heat.png --model resnet50.onnx --class 243,281
  gradcast explain input.npy --model resnet50.onnx --maps maps.npy --scores scores.npy")]
pub struct Args {
    /// A picture (PNG, JPEG, …) or a tensor (.npy)
    #[arg(value_name = "INPUT")]
    input: PathBuf,

    /// The picture with the heat painted on it
    #[arg(short, long, value_name = "PICTURE")]
    output: Option<PathBuf>,

    /// The maps after ReLU, before normalisation: float32 [classes, h, w]
    #[arg(long, value_name = "FILE.npy")]
    maps: Option<PathBuf>,

    /// The raw scores, before softmax: float32 [C]
    #[arg(long, value_name = "FILE.npy")]
    scores: Option<PathBuf>,

    /// Replace the outputs if they exist
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    picture: PictureArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    for path in [&args.maps, &args.scores].into_iter().flatten() {
        if path.exists() && !args.overwrite {
            return Err(Failure::usage(format!("{} exists already", path.display()), "add --overwrite to replace it"));
        }
    }
    let is_tensor = args.input.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    if is_tensor { explain_npy(args) } else { explain_picture(args) }
}

fn explain_npy(args: &Args) -> Result<ExitCode, Failure> {
    if args.output.is_some() {
        return Err(Failure::usage(
            "a tensor has no picture to paint on",
            "leave -o out, or give the picture itself as INPUT",
        ));
    }
    let tensor: ArrayD<f32> = ndarray_npy::read_npy(&args.input).map_err(|e| {
        let what = format!("the tensor {} cannot be read: {e}", args.input.display());
        Failure::new(Code::Input, anyhow::Error::new(e).context(what), "save it with numpy.save as float32")
    })?;
    let classifier = Classifier::load(args.model.model.as_deref(), &args.model.flags)?;
    let name = classifier.name.clone();
    let model = classifier.prepare_for_tensors()?;
    report::model(&name, &model);
    let options = model.engine_options();
    let session = SessionOptions { device: options.device, threads: options.threads };
    let explanation = explain_tensor(&model.bytes, &session, &tensor, &model.classes).map_err(|e| match e {
        // The model loaded; what does not run is this tensor.
        EngineError::Run { reason, .. } => {
            let what = anyhow::anyhow!("the tensor {} cannot be explained: {reason}", args.input.display());
            Failure::new(Code::Input, what, "`gradcast inspect MODEL` shows what the model's input wants")
        }
        other => other.into(),
    })?;
    tell(&model, &explanation, &[]);
    write_arrays(args, &explanation)?;
    Ok(ExitCode::SUCCESS)
}

fn explain_picture(args: &Args) -> Result<ExitCode, Failure> {
    let mut source = FileSource::open(&args.input, &SourceOptions { copy_tracks: false, ..SourceOptions::new()? })?;
    let info = source.info().clone();
    let classifier = Classifier::load(args.model.model.as_deref(), &args.model.flags)?;
    let name = classifier.name.clone();
    let model = classifier.prepare()?;
    report::model(&name, &model);

    source.start()?;
    let frame = source.next()?.ok_or_else(|| {
        let what = anyhow::anyhow!("{} holds no picture", args.input.display());
        Failure::new(Code::Input, what, "give a picture, or a video to `gradcast annotate`")
    })?;
    if !info.is_image {
        tell!("note:    {} is a video: its first frame is explained", args.input.display());
    }
    let options = model.engine_options();
    let mut session =
        Session::start(&model.bytes, &SessionOptions { device: options.device, threads: options.threads })?;
    tell!("device:  {}", session.device());
    let mut image = Vec::new();
    Viewer::new(model.fit, session.frame_size()).view(&frame, &mut image)?;
    let mut results = session.run(&[Input { frame: &image, classes: &model.classes }])?;
    let Some(explanation) = results.pop() else {
        return Err(Failure::new(Code::Running, anyhow::anyhow!("the model gave no result"), ""));
    };

    let names: Vec<String> = explanation.maps.iter().map(|m| model.labels.name(m.class)).collect();
    let (painted, stats) =
        Seen::new(args.picture.look(), model.fit, session.frame_size()).paint(&frame, &explanation.maps, &names)?;
    tell(&model, &explanation, &stats);
    if let Some(output) = &args.output {
        write_picture(output, args.overwrite, &info, painted)?;
        tell!("output:  {}", output.display());
    }
    write_arrays(args, &explanation)?;
    Ok(ExitCode::SUCCESS)
}

fn write_picture(output: &Path, overwrite: bool, info: &SourceInfo, painted: Frame) -> Result<(), Failure> {
    let info = SourceInfo { format: Arc::clone(painted.format()), tracks: Vec::new(), ..info.clone() };
    let mut sink = FileSink::create(output, &SinkOptions { overwrite, ..SinkOptions::new()? }, &info, Vec::new())?;
    sink.push(painted)?;
    sink.finish()?;
    Ok(())
}

/// The predictions, and where the heat is: the result, so on standard output.
fn tell(model: &Prepared, explanation: &Explanation, stats: &[HeatStats]) {
    for p in explanation.top(5) {
        println!("{:>6.2} %  {:>5}  {}", 100.0 * p.probability, p.class, model.labels.name(p.class));
    }
    for (index, map) in explanation.maps.iter().enumerate() {
        let max = map.map.iter().copied().fold(0.0, f32::max);
        let place = match stats.get(index) {
            Some(HeatStats { peak: Some([x, y]), .. }) => format!("peak {max:.4} at pixel {x},{y}"),
            _ if max > 0.0 => format!("peak {max:.4}"),
            _ => "no positive evidence".into(),
        };
        println!("map of {} ({}): {place}", map.class, model.labels.name(map.class));
    }
}

fn write_arrays(args: &Args, explanation: &Explanation) -> Result<(), Failure> {
    let failed = |path: &Path, e: ndarray_npy::WriteNpyError| {
        let what = format!("{} cannot be written: {e}", path.display());
        Failure::new(Code::Running, anyhow::Error::new(e).context(what), "choose another place")
    };
    if let Some(path) = &args.maps {
        let views: Vec<_> = explanation.maps.iter().map(|m| m.map.view()).collect();
        let maps: Array3<f32> = ndarray::stack(Axis(0), &views)
            .map_err(|e| Failure::new(Code::Running, e, "this is a defect of gradcast: please report it"))?;
        ndarray_npy::write_npy(path, &maps).map_err(|e| failed(path, e))?;
    }
    if let Some(path) = &args.scores {
        let scores = Array1::from(explanation.scores.clone());
        ndarray_npy::write_npy(path, &scores).map_err(|e| failed(path, e))?;
    }
    Ok(())
}
