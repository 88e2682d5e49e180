//! The cameras of this machine: listing them, choosing one, asking one for a size and a rate.

use std::fmt;
use std::path::{Path, PathBuf};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::address::Address;
use crate::video::error::{Result, VideoError};

/// A camera that is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// What it calls itself.
    pub name: String,
    /// Its device file.
    pub path: PathBuf,
    /// What it can deliver.
    pub formats: Vec<CameraFormat>,
}

/// One thing that a camera can deliver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CameraFormat {
    /// `YUY2`, `MJPEG`, `H264`, …
    pub coding: String,
    /// Width and height in pixels; a range where the camera scales freely.
    pub size: String,
    /// Frames per second.
    pub rates: String,
}

impl fmt::Display for CameraFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {} fps", self.coding, self.size, self.rates)
    }
}

/// The cameras of this machine, in the order of their device files.
///
/// # Errors
/// Where GStreamer does not start.
pub fn cameras() -> Result<Vec<Camera>> {
    crate::video::init()?;
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some("Video/Source"), None);
    let mut found: Vec<Camera> = Vec::new();
    for device in monitor.devices() {
        // Sound servers list the same cameras again; only the kernel's own names can be opened.
        let Some(path) = device.properties().and_then(|p| {
            ["api.v4l2.path", "device.path"].iter().find_map(|key| p.get::<String>(*key).ok()).map(PathBuf::from)
        }) else {
            continue;
        };
        if found.iter().all(|camera| camera.path != path) {
            let formats = device.caps().map(|caps| formats(&caps)).unwrap_or_default();
            found.push(Camera { name: device.display_name().into(), path, formats });
        }
    }
    found.sort_by_key(|camera| (camera.path.as_os_str().len(), camera.path.clone()));
    Ok(found)
}

/// The first camera of this machine.
///
/// # Errors
/// Of kind `Input` when there is none; it says what else can be given.
pub fn first_camera() -> Result<Address> {
    cameras()?.first().map(|camera| Address::device(&camera.path)).ok_or_else(|| {
        VideoError::input(
            "there is no camera at this machine",
            "plug one in, or name a source: 0, /dev/video0, a camera's name, rtsp://…, http://…, a file, or test \
             for a built-in moving picture",
        )
    })
}

/// The camera of a name: exactly, without regard to case, or the only one whose name holds it.
pub(super) fn of_name<'a>(cameras: &'a [Camera], name: &str) -> std::result::Result<&'a Path, String> {
    let lower = name.to_lowercase();
    let tests: [&dyn Fn(&str) -> bool; 3] =
        [&|n| n == name, &|n| n.to_lowercase() == lower, &|n| n.to_lowercase().contains(&lower)];
    for test in tests {
        let mut fitting = cameras.iter().filter(|camera| test(&camera.name));
        match (fitting.next(), fitting.next()) {
            (Some(camera), None) => return Ok(&camera.path),
            (Some(a), Some(b)) => {
                return Err(format!(
                    "“{name}” may be {} or {}: give the device file",
                    a.path.display(),
                    b.path.display()
                ));
            }
            _ => {}
        }
    }
    let names: Vec<&str> = cameras.iter().map(|camera| camera.name.as_str()).collect();
    Err(match names.is_empty() {
        true => format!("no camera is there, so none is called “{name}”"),
        false => format!("no camera is called “{name}”, only {}", names.join(", ")),
    })
}

fn formats(caps: &gst::CapsRef) -> Vec<CameraFormat> {
    let mut formats: Vec<CameraFormat> = caps
        .iter()
        .map(|s| {
            let coding = match s.name().as_str() {
                "image/jpeg" => "MJPEG".to_owned(),
                "video/x-raw" => listed(s, "format"),
                other => other.trim_start_matches("video/x-").to_uppercase(),
            };
            CameraFormat {
                coding,
                size: format!("{}×{}", listed(s, "width"), listed(s, "height")),
                rates: listed(s, "framerate"),
            }
        })
        .collect();
    formats.sort();
    formats.dedup();
    formats
}

/// The values of a field as people read them.
fn listed(s: &gst::StructureRef, field: &str) -> String {
    s.value(field).map_or("any".to_owned(), |value| readable(value))
}

fn readable(value: &gst::glib::Value) -> String {
    if let Ok(n) = value.get::<i32>() {
        return n.to_string();
    }
    if let Ok(text) = value.get::<String>() {
        return text;
    }
    if let Ok(rate) = value.get::<gst::Fraction>() {
        let (n, d) = (rate.numer(), rate.denom().max(1));
        return match n % d {
            0 => (n / d).to_string(),
            _ => format!("{:.2}", f64::from(n) / f64::from(d)),
        };
    }
    if let Ok(range) = value.get::<gst::IntRange<i32>>() {
        return format!("{} to {}", range.min(), range.max());
    }
    if let Ok(range) = value.get::<gst::FractionRange>() {
        return format!("{} to {}", readable(&range.min().to_value()), readable(&range.max().to_value()));
    }
    if let Ok(list) = value.get::<gst::List>() {
        return list.iter().map(|value| readable(value)).collect::<Vec<_>>().join(", ");
    }
    "any".to_owned()
}

