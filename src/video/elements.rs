//! What this machine can decode and encode, asked of the registry.
//!
//! `gst-inspect-1.0 --exists` can deny an element that is there (it applies a version floor), so the
//! element factories themselves are asked.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{Description, Result};

/// Something that can be decoded or encoded here, or not.
#[derive(Debug, Clone)]
pub struct Codec {
    /// `H.264`, or for an encoder what `--encoder` calls it.
    pub name: String,
    /// The element that would do it; `None` where there is none.
    pub element: Option<String>,
    /// Whether the main job cannot do without.
    pub essential: bool,
    /// The Debian package that brings it.
    pub package: String,
}

/// Name, caps, whether the main job needs it, package.
const DECODERS: [(&str, &str, bool, &str); 11] = [
    ("H.264", "video/x-h264", true, "gstreamer1.0-libav"),
    ("H.265", "video/x-h265", false, "gstreamer1.0-libav"),
    ("AV1", "video/x-av1", false, "gstreamer1.0-plugins-bad"),
    ("VP8", "video/x-vp8", false, "gstreamer1.0-plugins-good"),
    ("VP9", "video/x-vp9", false, "gstreamer1.0-plugins-good"),
    ("MPEG-4", "video/mpeg, mpegversion=(int)4, systemstream=(boolean)false", false, "gstreamer1.0-libav"),
    ("MPEG-2", "video/mpeg, mpegversion=(int)2, systemstream=(boolean)false", false, "gstreamer1.0-libav"),
    ("ProRes", "video/x-prores", false, "gstreamer1.0-libav"),
    ("Motion JPEG", "image/jpeg", false, "gstreamer1.0-plugins-good"),
    ("PNG", "image/png", false, "gstreamer1.0-plugins-good"),
    ("WebP", "image/webp", false, "gstreamer1.0-plugins-bad"),
];

/// The decoder that GStreamer would take for each well-known codec.
///
/// # Errors
/// Where GStreamer does not start.
pub fn decoders() -> Result<Vec<Codec>> {
    super::init()?;
    let kinds = gst::ElementFactoryType::DECODER | gst::ElementFactoryType::PARSER;
    let factories = gst::ElementFactory::factories_with_type(kinds, gst::Rank::MARGINAL);
    let found = |caps: &str| {
        let caps = caps.parse::<gst::Caps>().ok()?;
        let able =
            factories.iter().filter(|f| f.has_type(gst::ElementFactoryType::DECODER) && f.can_sink_any_caps(&caps));
        able.max_by_key(|f| f.rank()).map(|f| f.name().to_string())
    };
    Ok(DECODERS
        .iter()
        .map(|&(name, caps, essential, package)| Codec {
            name: name.into(),
            element: found(caps),
            essential,
            package: package.into(),
        })
        .collect())
}

/// The rows of the encoder table; the one that mp4 takes by itself is essential.
///
/// # Errors
/// Where GStreamer does not start.
pub fn encoders() -> Result<Vec<Codec>> {
    super::init()?;
    let description = Description::built_in()?;
    let default = description.container("mp4").map(|c| c.encoder.clone());
    Ok(description
        .encoders
        .iter()
        .map(|(name, encoder)| Codec {
            name: name.clone(),
            element: gst::ElementFactory::find(&encoder.element).map(|f| f.name().to_string()),
            essential: default.as_ref() == Some(name),
            package: encoder.package.clone(),
        })
        .collect())
}
