//! A configuration says what it means, and its errors name file, line and key, but no password.

use std::path::Path;
use std::time::Duration;

use gradcast::classifier::Size;
use gradcast::monitor::config::{Config, ConfigError, CredentialsFrom, Limit, LogFormat, example};
use gradcast::paint::{ColorMap, Look};
use gradcast::stream::live::Pace;
use gradcast::video::live::Transport;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "cameras.toml", Path::new("/etc/gradcast"))
}

const FULL: &str = r#"
[http]
listen = "0.0.0.0:8080"
token = "correct horse"

[log]
format = "json"
filter = "info"

[defaults]
latency = "200ms"
credentials-file = "cam.txt"
publish = ["rtsp://127.0.0.1:8554/{name}"]
record = { dir = "rec/{name}", keep = "24h", keep-bytes = "20GB" }
opacity = 0.7

[models.birds]
path = "birds.onnx"
labels = "birds.txt"
class = "top1"
mean = [1, 2, 3]

[streams.door]
url = "rtsp://10.0.0.1/live"
user = "viewer"
password-env = "DOOR"
transport = "tcp"
silence = "off"
model = "birds"
every = 3
weight = 2
pace = "every"
colormap = "viridis"
label = false
events = "events/{name}.jsonl"
record = { dir = "elsewhere", segment = "1m" }

[streams.file]
url = "clips/a.mp4"
repeat = true
size = "640x480"

[streams.quiet]
url = "clips/b.mp4"
realtime = false
publish = []
events = false
record = false
"#;

