//! A picture on its way through the program: the decoder's own buffer, never copied unless painted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::error::{Result, VideoError};

/// How the samples of a picture lie in memory. 8 bits, chroma halved both ways (rounded up).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Three planes: Y, U, V.
    I420,
    /// Two planes: Y, and U and V interleaved.
    Nv12,
}

impl PixelFormat {
    /// Number of planes.
    pub fn planes(self) -> usize {
        match self {
            Self::I420 => 3,
            Self::Nv12 => 2,
        }
    }

    fn from_gst(format: gst_video::VideoFormat) -> Option<Self> {
        match format {
            gst_video::VideoFormat::I420 => Some(Self::I420),
            gst_video::VideoFormat::Nv12 => Some(Self::Nv12),
            _ => None,
        }
    }
}

/// The matrix between RGB and Y′CbCr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601.
    Bt601,
    /// ITU-R BT.709.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
    /// SMPTE 240M.
    Smpte240m,
    /// FCC 73.682.
    Fcc,
}

impl Matrix {
    /// Luma weights of red and blue (ITU-T H.273, table 4).
    pub fn kr_kb(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
            Self::Smpte240m => (0.212, 0.087),
            Self::Fcc => (0.30, 0.11),
        }
    }
}

/// Which part of 0..=255 the samples use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Range {
    /// Y 16..=235, U and V 16..=240.
    Limited,
    /// All of 0..=255.
    Full,
}

/// What all frames of a stream have in common.
#[derive(Debug, Clone)]
pub struct FrameFormat {
    info: gst_video::VideoInfo,
    caps: gst::Caps,
    pixels: PixelFormat,
    matrix: Matrix,
    range: Range,
    colours_said: bool,
}

/// Where it is said which primaries, transfer and matrix the pictures use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Colours {
    /// By the caps of the decoder.
    Caps,
    /// By the container only (GStreamer's notation).
    Container(String),
    /// Nowhere: the caps hold a guess.
    Unsaid,
}

impl FrameFormat {
    /// Reads the caps of a raw stream. The decoder fills in guesses where it is told nothing;
    /// `colours` says what is known better.
    pub(crate) fn from_caps(caps: &gst::CapsRef, colours: &Colours) -> Result<Self> {
        let wrong = || {
            VideoError::run(
                format!("the decoder hands out pictures that cannot be used: {caps}"),
                "check the [source] part of the pipeline description",
            )
        };
        let mut caps = caps.to_owned();
        let mut info = gst_video::VideoInfo::from_caps(&caps).map_err(|e| wrong().because(e))?;
        if let Colours::Container(said) = colours
            && let Ok(said) = said.parse::<gst_video::VideoColorimetry>()
        {
            // The container knows the matrix, the bitstream the range.
            let known = gst_video::VideoColorimetry::new(
                info.colorimetry().range(),
                said.matrix(),
                said.transfer(),
                said.primaries(),
            );
            caps.make_mut().set("colorimetry", known.to_string());
            info = gst_video::VideoInfo::from_caps(&caps).map_err(|e| wrong().because(e))?;
        }
        let pixels = PixelFormat::from_gst(info.format()).ok_or_else(wrong)?;
        let colorimetry = info.colorimetry();
        let matrix = match colorimetry.matrix() {
            gst_video::VideoColorMatrix::Bt709 => Matrix::Bt709,
            gst_video::VideoColorMatrix::Bt2020 => Matrix::Bt2020,
            gst_video::VideoColorMatrix::Smpte240m => Matrix::Smpte240m,
            gst_video::VideoColorMatrix::Fcc => Matrix::Fcc,
            gst_video::VideoColorMatrix::Bt601 => Matrix::Bt601,
            // GStreamer's own guess for what says nothing.
            _ if info.height() > 576 => Matrix::Bt709,
            _ => Matrix::Bt601,
        };
        let range = match colorimetry.range() {
            gst_video::VideoColorRange::Range0_255 => Range::Full,
            _ => Range::Limited,
        };
        Ok(Self { info, caps, pixels, matrix, range, colours_said: *colours != Colours::Unsaid })
    }

