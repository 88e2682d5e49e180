//! Promise: SIGHUP reads the configuration again, while the streams that did not change go on; a mistake in it changes
//! nothing; a model that hangs holds up nothing; two models run at once; the numbers and the health can be read.

mod common;

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::cli::{Running, fails, gradcast};
use gradcast::monitor::config::Config;
use serde_json::Value;

struct Watch {
    child: Running,
    base: String,
}

impl Watch {
    fn get(&self, path: &str) -> Option<String> {
        ureq::get(format!("{}{path}", self.base)).call().ok()?.body_mut().read_to_string().ok()
    }

    /// Name and frames of every live stream.
    fn live(&self) -> Vec<(String, u64)> {
        let streams: Value = self.get("/api/streams").and_then(|s| serde_json::from_str(&s).ok()).unwrap_or_default();
        let rows = streams.as_array().cloned().unwrap_or_default();
        let live = rows.iter().filter(|s| s["state"] == "live");
        live.map(|s| (s["name"].as_str().unwrap().to_owned(), s["frames_out"].as_u64().unwrap())).collect()
    }

    /// When the oldest of what a stream remembers was; it begins anew with the stream.
    fn begun(&self, name: &str) -> Option<u64> {
        let history: Value = serde_json::from_str(&self.get(&format!("/api/streams/{name}/history"))?).ok()?;
        history[0]["time_ms"].as_u64()
    }

    /// Status and text of an answer.
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("{}{path}", self.base);
        let answer = if method == "POST" { agent.post(url).send_empty() } else { agent.get(url).call() };
        let mut answer = answer.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    fn wait_for(&self, names: &[&str]) -> Vec<(String, u64)> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let live = self.live();
            if live.iter().map(|(name, _)| name.as_str()).eq(names.iter().copied()) {
                return live;
            }
            assert!(Instant::now() < until, "waited in vain for {names:?}: {:?}", self.get("/api/streams"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it: soon, and what was recorded plays.
    fn ends_whole(&mut self, recorded: &Path, limit: Duration) {
        let asked = Instant::now();
        self.child.signal(libc::SIGTERM);
        let code = self.child.wait().unwrap().code();
        assert!(asked.elapsed() < limit, "{:?}", asked.elapsed());
        assert_eq!(code, Some(130));
        let frames = common::ffprobe::frames(recorded, 0).len();
        assert!(frames > 20, "{frames} frames are in {}", recorded.display());
    }
}

fn write(path: &Path, port: u16, streams: &[(&str, &str)]) {
    let mut text = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[models.first]\ndevice = \"cpu\"\n[models.second]\ndevice = \"cpu\"\nclass = \"star\"\n"
    );
    for (name, model) in streams {
        text += &format!("[streams.{name}]\nurl = \"test\"\nmodel = \"{model}\"\nevery = 3\n");
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_configuration_is_read_again_while_streams_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cameras.toml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    write(&path, port, &[("a", "first"), ("b", "second")]);
    let child = Running(gradcast().arg("watch").arg(&path).stderr(Stdio::piped()).spawn().unwrap());
    let mut watch = Watch { child, base: format!("http://127.0.0.1:{port}") };
    watch.wait_for(&["a", "b"]);
    let begun = soon("what a stream remembers", || watch.begun("a"));

    let metrics = watch.get("/metrics").unwrap();
    for name in ["gradcast_frames_total{stream=\"a\"}", "gradcast_stream_up{stream=\"b\"} 1", "gradcast_engine_"] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    let engines = metrics.lines().filter(|l| l.starts_with("gradcast_engine_queue_length{")).count();
    assert_eq!(engines, 2, "a model, an engine each:\n{metrics}");
    assert!(watch.get("/healthz").is_some() && watch.get("/readyz").is_some());

    write(&path, port, &[("a", "first"), ("c", "second")]);
    watch.child.signal(libc::SIGHUP);
    watch.wait_for(&["a", "c"]);
    assert_eq!(watch.begun("a"), Some(begun), "a went on: it remembers what was before");

    // A mistake changes nothing.
    std::fs::write(&path, "[streams.a]\nurll = \"test\"\n").unwrap();
    watch.child.signal(libc::SIGHUP);
    std::thread::sleep(Duration::from_secs(1));
    watch.wait_for(&["a", "c"]);

    let asked = Instant::now();
    watch.child.signal(libc::SIGTERM);
    let code = watch.child.wait().unwrap().code();
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    let mut said = String::new();
    watch.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("urll") && said.contains("cameras.toml"), "{said}");
}

fn soon<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Labels in a pipe that nobody fills stand for a model that takes minutes to start.
#[test]
fn a_model_that_hangs_holds_up_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pipe) = (folder.path().join("cameras.toml"), folder.path().join("labels.txt"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = |streams: &str| {
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\n[models.fast]\ndevice = \"cpu\"\n\
             [models.slow]\nlabels = \"labels.txt\"\n[models.other]\nlabels = \"labels.txt\"\n\
             [streams.a]\nurl = \"test\"\nmodel = \"fast\"\nrecord = {{ dir = \"records\" }}\n{streams}"
        );
        std::fs::write(&path, text).unwrap();
    };
    config("[streams.b]\nurl = \"test\"\nmodel = \"slow\"\n");
    let child = Running(gradcast().arg("watch").arg(&path).spawn().unwrap());
    let mut watch = Watch { child, base: format!("http://127.0.0.1:{port}") };
    watch.wait_for(&["a"]);
    assert!(watch.ask("GET", "/readyz").1.contains("b: it did not start"));

    // Whoever asks for it while it is being read is told so.
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let answers = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| watch.ask("POST", "/api/reload")));
        both.map(|answer| answer.join().unwrap())
    });
    let mut codes = answers.each_ref().map(|(code, _)| *code);
    codes.sort_unstable();
    assert_eq!(codes, [202, 409], "{answers:?}");
    assert!(answers.iter().any(|(_, said)| said.contains("b is still being started")), "{answers:?}");

    config("[streams.c]\nurl = \"test\"\nmodel = \"other\"\n[streams.d]\nurl = \"test\"\nmodel = \"fast\"\n");
    watch.child.signal(libc::SIGHUP);
    watch.wait_for(&["a", "d"]);
    let (code, said) = watch.ask("GET", "/readyz");
    assert!(code == 503 && said.contains("c: it is being started"), "{code} {said}");
    let streams: Value = serde_json::from_str(&watch.ask("GET", "/api/streams").1).unwrap();
    let starting = streams.as_array().unwrap().iter().find(|stream| stream["name"] == "c").unwrap();
    assert_eq!(starting["state"], "starting");

    let file = std::fs::read_dir(folder.path().join("records")).unwrap().next().unwrap().unwrap().path();
    watch.ends_whole(&file, Duration::from_secs(4));
}

