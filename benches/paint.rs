//! How fast heat is painted, beside copying the frame and beside the usual way through RGB.
//!
//! ```sh
//! cargo bench --bench paint
//! ```
//!
//! One core. Each figure is the quickest of many frames that take turns with other frames and other ways: what the code
//! costs where nothing else is in its way; the median is in brackets. What counts is the ratio to the copy in the same run.

use gradcast::paint::*;
use opencv::{core, imgproc, prelude::*};
use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Counts what is allocated, to say what a painter holds and what a frame costs.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; only numbers are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        TOTAL.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Frames that take turns, so that a frame is not in the nearest cache when its turn comes.
const FRAMES: usize = 4;

struct Case {
    width: usize,
    height: usize,
    format: YuvFormat,
    frames: Vec<Vec<u8>>,
    out: Vec<u8>,
}

impl Case {
    fn new(width: usize, height: usize, format: YuvFormat) -> Self {
        let bytes = width * height * 3 / 2;
        let frame = |seed: usize| (0..bytes).map(|i| (16 + (i * 31 + i / width * 7 + seed * 53) % 220) as u8).collect();
        Self { width, height, format, frames: (0..FRAMES).map(frame).collect(), out: vec![0; bytes] }
    }

    fn planes(&self, frame: usize) -> Vec<(&[u8], usize)> {
        let (y, chroma) = self.frames[frame].split_at(self.width * self.height);
        match self.format {
            YuvFormat::Nv12 => vec![(y, self.width), (chroma, self.width)],
            YuvFormat::I420 => {
                let (u, v) = chroma.split_at(chroma.len() / 2);
                vec![(y, self.width), (u, self.width / 2), (v, self.width / 2)]
            }
        }
    }

    fn paint(&mut self, painter: &mut Painter, frame: usize, map: &Heat) -> Result<(), PaintError> {
        let mut out = std::mem::take(&mut self.out);
        let (width, height, format) = (self.width, self.height, self.format);
        let color = YuvColor { matrix: YuvMatrix::Bt709, ..YuvColor::default() };
        {
            let picture = Picture::new(format, width, height, color, &self.planes(frame))?;
            let (y, chroma) = out.split_at_mut(width * height);
            let planes = match format {
                YuvFormat::Nv12 => vec![(y, width), (chroma, width)],
                YuvFormat::I420 => {
                    let (u, v) = chroma.split_at_mut(chroma.len() / 2);
                    vec![(y, width), (u, width / 2), (v, width / 2)]
                }
            };
            let mut target = PictureMut::new(format, width, height, color, planes)?;
            painter.paint(&picture, &mut target, std::slice::from_ref(map), Some(0))?;
        }
        black_box(&out);
        self.out = out;
        Ok(())
    }

    /// The usual way: to RGB, the map to full size and to colours, both blended, and back.
    fn through_rgb(&mut self, frame: usize, map: &Heat) -> opencv::Result<()> {
        let (rows, width) = (self.height * 3 / 2, self.width);
        let (to_rgb, to_yuv) = match self.format {
            YuvFormat::I420 => (imgproc::COLOR_YUV2RGB_I420, Some(imgproc::COLOR_RGB2YUV_I420)),
            // OpenCV cannot write NV12: only the way there is timed.
            YuvFormat::Nv12 => (imgproc::COLOR_YUV2RGB_NV12, None),
        };
        let yuv = Mat::new_rows_cols_with_data(rows as i32, width as i32, &self.frames[frame])?;
        let (mut rgb, mut large, mut bytes, mut colors, mut mixed, mut back) =
            (Mat::default(), Mat::default(), Mat::default(), Mat::default(), Mat::default(), Mat::default());
        imgproc::cvt_color_def(&yuv, &mut rgb, to_rgb)?;
        let small = Mat::new_rows_cols_with_data(map.height as i32, map.width as i32, map.values)?;
        let size = core::Size::new(width as i32, self.height as i32);
        imgproc::resize(&small, &mut large, size, 0.0, 0.0, imgproc::INTER_LINEAR)?;
        large.convert_to(&mut bytes, core::CV_8U, 255.0, 0.0)?;
        imgproc::apply_color_map(&bytes, &mut colors, imgproc::COLORMAP_TURBO)?;
        core::add_weighted_def(&rgb, 0.5, &colors, 0.5, 0.0, &mut mixed)?;
        match to_yuv {
            Some(code) => imgproc::cvt_color_def(&mixed, &mut back, code)?,
            None => back = mixed,
        }
        black_box(back.data_bytes()?);
        Ok(())
    }

