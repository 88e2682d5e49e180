//! `gradcast live`: one camera, seen at once.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use clap::ArgMatches;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use gradcast::monitor::config::{Config, Link, StreamConfig, stream_name};
use gradcast::monitor::{Monitor, OpenExtra};
use gradcast::stream::live::{KeyAction, LiveHandle, Output, State, Status, key};
use gradcast::video::live::{self, Window};
use gradcast::video::{Description, Frame, FrameFormat};

use super::console::{self, Board};
use super::failure::{Code, Failure};
use super::outlets::StreamArgs;
use super::report;
use super::{interrupt, memory, start};

/// Show a camera live, with the heat painted on every frame
///
/// The video never waits for the model: every frame is shown on time with the newest map.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  gradcast live                                  the first camera, in a window; ? shows the keys
  gradcast live test                             a moving test picture with shapes that the built-in model knows
  gradcast live --list                           the cameras of this machine
  gradcast live 0 --size 1280x720 --fps 30 --http 127.0.0.1:8080
  gradcast live rtsp://192.0.2.10/stream --publish rtsp://127.0.0.1:8554/cam --record recordings --keep 24h")]
pub struct Args {
    /// 0, /dev/video0, a camera's name, rtsp://…, http://…, a file played in real time, or test [default: the first camera]
    #[arg(value_name = "SOURCE")]
    source: Option<Link>,

    /// List the cameras of this machine with their formats
    #[arg(long, exclusive = true)]
    list: bool,

    /// Show a window, also where there are other outputs
    #[arg(long, conflicts_with = "no_window")]
    window: bool,

    /// Show no window
    #[arg(long)]
    no_window: bool,

    /// The stream's name, in the page, in events and in names of files
    #[arg(long, default_value = "live", value_parser = stream_name)]
    name: String,

    #[command(flatten)]
    stream: StreamArgs,
}

/// How often the program looks after its stream.
const LOOK: Duration = Duration::from_millis(50);

/// `given` is the command line as it was parsed.
pub fn run(args: &Args, given: Option<&ArgMatches>) -> Result<ExitCode, Failure> {
    if args.list {
        return list();
    }
    memory::keep_flat();
    args.stream.check(given)?;
    let workshop = args.stream.workshop()?;
    let config = configure(args)?;
    let bound = console::bind(&config)?;
    let windowed = args.window || (!args.no_window && args.stream.wants_window());
    let window = if windowed { Some(open_window(args, &workshop.description)?) } else { None };
    let interrupt = interrupt::flag()?;
    let (tell_gone, gone) = bounded(1);
    let mut keys = window.as_ref().map_or_else(crossbeam_channel::never, |w| w.keys());
    let extra = window.map(|window| {
        let output = Shown { window, gone: Some(tell_gone) };
        Box::new(|_: &Arc<FrameFormat>| Ok(Box::new(output) as Box<dyn Output>)) as OpenExtra
    });
    let monitor = Monitor::new(workshop);
    start::streams(&monitor, config.clone(), extra, &interrupt)?;
    let Some(mut stream) = monitor.stream(&args.name) else { return Ok(ExitCode::SUCCESS) };
    tell_start(&stream);
    config.streams.values().for_each(tell_outputs);
    if !windowed && config.http.is_none() && config.streams.values().all(StreamConfig::is_for_nobody) {
        tell!(
            "note:    nothing shows or keeps these pictures: add --http 127.0.0.1:8080, --publish, --push, --record or --events"
        );
    }
    let console = console::serve(bound, &config, &Board::new(&monitor, None))?;
    if let Some((_, address)) = &console {
        tell!("console: {address}");
    }

    let mut lost = None;
    while !interrupt.load(SeqCst) {
        match gone.try_recv() {
            Ok(Gone::Closed) => break,
            Ok(Gone::Failed(why)) if args.stream.wants_window() => {
                lost = Some(why);
                break;
            }
            Ok(Gone::Failed(why)) => {
                tell!("note:    the window is gone ({why}); the other outputs go on");
                keys = crossbeam_channel::never();
            }
            Err(_) => {}
        }
        match keys.recv_timeout(LOOK) {
            Ok(name) if !press(&stream, &name) => break,
            // The window went with the stream that failed.
            Err(RecvTimeoutError::Disconnected) if args.stream.wants_window() => break,
            Err(RecvTimeoutError::Disconnected) => {
                tell!("note:    the window went with the stream that failed; the other outputs go on");
                keys = crossbeam_channel::never();
            }
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
        }
        if !monitor.look_after() {
            break;
        }
        // One that failed is another when it was started again.
        stream = monitor.stream(&args.name).unwrap_or(stream);
    }
    let missing = monitor.missing().remove(&args.name).map(|missing| missing.why);
    let lost = lost.map(|why| format!("the window cannot show pictures any more: {why}"));
    drop(console);
    let whole = monitor.stop();
    // Only now is it known how the stream ended.
    let status = stream.status();
    tell_frames(&status);
    let code = match failure(status, lost.or(missing).or(stream.loss())) {
        Some(failure) if whole => return Err(failure),
        Some(failure) => {
            failure.report(false);
            Some(failure.code())
        }
        None => interrupt.load(SeqCst).then_some(Code::Interrupted),
    };
    if !whole {
        interrupt::leave(code);
    }
    Ok(code.map_or(ExitCode::SUCCESS, Into::into))
}