/// The same in a console that cannot be: nobody waits for the model to hear of it.
#[test]
fn a_console_that_cannot_be_served_is_said_before_models_are_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("labels.txt");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["watch", "live"] {
        for (address, code, word) in [(address.as_str(), 1, "listen"), ("0.0.0.0:0", 2, "token")] {
            let said = fails(gradcast().args([command, "test", "--http", address, "--labels"]).arg(&pipe), code);
            assert!(said.contains(word), "{said}");
        }
    }
}

#[test]
fn the_environments_token_is_that_of_a_console_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cameras.toml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(&path, format!("[http]\nlisten = \"0.0.0.0:{port}\"\n[streams.a]\nurl = \"test\"\n")).unwrap();
    fails(gradcast().arg("watch").arg(&path), 2);

    let mut command = gradcast();
    command.arg("watch").arg(&path).env("GRADCAST_TOKEN", "correct horse").stderr(Stdio::piped());
    let mut watch = Watch { child: Running(command.spawn().unwrap()), base: format!("http://127.0.0.1:{port}") };
    soon("the console", || watch.get("/healthz"));
    assert_eq!(watch.ask("GET", "/api/streams").0, 401);
    assert_eq!(watch.ask("GET", "/api/streams?token=correct%20horse").0, 200);
    watch.child.signal(libc::SIGTERM);
    watch.child.wait().unwrap();
    let mut said = String::new();
    watch.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("the console is at http://") && said.contains("?token="), "{said}");
    assert!(!said.contains("correct horse") && !said.contains("//0.0.0.0"), "{said}");
}

