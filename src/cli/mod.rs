//! The command line: one file per subcommand, each of which parses, calls the library, and reports.

mod annotate;
mod completions;
mod doctor;
mod explain;
mod failure;
mod flags;
mod inspect;
mod interrupt;
mod progress;
mod report;
mod rewrite;
mod selftest;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use failure::Failure;

/// Show what an image classifier looks at, live on moving pictures.
///
/// Every frame of a video goes through an ONNX classifier; Grad-CAM says which regions spoke for
/// the class; the video comes out again with the heat painted on it.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// On errors, also show the chain of causes
    #[arg(short, long, global = true)]
    verbose: bool,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed while running; 2 wrong usage; 3 the input cannot be read;
4 the model cannot be explained; 5 the device is not there; 130 interrupted, output finished properly.
Environment: RUST_LOG, GST_DEBUG and GST_DEBUG_DUMP_DOT_DIR work as usual;
GRADCAST_ORT_LIB names the ONNX Runtime library.";

#[derive(Subcommand)]
enum Command {
    Annotate(Box<annotate::Args>),
    Explain(Box<explain::Args>),
    Inspect(Box<inspect::Args>),
    Rewrite(Box<rewrite::Args>),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

/// Parses the command line, runs the command and turns its outcome into the exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,ort=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match cli.command {
        Command::Annotate(args) => annotate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Rewrite(args) => rewrite::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(cli.verbose),
    }
}