    /// A live picture: I420, BT.709 in limited range, square pixels. `fps` is the nominal rate (frames, seconds), `None`
    /// for a varying one. For streams whose camera never sent a picture.
    ///
    /// # Errors
    /// When a side is zero or too large for GStreamer, or the rate is not positive.
    pub fn live(width: u32, height: u32, fps: Option<(i32, i32)>) -> Result<Self> {
        crate::video::init()?;
        let (frames, seconds) = fps.unwrap_or((0, 1));
        let wrong = || {
            VideoError::usage(
                format!("live pictures of {width}×{height} at {frames}/{seconds} per second cannot be made"),
                "choose another size and rate",
            )
        };
        if frames < 0 || seconds <= 0 || (fps.is_some() && frames == 0) {
            return Err(wrong());
        }
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .fps(gst::Fraction::new(frames, seconds))
            .par(gst::Fraction::new(1, 1))
            .colorimetry(&gst_video::VideoColorimetry::new(
                gst_video::VideoColorRange::Range16_235,
                gst_video::VideoColorMatrix::Bt709,
                gst_video::VideoTransferFunction::Bt709,
                gst_video::VideoColorPrimaries::Bt709,
            ))
            .build()
            .map_err(|e| wrong().because(e))?;
        let caps = info.to_caps().map_err(|e| wrong().because(e))?;
        Self::from_caps(&caps, &Colours::Caps)
    }

    /// The same format at another size (a picture with room for more than the frame).
    ///
    /// # Errors
    /// When a side is zero or too large for GStreamer.
    pub fn with_size(&self, width: u32, height: u32) -> Result<Self> {
        let mut caps = self.caps.clone();
        {
            let caps = caps.make_mut();
            caps.set("width", i32::try_from(width).unwrap_or(0));
            caps.set("height", i32::try_from(height).unwrap_or(0));
        }
        let info = gst_video::VideoInfo::from_caps(&caps).map_err(|e| {
            VideoError::run(format!("pictures of {width}×{height} cannot be made"), "choose a smaller picture")
                .because(e)
        })?;
        Ok(Self { info, caps, ..*self })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.info.width() as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.info.height() as usize
    }

    /// Width and height in samples of a plane (chroma rounded up for odd sizes). For NV12's second
    /// plane the width counts pairs.
    pub fn plane_size(&self, plane: usize) -> (usize, usize) {
        match plane {
            0 => (self.width(), self.height()),
            _ => (self.width().div_ceil(2), self.height().div_ceil(2)),
        }
    }

    /// How the samples lie in memory.
    pub fn pixels(&self) -> PixelFormat {
        self.pixels
    }

    /// The matrix the samples were made with, or the usual guess where the source does not say.
    pub fn matrix(&self) -> Matrix {
        self.matrix
    }

    /// Whether the source says which colours it means. Where it does not, the output does not
    /// either, and looks the same in every player.
    pub fn colours_said(&self) -> bool {
        self.colours_said
    }

    /// The range of the samples.
    pub fn range(&self) -> Range {
        self.range
    }

    /// Shape of a pixel, width : height.
    pub fn pixel_aspect(&self) -> (i32, i32) {
        let par = self.info.par();
        (par.numer(), par.denom())
    }

    /// Nominal frames per second; `None` for variable or unknown.
    pub fn fps(&self) -> Option<(i32, i32)> {
        let fps = self.info.fps();
        (fps.numer() > 0 && fps.denom() > 0).then(|| (fps.numer(), fps.denom()))
    }

    /// The caps as they go to the encoder.
    pub(crate) fn caps(&self) -> &gst::Caps {
        &self.caps
    }
}

/// The samples of one plane.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    /// Rows one after another; the last may be padded too.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// The samples of one plane, to be written.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// Rows one after another; the last may be padded too.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// One picture. Cloning it is cheap: the samples are shared.
#[derive(Debug, Clone)]
pub struct Frame {
    buffer: gst::Buffer,
    format: Arc<FrameFormat>,
    seq: u64,
    pts: Duration,
    duration: Option<Duration>,
    made: Instant,
    decoding: Option<Duration>,
}

impl Frame {
    pub(crate) fn new(
        buffer: gst::Buffer,
        format: Arc<FrameFormat>,
        seq: u64,
        pts: Duration,
        duration: Option<Duration>,
    ) -> Self {
        Self { buffer, format, seq, pts, duration, made: Instant::now(), decoding: None }
    }

    pub(crate) fn decoded_in(self, decoding: Option<Duration>) -> Self {
        Self { decoding, ..self }
    }

    /// What all frames of the stream have in common.
    pub fn format(&self) -> &Arc<FrameFormat> {
        &self.format
    }

