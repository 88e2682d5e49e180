//! Opening a file: from a path to a pipeline that holds its first decoded frame.
//!
//! The pipeline grows while it prerolls: `parsebin` tells the tracks, each gets an appsink or a
//! fakesink; the chosen video gets `decodebin`, and what that hands out decides which of the
//! rotating and deinterlacing pieces are needed.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_pbutils as pbutils;
use gstreamer_video as gst_video;

use super::bus::Heard;
use super::description::{self, SourceText, fill, named, quoted};
use super::error::{Result, VideoError};
use super::file_source::{SourceInfo, SourceOptions};
use super::frame::{Colours, Frame, FrameFormat, duration};
use super::tracks::{CopiedTrack, Shared, TrackInfo, TrackKind};
use crate::sync::lock;

/// A pipeline that has been opened and waits.
pub(crate) struct Opened {
    pub pipeline: gst::Pipeline,
    pub bus: gst::Bus,
    pub frames: gst_app::AppSink,
    pub info: SourceInfo,
    pub heard: Heard,
    pub shared: Arc<Shared>,
    pub tracks: Vec<CopiedTrack>,
    pub colours: Colours,
    pub durations: Durations,
}

/// What the streaming threads find out.
#[derive(Default)]
struct Found {
    /// Number of video streams.
    videos: usize,
    /// The chosen one, still encoded.
    video: Option<gst::Pad>,
    /// Every other track, with its pad and, where it is copied, its packets.
    others: Vec<(TrackInfo, gst::Pad, Option<CopiedTrack>)>,
    frames: Option<gst_app::AppSink>,
    rotation: Option<String>,
    interlaced: bool,
    /// Colours that the container states, by stream.
    container_colours: HashMap<String, String>,
    durations: Durations,
    latest_track: Option<Instant>,
    /// No more tracks are to come.
    all_known: bool,
    failed: Option<VideoError>,
}

/// When no further track comes for this long, all are there.
const QUIET: Duration = Duration::from_millis(500);

/// What the callbacks share.
struct Workshop {
    found: Mutex<Found>,
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    text: SourceText,
    stream: usize,
    copy: bool,
    threads: String,
    shared: Arc<Shared>,
}

/// Opens `path`; see [`FileSource::open`](super::FileSource::open).
pub(crate) fn open(path: &Path, options: &SourceOptions) -> Result<Opened> {
    super::init()?;
    check_readable(path)?;
    let text = &options.description.source;
    let pipeline = description::pipeline(&text.read)?;
    let result = preroll(&pipeline, path, options);
    if result.is_err() {
        let _ = pipeline.set_state(gst::State::Null);
    }
    result
}

fn check_readable(path: &Path) -> Result<()> {
    let name = path.display();
    let data = std::fs::metadata(path).map_err(|e| {
        let hint = match e.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            _ => "check the permissions",
        };
        VideoError::input(format!("{name} cannot be opened: {e}"), hint).because(e)
    })?;
    if data.is_dir() {
        return Err(VideoError::input(format!("{name} is a folder"), "name a file in it"));
    }
    if data.is_file() && data.len() == 0 {
        return Err(VideoError::input(
            format!("{name} is empty (0 bytes)"),
            "the recording or the download did not finish; make it again",
        ));
    }
    std::fs::File::open(path)
        .map(drop)
        .map_err(|e| VideoError::input(format!("{name} cannot be opened: {e}"), "check the permissions").because(e))
}