#[test]
fn a_full_configuration_is_understood() {
    let config = parse(FULL).unwrap();
    let http = config.http.as_ref().unwrap();
    assert_eq!(http.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(http.token.as_ref().unwrap().expose(), "correct horse");
    assert_eq!((config.log.format, config.log.filter.as_deref()), (Some(LogFormat::Json), Some("info")));
    let birds = &config.models["birds"];
    assert_eq!(birds.path.as_deref(), Some(Path::new("/etc/gradcast/birds.onnx")));
    assert_eq!(birds.flags.labels.as_deref(), Some(Path::new("/etc/gradcast/birds.txt")));

    let door = &config.streams["door"];
    assert_eq!(door.url.expose(), "rtsp://10.0.0.1/live");
    let environment = CredentialsFrom::Environment { user: "viewer".into(), password: "DOOR".into() };
    assert_eq!(door.credentials, Some(environment), "its own credentials go before the defaults'");
    assert_eq!((door.transport, door.latency), (Some(Transport::Tcp), Some(Duration::from_millis(200))));
    assert_eq!(door.silence, Some(Limit::Off));
    assert_eq!((door.model.as_deref(), door.every, door.weight, door.pace), (Some("birds"), 3, 2, Pace::Every));
    let look = Look { colormap: ColorMap::Viridis, opacity: 0.7, label: false, ..Look::default() };
    assert_eq!(door.look, look);
    assert_eq!(door.publish[0].expose(), "rtsp://127.0.0.1:8554/door");
    assert_eq!(door.events.as_deref(), Some(Path::new("/etc/gradcast/events/door.jsonl")));
    let record = door.record.as_ref().unwrap();
    assert_eq!((record.dir.as_path(), record.segment), (Path::new("/etc/gradcast/elsewhere"), Duration::from_secs(60)));
    assert_eq!((record.keep, record.keep_bytes), (Some(Duration::from_secs(86400)), Some(20_000_000_000)));

    let file = &config.streams["file"];
    assert_eq!(file.url.expose(), "/etc/gradcast/clips/a.mp4");
    assert_eq!(file.credentials, Some(CredentialsFrom::File("/etc/gradcast/cam.txt".into())));
    assert_eq!((file.repeat, file.size), (true, Some(Size { width: 640, height: 480 })));
    assert_eq!(file.record.as_ref().unwrap().dir, Path::new("/etc/gradcast/rec/file"));
    assert!(config.model_of(file).is_none() && config.model_of(door).is_some());

    let quiet = &config.streams["quiet"];
    assert!(quiet.publish.is_empty() && quiet.events.is_none() && quiet.record.is_none(), "it does without");
    assert!(!quiet.realtime && file.realtime, "events alone are read faster than they can be watched");
}

/// What is wrong, the line and the key that the error must name, and a part of what it must say.
const WRONG: [(&str, usize, &str, &str); 41] = [
    ("[streams.a]\nurl = ", 2, "url", "quote"),
    ("[streams.a\nurl = 1", 1, "", ""),
    ("[streams.a]\nurl = \"0\"\nurl = \"1\"", 3, "url", "duplicate"),
    ("[stream.a]\nurl = \"0\"", 1, "stream", "streams"),
    ("streams = 3", 1, "streams", "section"),
    ("[streams]\na = 3", 2, "streams.a", "section"),
    ("[streams.a]\n\nlatency = \"1s\"", 1, "streams.a", "url"),
    ("[streams.a]\nurl = \"0\"\nlatancy = \"1s\"", 3, "streams.a.latancy", "`latency`"),
    ("[streams.a]\nurl = 5", 2, "streams.a.url", "quotes"),
    ("[streams.a]\nurl = \"\"", 2, "streams.a.url", "address"),
    ("[streams.a]\nurl = \"ftp://host\"", 2, "streams.a.url", "rtsp://"),
    ("[streams.a]\nurl = \"0\"\nlatency = \"soon\"", 3, "streams.a.latency", "250ms"),
    ("[streams.a]\nurl = \"0\"\nlatency = 5", 3, "streams.a.latency", "unit"),
    ("[streams.a]\nurl = \"0\"\nlatency = \"3h\"", 3, "streams.a.latency", "1m"),
    ("[streams.a]\nurl = \"0\"\nsilence = \"never\"", 3, "streams.a.silence", "duration"),
    ("[streams.a]\nurl = \"0\"\nretry-first = \"20s\"\nretry-most = \"10s\"", 4, "streams.a.retry-most", "shorter"),
    ("[streams.a]\nurl = \"0\"\nweight = 0", 3, "streams.a.weight", "1 to 100"),
    ("[streams.a]\nurl = \"0\"\nevery = 1.5", 3, "streams.a.every", "whole number"),
    ("[streams.a]\nurl = \"0\"\nopacity = nan", 3, "streams.a.opacity", "0 to 1"),
    ("[streams.a]\nurl = \"0\"\nstyle = \"neon\"", 3, "streams.a.style", "contour"),
    ("[streams.a]\nurl = \"0\"\nencoder = \"x265\"", 3, "streams.a.encoder", "openh264"),
    (
        "[defaults]\npublish = [\"rtsp://localhost:1/{name}\"]\n[streams.a]\nurl = \"a.mp4\"\nrealtime = false",
        5,
        "streams.a.realtime",
        "only events",
    ),
    ("[streams.a]\nurl = \"0\"\npace = \"fast\"", 3, "streams.a.pace", "latest"),
    ("[streams.a]\nurl = \"0\"\nmodel = \"birds\"", 3, "streams.a.model", "[models.birds]"),
    ("[defaults]\nmodel = \"birds\"\n[streams.a]\nurl = \"0\"", 2, "defaults.model", "[models.birds]"),
    ("[defaults]\nurl = \"0\"", 2, "defaults.url", "its own"),
    ("[defaults]\nweigth = 1", 2, "defaults.weigth", "`weight`"),
    ("[streams.a]\nurl = \"0\"\nuser = \"me\"", 3, "streams.a.user", "password-env"),
    ("[streams.a]\nurl = \"0\"\npublish = [\n\"rtsp://0.0.0.0:1/a\"]", 4, "streams.a.publish", "user:password@"),
    ("[streams.a]\nurl = \"0\"\npush = [\"http://h/a\"]", 3, "streams.a.push", "rtsps://"),
    (
        "[defaults]\nevents = \"e.jsonl\"\n[streams.a]\nurl = \"0\"\n[streams.b]\nurl = \"1\"",
        2,
        "defaults.events",
        "{name}",
    ),
    (
        "[streams.a]\nurl = \"0\"\nrecord = {dir = \"r\", keep-bytes = \"lots\"}",
        3,
        "streams.a.record.keep-bytes",
        "20GB",
    ),
    ("[streams.a]\nurl = \"0\"\n[streams.a.record]\nsegment = \"1m\"", 3, "streams.a.record", "dir"),
    ("[streams.a]\nurl = \"0\"\nrecord = {dir = \"r\", keep = \"1m\"}", 3, "streams.a.record.keep", "segment"),
    ("[streams.\"../x\"]\nurl = \"0\"", 1, "streams.../x", "letters"),
    ("[models.m]\npath = \"x\"\nfitt = \"crop\"", 3, "models.m.fitt", "`fit`"),
    ("[models.m]\nbatch = 0", 2, "models.m.batch", "256"),
    ("[streams.a]\nurl = \"0\"\n[http]\nlisten = \"0.0.0.0:80\"", 4, "http.listen", "token"),
    ("[streams.a]\nurl = \"0\"\n[http]\ntoken-file = \"nowhere\"", 4, "http.token-file", "read"),
    ("[streams.a]\nurl = \"0\"\n[log]\nformat = \"xml\"", 4, "log.format", "json"),
    ("[streams.a]\nurl = \"0\"\n[log]\nfilter = \"a=b=c\"", 4, "log.filter", "warn"),
];

#[test]
fn errors_name_file_line_and_key() {
    for (text, line, key, said) in WRONG {
        let error = parse(text).expect_err(text);
        let shown = error.to_string();
        assert_eq!((error.line(), error.key()), (Some(line), key), "{text}\n{shown}");
        assert!(shown.starts_with(&format!("cameras.toml, line {line}")), "{shown}");
        assert!(shown.contains(said) && !shown.contains('\n'), "{text}\n{shown}");
        assert!(!error.hint().is_empty());
    }
    assert!(parse("").unwrap_err().to_string().contains("no stream"));
}

#[test]
fn no_secret_is_shown() {
    const URL: &str = "rtsp://admin:s3cr3t@10.0.0.1/live?token=s3cr3t";
    let config = parse(&format!(
        "[streams.a]\nurl = \"{URL}\"\npush = [\"rtsp://me:s3cr3t@h/x\"]\n[http]\ntoken = \"s3cr3t-s3cr3t\""
    ));
    let shown = format!("{:?}", config.unwrap());
    assert!(!shown.contains("s3cr3t") && shown.contains("10.0.0.1"), "{shown}");
    for text in [
        format!("[streams.a]\nurl = \"{URL}\" x"),
        format!("[streams.a]\nurl = \"{URL}"),
        format!("[streams.a]\nlatency = \"{URL}\""),
        format!("[streams.a]\nstyle = \"{URL}\""),
        format!("[streams.a]\nurl = \"0\"\nmodel = \"{URL}\""),
        format!("[streams.a]\nurl = \"0\"\npush = [\"{URL}\", \"{URL}\"]"),
        format!("[streams.a]\nurl = \"0\"\npublish = [\"{URL}s\", \"rtsps://u:s3cr3t@h\"]"),
        format!("[streams.a]\nurl = \"0\"\nrecord = \"{URL}\""),
        format!("[streams.\"{URL}\"]\nurl = \"0\""),
        "[streams.a]\nurl = \"rtsp://admin:s3cr3t@h:99999999/\"".into(),
        "[streams.a]\nurl = \"0\"\n[http]\ntoken = \"s3cr3t\"".into(),
        "[streams.a]\nurl = \"0\"\n[http]\ntoken = [\"s3cr3t\"]".into(),
    ] {
        let error = parse(&text).expect_err(&text);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cr3t"), "{text}\n{shown}");
    }
}

#[test]
fn the_example_is_understood_and_names_every_key() {
    let config = parse(example()).unwrap();
    assert_eq!(config.streams["test"].url.expose(), "test");
    assert_eq!(config.http.as_ref().unwrap().listen.to_string(), "127.0.0.1:8080");

    // A line that begins with `#` and no space is something to take the `#` away from.
    let either = ["#token = ", "#user = ", "#password-env = ", "#token-file = "];
    let all: String = example()
        .lines()
        .filter(|line| !either.iter().any(|e| line.starts_with(e)))
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let full = parse(&all).unwrap();
    assert_eq!(full.streams.len(), 2);
    assert!(full.streams["door"].record.is_some());

    for (section, wrong) in [
        ("streams", "[streams.a]\nurl = \"0\"\nnope = 1"),
        ("record", "[streams.a]\nurl = \"0\"\nrecord = { dir = \"x\", nope = 1 }"),
        ("models", "[models.a]\nnope = 1"),
        ("http", "[streams.a]\nurl = \"0\"\n[http]\nnope = 1"),
        ("log", "[streams.a]\nurl = \"0\"\n[log]\nnope = 1"),
        ("", "[nope]"),
    ] {
        let said = parse(wrong).unwrap_err().to_string();
        let keys: Vec<&str> = said.split('`').skip(1).step_by(2).filter(|key| *key != "nope").collect();
        assert!(section.is_empty() || keys.len() > 1, "{said}");
        for key in keys {
            assert!(example().contains(&format!("{key} = ")), "{section}: the example does not name {key}");
        }
    }
    // What the example calls a default is one.
    let (test, look) = (&full.streams["test"], Look::default());
    assert_eq!((test.look, test.every, test.weight, test.pace), (look, 1, 1, Pace::Latest));
}

#[test]
fn urls_alone_make_a_configuration() {
    let names = |urls: &[&str]| -> Vec<String> { Config::from_urls(urls).unwrap().streams.into_keys().collect() };
    assert_eq!(names(&["rtsp://u:p@h/front", "rtsp://h/a/back/", "x/clip.mp4"]), ["back", "clip", "front"]);
    assert_eq!(names(&["rtsp://h1/live", "rtsp://h2/live"]), ["cam1", "cam2"]);
    assert_eq!(names(&["test"]), ["cam1"]);
    assert_eq!(names(&["rtsp://h/", "0"]), ["cam1", "cam2"]);
    let error = Config::from_urls(["0", "ftp://me:s3cr3t@h"]).unwrap_err().to_string();
    assert!(error.contains("address 2") && !error.contains("s3cr3t"), "{error}");
    assert!(Config::from_urls(Vec::<String>::new()).is_err());
}

#[test]
fn a_reload_touches_only_what_changed() {
    let old = parse(FULL).unwrap();
    assert!(Config::diff(&old, &old.clone()).is_empty());
    let new = FULL
        .replace("class = \"top1\"", "class = \"3\"")
        .replace("[streams.file]", "[streams.film]")
        .replace("\"correct horse\"", "\"another horse\"");
    let changes = Config::diff(&old, &parse(&new).unwrap());
    assert_eq!(changes.changed, ["door"], "its model is another");
    assert_eq!((changes.added, changes.removed), (vec!["film".to_owned()], vec!["file".to_owned()]));
    assert_eq!(changes.after_restart, ["http"]);
    // Defaults count through the streams that take them.
    let new = FULL.replace("credentials-file = \"cam.txt\"", "credentials-file = \"cams.txt\"");
    assert_eq!(Config::diff(&old, &parse(&new).unwrap()).changed, ["file", "quiet"]);
}

#[test]
fn files_that_were_replaced_count_as_changes() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[models.m]\npath = \"m.onnx\"\n[models.other]\n[streams.a]\nurl = \"test\"\nmodel = \"m\"\n\
                [streams.b]\nurl = \"rtsp://h/b\"\ncredentials-file = \"b.txt\"\n[streams.c]\nurl = \"test\"\n";
    let read = || Config::parse(text, "test.toml", folder.path()).unwrap();
    let mut before = read();
    for (file, touched) in [("m.onnx", "a"), ("m.toml", "a"), ("b.txt", "b")] {
        for content in ["new", "another"] {
            std::fs::write(folder.path().join(file), content).unwrap();
            let after = read();
            assert_eq!(Config::diff(&before, &after).changed, [touched], "{file}");
            before = after;
        }
    }
    assert!(Config::diff(&before, &read()).is_empty());
}

#[test]
fn a_file_is_read_with_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(folder.path().join("token"), "correct horse\n").unwrap();
    std::fs::write(&path, "[streams.a]\nurl = \"a.mp4\"\n[http]\ntoken-file = \"token\"").unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.streams["a"].url.expose(), folder.path().join("a.mp4").to_str().unwrap());
    assert_eq!(config.http.unwrap().token.unwrap().expose(), "correct horse");

    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    for path in [path, folder.path().join("none.toml"), folder.path().into(), "/dev/zero".into()] {
        let error = Config::load(&path).unwrap_err();
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
    }
}
