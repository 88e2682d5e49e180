//! What a decoded frame is to the painter: planes of 8-bit 4:2:0, where a line starts, and what the numbers mean.

use super::PaintError;
use smallvec::SmallVec;

/// Largest width or height that is accepted, in pixels (the limit of H.264, HEVC and AV1 levels, with room for panels).
pub const MAX_SIDE: usize = 65_536;

/// The arrangement of an 8-bit 4:2:0 picture in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum YuvFormat {
    /// Three planes: Y, U, V.
    I420,
    /// Two planes: Y, and U and V interleaved.
    Nv12,
}

impl YuvFormat {
    /// GStreamer's name of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I420 => "I420",
            Self::Nv12 => "NV12",
        }
    }

    /// Number of planes.
    pub const fn planes(self) -> usize {
        match self {
            Self::I420 => 3,
            Self::Nv12 => 2,
        }
    }

    /// `(bytes per line, lines)` of a plane of a `width` x `height` picture; odd sizes round chroma up.
    pub const fn plane_size(self, plane: usize, width: usize, height: usize) -> (usize, usize) {
        match (plane, self) {
            (0, _) => (width, height),
            (_, Self::I420) => (width.div_ceil(2), height.div_ceil(2)),
            (_, Self::Nv12) => (width.div_ceil(2) * 2, height.div_ceil(2)),
        }
    }
}

/// The matrix between R'G'B' and Y'CbCr, by its luma coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum YuvMatrix {
    /// ITU-R BT.601 (standard definition, JPEG).
    #[default]
    Bt601,
    /// ITU-R BT.709 (high definition).
    Bt709,
    /// ITU-R BT.2020, non-constant luminance (ultra high definition).
    Bt2020,
    /// FCC (1953 NTSC).
    Fcc,
    /// SMPTE 240M (early high definition).
    Smpte240m,
}

impl YuvMatrix {
    /// The weights of red and blue in luma; green has the rest (ITU-T H.273, table 4).
    pub const fn kr_kb(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
            Self::Fcc => (0.30, 0.11),
            Self::Smpte240m => (0.212, 0.087),
        }
    }
}

/// Which code values are black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum YuvRange {
    /// 0 to 255.
    Full,
    /// Luma 16 to 235, chroma 16 to 240.
    #[default]
    Limited,
}

/// Where a chroma sample lies among its four luma samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChromaSite {
    /// On the left luma column, between the lines (MPEG-2, H.264 and HEVC unless they say otherwise).
    #[default]
    Left,
    /// In the middle of the four (JPEG, MPEG-1).
    Centre,
    /// On the top left luma sample (BT.2020, DV).
    TopLeft,
}

impl ChromaSite {
    /// Position of the first chroma sample, in luma pixels from the picture's corner (a luma centre is at 0.5).
    pub(super) const fn offset(self) -> (f64, f64) {
        match self {
            Self::Left => (0.5, 1.0),
            Self::Centre => (1.0, 1.0),
            Self::TopLeft => (0.5, 0.5),
        }
    }
}

/// What the numbers of a picture mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct YuvColor {
    /// The matrix.
    pub matrix: YuvMatrix,
    /// The range.
    pub range: YuvRange,
    /// The siting of chroma.
    pub site: ChromaSite,
}

impl YuvColor {
    /// R'G'B' (0 to 255) as Y'CbCr code values, not rounded.
    pub fn encode(self, [r, g, b]: [f32; 3]) -> [f32; 3] {
        let (kr, kb) = self.matrix.kr_kb();
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let u = (b - y) / (2.0 * (1.0 - kb));
        let v = (r - y) / (2.0 * (1.0 - kr));
        match self.range {
            YuvRange::Full => [y, (128.0 + u).min(255.0), (128.0 + v).min(255.0)],
            YuvRange::Limited => [16.0 + y * (219.0 / 255.0), 128.0 + u * (224.0 / 255.0), 128.0 + v * (224.0 / 255.0)],
        }
    }

    /// Luma of black and of white.
    pub const fn black_white(self) -> (f32, f32) {
        match self.range {
            YuvRange::Full => (0.0, 255.0),
            YuvRange::Limited => (16.0, 235.0),
        }
    }
}

/// A plane to read: its bytes and the bytes from line to line.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
}