    fn copy(&mut self, frame: usize) {
        self.out.copy_from_slice(&self.frames[frame]);
        black_box(&self.out);
    }
}

/// The quickest and the median, in milliseconds.
fn quickest(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    (times[0].as_secs_f64() * 1e3, times[times.len() / 2].as_secs_f64() * 1e3)
}

fn main() -> Result<(), Box<dyn Error>> {
    core::set_num_threads(1)?;
    let cells = 7;
    let values: Vec<f32> = (0..cells * cells)
        .map(|i| {
            let (x, y) = ((i % cells) as f32 - 2.4, (i / cells) as f32 - 3.1);
            (-(x * x + y * y) / 4.0).exp()
        })
        .collect();
    println!(
        "milliseconds a frame (quickest, then the median), and how many copies of the frame that is; map {cells}x{cells}, one core"
    );
    for (name, width, height, rounds) in [("720p", 1280, 720, 60), ("1080p", 1920, 1080, 40), ("4K", 3840, 2160, 16)] {
        for format in [YuvFormat::I420, YuvFormat::Nv12] {
            let mut case = Case::new(width, height, format);
            let map = Heat {
                values: &values,
                width: cells,
                height: cells,
                region: Region::whole(width, height),
                label: "tabby, tabby cat",
                probability: Some(0.83),
            };
            let mut painters: Vec<(Style, Painter)> = [Style::Blend, Style::Fade, Style::Contour]
                .into_iter()
                .map(|style| (style, Painter::new(Look { style, ..Look::default() })))
                .collect();
            let mut held = Vec::new();
            for (_, painter) in &mut painters {
                let before = LIVE.load(Ordering::Relaxed);
                case.paint(painter, 0, &map)?;
                held.push((LIVE.load(Ordering::Relaxed) - before) / 1024);
            }
            let total = TOTAL.load(Ordering::Relaxed);
            case.paint(&mut painters[0].1, 0, &map)?;
            let per_frame = TOTAL.load(Ordering::Relaxed) - total;

            let mut times = vec![Vec::new(); 2 + painters.len()];
            for round in 0..rounds {
                let frame = round % FRAMES;
                let mut clock = |way: usize, start: Instant| times[way].push(start.elapsed());
                let start = Instant::now();
                case.copy(frame);
                clock(0, start);
                for (way, (_, painter)) in painters.iter_mut().enumerate() {
                    let start = Instant::now();
                    case.paint(painter, frame, &map)?;
                    clock(2 + way, start);
                }
                let start = Instant::now();
                case.through_rgb(frame, &map)?;
                clock(1, start);
            }
            let figures: Vec<(f64, f64)> = times.iter_mut().map(|times| quickest(times)).collect();
            let (copy, median) = figures[0];
            println!("{name} {}", format.name());
            println!("  copy          {copy:8.2} ({median:.2})");
            for ((style, _), (time, median)) in painters.iter().zip(&figures[2..]) {
                println!("  {style:<14}{time:8.2} ({median:.2})  {:5.1} copies", time / copy);
            }
            let note = if format == YuvFormat::Nv12 { ", one way only" } else { "" };
            let (time, median) = figures[1];
            println!(
                "  through RGB   {time:8.2} ({median:.2})  {:5.1} copies, {:.1} times blend{note}",
                time / copy,
                time / figures[2].0
            );
            println!("  held: {held:?} KiB, a frame allocates {per_frame} bytes");
        }
    }
    Ok(())
}