    /// Position in the stream, from 0, without gaps.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When it is shown, on the running time that all tracks of the source share.
    pub fn pts(&self) -> Duration {
        self.pts
    }

    /// How long it is shown, where known.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// How long ago this program got it, or the one that it was painted from.
    pub fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// How long it was in the decoder, where that is known.
    pub fn decode_time(&self) -> Option<Duration> {
        self.decoding
    }

    /// The same picture at another time and place in the stream; the samples are shared.
    pub fn at(&self, pts: Duration, duration: Option<Duration>, seq: u64) -> Self {
        Self { pts, duration, seq, ..self.clone() }
    }

    pub(crate) fn set_duration(&mut self, duration: Option<Duration>) {
        self.duration = duration;
    }

    /// The decoder says that this picture was damaged.
    pub fn is_damaged(&self) -> bool {
        self.buffer.flags().contains(gst::BufferFlags::CORRUPTED)
    }

    /// The buffer's own time stamp, on the source's clock.
    pub(crate) fn stamp(&self) -> Option<gst::ClockTime> {
        self.buffer.pts()
    }

    /// Looks at the samples, without copying them.
    ///
    /// # Errors
    /// When the memory cannot be read (device memory that got lost).
    pub fn read(&self) -> Result<FrameRead<'_>> {
        gst_video::VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.format.info)
            .map(|map| FrameRead { map, format: &self.format })
            .map_err(|e| unmappable(self.seq).because(e))
    }

    /// The buffer as it goes to the encoder: stamped with running time, no DTS. The samples are
    /// shared; only the small header is made anew where somebody else still holds it.
    pub(crate) fn into_buffer(mut self) -> gst::Buffer {
        let buffer = self.buffer.make_mut();
        buffer.set_pts(clock_time(self.pts));
        buffer.set_dts(gst::ClockTime::NONE);
        buffer.set_duration(self.duration.map(clock_time));
        self.buffer
    }
}

fn unmappable(seq: u64) -> VideoError {
    VideoError::run(
        format!("the samples of frame {seq} cannot be reached"),
        "choose a decoder that hands out pictures in main memory (GST_PLUGIN_FEATURE_RANK)",
    )
}

/// A frame opened for reading.
pub struct FrameRead<'a> {
    map: gst_video::VideoFrameRef<&'a gst::BufferRef>,
    format: &'a FrameFormat,
}

impl FrameRead<'_> {
    /// The format of the frame.
    pub fn format(&self) -> &FrameFormat {
        self.format
    }

    /// The samples of a plane; empty for a plane that the format does not have.
    pub fn plane(&self, index: usize) -> Plane<'_> {
        let Some(&stride) = self.map.plane_stride().get(index) else {
            return Plane { data: &[], stride: 0 };
        };
        Plane { data: self.map.plane_data(index as u32).unwrap_or(&[]), stride: usize::try_from(stride).unwrap_or(0) }
    }
}

/// Buffers to paint into, used again and again. Cloning shares the pool.
#[derive(Debug, Clone)]
pub struct FramePool {
    pool: gst_video::VideoBufferPool,
    format: Arc<FrameFormat>,
}

impl FramePool {
    /// A pool of pictures of one format. It grows with what is in flight and shrinks to nothing
    /// when dropped.
    ///
    /// # Errors
    /// When GStreamer refuses the size.
    pub fn new(format: Arc<FrameFormat>) -> Result<Self> {
        let pool = gst_video::VideoBufferPool::new();
        let size = u32::try_from(format.info.size()).unwrap_or(u32::MAX);
        let mut config = pool.config();
        config.set_params(Some(&format.caps), size, 0, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        pool.set_config(config).and_then(|()| pool.set_active(true)).map_err(|e| no_memory(&format).because(e))?;
        Ok(Self { pool, format })
    }

    /// The format of the pictures.
    pub fn format(&self) -> &Arc<FrameFormat> {
        &self.format
    }

    /// A picture with undefined contents.
    ///
    /// # Errors
    /// When memory is out.
    pub fn acquire(&self) -> Result<FrameMut> {
        let buffer = self.pool.acquire_buffer(None).map_err(|e| no_memory(&self.format).because(e))?;
        let map = gst_video::VideoFrame::from_buffer_writable(buffer, &self.format.info)
            .map_err(|_| no_memory(&self.format))?;
        Ok(FrameMut { map, format: Arc::clone(&self.format) })
    }
}

impl Drop for FramePool {
    fn drop(&mut self) {
        // The last clone lets go: buffers still in flight come back to a pool that frees them.
        if self.pool.ref_count() == 1 {
            let _ = self.pool.set_active(false);
        }
    }
}

fn no_memory(format: &FrameFormat) -> VideoError {
    VideoError::run(
        format!("no memory for a picture of {}×{}", format.width(), format.height()),
        "close other programs, or use a smaller video",
    )
}

/// A picture that is being painted.
pub struct FrameMut {
    map: gst_video::VideoFrame<gst_video::video_frame::Writable>,
    format: Arc<FrameFormat>,
}

impl FrameMut {
    /// The format of the frame.
    pub fn format(&self) -> &Arc<FrameFormat> {
        &self.format
    }

