//! A picture that stands for a missing one: darkened, so that nobody takes it for live.

use super::{Picture, PictureMut, YuvColor, line, painter::plane_left};

/// What is left of the picture's light and colour.
const LIGHT: f32 = 0.35;
/// Luma of the mid-grey that stands for a picture nobody ever saw, as a share of white.
const GREY: f32 = 0.5;

/// One plane's sum: `(value * keep + add) >> 8`.
#[derive(Clone, Copy)]
struct Shade {
    add: u16,
    keep: u16,
}

impl Shade {
    /// Towards black in luma, towards no colour in chroma.
    fn new(plane: usize, color: YuvColor) -> Self {
        let dark = if plane == 0 { color.black_white().0 } else { 128.0 };
        let alpha = line::opacity_256(1.0 - LIGHT);
        Self { add: line::tint(dark, alpha), keep: 256 - alpha }
    }

    #[inline(always)]
    fn of(self, value: u8) -> u8 {
        ((u16::from(value) * self.keep + self.add) >> 8) as u8
    }
}

/// Copies the picture, darkened, into the panel that begins at `left`.
pub(super) fn darken_panel(from: &Picture, to: &mut PictureMut, left: usize) {
    for (plane, (from_plane, to_plane)) in from.planes.iter().zip(&mut to.planes).enumerate() {
        let (width, height) = from.format().plane_size(plane, from.width(), from.height());
        let left = plane_left(from.format(), plane, left);
        let shade = Shade::new(plane, from.color());
        for y in 0..height {
            for (to, &from) in to_plane.line(y, left, width).iter_mut().zip(from_plane.line(y, width)) {
                *to = shade.of(from);
            }
        }
    }
}

/// Fills all of `to` with grey, as dark as a darkened picture.
pub(super) fn fill_grey(to: &mut PictureMut) {
    let (format, size, color) = (to.format(), (to.width(), to.height()), to.color());
    let (black, white) = color.black_white();
    for (plane, to_plane) in to.planes.iter_mut().enumerate() {
        let (width, height) = format.plane_size(plane, size.0, size.1);
        let grey = if plane == 0 { black + (white - black) * GREY } else { 128.0 };
        let value = Shade::new(plane, color).of(grey as u8);
        for y in 0..height {
            to_plane.line(y, 0, width).fill(value);
        }
    }
}