fn preroll(pipeline: &gst::Pipeline, path: &Path, options: &SourceOptions) -> Result<Opened> {
    let text = &options.description.source;
    let input: gst::Element = named(pipeline, "input")?;
    input.set_property("location", path);
    let parse: gst::Element = named(pipeline, "tracks")?;
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let shop = Arc::new(Workshop {
        found: Mutex::default(),
        pipeline: pipeline.downgrade(),
        text: text.clone(),
        stream: options.stream,
        copy: options.copy_tracks,
        threads: threads.to_string(),
        shared: Arc::default(),
    });
    let (pads, known) = (Arc::clone(&shop), Arc::clone(&shop));
    parse.connect_pad_added(move |_, pad| {
        if let Err(e) = pads.track(&pads, pad) {
            pads.found().failed.get_or_insert(e);
        }
    });
    let colours = Arc::clone(&shop);
    if let Some(bin) = parse.downcast_ref::<gst::Bin>() {
        bin.connect_element_added(move |_, element| colours.listen_to_bitstream(element));
    }
    parse.connect_no_more_pads(move |_| known.found().all_known = true);

    let bus = pipeline.bus().ok_or_else(|| VideoError::run("a pipeline has no bus", "this is a fault of GStreamer"))?;
    let mut heard = Heard::default();
    let deadline = Instant::now() + options.open_within;
    // Failure to start is told on the bus, with more words.
    let started = pipeline.set_state(gst::State::Paused);
    loop {
        heard.listen(&bus, gst::ClockTime::from_mseconds(10));
        let (frames, failed, nothing) = {
            let mut found = shop.found();
            // Not every file makes parsebin say that all tracks are out; it brings them all at once.
            let quiet = found.latest_track.is_some_and(|at| at.elapsed() > QUIET);
            let nothing = (found.all_known || quiet) && found.video.is_none();
            (found.frames.clone(), found.failed.take(), nothing)
        };
        if let Some(e) = failed {
            return Err(e);
        }
        if nothing {
            return Err(no_video(path, options.stream, &shop.found()));
        }
        if let Some(frames) = frames {
            if let Some(sample) = frames.try_pull_preroll(gst::ClockTime::from_mseconds(20)) {
                return finish(pipeline, bus, path, options, &shop, heard, frames, &sample);
            }
            if frames.is_eos() {
                return Err(no_frame(path, &heard));
            }
        }
        if heard.error.is_some() || started.is_err() {
            heard.listen(&bus, gst::ClockTime::from_mseconds(50));
            return Err(explain(path, &heard));
        }
        if Instant::now() > deadline {
            return Err(VideoError::input(
                format!("no frame of {} could be decoded within {} s", path.display(), options.open_within.as_secs()),
                "check that the file plays elsewhere; run again with GST_DEBUG=3 for the reason",
            ));
        }
    }
}

#[allow(clippy::too_many_arguments)] // one call, to keep `preroll` readable
fn finish(
    pipeline: &gst::Pipeline,
    bus: gst::Bus,
    path: &Path,
    options: &SourceOptions,
    shop: &Workshop,
    heard: Heard,
    frames: gst_app::AppSink,
    first: &gst::Sample,
) -> Result<Opened> {
    // Taken out whole: nothing of GStreamer may be called while streaming threads wait for this.
    let mut found = std::mem::take(&mut *shop.found());
    // What comes from here on comes too late.
    shop.found().all_known = true;
    let video = found.video.clone();
    let encoded = video.as_ref().and_then(|pad| pad.current_caps());
    let encoded = encoded.unwrap_or_else(gst::Caps::new_empty);
    let said = video
        .as_ref()
        .and_then(|pad| found.container_colours.remove(&pad.stream_id()?.to_string()))
        .filter(|said| names_a_matrix(said));
    let colours = match (declares_colours(&encoded), said) {
        (true, _) => Colours::Caps,
        (false, Some(said)) => Colours::Container(said),
        (false, None) => Colours::Unsaid,
    };
    let caps = first.caps().map_or_else(gst::Caps::new_empty, ToOwned::to_owned);
    let format = Arc::new(FrameFormat::from_caps(&caps, &colours)?);
    let is_image = is_image(&encoded);
    let length = pipeline.query_duration::<gst::ClockTime>().filter(|_| !is_image).map(duration);
    let frames_estimate = match (format.fps(), length) {
        _ if is_image => Some(1),
        (Some((n, d)), Some(length)) => Some((length.as_secs_f64() * f64::from(n) / f64::from(d)).round() as u64),
        _ => None,
    };
    let mut tracks = Vec::new();
    let mut copied = Vec::new();
    for (mut info, pad, copy) in std::mem::take(&mut found.others) {
        let tags = tags_of(&pad);
        // What was only outlined when the track turned up is settled now.
        if let Some(caps) = pad.current_caps() {
            info.codec = codec_of(&caps);
            info.caps = caps;
        }
        info.language = tags.get::<gst::tags::LanguageCode>().map(|v| v.get().to_owned());
        if let Some(mut track) = copy {
            track.describe(info.clone(), tags);
            copied.push(track);
        }
        tracks.push(info);
    }
    let info = SourceInfo {
        path: path.to_owned(),
        duration: length,
        frames: frames_estimate,
        container: video.as_ref().map(container_of).unwrap_or_default(),
        video_codec: codec_of(&encoded),
        stream: options.stream,
        streams: found.videos,
        rotation: found.rotation.clone(),
        deinterlaced: found.interlaced,
        is_image,
        tracks,
        format,
    };
    Ok(Opened {
        pipeline: pipeline.clone(),
        bus,
        frames,
        info,
        heard,
        shared: Arc::clone(&shop.shared),
        tracks: copied,
        colours,
        durations: found.durations.clone(),
    })
}

