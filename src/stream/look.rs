//! Where frames become small pictures for the model and where heat is painted: the glue between
//! what `video`, `engine` and `paint` know of a frame.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::StreamError;
use crate::engine::ClassMap;
use crate::paint::{
    Fit, Heat, HeatStats, Look, Painter, Picture, PictureMut, Placement, YuvColor, YuvFormat, YuvMatrix, YuvRange,
};
use crate::video::{self, Frame, FrameFormat, FrameMut, FramePool, FrameRead, Matrix, PixelFormat, Range, RgbScaler};

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
    classes: usize,
    pool: Option<FramePool>,
}

impl Seen {
    /// For maps of a model whose input is `input` (width, height) pixels.
    pub fn new(look: Look, fit: Fit, input: (usize, usize)) -> Self {
        Self { painter: Painter::new(look), fit, input, classes: 0, pool: None }
    }

    /// Keeps room for `classes` maps, so that frames with fewer, or none yet, have the same size.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        self.classes = classes;
        self
    }

    /// How it paints.
    pub fn look(&self) -> &Look {
        self.painter.look()
    }

    /// Paints differently from the next frame on. A change to or from side by side changes the size of what is painted
    /// ([`size`](Self::size)).
    pub fn set_look(&mut self, look: Look) {
        self.painter.set_look(look);
    }

    /// Width and height of what is painted from frames of `format`.
    pub fn size(&self, format: &FrameFormat) -> (usize, usize) {
        self.painter.output_size(format.width(), format.height(), self.classes)
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
        self.paint_with(frame, maps, names, &[])
    }

    /// [`paint`](Self::paint), with lines of words at the lower left. Without maps, the picture is as it came.
    ///
    /// # Errors
    /// Where memory or a buffer is missing.
    pub fn paint_with(
        &mut self,
        frame: &Frame,
        maps: &[ClassMap],
        names: &[String],
        captions: &[&str],
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
        let mut canvas = self.pool_for(frame.format(), maps.len())?.acquire()?;
        let read = frame.read()?;
        let pts = u64::try_from(frame.pts().as_nanos()).ok();
        let from = picture_of(&read)?;
        let stats = self.painter.paint_with(&from, &mut picture_mut_of(&mut canvas)?, &heats, captions, pts)?;
        Ok((canvas.finish(frame), stats))
    }

    /// What is shown while there is nothing to show: the `last` picture darkened, or grey, and `words` in its middle, a
    /// few lines. `format` is that of the stream's frames; `last` may be one of them or a painted one, and counts as none
    /// where it is of another kind. Its time is now; [`Frame::at`] shows it again later without painting it again.
    ///
    /// # Errors
    /// Where memory or a buffer is missing.
    pub fn still(
        &mut self,
        last: Option<&Frame>,
        format: &Arc<FrameFormat>,
        words: &[&str],
    ) -> Result<Frame, StreamError> {
        let mut canvas = self.pool_for(format, 0)?.acquire()?;
        let size = |format: &FrameFormat| (format.width(), format.height());
        let sizes = [size(format), size(canvas.format())];
        let last = last.filter(|last| alike(last.format(), format) && sizes.contains(&size(last.format())));
        let read = last.map(Frame::read).transpose()?;
        let from = read.as_ref().map(picture_of).transpose()?;
        self.painter.still(from.as_ref(), &mut picture_mut_of(&mut canvas)?, words)?;
        // Times rise, also where the last picture was ahead of the clock.
        let after = last.map_or(Duration::ZERO, |last| last.pts() + Duration::from_nanos(1));
        Ok(canvas.finish_at(video::live::now().max(after), None, last.map_or(0, |last| last.seq() + 1)))
    }

    /// The pool for frames of a format, made anew when that changes.
    fn pool_for(&mut self, format: &FrameFormat, maps: usize) -> Result<&FramePool, StreamError> {
        let (width, height) = self.painter.output_size(format.width(), format.height(), maps.max(self.classes));
        let fits = |pool: &FramePool| {
            let made = pool.format();
            (made.width(), made.height()) == (width, height) && alike(made, format)
        };
        let pool = match self.pool.take().filter(fits) {
            Some(pool) => pool,
            None => {
                let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                FramePool::new(Arc::new(format.with_size(side(width), side(height))?))?
            }
        };
        Ok(self.pool.insert(pool))
    }
}

/// Whether the samples of two formats mean the same.
fn alike(a: &FrameFormat, b: &FrameFormat) -> bool {
    (a.pixels(), a.matrix(), a.range()) == (b.pixels(), b.matrix(), b.range())
}

/// A frame opened for painting, as the painter sees it.
fn picture_mut_of(canvas: &mut FrameMut) -> Result<PictureMut<'_>, StreamError> {
    let format = Arc::clone(canvas.format());
    let planes = canvas.planes().into_iter().map(|plane| (plane.data, plane.stride));
    Ok(PictureMut::new(yuv_format(&format), format.width(), format.height(), yuv_color(&format), planes)?)
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