/// Why the stream did not come to a good end.
fn failure(status: Status, lost: Option<String>) -> Option<Failure> {
    let failed = |why: String, hint| Some(Failure::new(Code::Running, anyhow::Error::msg(why), hint));
    match (lost, status.state) {
        (Some(why), _) => failed(why, "what was written until then is whole; the log above says more"),
        (None, State::Failed) => failed(status.reason.unwrap_or_default(), "run again with --verbose"),
        _ => None,
    }
}

/// What became of the frames.
fn tell_frames(status: &Status) {
    let counts = [
        (status.dropped, "dropped, by who shows or encodes them"),
        (status.reconnects, "times the connection was lost and made anew"),
    ];
    let more: String = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("; {n} {what}")).collect();
    tell!("frames:  {} in, {} explained{more}", status.frames_in, status.explained);
}

fn configure(args: &Args) -> Result<Config, Failure> {
    let source = match &args.source {
        Some(link) => link.clone(),
        None => live::first_camera()?.to_string().parse().map_err(|e: String| Failure::usage(e, "name the source"))?,
    };
    let mut config =
        Config { streams: BTreeMap::from([(args.name.clone(), StreamConfig::new(source))]), ..Config::default() };
    args.stream.lay_on(&mut config)?;
    Ok(config)
}

fn list() -> Result<ExitCode, Failure> {
    let cameras = live::cameras()?;
    if cameras.is_empty() {
        println!("no camera was found (`gradcast live test` needs none)");
    }
    for (number, camera) in cameras.iter().enumerate() {
        println!("{number}  {}  {}", camera.path.display(), camera.name);
        for format in &camera.formats {
            println!("     {format}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Opened before anything else: without a display, that is what the user should hear.
fn open_window(args: &Args, description: &Description) -> Result<Window, Failure> {
    let format = Arc::new(FrameFormat::live(1280, 720, None)?);
    let title = format!("gradcast: {}", args.name);
    Window::open(&title, &format, description).map_err(|e| {
        let hint = format!("{}; or choose another output, as --http 127.0.0.1:8080, or --no-window", e.hint());
        Failure::new(Code::Usage, e, hint)
    })
}

/// The window as an output.
struct Shown {
    window: Window,
    gone: Option<Sender<Gone>>,
}

/// How a window came to its end.
enum Gone {
    /// Somebody closed it.
    Closed,
    Failed(String),
}

impl Output for Shown {
    fn push(&mut self, frame: &Frame) {
        self.window.push(frame.clone());
        let failed = self.window.failure().map(Gone::Failed);
        if let Some(how) = failed.or_else(|| self.window.is_closed().then_some(Gone::Closed))
            && let Some(gone) = self.gone.take()
        {
            let _ = gone.send(how);
        }
    }

    fn finish(self: Box<Self>) {}
}

/// Does what a key means; `false` ends the program.
fn press(stream: &LiveHandle, name: &str) -> bool {
    match key(name) {
        Some(KeyAction::Change(control, word)) => {
            if let Err(e) = stream.change(control, word) {
                tell!("note:    {e}");
            }
        }
        Some(KeyAction::Snapshot) => match stream.snapshot() {
            Ok(path) => tell!("saved:   {}", path.display()),
            Err(e) => tell!("note:    no snapshot: {e}"),
        },
        Some(KeyAction::Quit) => return false,
        None => {}
    }
    true
}

fn tell_outputs(stream: &StreamConfig) {
    for link in stream.publish.iter().chain(&stream.push) {
        tell!("output:  {link}");
    }
    let record = stream.record.as_ref().map(|record| &record.dir);
    for path in record.into_iter().chain(&stream.events) {
        tell!("output:  {}", path.display());
    }
}

fn tell_start(stream: &LiveHandle) {
    let status = stream.status();
    let model = stream.model();
    tell!("input:   {}", status.source);
    report::running(&status.model, &model.report, &model.notes);
    report::device(&model.engine);
}
