//! Heat on pixels: normalisation over time, colour maps, blending in YUV, labels.
//!
//! ```text
//! Heat (raw map) ──Scale──► heat 0..1 ──ColorTable, in the frame's matrix and range──┐
//! Picture (decoder's planes) ─────────────────── Painter, one pass ──────────────────┴──► PictureMut (pooled planes)
//! ```
//!
//! A frame is never converted to RGB. The map is stretched bilinearly over the [`Region`] that the model saw
//! ([`Fit::place`]): each map row once to the width of a line, then between two such rows for each line, in 16-bit
//! integers. Colours come out of tables that are already multiplied by their opacity, so painting a sample is a look-up,
//! a multiplication, an addition and a shift.
//!
//! Nothing here knows of models or of GStreamer: pictures are slices with strides.
//!
//! ```
//! use gradcast::paint::*;
//!
//! let (width, height) = (64, 48);
//! let frame = vec![128u8; width * height * 3 / 2];
//! let (y, uv) = frame.split_at(width * height);
//! let picture = Picture::new(YuvFormat::Nv12, width, height, YuvColor::default(), &[(y, width), (uv, width)])?;
//!
//! let mut painter = Painter::new(Look { style: Style::Fade, ..Look::default() });
//! let (out_width, out_height) = painter.output_size(width, height, 1);
//! let mut painted = vec![0u8; out_width * out_height * 3 / 2];
//! let (y, uv) = painted.split_at_mut(out_width * out_height);
//! let planes = [(y, out_width), (uv, out_width)];
//! let mut target = PictureMut::new(YuvFormat::Nv12, out_width, out_height, YuvColor::default(), planes)?;
//!
//! let place = Fit::Letterbox.place((width, height), 1.0, (224, 224))?;
//! let map = Heat { values: &[0.0, 1.0, 2.0, 3.0], width: 2, height: 2, region: place.map, label: "tabby", probability: Some(0.83) };
//! let stats = painter.paint(&picture, &mut target, &[map], Some(0))?;
//! assert_eq!(stats[0].max, 3.0);
//! # Ok::<(), PaintError>(())
//! ```

mod caption;
mod color;
mod contour;
mod error;
mod grid;
mod label;
mod line;
mod named;
mod painter;
mod picture;
mod region;
mod scale;
mod sprite;
mod stats;
mod still;
mod words;

pub use color::{ColorMap, ColorTable};
pub use contour::LEVELS;
pub use error::PaintError;
pub use named::UnknownName;
pub use painter::{FADE_COLD, FADE_WARM, Heat, Look, Painter, Style, fade, output_size};
pub use picture::{
    ChromaSite, MAX_SIDE, Picture, PictureMut, Plane, PlaneMut, YuvColor, YuvFormat, YuvMatrix, YuvRange,
};
pub use region::{Fit, Placement, Region};
pub use scale::{HALF_LIFE, LONG_HALF_LIFE, LONG_SHARE, Normalize, Scale, Span};
pub use stats::HeatStats;