    /// The samples of all planes at once. Strides may differ from those of the frame read.
    pub fn planes(&mut self) -> Vec<PlaneMut<'_>> {
        let strides: Vec<usize> = self.map.plane_stride().iter().map(|s| usize::try_from(*s).unwrap_or(0)).collect();
        self.map.planes_data_mut().into_iter().zip(strides).map(|(data, stride)| PlaneMut { data, stride }).collect()
    }

    /// Done: a frame with the time, duration, sequence number and flags of the one it was painted
    /// from.
    pub fn finish(self, like: &Frame) -> Frame {
        let mut buffer = self.map.into_buffer();
        {
            let buffer = buffer.make_mut();
            // Metas of the source (closed captions, time codes) stay with it; flags and times go on.
            let _ = like.buffer.copy_into(buffer, gst::BufferCopyFlags::FLAGS, ..);
            buffer.unset_flags(gst::BufferFlags::TAG_MEMORY);
        }
        Frame { buffer, format: self.format, ..like.clone() }
    }

    /// Done: a frame of its own, painted from none.
    pub fn finish_at(self, pts: Duration, duration: Option<Duration>, seq: u64) -> Frame {
        Frame::new(self.map.into_buffer(), self.format, seq, pts, duration)
    }
}

/// GStreamer's time from ours.
pub(crate) fn clock_time(time: Duration) -> gst::ClockTime {
    // 64 bits of nanoseconds last 584 years; the top value means "none".
    gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))
}

/// Our time from GStreamer's.
pub(crate) fn duration(time: gst::ClockTime) -> Duration {
    Duration::from_nanos(time.nseconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_format_says_all_that_encoders_ask_for() {
        crate::video::init().unwrap();
        let format = FrameFormat::live(1280, 720, Some((25, 1))).unwrap();
        assert_eq!((format.width(), format.height(), format.fps()), (1280, 720, Some((25, 1))));
        assert_eq!(
            (format.pixels(), format.matrix(), format.range()),
            (PixelFormat::I420, Matrix::Bt709, Range::Limited)
        );
        assert!(format.colours_said() && format.pixel_aspect() == (1, 1));
        assert!(format.caps().to_string().contains("bt709"), "{}", format.caps());
        assert_eq!(FrameFormat::live(322, 243, None).unwrap().fps(), None);
        for (width, height, fps) in
            [(0, 720, None), (640, 0, None), (640, 480, Some((0, 1))), (640, 480, Some((25, 0)))]
        {
            FrameFormat::live(width, height, fps).expect_err("no such picture");
        }
        FrameFormat::live(u32::MAX, u32::MAX, None).expect_err("too large");
    }

    #[test]
    fn a_frame_takes_another_time_and_keeps_its_samples() {
        crate::video::init().unwrap();
        let pool = FramePool::new(Arc::new(FrameFormat::live(64, 48, None).unwrap())).unwrap();
        let mut canvas = pool.acquire().unwrap();
        canvas.planes().into_iter().for_each(|plane| plane.data.fill(77));
        let frame = canvas.finish_at(Duration::from_secs(3), None, 5);
        let later = frame.at(Duration::from_secs(4), Some(Duration::from_millis(40)), 6);
        assert_eq!(
            (frame.pts(), frame.seq(), later.pts(), later.seq()),
            (Duration::from_secs(3), 5, Duration::from_secs(4), 6)
        );
        assert_eq!(frame.read().unwrap().plane(0).data.as_ptr(), later.read().unwrap().plane(0).data.as_ptr());
        assert_eq!(later.into_buffer().pts(), Some(gst::ClockTime::from_seconds(4)));
    }
}