/// What only the model itself names.
#[test]
fn files_that_a_model_turned_out_to_have_count_as_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let sample = |name: &str| Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).join(name);
    let names = folder.path().join("names.txt");
    std::fs::copy(sample("shapes.onnx"), folder.path().join("m.onnx")).unwrap();
    let card = std::fs::read_to_string(sample("shapes.toml")).unwrap().replace("shapes.txt", "names.txt");
    assert!(card.contains("names.txt"), "{card}");
    std::fs::write(folder.path().join("m.toml"), card).unwrap();
    let config = "[models.m]\npath = \"m.onnx\"\ndevice = \"cpu\"\n[streams.a]\nurl = \"test\"\nmodel = \"m\"\n";
    let read = || Config::parse(config, "test.toml", folder.path()).unwrap();
    let early = read();
    std::fs::copy(sample("shapes.txt"), &names).unwrap();
    let monitor = common::start(early, common::workshop(folder.path()), None);
    assert!(monitor.apply(read()).is_empty(), "what came before it was loaded is no change");
    let text = std::fs::read_to_string(&names).unwrap();
    std::fs::write(&names, text.to_uppercase() + "\n").unwrap();
    assert_eq!(monitor.apply(read()).changed, ["a"]);
    assert!(monitor.apply(read()).is_empty());
    monitor.stop();
}

/// Labels in a pipe that nobody fills stand for a model that takes minutes to start.
#[test]
fn an_end_does_not_wait_for_a_model_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pipe) = (folder.path().join("cameras.toml"), folder.path().join("labels.txt"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let config = "[models.fast]\ndevice = \"cpu\"\n[models.slow]\nlabels = \"labels.txt\"\n\
                  [streams.a]\nurl = \"test\"\nmodel = \"fast\"\nrecord = { dir = \"records\" }\n\
                  [streams.b]\nurl = \"test\"\nmodel = \"slow\"\n";
    std::fs::write(&path, config).unwrap();
    let child = Running(gradcast().arg("watch").arg(&path).spawn().unwrap());
    let mut watch = Watch { child, base: String::new() };
    let recorded = || std::fs::read_dir(folder.path().join("records")).ok()?.next()?.ok();
    let until = Instant::now() + Duration::from_secs(30);
    let file = loop {
        assert!(Instant::now() < until, "the first stream does not record");
        match recorded() {
            Some(file) => break file.path(),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    std::thread::sleep(Duration::from_secs(2));
    watch.ends_whole(&file, Duration::from_secs(5));
}

#[test]
fn only_a_look_that_changed_takes_no_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = |opacity: f32, style: &str, class: &str| {
        let text = format!(
            "[models.m]\ndevice = \"cpu\"\nclass = \"{class}\"\n[streams.a]\nurl = \"test\"\nmodel = \"m\"\n\
             opacity = {opacity}\nstyle = \"{style}\"\n"
        );
        Config::parse(&text, "test.toml", folder.path()).unwrap()
    };
    let monitor = common::start(config(0.5, "blend", "top1"), common::workshop(folder.path()), None);
    let stream = monitor.stream("a").unwrap();
    for (config, goes_on) in [
        (config(0.9, "fade", "top1"), true),
        (config(0.9, "side-by-side", "top1"), false),
        (config(0.9, "side-by-side", "star"), false),
    ] {
        let stream = monitor.stream("a").unwrap();
        let (changes, wanted) = (monitor.apply(config.clone()), config.streams["a"].look);
        assert_eq!(changes.changed, ["a"]);
        assert_eq!(!stream.is_stopping(), goes_on, "{wanted:?}");
        assert_eq!(monitor.stream("a").unwrap().status().controls.look, wanted);
    }
    assert!(stream.is_stopping());
    monitor.stop();
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cameras.toml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    write(&path, port, &[("a", "first")]);
    // As a disk that recordings have filled.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let child = Running(gradcast().arg("watch").arg(&path).stderr(Stdio::from(full)).spawn().unwrap());
    let mut watch = Watch { child, base: format!("http://127.0.0.1:{port}") };
    watch.wait_for(&["a"]);
    std::fs::write(&path, "[streams.a]\nurll = \"test\"\n").unwrap();
    watch.child.signal(libc::SIGHUP);
    std::thread::sleep(Duration::from_secs(1));
    watch.wait_for(&["a"]);
    watch.child.signal(libc::SIGTERM);
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
}
