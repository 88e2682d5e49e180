//! The command line: one file per subcommand, each of which parses, calls the library, and reports.

/// Tells a line on standard error. That a terminal is gone or a disk full ends nothing.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($text)*);
    }};
}

mod annotate;
mod completions;
mod console;
mod doctor;
mod explain;
mod failure;
mod flags;
mod inspect;
mod interrupt;
mod live;
mod livetest;
mod logging;
mod memory;
mod outlets;
mod progress;
mod report;
mod rewrite;
mod selftest;
mod start;
mod watch;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use gradcast::monitor::config::LogFormat;
use gradcast::video::live::mask;

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

    /// How log lines on standard error look [default: text]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed while running; 2 wrong usage; 3 the input cannot be read;
4 the model cannot be explained; 5 the device is not there; 130 interrupted, output finished properly.
Environment: RUST_LOG, GST_DEBUG and GST_DEBUG_DUMP_DOT_DIR work as usual;
GRADCAST_ORT_LIB names the ONNX Runtime library.";

#[derive(Subcommand)]
enum Command {
    Annotate(Box<annotate::Args>),
    Live(Box<live::Args>),
    Watch(Box<watch::Args>),
    Explain(Box<explain::Args>),
    Inspect(Box<inspect::Args>),
    Rewrite(Box<rewrite::Args>),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

/// Parses the command line, runs the command and turns its outcome into the exit code.
pub fn run() -> ExitCode {
    let given = Cli::command().try_get_matches().unwrap_or_else(|e| without_secrets(e).exit());
    let cli = Cli::from_arg_matches(&given).unwrap_or_else(|e| e.exit());
    let filter = matches!(cli.command, Command::Live(_)).then_some(logging::LIVE_FILTER);
    if !matches!(cli.command, Command::Watch(_)) {
        logging::start(cli.log_format.unwrap_or_default(), filter);
    }
    let outcome = match cli.command {
        Command::Annotate(args) => annotate::run(&args),
        Command::Live(args) => live::run(&args, given.subcommand_matches("live")),
        // Its configuration has a word in how it logs.
        Command::Watch(args) => watch::run(&args, cli.log_format, given.subcommand_matches("watch")),
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

/// Errors quote what was written: not a password in an address, nor a token.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let token =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(flag)) if flag.contains("--token"));
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand] {
        if let Some(ContextValue::String(said)) = error.get(kind) {
            let said = if token && kind == ContextKind::InvalidValue { "***".to_owned() } else { mask(said) };
            error.insert(kind, ContextValue::String(said));
        }
    }
    error
}
