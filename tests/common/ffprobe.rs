//! What an independent program says about a file.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn ffprobe(path: &Path, args: &[&str]) -> Value {
    let out = Command::new("ffprobe")
        .args(["-v", "quiet", "-of", "json"])
        .args(args)
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    assert!(out.status.success(), "ffprobe {}", path.display());
    serde_json::from_slice(&out.stdout).expect("ffprobe writes JSON")
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(s) => s.parse().ok(),
        Value::Number(n) => n.as_f64(),
        _ => None,
    }
}

/// One decoded frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// Seconds.
    pub pts: f64,
    /// Seconds, where known.
    pub duration: Option<f64>,
}

/// One stored packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// Seconds.
    pub pts: Option<f64>,
    pub duration: Option<f64>,
    pub hash: String,
    pub size: u64,
}

/// A track of a file.
#[derive(Debug, Clone)]
pub struct Stream {
    pub index: usize,
    pub kind: String,
    pub codec: String,
    pub width: i64,
    pub height: i64,
    pub rotation: i64,
    pub sample_aspect: String,
    pub range: String,
    pub matrix: String,
    pub primaries: String,
    pub transfer: String,
    pub language: Option<String>,
    /// Seconds.
    pub start: f64,
    pub duration: Option<f64>,
    /// Seconds per tick of the container's clock.
    pub tick: f64,
}

impl Stream {
    /// Width and height as they are shown.
    pub fn shown_size(&self) -> (i64, i64) {
        match self.rotation.rem_euclid(180) {
            90 => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }
}

/// Earliest time in the file, seconds.
pub fn start(path: &Path) -> f64 {
    let all = ffprobe(path, &["-show_entries", "format=start_time"]);
    number(&all["format"]["start_time"]).unwrap_or(0.0)
}

pub fn streams(path: &Path) -> Vec<Stream> {
    let all = ffprobe(path, &["-show_streams"]);
    let text = |v: &Value| v.as_str().unwrap_or("unknown").to_owned();
    all["streams"]
        .as_array()
        .expect("streams")
        .iter()
        .map(|s| {
            let rotation = s["side_data_list"].as_array().and_then(|l| l.iter().find_map(|d| d["rotation"].as_i64()));
            let (n, d) = s["time_base"].as_str().and_then(|t| t.split_once('/')).unwrap_or(("1", "1"));
            Stream {
                index: s["index"].as_u64().expect("index") as usize,
                kind: text(&s["codec_type"]),
                codec: text(&s["codec_name"]),
                width: s["width"].as_i64().unwrap_or(0),
                height: s["height"].as_i64().unwrap_or(0),
                rotation: rotation.unwrap_or(0),
                sample_aspect: s["sample_aspect_ratio"].as_str().unwrap_or("1:1").to_owned(),
                range: text(&s["color_range"]),
                matrix: text(&s["color_space"]),
                primaries: text(&s["color_primaries"]),
                transfer: text(&s["color_transfer"]),
                language: s["tags"]["language"].as_str().map(str::to_owned),
                start: number(&s["start_time"]).unwrap_or(0.0),
                duration: number(&s["duration"]),
                tick: n.parse::<f64>().expect("tick") / d.parse::<f64>().expect("tick"),
            }
        })
        .collect()
}

/// Every frame that ffmpeg decodes of one stream, in order.
pub fn frames(path: &Path, stream: usize) -> Vec<Shown> {
    let select = stream.to_string();
    let all = ffprobe(
        path,
        &["-select_streams", &select, "-show_entries", "frame=best_effort_timestamp_time,pkt_duration_time"],
    );
    all["frames"]
        .as_array()
        .expect("frames")
        .iter()
        .map(|f| Shown {
            pts: number(&f["best_effort_timestamp_time"]).unwrap_or(f64::NAN),
            duration: number(&f["pkt_duration_time"]),
        })
        .collect()
}

/// Every packet of one stream.
pub fn packets(path: &Path, stream: usize) -> Vec<Packet> {
    let select = stream.to_string();
    let all = ffprobe(path, &["-select_streams", &select, "-show_packets", "-show_data_hash", "md5"]);
    all["packets"]
        .as_array()
        .expect("packets")
        .iter()
        .map(|p| Packet {
            pts: number(&p["pts_time"]),
            duration: number(&p["duration_time"]),
            hash: p["data_hash"].as_str().unwrap_or_default().to_owned(),
            size: number(&p["size"]).unwrap_or(0.0) as u64,
        })
        .collect()
}

/// Mean distance, in levels of 0..=255, between the first frames of two video streams (file and
/// stream index) as ffmpeg turns them into RGB.
pub fn mean_difference(a: (&Path, usize), b: (&Path, usize), size: (i64, i64)) -> f64 {
    let (a, b) = (first_frame(a), first_frame(b));
    assert_eq!(a.len(), (size.0 * size.1 * 3) as usize, "size of the frame");
    assert_eq!(a.len(), b.len(), "size of the frame");
    let sum: u64 = a.iter().zip(&b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

fn first_frame((path, stream): (&Path, usize)) -> Vec<u8> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", &format!("0:{stream}"), "-frames:v", "1"])
        // Touches nothing but what is marked as interlaced.
        .args(["-vf", "yadif=deint=interlaced"])
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-sws_flags", "accurate_rnd+full_chroma_int", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(out.status.success(), "ffmpeg {}", path.display());
    out.stdout
}
