//! Colour maps, in the frame's own matrix and range.

use super::{PaintError, YuvColor, named::named};
use opencv::{core, imgproc, prelude::*};

/// The colour maps there are, all from OpenCV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ColorMap {
    /// Blue, green, yellow, red: as vivid as jet, without its false edges.
    #[default]
    Turbo,
    /// The classic of the papers.
    Jet,
    /// Violet, green, yellow: even steps, and safe for colour-blind viewers.
    Viridis,
    /// Black, violet, orange, pale yellow.
    Inferno,
    /// Black, violet, rose, pale.
    Magma,
    /// Black to white.
    Gray,
}
named!(ColorMap, "colour map", {
    Turbo => "turbo", Jet => "jet", Viridis => "viridis", Inferno => "inferno", Magma => "magma", Gray => "gray",
});

impl ColorMap {
    const fn opencv(self) -> Option<i32> {
        match self {
            Self::Turbo => Some(imgproc::COLORMAP_TURBO),
            Self::Jet => Some(imgproc::COLORMAP_JET),
            Self::Viridis => Some(imgproc::COLORMAP_VIRIDIS),
            Self::Inferno => Some(imgproc::COLORMAP_INFERNO),
            Self::Magma => Some(imgproc::COLORMAP_MAGMA),
            Self::Gray => None,
        }
    }

    /// The 256 colours as R, G, B.
    ///
    /// # Errors
    /// OpenCV's own.
    pub fn rgb(self) -> Result<[[u8; 3]; 256], PaintError> {
        let mut colors: [[u8; 3]; 256] = std::array::from_fn(|i| [i as u8; 3]);
        let Some(id) = self.opencv() else {
            return Ok(colors);
        };
        let failed = |source| PaintError::OpenCv { what: "build the colour map", source };
        let ramp: Vec<u8> = (0..=255).collect();
        let ramp = Mat::from_slice(&ramp).map_err(failed)?;
        let mut painted = Mat::default();
        imgproc::apply_color_map(&ramp, &mut painted, id).map_err(failed)?;
        let painted = painted.data_typed::<core::Vec3b>().map_err(failed)?;
        for (color, bgr) in colors.iter_mut().zip(painted) {
            *color = [bgr[2], bgr[1], bgr[0]];
        }
        Ok(colors)
    }
}

/// A colour map's 256 entries as Y, U, V code values of one matrix and range, not rounded.
#[derive(Debug, Clone)]
pub struct ColorTable {
    entries: Vec<[f32; 3]>,
}

impl ColorTable {
    /// Converts `map` once.
    ///
    /// # Errors
    /// OpenCV's own.
    pub fn new(map: ColorMap, color: YuvColor) -> Result<Self, PaintError> {
        let entries = map.rgb()?.iter().map(|rgb| color.encode(rgb.map(f32::from))).collect();
        Ok(Self { entries })
    }

    /// The colour of `heat` (0 to 1) as Y, U, V, interpolated between the two nearest entries so that wide gradients show no bands.
    pub fn at(&self, heat: f32) -> [f32; 3] {
        let last = self.entries.len() - 1;
        let place = heat.clamp(0.0, 1.0) * last as f32;
        let below = (place as usize).min(last - 1);
        let part = place - below as f32;
        std::array::from_fn(|c| self.entries[below][c] * (1.0 - part) + self.entries[below + 1][c] * part)
    }
}