/// What is asked of a camera, best first: raw pictures where they come fast enough, then Motion JPEG
/// (all that USB 2 carries at larger sizes), then whatever there is.
pub(super) fn wish(size: Option<(u32, u32)>, fps: Option<u32>) -> Result<gst::Caps> {
    const USUAL: [(u32, u32); 2] = [(1280, 720), (640, 480)];
    let media = ["video/x-raw", "image/jpeg"];
    let sizes = size.map_or(USUAL.to_vec(), |size| vec![size]);
    let rate = fps.map_or("[24/1,60/1]".to_owned(), |fps| format!("{fps}/1"));
    let at_rate = sizes.iter().flat_map(|(w, h)| {
        let rate = &rate;
        media.map(|m| format!("{m},width={w},height={h},framerate={rate}"))
    });
    let any_rate = size.into_iter().flat_map(|(w, h)| media.map(|m| format!("{m},width={w},height={h}")));
    let any_size = fps.into_iter().flat_map(|fps| media.map(|m| format!("{m},framerate={fps}/1")));
    let any = [media[0], media[1], "video/x-h264"].map(str::to_owned);
    let all: Vec<String> = at_rate.chain(any_rate).chain(any_size).chain(any).collect();
    all.join(";").parse().map_err(|e: gst::glib::BoolError| {
        VideoError::usage("no camera can be asked for that size and rate", "give --size and --fps as numbers")
            .because(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(name: &str, path: &str) -> Camera {
        Camera { name: name.into(), path: path.into(), formats: Vec::new() }
    }

    #[test]
    fn formats_are_readable() {
        crate::video::init().unwrap();
        let caps: gst::Caps = "video/x-raw,format=YUY2,width=640,height=480,framerate={(fraction)30/1,(fraction)15/2};\
                               image/jpeg,width=[16,1920],height=1080,framerate=[1/1,60/1]"
            .parse()
            .unwrap();
        let shown: Vec<String> = formats(&caps).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["MJPEG 16 to 1920×1080 at 1 to 60 fps", "YUY2 640×480 at 30, 7.50 fps"]);
    }

    #[test]
    fn a_camera_is_found_by_its_name() {
        let cameras = [camera("Logitech C920", "/dev/video0"), camera("Integrated", "/dev/video2")];
        assert_eq!(of_name(&cameras, "c920").unwrap(), Path::new("/dev/video0"));
        assert_eq!(of_name(&cameras, "integrated").unwrap(), Path::new("/dev/video2"));
        assert!(of_name(&cameras, "e").unwrap_err().contains("/dev/video0 or /dev/video2"));
        assert!(of_name(&cameras, "x").unwrap_err().contains("Logitech C920"));
        assert!(of_name(&[], "x").unwrap_err().contains("no camera is there"));
    }

    #[test]
    fn a_camera_is_asked_for_what_suits_it() {
        crate::video::init().unwrap();
        let first = |able: &str, size, fps| {
            let able: gst::Caps = able.parse().unwrap();
            let wish = wish(size, fps).unwrap();
            let mut chosen = wish.intersect_with_mode(&able, gst::CapsIntersectMode::First);
            chosen.fixate();
            let s = chosen.structure(0).unwrap();
            let rate: gst::Fraction = s.get("framerate").unwrap();
            (s.name().to_string(), s.get::<i32>("width").unwrap(), s.get::<i32>("height").unwrap(), rate.numer())
        };
        // A usual webcam: raw is fast at VGA only.
        let webcam = "video/x-raw,format=YUY2,width=640,height=480,framerate=30/1;\
                      video/x-raw,format=YUY2,width=1280,height=720,framerate=10/1;\
                      image/jpeg,width=1280,height=720,framerate={(fraction)30/1,(fraction)15/1};\
                      image/jpeg,width=1920,height=1080,framerate=30/1";
        assert_eq!(first(webcam, None, None), ("image/jpeg".into(), 1280, 720, 30));
        assert_eq!(first(webcam, Some((1920, 1080)), None), ("image/jpeg".into(), 1920, 1080, 30));
        assert_eq!(first(webcam, Some((1280, 720)), Some(10)), ("video/x-raw".into(), 1280, 720, 10));
        assert_eq!(first(webcam, None, Some(15)), ("image/jpeg".into(), 1280, 720, 15));
        // Asked for what it cannot do, it gives something.
        assert_eq!(first(webcam, Some((800, 600)), Some(90)).0, "video/x-raw");
        let simple = "video/x-raw,format=YUY2,width=320,height=240,framerate=15/1";
        assert_eq!(first(simple, None, None), ("video/x-raw".into(), 320, 240, 15));
    }
}
