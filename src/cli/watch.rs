//! `gradcast watch`: many cameras, for months.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use clap::ArgMatches;
use gradcast::monitor::config::{Config, LogFormat, example};
use gradcast::monitor::{Monitor, systemd};
use gradcast::stream::live::State;

use super::console::{self, Board, Configuration};
use super::failure::{Code, Failure};
use super::outlets::StreamArgs;
use super::{interrupt, logging, memory, start};

/// Watch many cameras with one engine: publish, record, a web console, metrics
///
/// Cameras come and go; what is published, recorded and shown goes on. SIGHUP reads the configuration again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  gradcast watch rtsp://192.0.2.10/a rtsp://192.0.2.11/b --http 127.0.0.1:8080
  gradcast watch --print-config > cameras.toml
  gradcast watch cameras.toml")]
pub struct Args {
    /// Sources, or one CONFIG.toml
    #[arg(value_name = "URL|CONFIG.toml", required_unless_present = "print_config")]
    sources: Vec<String>,

    /// Write a commented example of a configuration
    #[arg(long, exclusive = true)]
    print_config: bool,

    #[command(flatten)]
    stream: StreamArgs,
}

/// How often the program looks after its streams.
const LOOK: Duration = Duration::from_millis(100);

/// `given` is the command line as it was parsed.
pub fn run(args: &Args, log_format: Option<LogFormat>, given: Option<&ArgMatches>) -> Result<ExitCode, Failure> {
    if args.print_config {
        print!("{}", example());
        return Ok(ExitCode::SUCCESS);
    }
    memory::keep_flat();
    let workshop = args.stream.workshop()?;
    let file = config_file(&args.sources).map(Path::to_owned);
    let configuration = file.map(|file| Configuration { file, description: workshop.description.clone() });
    let config = match &configuration {
        Some(configuration) => {
            if let Some(flag) = given.and_then(StreamArgs::said_in) {
                let what = format!("{flag} is said beside a configuration, which says all of a stream itself");
                return Err(Failure::usage(what, format!("write it into {}", configuration.file.display())));
            }
            configuration.read()?
        }
        None => {
            args.stream.check(given)?;
            from_urls(args)?
        }
    };
    logging::start(
        log_format.or(config.log.format).unwrap_or_default(),
        config.log.filter.as_deref().or(Some(logging::SERVICE_FILTER)),
    );
    logging::log_panics();
    let (interrupt, reload) = interrupt::service_flags()?;
    // Before models are loaded for minutes.
    let bound = console::bind(&config)?;
    let monitor = Monitor::new(workshop);
    start::streams(&monitor, config.clone(), None, &interrupt)?;
    for stream in monitor.streams() {
        let status = stream.status();
        tracing::info!("{} is {} with {} on {}", status.name, status.source, status.model, status.device);
    }
    for (name, stream) in config.streams.iter().filter(|_| config.http.is_none()) {
        if stream.is_for_nobody() {
            tracing::warn!(
                stream = name,
                "nothing shows or keeps its pictures: give it an output, or serve the console"
            );
        }
    }
    let board = Board::new(&monitor, configuration);
    let console = console::serve(bound, &config, &board)?;
    if let Some((_, address)) = &console {
        tracing::info!("the console is at {address}");
    }
    systemd::ready(&format!("{} streams", monitor.streams().len()));
    let alive = Arc::clone(&monitor);
    let _watchdog = systemd::Watchdog::start(move || alive.is_alive());

    while !interrupt.load(SeqCst) && monitor.look_after() {
        std::thread::sleep(LOOK);
        // One that comes while the configuration is being read has its turn after that.
        if reload.load(SeqCst)
            && let Some(turn) = board.turn()
        {
            reload.store(false, SeqCst);
            board.read_again(turn);
        }
    }
    systemd::stopping();
    drop(console);
    // Each of those that came to an end has been told in the log.
    let failed = monitor.streams().iter().any(|stream| stream.status().state == State::Failed);
    let code = match interrupt.load(SeqCst) {
        true => Some(Code::Interrupted),
        false => failed.then_some(Code::Running),
    };
    if !monitor.stop() {
        interrupt::leave(code);
    }
    Ok(code.map_or(ExitCode::SUCCESS, Into::into))
}

/// The one argument that is a configuration.
fn config_file(sources: &[String]) -> Option<&Path> {
    match sources {
        [one] if Path::new(one).extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) => Some(Path::new(one)),
        _ => None,
    }
}

fn from_urls(args: &Args) -> Result<Config, Failure> {
    if let Some(config) = args.sources.iter().find(|source| config_file(std::slice::from_ref(source)).is_some()) {
        let what = format!("{config} is a configuration among other sources");
        return Err(Failure::usage(what, "give one configuration alone, or addresses"));
    }
    let mut config = Config::from_urls(&args.sources)?;
    if let Some(target) = args.stream.shared_target().filter(|_| config.streams.len() > 1) {
        let what = format!("several streams would write to {target}");
        return Err(Failure::usage(what, "put {name} into it, which stands for the stream, as events/{name}.jsonl"));
    }
    args.stream.lay_on(&mut config)?;
    Ok(config)
}
