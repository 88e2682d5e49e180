//! Where frames become small pictures for the model and where heat is painted: the glue between
//! what `video`, `engine` and `paint` know of a frame.

use smallvec::SmallVec;

use super::StreamError;
use crate::engine::ClassMap;
use crate::paint::{
    Fit, Heat, HeatStats, Look, Painter, Picture, PictureMut, Placement, YuvColor, YuvFormat, YuvMatrix, YuvRange,
};
use crate::video::{self, Frame, FrameFormat, FramePool, FrameRead, Matrix, PixelFormat, Range, RgbScaler};

/// Makes the model's small picture of a frame.
pub struct Viewer {
    fit: Fit,
    input: (usize, usize),
    scaler: RgbScaler,
}

impl Viewer {
    /// For a model whose input is `input` (width, height) pixels.
    pub fn new(fit: Fit, input: (usize, usize)) -> Self {
        Self { fit, input, scaler: RgbScaler::new() }
    }

    /// Writes what the model sees of `frame` into `image`: packed RGB, `height × width × 3`. Where
    /// nothing of the frame falls (letterbox), it is mid-grey.
    ///
    /// # Errors
    /// Where the frame's memory cannot be read.
    pub fn view(&mut self, frame: &Frame, image: &mut Vec<u8>) -> Result<(), StreamError> {
        let (width, height) = self.input;
        image.resize(width * height * 3, 0);
        let Placement { source, inner, .. } = placement(self.fit, frame.format(), self.input)?;
        let whole = |r: &crate::paint::Region| video::Region {
            x: r.x as usize,
            y: r.y as usize,
            width: r.width as usize,
            height: r.height as usize,
        };
        let (source, inner) = (whole(&source), whole(&inner));
        let read = frame.read()?;
        if (inner.width, inner.height) == (width, height) {
            self.scaler.scale(&read, source, width, height, image)?;
            return Ok(());
        }
        let mut part = Vec::new();
        self.scaler.scale(&read, source, inner.width, inner.height, &mut part)?;
        image.fill(128);
        let row = inner.width * 3;
        for (y, line) in part.chunks_exact(row).enumerate() {
            let start = ((inner.y + y) * width + inner.x) * 3;
            image[start..start + row].copy_from_slice(line);
        }
        Ok(())
    }
}

fn placement(fit: Fit, format: &FrameFormat, input: (usize, usize)) -> Result<Placement, StreamError> {
    let (numer, denom) = format.pixel_aspect();
    let aspect = if numer > 0 && denom > 0 { f64::from(numer) / f64::from(denom) } else { 1.0 };
    Ok(fit.place((format.width(), format.height()), aspect, input)?)
}

/// Paints frames of one stream and hands them on.
pub struct Seen {
    painter: Painter,
    fit: Fit,
    input: (usize, usize),
    pool: Option<FramePool>,
}

impl Seen {
    /// For maps of a model whose input is `input` (width, height) pixels.
    pub fn new(look: Look, fit: Fit, input: (usize, usize)) -> Self {
        Self { painter: Painter::new(look), fit, input, pool: None }
    }

    /// The painted frame (its size may hold several panels) and each map's numbers. `names` are the
    /// labels of `maps`, in the same order.
    ///
    /// # Errors
    /// Where memory or a buffer is missing.
    pub fn paint(
        &mut self,
        frame: &Frame,
        maps: &[ClassMap],
        names: &[String],
    ) -> Result<(Frame, Vec<HeatStats>), StreamError> {
        let region = placement(self.fit, frame.format(), self.input)?.map;
        let values: SmallVec<[std::borrow::Cow<[f32]>; 4]> = maps
            .iter()
            .map(|m| m.map.as_slice().map_or_else(|| m.map.iter().copied().collect::<Vec<_>>().into(), Into::into))
            .collect();
        let heats: SmallVec<[Heat; 4]> = maps
            .iter()
            .zip(&values)
            .zip(names)
            .map(|((map, values), label)| Heat {
                values,
                width: map.map.ncols(),
                height: map.map.nrows(),
                region,
                label,
                probability: Some(map.probability),
            })
            .collect();
        let mut canvas = self.pool_for(frame, maps.len())?.acquire()?;
        let read = frame.read()?;
        let stats = {
            let format = std::sync::Arc::clone(canvas.format());
            let planes = canvas.planes().into_iter().map(|plane| (plane.data, plane.stride));
            let mut to =
                PictureMut::new(yuv_format(&format), format.width(), format.height(), yuv_color(&format), planes)?;
            let pts = u64::try_from(frame.pts().as_nanos()).ok();
            self.painter.paint(&picture_of(&read)?, &mut to, &heats, pts)?
        };
        drop(read);
        Ok((canvas.finish(frame), stats))
    }

    /// The pool for frames like this one, made anew when the format changes.
    fn pool_for(&mut self, frame: &Frame, panels: usize) -> Result<&FramePool, StreamError> {
        let format = frame.format();
        let (width, height) = self.painter.output_size(format.width(), format.height(), panels);
        let fits = |pool: &FramePool| {
            let made = pool.format();
            (made.width(), made.height(), made.pixels(), made.matrix(), made.range())
                == (width, height, format.pixels(), format.matrix(), format.range())
        };
        let pool = match self.pool.take().filter(fits) {
            Some(pool) => pool,
            None => {
                let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                FramePool::new(std::sync::Arc::new(format.with_size(side(width), side(height))?))?
            }
        };
        Ok(self.pool.insert(pool))
    }
}

/// A frame opened for reading, as the painter sees it.
///
/// # Errors
/// Where its planes are shorter than its size says.
pub fn picture_of<'a>(read: &'a FrameRead<'_>) -> Result<Picture<'a>, StreamError> {
    let format = read.format();
    let planes: SmallVec<[(&[u8], usize); 3]> = (0..format.pixels().planes())
        .map(|index| {
            let plane = read.plane(index);
            (plane.data, plane.stride)
        })
        .collect();
    Ok(Picture::new(yuv_format(format), format.width(), format.height(), yuv_color(format), &planes)?)
}

fn yuv_format(format: &FrameFormat) -> YuvFormat {
    match format.pixels() {
        PixelFormat::I420 => YuvFormat::I420,
        PixelFormat::Nv12 => YuvFormat::Nv12,
    }
}

fn yuv_color(format: &FrameFormat) -> YuvColor {
    let matrix = match format.matrix() {
        Matrix::Bt601 => YuvMatrix::Bt601,
        Matrix::Bt709 => YuvMatrix::Bt709,
        Matrix::Bt2020 => YuvMatrix::Bt2020,
        Matrix::Smpte240m => YuvMatrix::Smpte240m,
        Matrix::Fcc => YuvMatrix::Fcc,
    };
    let range = match format.range() {
        Range::Limited => YuvRange::Limited,
        Range::Full => YuvRange::Full,
    };
    YuvColor { matrix, range, ..YuvColor::default() }
}