impl<'a> Plane<'a> {
    #[inline]
    pub(super) fn line(&self, y: usize, width: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..width]
    }
}

/// A plane to write.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    data: &'a mut [u8],
    stride: usize,
}

impl PlaneMut<'_> {
    #[inline]
    pub(super) fn line(&mut self, y: usize, x: usize, width: usize) -> &mut [u8] {
        &mut self.data[y * self.stride + x..][..width]
    }

    /// Repeats line `y - 1` as line `y`, from `x` on.
    pub(super) fn repeat_line(&mut self, y: usize, x: usize, width: usize) {
        let above = (y - 1) * self.stride + x;
        self.data.copy_within(above..above + width, y * self.stride + x);
    }
}

fn check(format: YuvFormat, width: usize, height: usize, planes: &[(usize, usize)]) -> Result<(), PaintError> {
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(PaintError::Size { width, height });
    }
    if planes.len() != format.planes() {
        return Err(PaintError::Planes { format: format.name(), wanted: format.planes(), found: planes.len() });
    }
    for (plane, &(bytes, stride)) in planes.iter().enumerate() {
        let (line, lines) = format.plane_size(plane, width, height);
        // The last line may end with its last pixel: buffers need not pad it.
        let needed = stride.checked_mul(lines - 1).and_then(|all| all.checked_add(line));
        if stride < line || needed.is_none_or(|needed| bytes < needed) {
            return Err(PaintError::Plane { plane, bytes, stride, lines, line });
        }
    }
    Ok(())
}

/// A picture to read. Planes may have any stride; bytes beyond a line's end are never looked at.
#[derive(Debug, Clone)]
pub struct Picture<'a> {
    format: YuvFormat,
    width: usize,
    height: usize,
    color: YuvColor,
    pub(super) planes: SmallVec<[Plane<'a>; 3]>,
}

/// A picture to write. Bytes beyond a line's end are never touched.
#[derive(Debug)]
pub struct PictureMut<'a> {
    format: YuvFormat,
    width: usize,
    height: usize,
    color: YuvColor,
    pub(super) planes: SmallVec<[PlaneMut<'a>; 3]>,
}

macro_rules! described {
    ($type:ident) => {
        impl $type<'_> {
            /// Arrangement in memory.
            pub fn format(&self) -> YuvFormat {
                self.format
            }
            /// Width in luma pixels.
            pub fn width(&self) -> usize {
                self.width
            }
            /// Height in luma pixels.
            pub fn height(&self) -> usize {
                self.height
            }
            /// What the numbers mean.
            pub fn color(&self) -> YuvColor {
                self.color
            }
        }
    };
}
described!(Picture);
described!(PictureMut);

impl<'a> Picture<'a> {
    /// Looks at `planes`: for each plane its bytes and its stride, in the order of the format.
    ///
    /// # Errors
    /// A size of zero, a wrong number of planes, or a plane too short for its lines.
    pub fn new(
        format: YuvFormat,
        width: usize,
        height: usize,
        color: YuvColor,
        planes: &[(&'a [u8], usize)],
    ) -> Result<Self, PaintError> {
        let sizes: SmallVec<[_; 3]> = planes.iter().map(|(data, stride)| (data.len(), *stride)).collect();
        check(format, width, height, &sizes)?;
        let planes = planes.iter().map(|&(data, stride)| Plane { data, stride }).collect();
        Ok(Self { format, width, height, color, planes })
    }
}

impl<'a> PictureMut<'a> {
    /// Writes to `planes`: for each plane its bytes and its stride, in the order of the format.
    ///
    /// # Errors
    /// As for [`Picture::new`].
    pub fn new(
        format: YuvFormat,
        width: usize,
        height: usize,
        color: YuvColor,
        planes: impl IntoIterator<Item = (&'a mut [u8], usize)>,
    ) -> Result<Self, PaintError> {
        let planes: SmallVec<[PlaneMut<'a>; 3]> =
            planes.into_iter().map(|(data, stride)| PlaneMut { data, stride }).collect();
        let sizes: SmallVec<[_; 3]> = planes.iter().map(|plane| (plane.data.len(), plane.stride)).collect();
        check(format, width, height, &sizes)?;
        Ok(Self { format, width, height, color, planes })
    }
}
