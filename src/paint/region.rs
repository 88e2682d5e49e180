//! Where on the frame the model's input, and so the map, lies.

use super::{PaintError, named::named};

/// A rectangle in pixels; a pixel `i` covers `i` to `i + 1`, so its centre is at `i + 0.5`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Region {
    /// The whole of a `width` x `height` picture.
    pub fn whole(width: usize, height: usize) -> Self {
        Self { x: 0.0, y: 0.0, width: width as f64, height: height as f64 }
    }

    pub(super) fn is_sane(&self) -> bool {
        [self.x, self.y, self.width, self.height].iter().all(|v| v.is_finite() && v.abs() < 1e9)
            && self.width > 0.0
            && self.height > 0.0
    }
}

/// How a frame of one shape becomes a model input of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fit {
    /// The whole frame, its proportions given up.
    #[default]
    Stretch,
    /// The largest middle part that has the model's proportions; the rest is neither seen nor painted.
    Crop,
    /// The whole frame in its own proportions, with bars beside it; heat on the bars is cut away.
    Letterbox,
}
named!(Fit, "fit", { Stretch => "stretch", Crop => "crop", Letterbox => "letterbox" });

/// What [`Fit::place`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// The part of the frame that the model sees, in whole frame pixels; cropped edges are even, as 4:2:0 wants them.
    pub source: Region,
    /// Where that part lies inside the model's input, in whole model pixels; the rest of the input is padding.
    pub inner: Region,
    /// Where the model's whole input, and so the map, lies on the frame, in frame pixels.
    /// With [`Fit::Letterbox`] it reaches beyond the frame.
    pub map: Region,
}

/// `wanted` of `available`, centred: `(start, length)`, whole and even unless it is all of it.
fn middle(wanted: f64, available: usize) -> (f64, f64) {
    let even = |v: f64| (v / 2.0).round() * 2.0;
    let length = even(wanted).max(2.0);
    if length >= available as f64 {
        return (0.0, available as f64);
    }
    let start = ((available as f64 - length) / 4.0).floor() * 2.0;
    (start, length)
}

/// `wanted` of `available` whole pixels, centred: `(start, length)`.
fn inset(wanted: f64, available: usize) -> (f64, f64) {
    let length = wanted.round().clamp(1.0, available as f64);
    (((available as f64 - length) / 2.0).floor(), length)
}

impl Fit {
    /// Fits a `frame` (width, height) whose pixels are `pixel_aspect` times as wide as high to a model's `input`
    /// (width, height).
    ///
    /// All rectangles are rounded to whole pixels first and the map's region is derived from the rounded ones, so what
    /// is painted lies exactly on what was seen. [`Fit::Stretch`] needs no aspect.
    ///
    /// # Errors
    /// A size of zero, or an aspect that is not positive.
    pub fn place(
        self,
        frame: (usize, usize),
        pixel_aspect: f64,
        input: (usize, usize),
    ) -> Result<Placement, PaintError> {
        let (frame_width, frame_height) = frame;
        let (width, height) = input;
        let sane = frame_width > 0 && frame_height > 0 && width > 0 && height > 0;
        if !sane || !pixel_aspect.is_finite() || pixel_aspect <= 0.0 {
            return Err(PaintError::Fit { frame_width, frame_height, aspect: pixel_aspect, width, height });
        }
        let mut source = Region::whole(frame_width, frame_height);
        let mut inner = Region::whole(width, height);
        // How much wider the frame is shown than the model's input, per height.
        let wider = source.width * pixel_aspect / source.height * (inner.height / inner.width);
        match self {
            Self::Stretch => {}
            Self::Crop if wider > 1.0 => (source.x, source.width) = middle(source.width / wider, frame_width),
            Self::Crop => (source.y, source.height) = middle(source.height * wider, frame_height),
            Self::Letterbox if wider > 1.0 => (inner.y, inner.height) = inset(inner.height / wider, height),
            Self::Letterbox => (inner.x, inner.width) = inset(inner.width * wider, width),
        }
        let (across, down) = (source.width / inner.width, source.height / inner.height);
        let map = Region {
            x: source.x - inner.x * across,
            y: source.y - inner.y * down,
            width: width as f64 * across,
            height: height as f64 * down,
        };
        Ok(Placement { source, inner, map })
    }
}
