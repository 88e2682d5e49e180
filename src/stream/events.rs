//! `--events FILE.jsonl`: one object per output frame, in order (docs/reference/events.md).

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};

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
}

impl EventLog {
    /// Creates (or empties) the file.
    ///
    /// # Errors
    /// [`StreamError::Events`] where it cannot be created.
    pub fn create(path: &Path) -> Result<Self, StreamError> {
        let file = File::create(path).map_err(|source| StreamError::Events { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), out: LineWriter::new(file) })
    }

    /// Goes on writing a file that may be there: live streams are started again.
    ///
    /// # Errors
    /// [`StreamError::Events`] where it cannot be opened.
    pub fn append(path: &Path) -> Result<Self, StreamError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let made = folder.map_or(Ok(()), std::fs::create_dir_all);
        made.map_err(|source| StreamError::Events { path: path.to_owned(), source })?;
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(|source| StreamError::Events { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), out: LineWriter::new(file) })
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
        self.out.write_all(line).map_err(|source| self.failed(source))
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
