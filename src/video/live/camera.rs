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

/// Pictures that follow each other so fast are fluent, and no faster ones are asked for unless somebody wants them.
const FLUENT: i32 = 24;
const USUAL_RATE: i32 = 30;

/// The sizes that are asked for where nobody says, best first.
const USUAL_SIZES: [(u32, u32); 2] = [(1280, 720), (640, 480)];

/// What is asked of a camera, best first: raw pictures where they come fast enough, then Motion JPEG
/// (all that USB 2 carries at larger sizes), then whatever there is. Of one tier, the fluent comes first.
fn tiers(size: Option<(u32, u32)>, fps: Option<u32>) -> Vec<Vec<String>> {
    let media = ["video/x-raw", "image/jpeg"];
    let sizes = size.map_or(USUAL_SIZES.to_vec(), |size| vec![size]);
    let rate = fps.map_or(format!("[{FLUENT}/1,{}/1]", i32::MAX), |fps| format!("{fps}/1"));
    let at_rate = sizes.iter().map(|(w, h)| {
        let rate = &rate;
        media.map(|m| format!("{m},width={w},height={h},framerate={rate}")).to_vec()
    });
    let any_rate = size.into_iter().map(|(w, h)| media.map(|m| format!("{m},width={w},height={h}")).to_vec());
    let any_size = fps.into_iter().map(|fps| media.map(|m| format!("{m},framerate={fps}/1")).to_vec());
    let any = [[media[0], media[1], "video/x-h264"].map(str::to_owned).to_vec()];
    at_rate.chain(any_rate).chain(any_size).chain(any).collect()
}

/// What is asked of a camera that does not say what it can do.
///
/// # Errors
/// For sizes and rates that are none.
pub(super) fn wish(size: Option<(u32, u32)>, fps: Option<u32>) -> Result<gst::Caps> {
    caps(&tiers(size, fps).concat())
}

/// What to ask a camera for that is `able` to do this, best first, each with one size and one rate. None where it does
/// not say what it can do.
///
/// # Errors
/// As [`wish`].
pub(super) fn choices(able: &gst::Caps, size: Option<(u32, u32)>, fps: Option<u32>) -> Result<Vec<gst::Caps>> {
    let mut choices: Vec<gst::Caps> = Vec::new();
    if able.is_any() {
        return Ok(choices);
    }
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let (width, height) = size.unwrap_or(USUAL_SIZES[0]);
    let (width, height, fps_wished) = (number(width), number(height), fps.map(number));
    let rate = gst::Fraction::new(fps_wished.unwrap_or(USUAL_RATE), 1);
    for tier in tiers(size, fps) {
        let mut found = Vec::new();
        for s in caps(&tier)?.intersect_with_mode(able, gst::CapsIntersectMode::First).iter() {
            let mut s = s.to_owned();
            s.fixate_field_nearest_int("width", width);
            s.fixate_field_nearest_int("height", height);
            s.fixate_field_nearest_fraction("framerate", rate);
            s.fixate_field("format");
            // Whatever else it says of itself is for the camera to choose.
            let others = s.fields().filter(|name| !CHOSEN.contains(&name.as_str())).map(ToString::to_string);
            let others: Vec<String> = others.collect();
            s.remove_fields(others);
            let is = s.get::<gst::Fraction>("framerate").map_or(0.0, |r| f64::from(r.numer()) / f64::from(r.denom()));
            let slow = fps_wished.map_or(-is.min(f64::from(FLUENT)), |wished| (is - f64::from(wished)).abs());
            let [w, h] = ["width", "height"].map(|side| i64::from(s.get::<i32>(side).unwrap_or_default()));
            let other_size = (w * h - i64::from(width) * i64::from(height)).abs();
            found.push((slow, other_size, gst::Caps::from(s)));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (.., caps) in found {
            if !choices.contains(&caps) {
                choices.push(caps);
            }
        }
    }
    Ok(choices)
}

/// What of a format is chosen here.
const CHOSEN: [&str; 4] = ["format", "width", "height", "framerate"];

fn caps(structures: &[String]) -> Result<gst::Caps> {
    structures.join(";").parse().map_err(|e: gst::glib::BoolError| {
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
        let all = |able: &str, size, fps| -> Vec<(String, i32, i32, i32)> {
            let shown = |caps: gst::Caps| {
                assert!(caps.is_fixed(), "{caps}");
                let s = caps.structure(0).unwrap().to_owned();
                let rate: gst::Fraction = s.get("framerate").unwrap();
                let [w, h] = ["width", "height"].map(|name| s.get::<i32>(name).unwrap());
                (s.name().to_string(), w, h, rate.numer() / rate.denom())
            };
            choices(&able.parse().unwrap(), size, fps).unwrap().into_iter().map(shown).collect()
        };
        let first = |able: &str, size, fps| all(able, size, fps).remove(0);
        // A usual webcam: raw is fast at VGA only.
        let webcam = "video/x-raw,format=YUY2,width=640,height=480,framerate=30/1;\
                      video/x-raw,format=YUY2,width=1280,height=720,framerate=10/1;\
                      image/jpeg,width=1280,height=720,framerate={(fraction)30/1,(fraction)15/1};\
                      image/jpeg,width=1920,height=1080,framerate=30/1";
        let h264 = "video/x-h264".to_owned();
        let (raw, jpeg) = ("video/x-raw".to_owned(), "image/jpeg".to_owned());
        assert_eq!(first(webcam, None, None), (jpeg.clone(), 1280, 720, 30));
        assert_eq!(first(webcam, Some((1920, 1080)), None), (jpeg.clone(), 1920, 1080, 30));
        assert_eq!(first(webcam, Some((1280, 720)), Some(10)), (raw.clone(), 1280, 720, 10));
        assert_eq!(first(webcam, None, Some(15)), (jpeg.clone(), 1280, 720, 15));
        // Asked for what it cannot do, it gives what comes nearest.
        assert_eq!(first(webcam, Some((800, 600)), Some(90)), (raw.clone(), 640, 480, 30));
        let simple = "video/x-raw,format=YUY2,width=320,height=240,framerate=15/1";
        assert_eq!(first(simple, None, None), (raw.clone(), 320, 240, 15));
        // Without Motion JPEG the smaller size is the fluent one, and what fails there is followed by all the rest.
        let plain = "video/x-raw,format={YUY2,NV12},width=1280,height=720,framerate={(fraction)10/1,(fraction)5/1};\
                     video/x-raw,format={YUY2,NV12},width=640,height=480,framerate={(fraction)30/1,(fraction)15/1}";
        let both = [(raw.clone(), 640, 480, 30), (raw.clone(), 1280, 720, 10)];
        assert_eq!(all(plain, None, None), both);
        assert_eq!(first(plain, Some((1280, 720)), None), (raw.clone(), 1280, 720, 10));
        assert_eq!(first(plain, None, Some(15)), (raw.clone(), 640, 480, 15));
        // Neither size fluently: the fastest there is, and not faster than anybody looks.
        let slow = "video/x-raw,format=YUY2,width=1280,height=720,framerate=5/1;\
                    image/jpeg,width=1920,height=1080,framerate=15/1;\
                    video/x-h264,width=1920,height=1080,framerate=30/1";
        assert_eq!(first(slow, None, None), (h264, 1920, 1080, 30));
        let free = "image/jpeg,width=[16,4096],height=[16,2160],framerate=[1/1,120/1]";
        assert_eq!(first(free, None, None), (jpeg, 1280, 720, 30));
        assert!(all("ANY", None, None).is_empty() && all("EMPTY", None, None).is_empty());
    }
}