impl Workshop {
    fn found(&self) -> MutexGuard<'_, Found> {
        lock(&self.found)
    }

    fn pipeline(&self) -> Result<gst::Pipeline> {
        self.pipeline.upgrade().ok_or_else(|| VideoError::run("the source was closed while it opened", "try again"))
    }

    /// A track came out of the container.
    fn track(&self, shop: &Arc<Self>, pad: &gst::Pad) -> Result<()> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let media = caps.structure(0).map_or("", |s| s.name().as_str());
        let pictures = media.starts_with("video/") || media.starts_with("image/");
        let mut found = self.found();
        let late = found.all_known;
        found.latest_track = Some(Instant::now());
        if pictures && !late {
            found.videos += 1;
            if found.videos - 1 == self.stream {
                found.video = Some(pad.clone());
                drop(found);
                return self.decode(shop, pad);
            }
        }
        let info = TrackInfo { kind: kind_of(media), codec: codec_of(&caps), language: None, caps: caps.clone() };
        // Tracks that turn up later (a new programme) come too late for the muxer.
        let copy = self.copy && !late && info.kind != TrackKind::Other;
        drop(found);
        let bin = self.attach(pad, if copy { &self.text.track } else { &self.text.unused })?;
        let track = match copy {
            true => {
                let sink = only_appsink(&bin)?;
                Some(CopiedTrack::from_appsink(&sink, info.clone(), &self.shared))
            }
            false => None,
        };
        if !late {
            self.found().others.push((info, pad.clone(), track));
        }
        bin.sync_state_with_parent().map_err(not_running)
    }

    /// Where both the container and the bitstream state colours, GStreamer 1.22 believes the
    /// container, whose statement may lack the range. Here the bitstream comes first: the container's
    /// word is put aside, for where the bitstream says nothing.
    fn listen_to_bitstream(self: &Arc<Self>, element: &gst::Element) {
        let parses = element.factory().is_some_and(|f| ["h264parse", "h265parse"].contains(&f.name().as_str()));
        let Some(pad) = element.static_pad("sink").filter(|_| parses) else {
            return;
        };
        let shop = Arc::downgrade(self);
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, probe| {
            if let Some(gst::PadProbeData::Event(event)) = &mut probe.data
                && let gst::EventView::Caps(caps) = event.view()
                && let Some(s) = caps.caps().structure(0)
                && let Ok(said) = s.get::<String>("colorimetry")
                && let (Some(shop), Some(id)) = (shop.upgrade(), pad.stream_id())
            {
                shop.found().container_colours.insert(id.to_string(), said);
                let mut caps = caps.caps_owned();
                if let Some(s) = caps.make_mut().structure_mut(0) {
                    s.remove_field("colorimetry");
                }
                *event = gst::event::Caps::new(&caps);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The chosen video: put a decoder behind it.
    fn decode(&self, shop: &Arc<Self>, encoded: &gst::Pad) -> Result<()> {
        if let Some(pad) = demuxed(encoded) {
            let durations = self.found().durations.clone();
            durations.record(&pad);
        }
        let bin = self.attach(encoded, &self.text.decode)?;
        let decoder: gst::Element = named(&bin, "decode")?;
        let (shop, encoded, inside) = (Arc::clone(shop), encoded.downgrade(), bin.downgrade());
        decoder.connect_pad_added(move |_, raw| {
            let (Some(encoded), Some(bin)) = (encoded.upgrade(), inside.upgrade()) else {
                return;
            };
            if let Err(e) = shop.hand_over(&bin, &encoded, raw) {
                shop.found().failed.get_or_insert(e);
            }
        });
        bin.sync_state_with_parent().map_err(not_running)
    }

    /// Raw pictures came out of the decoder: turn, deinterlace and convert only where needed.
    fn hand_over(&self, bin: &gst::Bin, encoded: &gst::Pad, raw: &gst::Pad) -> Result<()> {
        let caps = raw.current_caps().unwrap_or_else(|| raw.query_caps(None));
        let info = gst_video::VideoInfo::from_caps(&caps).map_err(|e| {
            VideoError::input(
                format!("the decoder hands out no pictures but {caps}"),
                "choose another decoder (GST_PLUGIN_FEATURE_RANK)",
            )
            .because(e)
        })?;
        let orientation = [encoded, raw]
            .iter()
            .find_map(|pad| {
                let tags = tags_of(pad);
                let tag = tags.get::<gst::tags::ImageOrientation>()?;
                Some(tag.get().to_owned())
            })
            .filter(|o| o != "rotate-0");
        let interlaced = info.interlace_mode() != gst_video::VideoInterlaceMode::Progressive;
        let is_image = encoded.current_caps().is_some_and(|caps| is_image(&caps));
        let wanted = wanted_caps(&caps, &info, orientation.as_deref(), is_image);

        let mut pieces: Vec<&str> = Vec::new();
        if interlaced {
            pieces.push(&self.text.deinterlace);
        }
        if orientation.is_some() {
            pieces.push(&self.text.rotate);
        }
        pieces.extend([self.text.convert.as_str(), &self.text.scale, &self.text.hand_over]);
        let text = fill(&pieces.join(" ! "), &[("threads", &self.threads), ("caps", &quoted(&wanted))]);
        let chain = description::bin(&text)?;
        let frames: gst_app::AppSink = named(&chain, "frames")?;
        take_strides(&frames);
        bin.add(&chain).map_err(not_joined)?;
        link(raw, &chain)?;
        chain.sync_state_with_parent().map_err(not_running)?;
        // Only now: an appsink that has not started says that it is at its end.
        let mut found = self.found();
        found.rotation = orientation;
        found.interlaced = interlaced;
        found.frames = Some(frames);
        Ok(())
    }

    /// Puts a piece of pipeline behind a pad; it still has to be started.
    fn attach(&self, pad: &gst::Pad, text: &str) -> Result<gst::Bin> {
        let bin = description::bin(&fill(text, &[("threads", &self.threads)]))?;
        self.pipeline()?.add(&bin).map_err(not_joined)?;
        link(pad, &bin)?;
        Ok(bin)
    }
}

/// How long the latest packets last according to the container: parsers and decoders forget it
/// when the frame rate varies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durations(Arc<Mutex<VecDeque<(gst::ClockTime, gst::ClockTime)>>>);

impl Durations {
    /// More packets than any decoder reorders.
    const KEPT: usize = 64;

    fn record(&self, pad: &gst::Pad) {
        let latest = Arc::clone(&self.0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &probe.data
                && let (Some(pts), Some(lasts)) = (buffer.pts(), buffer.duration())
            {
                let mut latest = lock(&latest);
                latest.push_back((pts, lasts));
                if latest.len() > Self::KEPT {
                    latest.pop_front();
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// What the container says about a frame.
    pub fn of(&self, frame: &Frame) -> Option<Duration> {
        let pts = frame.stamp()?;
        let latest = lock(&self.0);
        let (_, lasts) = latest.iter().find(|(at, _)| *at == pts)?;
        Some(duration(*lasts))
    }
}

/// The demuxer's pad from which a pad of parsebin gets its packets.
fn demuxed(pad: &gst::Pad) -> Option<gst::Pad> {
    let mut pad = pad.downcast_ref::<gst::GhostPad>()?.target()?;
    // A demuxer, a parser and a capsfilter: a handful of steps.
    for _ in 0..8 {
        let element = pad.parent_element()?;
        let demuxes =
            element.factory().is_some_and(|f| f.metadata("klass").is_some_and(|klass| klass.contains("Demux")));
        if demuxes {
            return Some(pad);
        }
        pad = element.static_pad("sink")?.peer()?;
        if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
            pad = ghost.target()?;
        }
    }
    None
}

/// Lets decoders hand over their buffers as they are, whatever their strides: an appsink does not
/// offer that by itself, and without it every frame would be copied.
pub(crate) fn take_strides(frames: &gst_app::AppSink) {
    if let Some(pad) = frames.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, probe| {
            if let Some(gst::PadProbeData::Query(query)) = &mut probe.data
                && let gst::QueryViewMut::Allocation(allocation) = query.view_mut()
            {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
    }
}

fn link(pad: &gst::Pad, bin: &gst::Bin) -> Result<()> {
    let sink = bin.static_pad("sink").ok_or_else(|| {
        VideoError::usage(
            "a piece of the pipeline description has no open end to join",
            "compare it with pipelines/file.toml",
        )
    })?;
    pad.link(&sink).map(drop).map_err(|e| {
        let caps = pad.current_caps().map(|c| c.to_string());
        VideoError::input(
            format!("the pipeline cannot take what the file holds: {}", caps.unwrap_or_default()),
            "check the [source] part of the pipeline description",
        )
        .because(e)
    })
}

fn only_appsink(bin: &gst::Bin) -> Result<gst_app::AppSink> {
    bin.children().into_iter().find_map(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or_else(|| {
        VideoError::usage(
            "source.track of the pipeline description has no appsink",
            "compare it with pipelines/file.toml",
        )
    })
}

fn not_joined(e: gst::glib::BoolError) -> VideoError {
    VideoError::run("a piece of the pipeline cannot be added", "try again").because(e)
}

fn not_running(e: gst::glib::BoolError) -> VideoError {
    VideoError::run("a piece of the pipeline does not start", "run again with GST_DEBUG=3 for the reason").because(e)
}

/// The caps every frame of the stream is brought to: those of the first, in a format we can paint.
fn wanted_caps(caps: &gst::Caps, info: &gst_video::VideoInfo, orientation: Option<&str>, is_image: bool) -> gst::Caps {
    let on_its_side = orientation.is_some_and(|o| o.ends_with("90") || o.ends_with("270"));
    let (w, h) = (info.width() as i32, info.height() as i32);
    let (n, d) = (info.par().numer(), info.par().denom());
    let (w, h, n, d) = match on_its_side {
        true => (h, w, d, n),
        false => (w, h, n, d),
    };
    let format = match info.format() {
        gst_video::VideoFormat::Nv12 => "NV12",
        _ => "I420",
    };
    let wanted = gst::Caps::builder("video/x-raw")
        .field("format", format)
        .field("width", w)
        .field("height", h)
        .field("pixel-aspect-ratio", gst::Fraction::new(n, d));
    let colorimetry = match info.format_info().flags() {
        // RGB has no matrix yet: that of JPEG for pictures, that of HD for videos.
        flags if !flags.contains(gst_video::VideoFormatFlags::YUV) => Some(match is_image {
            true => "1:4:7:1".to_owned(),
            false => "bt709".to_owned(),
        }),
        _ => caps.structure(0).and_then(|s| s.get::<String>("colorimetry").ok()),
    };
    wanted.field_if_some("colorimetry", colorimetry).build()
}

/// Whether the source says which colours it means. The parsers of these codecs put what the
/// bitstream or the container says into the caps (VP8 has nothing to say); decoders fill in
/// guesses. Other codecs either define their colours or leave them to the decoder.
fn declares_colours(encoded: &gst::Caps) -> bool {
    const TELLING: [&str; 5] = ["video/x-h264", "video/x-h265", "video/x-vp8", "video/x-vp9", "video/x-av1"];
    encoded.structure(0).is_none_or(|s| {
        !TELLING.contains(&s.name().as_str()) || s.get::<String>("colorimetry").is_ok_and(|c| names_a_matrix(&c))
    })
}

/// A range alone (Matroska) says nothing about colours.
fn names_a_matrix(colorimetry: &str) -> bool {
    colorimetry.parse::<gst_video::VideoColorimetry>().is_ok_and(|c| c.matrix() != gst_video::VideoColorMatrix::Unknown)
}

/// A still picture. Motion JPEG and the like come with a frame rate.
fn is_image(encoded: &gst::Caps) -> bool {
    encoded.structure(0).is_some_and(|s| {
        s.name().starts_with("image/")
            && s.get::<gst::Fraction>("framerate")
                .map_or(true, |fps| fps.numer() == 0 || fps == gst::Fraction::new(1, 1))
    })
}

fn kind_of(media: &str) -> TrackKind {
    const SUBTITLES: [&str; 8] = [
        "text/",
        "subpicture/",
        "subtitle/",
        "closedcaption/",
        "application/x-ssa",
        "application/x-ass",
        "application/x-usf",
        "application/x-subtitle",
    ];
    if media.starts_with("audio/") {
        TrackKind::Sound
    } else if SUBTITLES.iter().any(|s| media.starts_with(s)) {
        TrackKind::Subtitles
    } else {
        TrackKind::Other
    }
}

fn codec_of(caps: &gst::Caps) -> String {
    match caps.is_fixed() {
        true => pbutils::pb_utils_get_codec_description(caps).into(),
        false => caps.structure(0).map_or("unknown".to_owned(), |s| s.name().to_string()),
    }
}

fn container_of(pad: &gst::Pad) -> String {
    tags_of(pad).get::<gst::tags::ContainerFormat>().map(|t| t.get().to_owned()).unwrap_or_default()
}

/// All tags that a pad has seen.
fn tags_of(pad: &gst::Pad) -> gst::TagList {
    let mut all = gst::TagList::new();
    pad.sticky_events_foreach(|event| {
        if let gst::EventView::Tag(tag) = event.view() {
            all.make_mut().insert(tag.tag(), gst::TagMergeMode::Keep);
        }
        std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
    all
}

fn no_video(path: &Path, stream: usize, found: &Found) -> VideoError {
    let name = path.display();
    if found.videos > 0 {
        return VideoError::usage(
            format!("{name} has no video stream {stream}: it has {}, counted from 0", found.videos),
            format!("use --stream 0 to {}", found.videos - 1),
        );
    }
    let holds: Vec<String> = found.others.iter().map(|(t, ..)| format!("{} ({})", t.kind, t.codec)).collect();
    VideoError::input(format!("{name} has no video, only {}", holds.join(", ")), "name a file with pictures in it")
}

fn no_frame(path: &Path, heard: &Heard) -> VideoError {
    if heard.error.is_some() || !heard.missing.is_empty() {
        return explain(path, heard);
    }
    VideoError::input(
        format!("not one frame of {} can be decoded", path.display()),
        "the file is damaged or cut short; make it again",
    )
}

/// Where the decoders of the usual packages are.
const PACKAGES: &str = "install gstreamer1.0-libav and gstreamer1.0-plugins-good, -bad and -ugly";

/// What the bus said, in one sentence.
fn explain(path: &Path, heard: &Heard) -> VideoError {
    let name = path.display();
    if let Some((what, caps)) = heard.missing.first() {
        let media = caps.as_ref().and_then(|c| Some(c.structure(0)?.name()));
        let media = media.map(|m| format!(" ({m})")).unwrap_or_default();
        return VideoError::input(
            format!("{name} cannot be decoded: no installed plugin is a {what}{media}"),
            PACKAGES,
        );
    }
    let Some((error, _)) = &heard.error else {
        return VideoError::input(format!("{name} cannot be read"), "run again with GST_DEBUG=3 for the reason");
    };
    let (what, hint) = match (error.kind::<gst::StreamError>(), error.kind::<gst::ResourceError>()) {
        (Some(gst::StreamError::TypeNotFound), _) => (
            "is neither a video nor a picture: nothing in it is known".to_owned(),
            "name a video file (mp4, mkv, webm, mov, ts, …) or a picture (png, jpg)",
        ),
        (Some(gst::StreamError::WrongType), _) => {
            ("is no video".to_owned(), "name a video file (mp4, mkv, webm, mov, ts, …) or a picture (png, jpg)")
        }
        (Some(gst::StreamError::CodecNotFound), _) => (format!("cannot be decoded: {}", error.message()), PACKAGES),
        (Some(gst::StreamError::Demux | gst::StreamError::Decode), _) => {
            (format!("is damaged: {}", error.message()), "make the recording or the download again")
        }
        (_, Some(_)) => (format!("cannot be opened: {}", error.message()), "check the path and the permissions"),
        _ => (
            format!("cannot be read: {}", error.message()),
            "check that the file plays elsewhere; run again with GST_DEBUG=3 for the reason",
        ),
    };
    VideoError::input(format!("{name} {what}"), hint).because(error.clone())
}
