//! The time of capture, painted into a picture: 32 bits and a check of 8, as black and white pairs of cells along the
//! lower edge. A pair says its bit by which of its two cells is the brighter, so that heat on top, a codec and a
//! screen do it no harm.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BITS: usize = 40;
/// Side of a cell, pixels.
const CELL: usize = 16;

/// Size of the strip that holds the code, at the lower left of the picture.
pub const WIDTH: usize = BITS * 2 * CELL;
pub const HEIGHT: usize = CELL;

/// A moment, in tenths of a millisecond; it comes round after five days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp(u32);

impl Stamp {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self((since.as_micros() / 100) as u32)
    }

    /// From this moment to `later`; nothing where it is earlier.
    pub fn until(self, later: Self) -> Duration {
        let ticks = later.0.wrapping_sub(self.0) as i32;
        Duration::from_micros(u64::try_from(ticks).unwrap_or(0) * 100)
    }

    /// Paints the strip: `luma` is the picture's, its rows `stride` apart.
    pub fn write(self, luma: &mut [u8], stride: usize, height: usize) {
        let code = (u64::from(self.0) << 8) | u64::from(check(self.0));
        for row in luma.chunks_mut(stride).skip(height - HEIGHT) {
            for (cell, pixels) in row[..WIDTH].chunks_mut(CELL).enumerate() {
                let bit = code >> (BITS - 1 - cell / 2) & 1 == 1;
                pixels.fill(if bit == (cell % 2 == 0) { 220 } else { 30 });
            }
        }
    }

    /// Reads a strip whose brightness at a column and a row is `at`; `None` where it holds no code.
    pub fn read(at: impl Fn(usize, usize) -> u8) -> Option<Self> {
        let brightness = |cell: usize| -> u32 {
            let inner = CELL / 4..CELL * 3 / 4;
            inner
                .clone()
                .flat_map(|y| inner.clone().map(move |x| (x, y)))
                .map(|(x, y)| u32::from(at(cell * CELL + x, y)))
                .sum()
        };
        let code =
            (0..BITS).fold(0_u64, |code, bit| code << 1 | u64::from(brightness(bit * 2) > brightness(bit * 2 + 1)));
        let stamp = (code >> 8) as u32;
        (check(stamp) == code as u8).then_some(Self(stamp))
    }
}

fn check(stamp: u32) -> u8 {
    stamp.to_le_bytes().into_iter().fold(0x5a, |sum: u8, byte| sum.rotate_left(1) ^ byte)
}

/// The same reading for a web page: resolves to milliseconds from capture to display, one for each new picture that the
/// page's video shows during `seconds`.
pub fn in_a_page(seconds: u64) -> String {
    format!(
        "new Promise(done => {{
            const video = document.querySelector('video'), strip = document.createElement('canvas');
            [strip.width, strip.height] = [{WIDTH}, {HEIGHT}];
            const brush = strip.getContext('2d', {{ willReadFrequently: true }});
            const delays = [], end = performance.now() + {seconds} * 1000;
            let last = -1;
            const look = () => {{
                const ticks = Math.floor(Date.now() * 10);
                brush.drawImage(video, 0, video.videoHeight - {HEIGHT}, {WIDTH}, {HEIGHT}, 0, 0, {WIDTH}, {HEIGHT});
                const pixels = brush.getImageData(0, 0, {WIDTH}, {HEIGHT}).data;
                const brightness = cell => {{
                    let sum = 0;
                    for (let y = {CELL} / 4; y < {CELL} * 3 / 4; y++)
                        for (let x = {CELL} / 4; x < {CELL} * 3 / 4; x++)
                            sum += pixels[4 * (y * {WIDTH} + cell * {CELL} + x) + 1];
                    return sum;
                }};
                const bytes = [0, 0, 0, 0, 0];
                for (let bit = 0; bit < {BITS}; bit++)
                    bytes[bit >> 3] = bytes[bit >> 3] << 1 | (brightness(2 * bit) > brightness(2 * bit + 1));
                let check = 0x5a;
                for (const byte of bytes.slice(0, 4).reverse()) check = (check << 1 | check >> 7) & 255 ^ byte;
                const stamp = (bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]) >>> 0;
                if (check === bytes[4] && stamp !== last) delays.push(((ticks - stamp) | 0) / 10);
                last = stamp;
                if (performance.now() < end) video.requestVideoFrameCallback(look); else done(delays);
            }};
            video.requestVideoFrameCallback(look);
            setTimeout(() => done(delays), {seconds} * 1000 + 2000);
        }})"
    )
}
