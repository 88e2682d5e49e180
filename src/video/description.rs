//! Launch descriptions: `pipelines/*.toml`, built in, and replaceable key by key.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::prelude::*;
use serde::Deserialize;

use super::error::{Result, VideoError};

const FILE: &str = include_str!("../../pipelines/file.toml");
const ENCODERS: &str = include_str!("../../pipelines/encoders.toml");
const LIVE: &str = include_str!("../../pipelines/live.toml");

/// How pipelines are put together: the built-in descriptions, or the user's laid over them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub(crate) source: SourceText,
    pub(crate) sink: SinkText,
    pub(crate) containers: BTreeMap<String, Container>,
    pub(crate) images: BTreeMap<String, Image>,
    pub(crate) encoders: BTreeMap<String, Encoder>,
    pub(crate) live: LiveText,
}

/// What is live: `pipelines/live.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveText {
    pub source: LiveSourceText,
    pub window: WindowText,
    pub encoder: LiveEncoderText,
    pub encoders: BTreeMap<String, LiveEncoderRow>,
    pub outputs: OutputsText,
}

/// The pieces around a live encoder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveEncoderText {
    pub frames: String,
    pub odd: String,
    pub packets: String,
}

/// One live encoder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveEncoderRow {
    pub element: String,
    pub package: String,
    pub launch: String,
    pub quality: Quality,
}

/// Where live pictures and packets go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputsText {
    pub packets: String,
    pub publish: String,
    pub push: String,
    pub record: String,
    pub webrtc: String,
    pub jpeg_frames: String,
    pub jpeg_pictures: String,
}

/// The pieces of a source pipeline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceText {
    pub read: String,
    pub decode: String,
    pub rotate: String,
    pub deinterlace: String,
    pub convert: String,
    pub scale: String,
    pub hand_over: String,
    pub track: String,
    pub unused: String,
}

/// The pieces of a live source: a way in per kind of address, and what hands the pictures over.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveSourceText {
    pub camera: String,
    pub rtsp: String,
    pub http: String,
    pub file: String,
    pub test: String,
    pub hand_over: String,
}

/// The pieces of a sink pipeline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkText {
    pub frames: String,
    pub encoded: String,
    pub track: String,
    pub write: String,
}

/// A window's pipeline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowText {
    pub show: String,
    /// Elements that are not to be chosen automatically.
    pub shun: Vec<String>,
}

/// One kind of output file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Container {
    pub title: String,
    pub extensions: Vec<String>,
    pub mux: String,
    pub mux_open: Option<String>,
    pub encoder: String,
    pub video_timescale: Option<u32>,
    pub tracks: Vec<TrackRule>,
}

/// A kind of track that a container holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrackRule {
    pub caps: String,
    #[serde(default)]
    pub through: Option<String>,
}

/// One kind of output picture.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    pub extensions: Vec<String>,
    pub encode: String,
    #[serde(default)]
    pub quality: Option<Quality>,
    pub package: String,
}

/// One encoder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Encoder {
    pub element: String,
    pub package: String,
    pub produces: String,
    pub launch: String,
    #[serde(default)]
    pub unsaid: Option<String>,
    pub quality: Quality,
    #[serde(default)]
    pub odd: Option<Odd>,
}

/// What an encoder needs in front of it when a side of the picture is odd.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Odd {
    pub launch: String,
    #[serde(default)]
    pub crop: bool,
}

/// How 0..=100 maps onto the encoder's own scale.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quality {
    pub worst: f64,
    pub best: f64,
    pub default: u8,
}

impl Quality {
    /// The encoder's own number for a quality of 0..=100.
    pub fn own_scale(&self, quality: Option<u8>) -> i64 {
        let share = f64::from(quality.unwrap_or(self.default).min(100)) / 100.0;
        (self.worst + (self.best - self.worst) * share).round() as i64
    }
}

/// The descriptions that are built in, parsed once.
static BUILT_IN: LazyLock<std::result::Result<toml::Table, toml::de::Error>> = LazyLock::new(|| {
    let mut table: toml::Table = FILE.parse()?;
    lay_over(&mut table, ENCODERS.parse()?);
    lay_over(&mut table, LIVE.parse()?);
    Ok(table)
});

impl Description {
    /// The built-in descriptions.
    ///
    /// # Errors
    /// Never for a released program: a test parses them.
    pub fn built_in() -> Result<Self> {
        Self::from_table(built_in_table()?, "the built-in pipeline description")
    }

    /// The built-in descriptions with those of a file laid over them.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has a key that does not exist.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| {
            VideoError::usage(
                format!("the pipeline description {name} cannot be read"),
                "check the path given with --pipeline",
            )
            .because(e)
        })?;
        let over = text.parse().map_err(|e| not_understood(&name, e))?;
        let mut table = built_in_table()?;
        lay_over(&mut table, over);
        Self::from_table(table, &name)
    }

    fn from_table(table: toml::Table, name: &str) -> Result<Self> {
        table.try_into().map_err(|e| not_understood(name, e))
    }

    /// The container that an extension stands for.
    pub(crate) fn container(&self, extension: &str) -> Option<&Container> {
        self.containers.values().find(|c| c.extensions.iter().any(|e| e == extension))
    }

    /// The kind of picture that an extension stands for.
    pub(crate) fn image(&self, extension: &str) -> Option<&Image> {
        self.images.values().find(|c| c.extensions.iter().any(|e| e == extension))
    }
}

