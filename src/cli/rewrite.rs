//! `gradcast rewrite`: the explained model as a file, for any ONNX Runtime.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use gradcast::classifier::{Classifier, ModelFlags};

use super::failure::{Code, Failure};
use super::report;

/// Write a classifier that explains itself: an ONNX file that any ONNX Runtime runs
#[derive(clap::Args)]
#[command(after_help = "\
The file takes `gradcast.frames` (u8 [N,H,W,3], RGB) and `gradcast.classes` (int64 [N,K], −1 the most
probable) and gives `gradcast.scores`, `gradcast.probabilities`, `gradcast.explained` and
`gradcast.maps` (float32 [N,K,h,w], after ReLU, before normalisation).

Examples:
  gradcast rewrite resnet50.onnx -o resnet50-cam.onnx
  gradcast rewrite resnet50.onnx -o resnet50-cam.onnx --batch 8 --preprocess imagenet --class top1,281")]
pub struct Args {
    /// An ONNX classifier
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Where the explained model goes
    #[arg(short, long, value_name = "OUT.onnx")]
    output: PathBuf,

    /// Keep the model's own input instead of u8 frames
    #[arg(long)]
    keep_input: bool,

    /// Replace the output if it exists
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    flags: ModelFlags,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.output.exists() && !args.overwrite {
        let what = format!("{} exists already", args.output.display());
        return Err(Failure::usage(what, "add --overwrite to replace it"));
    }
    let classifier = Classifier::load(Some(&args.model), &args.flags)?;
    let name = classifier.name.clone();
    let model = if args.keep_input { classifier.prepare_for_tensors()? } else { classifier.prepare()? };
    report::model(&name, &model);
    let failed = |e: std::io::Error| {
        let what = format!("{} cannot be written: {e}", args.output.display());
        Failure::new(Code::Running, anyhow::Error::new(e).context(what), "choose another place")
    };
    // Written beside its final name and renamed when whole.
    let folder = args.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    // 0o666 less the umask, as any file; tempfile's own default is for secrets.
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(&model.bytes).map_err(failed)?;
    file.persist(&args.output).map_err(|e| failed(e.error))?;
    tell!("output:  {} ({:.1} MB)", args.output.display(), model.bytes.len() as f64 / 1e6);
    Ok(ExitCode::SUCCESS)
}
