//! Promise: GStreamer's own means of looking inside work as people know them, and no password gets into them.

mod common;

#[path = "common/rtsp.rs"]
mod rtsp;

use std::process::Stdio;
use std::time::Duration;

use common::cli::{Running, gradcast};
use gstreamer_rtsp_server::RTSPAuth;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rtsp::{H264, ODD_PASSWORD, PASSWORD, Rtsp, Serving, USER, clip, free_port, within};

#[test]
fn the_debug_log_and_the_graphs_hold_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), "a.mkv", (320, 180), 25, H264);
    let (log, stderr, events) = ["log.txt", "stderr.txt", "e.jsonl"].map(|name| folder.path().join(name)).into();
    for (auth, password, file) in [("digest", PASSWORD, None), ("basic-odd", ODD_PASSWORD, Some(&log))] {
        let server = Rtsp::start(Serving { clip: clip.clone(), auth: Some(auth), tls: None }, free_port());
        let encoded = utf8_percent_encode(password, NON_ALPHANUMERIC).to_string();
        let url = server.url().replace("://", &format!("://{USER}:{encoded}@"));
        let secrets = [password, &encoded, &RTSPAuth::make_basic(USER, password)];
        let mut command = gradcast();
        command.args(["live", &url, "--no-window", "--device", "cpu", "--events"]).arg(&events);
        command.env("GST_DEBUG", "rtsp*:6").env("GST_DEBUG_DUMP_DOT_DIR", folder.path());
        command.envs(file.map(|file| ("GST_DEBUG_FILE", file)));
        let live = Running(command.stderr(Stdio::from(std::fs::File::create(&stderr).unwrap())).spawn().unwrap());
        let came = || std::fs::metadata(&events).is_ok_and(|meta| meta.len() > 0);
        let came = within(Duration::from_secs(60), came);
        live.signal(libc::SIGTERM);
        live.said();
        let text = std::fs::read_to_string(file.unwrap_or(&stderr)).unwrap();
        assert!(came.is_some() && text.contains("gst_rtspsrc") && text.contains("rtsp://127.0.0.1"), "{text}");
        let graphs = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let graphs: Vec<_> = graphs.filter(|path| path.extension().is_some_and(|e| e == "dot")).collect();
        assert!(!graphs.is_empty(), "the source is drawn");
        for secret in secrets {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{line:?}");
        }
        for graph in graphs {
            let text = std::fs::read_to_string(&graph).unwrap();
            assert!(text.contains("rtspsrc") || text.contains("rtph264depay"), "{}", graph.display());
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{}", graph.display());
            std::fs::remove_file(graph).unwrap();
        }
        std::fs::remove_file(&events).unwrap();
    }
}
