//! `--events FILE.jsonl`: one object per output frame, in order (docs/reference/events.md).

use std::fs::File;
use std::io::{LineWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::StreamError;
use crate::classifier::Labels;
use crate::engine::Prediction;
use crate::paint::HeatStats;

/// What happened in one output frame.
#[derive(Debug, Serialize)]
pub struct FrameEvent<'a> {
    pub stream: &'a str,
    /// Number of the frame, from 0.
    pub frame: u64,
    /// When it was shown (RFC 3339, UTC); of live streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    pub pts_ns: Option<u64>,
    /// Time of the frame the map was made from.
    pub map_pts_ns: Option<u64>,
    pub predictions: Vec<PredictionEvent>,
    pub maps: Vec<MapEvent<'a>>,
}

/// One of the most probable classes.
#[derive(Debug, Clone, Serialize)]
pub struct PredictionEvent {
    pub class: usize,
    pub label: String,
    /// 0..=1, with six digits.
    pub probability: f64,
}

/// Predictions with their names.
pub(super) fn predictions(top: &[Prediction], labels: &Labels) -> Vec<PredictionEvent> {
    top.iter()
        .map(|p| PredictionEvent {
            class: p.class,
            label: labels.name(p.class),
            probability: round(f64::from(p.probability), 6),
        })
        .collect()
}

/// One explained class.
#[derive(Debug, Serialize)]
pub struct MapEvent<'a> {
    pub class: usize,
    pub layer: &'a str,
    pub method: &'a str,
    /// Raw, after ReLU, before normalisation.
    pub max: f32,
    /// `[x, y]` in pixels of the output frame.
    pub peak: Option<[u32; 2]>,
    pub centroid: Option<[f64; 2]>,
    /// Share of the frame with heat of at least half the maximum.
    pub area: f64,
}

impl<'a> MapEvent<'a> {
    /// From the painter's numbers.
    pub fn new(class: usize, layer: &'a str, method: &'a str, stats: &HeatStats) -> Self {
        Self {
            class,
            layer,
            method,
            max: stats.max,
            peak: stats.peak,
            centroid: stats.centroid.map(|c| c.map(|v| round(v, 1))),
            area: round(f64::from(stats.area), 4),
        }
    }
}

impl FrameEvent<'_> {
    /// The event as one line of JSON.
    pub(super) fn line(&self) -> Vec<u8> {
        // Numbers and texts: nothing in it that JSON has no words for.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// Decimals that mean something; the rest only fills disks.
fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// The file the events go to.
pub struct EventLog {
    path: PathBuf,
    /// Line by line, so that who follows the file sees whole events, and a program that is killed loses none.
    out: LineWriter<File>,
    /// Of a file that is kept for long: when it was last looked for under its name.
    looked: Option<Instant>,
}

/// How often a live stream's file is looked for: it may have been moved away (logrotate).
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl EventLog {
    /// Creates (or empties) the file.
    ///
    /// # Errors
    /// [`StreamError::Events`] where it cannot be created.
    pub fn create(path: &Path) -> Result<Self, StreamError> {
        let file = File::create(path).map_err(|source| StreamError::Events { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), out: LineWriter::new(file), looked: None })
    }

    /// Goes on writing a file that may be there: live streams are started again. When it is moved away, a new one is begun.
    ///
    /// # Errors
    /// [`StreamError::Events`] where it cannot be opened.
    pub fn append(path: &Path) -> Result<Self, StreamError> {
        let file = open(path).map_err(|source| StreamError::Events { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), out: LineWriter::new(file), looked: Some(Instant::now()) })
    }

    /// Appends one event as a line.
    ///
    /// # Errors
    /// [`StreamError::Events`] where it cannot be written.
    pub fn write(&mut self, event: &FrameEvent) -> Result<(), StreamError> {
        self.write_line(&event.line())
    }

    /// Appends a line that is one already.
    ///
    /// # Errors
    /// [`StreamError::Events`] where it cannot be written.
    pub fn write_line(&mut self, line: &[u8]) -> Result<(), StreamError> {
        self.follow().and_then(|()| self.out.write_all(line)).map_err(|source| self.failed(source))
    }

    /// Begins a new file where the old one is no longer under its name.
    fn follow(&mut self) -> std::io::Result<()> {
        if self.looked.is_none_or(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let ours = self.out.get_ref().metadata()?;
        let same =
            std::fs::metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if !same {
            self.out = LineWriter::new(open(&self.path)?);
        }
        Ok(())
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// [`StreamError::Events`] where it cannot be written.
    pub fn finish(mut self) -> Result<(), StreamError> {
        self.out.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> StreamError {
        StreamError::Events { path: self.path.clone(), source }
    }
}

/// Opens a file to go on at its end.
fn open(path: &Path) -> std::io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), std::fs::create_dir_all)?;
    // A pipe that nobody reads would hold up whoever opens it, for ever.
    let file = File::options().append(true).create(true).custom_flags(libc::O_NONBLOCK).open(path);
    file.map_err(|e| match e.raw_os_error() {
        Some(libc::ENXIO) => std::io::Error::other("it is a pipe that nobody reads"),
        _ => e,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let refused = EventLog::append(&path).err().unwrap();
        assert!(refused.to_string().contains("nobody reads"), "{refused}");
    }

    #[test]
    fn a_file_that_is_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("events.jsonl"), folder.path().join("events.jsonl.1"));
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let mut log = EventLog::append(&path).unwrap();
        log.write_line(b"1\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        log.write_line(b"2\n").unwrap();
        assert_eq!(text(&moved), "1\n2\n", "it is not looked for at each line");
        log.looked = log.looked.map(|at| at - LOOK_EVERY);
        log.write_line(b"3\n").unwrap();
        // One that is in its place still is not touched.
        log.looked = log.looked.map(|at| at - LOOK_EVERY);
        log.write_line(b"4\n").unwrap();
        assert_eq!((text(&moved), text(&path)), ("1\n2\n".into(), "3\n4\n".into()));
    }
}
