//! Two cameras that paint the time into what they see: one that hands over raw pictures, as a webcam does, and one that
//! sends H.264 by RTSP. The pictures are the built-in clip's, 1280×720 at 30 a second.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gradcast::video::live::{Address, LiveOptions};
use gradcast::video::{Description, FileSource, SourceOptions};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as server;
use gstreamer_rtsp_server::prelude::*;

use super::code::Stamp;

const SIZE: (usize, usize) = (1280, 720);
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);
const CAPS: &str = "video/x-raw,format=I420,width=1280,height=720,framerate=30/1";
/// Pictures that it shows over and over: two seconds.
const PICTURES: usize = 60;
const ENTRY: &str =
    "appsrc name=camera is-live=true do-timestamp=true format=time block=false max-buffers=2 leaky-type=downstream";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Webcam,
    Rtsp,
}

/// A camera at work. Dropping it ends it.
pub struct Camera {
    kind: Kind,
    folder: tempfile::TempDir,
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// What sends the pictures.
    _server: Option<(server::RTSPServer, gst::glib::SourceId)>,
    pipeline: Option<gst::Pipeline>,
}

type Entries = Arc<Mutex<Vec<gst_app::AppSrc>>>;

impl Camera {
    pub fn start(kind: Kind, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let entries = Entries::default();
        let (mut _server, mut pipeline) = (None, None);
        match kind {
            Kind::Webcam => {
                let sink = socket(folder.path());
                let text = format!(
                    "{ENTRY} ! shmsink socket-path=\"{sink}\" shm-size=134217728 sync=false wait-for-connection=false"
                );
                let shared = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
                enter(&shared.clone().upcast(), &entries);
                shared.set_state(gst::State::Playing).unwrap();
                pipeline = Some(shared);
            }
            Kind::Rtsp => _server = Some(serve(port, &entries)),
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, pictures) = (Arc::clone(&stop), pictures());
        let thread = std::thread::spawn(move || film(&pictures, &entries, &stopped));
        Self { kind, folder, port, stop, thread: Some(thread), _server, pipeline }
    }

    /// What `gradcast live` calls it.
    pub fn address(&self) -> String {
        match self.kind {
            Kind::Webcam => "/dev/video0".into(),
            Kind::Rtsp => format!("rtsp://127.0.0.1:{}/camera", self.port),
        }
    }

    /// A file for `--pipeline`: this computer's webcam is the one here.
    pub fn description(&self) -> std::path::PathBuf {
        self.description_with("")
    }

    /// The same with more in it.
    pub fn description_with(&self, more: &str) -> std::path::PathBuf {
        let path = self.folder.path().join("camera.toml");
        let socket = socket(self.folder.path());
        let camera = format!("shmsrc name=input socket-path={socket} is-live=true do-timestamp=true ! {CAPS}");
        std::fs::write(&path, format!("[live.source]\ncamera = '{camera}'\n{more}")).unwrap();
        path
    }

    /// How a client in this process reads it.
    pub fn read(&self) -> (Address, LiveOptions) {
        let description = Description::load(&self.description()).unwrap();
        (self.address().parse().unwrap(), LiveOptions { description, ..LiveOptions::new().unwrap() })
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
        if let Some(pipeline) = &self.pipeline {
            let _ = pipeline.set_state(gst::State::Null);
        }
        if let Some((_, attached)) = self._server.take() {
            attached.remove();
        }
    }
}

fn socket(folder: &Path) -> String {
    folder.join("webcam").display().to_string()
}

fn enter(bin: &gst::Element, entries: &Entries) {
    let entry = bin.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("camera")).unwrap();
    let entry = entry.downcast::<gst_app::AppSrc>().unwrap();
    entry.set_caps(Some(&CAPS.parse().unwrap()));
    entries.lock().unwrap().push(entry);
}

fn serve(port: u16, entries: &Entries) -> (server::RTSPServer, gst::glib::SourceId) {
    let rtsp = server::RTSPServer::new();
    rtsp.set_address("127.0.0.1");
    rtsp.set_service(&port.to_string());
    let factory = server::RTSPMediaFactory::new();
    factory.set_launch(&format!(
        "( {ENTRY} ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=4000 key-int-max=30 ! h264parse ! \
         rtph264pay name=pay0 pt=96 config-interval=-1 aggregate-mode=zero-latency )"
    ));
    factory.set_shared(true);
    let entries = Arc::clone(entries);
    factory.connect_media_configure(move |_, media| enter(&media.element(), &entries));
    rtsp.mount_points().unwrap().add_factory("/camera", factory);
    let attached = rtsp.attach(None).expect("the port is free");
    (rtsp, attached)
}

/// The luma and chroma of the clip's first pictures.
fn pictures() -> Vec<Vec<u8>> {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shapes.mp4");
    let options = SourceOptions { copy_tracks: false, ..SourceOptions::new().unwrap() };
    let mut source = FileSource::open(&clip, &options).unwrap();
    source.start().unwrap();
    let mut pictures = Vec::new();
    while let Some(frame) = source.next().unwrap().filter(|_| pictures.len() < PICTURES) {
        let read = frame.read().unwrap();
        let mut picture = Vec::with_capacity(SIZE.0 * SIZE.1 * 3 / 2);
        for plane in 0..3 {
            let (width, height) = read.format().plane_size(plane);
            let plane = read.plane(plane);
            plane.data.chunks(plane.stride).take(height).for_each(|row| picture.extend_from_slice(&row[..width]));
        }
        pictures.push(picture);
    }
    pictures
}

/// A picture every thirtieth of a second, with the moment at which it was taken.
fn film(pictures: &[Vec<u8>], entries: &Entries, stop: &AtomicBool) {
    let mut due = Instant::now();
    for picture in pictures.iter().cycle() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += FRAME;
        if stop.load(SeqCst) {
            return;
        }
        let mut picture = picture.clone();
        Stamp::now().write(&mut picture[..SIZE.0 * SIZE.1], SIZE.0, SIZE.1);
        let buffer = gst::Buffer::from_mut_slice(picture);
        // One that nobody watches yet, or any more, takes none.
        for entry in entries.lock().unwrap().iter() {
            let _ = entry.push_buffer(buffer.clone());
        }
    }
}