fn built_in_table() -> Result<toml::Table> {
    BUILT_IN.clone().map_err(|e| not_understood("the built-in pipeline description", e))
}

fn not_understood(name: &str, e: toml::de::Error) -> VideoError {
    VideoError::usage(
        format!("{name} is not understood: {}", e.message()),
        "compare it with pipelines/file.toml, encoders.toml and live.toml",
    )
    .because(e)
}

/// Tables are merged, everything else is replaced.
fn lay_over(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => lay_over(old, new),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Fills in `{name}`; other braces (GStreamer's lists) stay.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Escapes caps for a quoted place in a launch description.
pub(crate) fn quoted(caps: &gst::Caps) -> String {
    caps.to_string().replace('\\', "\\\\").replace('"', "\\\"")
}

/// Makes a bin of a piece of description; its open ends become its pads `sink` and `src`.
pub(crate) fn bin(text: &str) -> Result<gst::Bin> {
    // GStreamer's own way of finding open ends looks into decodebin too, and takes its inner pads.
    let bin = gst::parse::bin_from_description(text, false).map_err(|e| not_built(text, e))?;
    for (name, direction) in [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)] {
        let open = bin
            .children()
            .into_iter()
            .flat_map(|element| element.pads())
            .find(|pad| pad.direction() == direction && !pad.is_linked());
        if let Some(pad) = open {
            let added =
                gst::GhostPad::builder_with_target(&pad).and_then(|ghost| bin.add_pad(&ghost.name(name).build()));
            added.map_err(|e| {
                VideoError::usage(
                    format!("the description “{text}” cannot be joined to others"),
                    "compare it with pipelines/file.toml",
                )
                .because(e)
            })?;
        }
    }
    Ok(bin)
}

/// Makes a pipeline of a description.
pub(crate) fn pipeline(text: &str) -> Result<gst::Pipeline> {
    let element = gst::parse::launch(text).map_err(|e| not_built(text, e))?;
    match element.downcast::<gst::Pipeline>() {
        Ok(pipeline) => Ok(pipeline),
        // One element alone comes without a pipeline around it.
        Err(element) => {
            let pipeline = gst::Pipeline::new();
            pipeline
                .add(&element)
                .map_err(|e| VideoError::usage(format!("“{text}” is no pipeline"), "describe elements").because(e))?;
            Ok(pipeline)
        }
    }
}

/// The element of a name that a description must have.
pub(crate) fn named<T: IsA<gst::Element>>(bin: &impl IsA<gst::Bin>, name: &str) -> Result<T> {
    bin.by_name(name).and_then(|e| e.downcast::<T>().ok()).ok_or_else(|| {
        VideoError::usage(
            format!("the pipeline description has no {} named “{name}”", T::static_type()),
            "keep the element names of pipelines/file.toml",
        )
    })
}

fn not_built(text: &str, e: gst::glib::Error) -> VideoError {
    let (what, hint) = match e.kind::<gst::ParseError>() {
        Some(gst::ParseError::NoSuchElement) => (
            format!("a GStreamer element is missing: {}", e.message()),
            "install gstreamer1.0-plugins-base, -good, -bad, -ugly and gstreamer1.0-libav",
        ),
        _ => (
            format!("GStreamer does not accept the description “{text}”: {}", e.message()),
            "compare it with pipelines/file.toml, encoders.toml and live.toml",
        ),
    };
    VideoError::usage(what, hint).because(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_descriptions_are_understood() {
        let d = Description::built_in().unwrap();
        for container in d.containers.values() {
            assert!(d.encoders.contains_key(&container.encoder), "{container:?} names an encoder that is there");
        }
        assert_eq!(d.container("m4v").unwrap().title, "MP4");
        assert!(d.image("jpeg").is_some() && d.image("mp4").is_none());
    }

    #[test]
    fn quality_spreads_over_the_encoders_scale() {
        let d = Description::built_in().unwrap();
        let crf = d.encoders["x264"].quality;
        assert_eq!(crf.own_scale(None), 23);
        assert_eq!((crf.own_scale(Some(0)), crf.own_scale(Some(255))), (50, 11));
    }

    #[test]
    fn a_file_replaces_only_what_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        std::fs::write(&path, "[source]\nrotate = \"identity\"\n").unwrap();
        let d = Description::load(&path).unwrap();
        assert_eq!(d.source.rotate, "identity");
        assert!(d.source.read.contains("parsebin"));

        std::fs::write(&path, "[source]\nrotat = \"identity\"\n").unwrap();
        let e = Description::load(&path).unwrap_err();
        assert_eq!(e.kind(), super::super::ErrorKind::Usage);
        assert!(e.to_string().contains("rotat"), "{e}");
    }

    #[test]
    fn only_names_in_braces_are_filled_in() {
        assert_eq!(fill("a={x} format={I420,NV12}", &[("x", "1")]), "a=1 format={I420,NV12}");
    }
}
