//! A small drawing that is laid over a picture: kept as sums, so that laying it on costs one pass over its own pixels.

use super::{PictureMut, YuvFormat, line};

/// A colour and an opacity (0 to 1) for each pixel, in code values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ink {
    pub color: [f32; 3],
    pub opacity: f32,
}

impl Ink {
    /// Lays `other` over this.
    pub fn under(self, color: [f32; 3], opacity: f32) -> Self {
        let left = self.opacity * (1.0 - opacity);
        let total = left + opacity;
        if total <= 0.0 {
            return self;
        }
        let part = opacity / total;
        Self { color: std::array::from_fn(|c| self.color[c] + (color[c] - self.color[c]) * part), opacity: total }
    }
}

/// What is added, and what is kept of the picture (in 256ths).
#[derive(Debug, Clone, Copy)]
struct Sum<const N: usize> {
    add: [u16; N],
    keep: u16,
}

/// A finished drawing, of even width and height.
#[derive(Debug, Clone)]
pub(super) struct Sprite {
    pub width: usize,
    pub height: usize,
    luma: Vec<Sum<1>>,
    chroma: Vec<Sum<2>>,
}

impl Sprite {
    /// Draws a sprite of `width` x `height` (made even) whose pixels `ink` tells.
    pub fn draw(width: usize, height: usize, ink: impl Fn(usize, usize) -> Ink) -> Self {
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let pixels: Vec<Ink> =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| ink(x, y)).collect();
        let luma = pixels.iter().map(|ink| sum([ink.color[0]], ink.opacity)).collect();
        let block = |x: usize, y: usize| {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| pixels[(y + dy) * width + x + dx]);
            let opacity = four.iter().map(|ink| ink.opacity).sum::<f32>() / 4.0;
            let mean = |c: usize| {
                let weighted: f32 = four.iter().map(|ink| ink.color[c] * ink.opacity).sum();
                if opacity > 0.0 { weighted / (4.0 * opacity) } else { 128.0 }
            };
            sum([mean(1), mean(2)], opacity)
        };
        let chroma = (0..height)
            .step_by(2)
            .flat_map(|y| (0..width).step_by(2).map(move |x| (x, y)))
            .map(|(x, y)| block(x, y))
            .collect();
        Self { width, height, luma, chroma }
    }

    /// Lays the sprite on `to` with its corner at the even position `(x, y)`; what reaches beyond the panel that ends at
    /// `right` is cut.
    pub fn lay(&self, to: &mut PictureMut, x: usize, y: usize, right: usize) {
        let right = right.min(to.width());
        let width = self.width.min(right.saturating_sub(x));
        let height = self.height.min(to.height().saturating_sub(y));
        for (row, sums) in self.luma.chunks_exact(self.width).take(height).enumerate() {
            for (value, sum) in to.planes[0].line(y + row, x, width).iter_mut().zip(sums) {
                *value = sum.mix(0, *value);
            }
        }
        let (width, height) = (width.div_ceil(2), height.div_ceil(2));
        for (row, sums) in self.chroma.chunks_exact(self.width / 2).take(height).enumerate() {
            match to.format() {
                YuvFormat::I420 => {
                    for plane in 0..2 {
                        let line = to.planes[1 + plane].line(y / 2 + row, x / 2, width);
                        for (value, sum) in line.iter_mut().zip(sums) {
                            *value = sum.mix(plane, *value);
                        }
                    }
                }
                YuvFormat::Nv12 => {
                    let line = to.planes[1].line(y / 2 + row, x, 2 * width);
                    for (pair, sum) in line.chunks_exact_mut(2).zip(sums) {
                        pair[0] = sum.mix(0, pair[0]);
                        pair[1] = sum.mix(1, pair[1]);
                    }
                }
            }
        }
    }
}

impl<const N: usize> Sum<N> {
    #[inline(always)]
    fn mix(&self, part: usize, value: u8) -> u8 {
        ((u16::from(value) * self.keep + self.add[part]) >> 8) as u8
    }
}

fn sum<const N: usize>(color: [f32; N], opacity: f32) -> Sum<N> {
    let alpha = line::opacity_256(opacity);
    Sum { add: color.map(|c| line::tint(c, alpha)), keep: 256 - alpha }
}
