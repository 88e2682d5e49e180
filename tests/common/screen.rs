//! A screen without a display (Xvfb), and a look at it from outside: windows, screenshots, keys.
//!
//! Test files take it in with `#[path = "common/screen.rs"] mod screen;`. `GRADCAST_PICTURES=FOLDER` keeps the
//! screenshots.
#![allow(dead_code)] // every test file uses its own part

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::*;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// A screen of its own.
pub struct Screen {
    server: Child,
    pub name: String,
}

impl Screen {
    pub fn new() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1600x1000x24", "-noreset", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is installed");
        // It tells its number once it listens.
        let mut said = Vec::new();
        let mut out = server.stdout.take().unwrap();
        while !said.ends_with(b"\n") {
            let mut byte = [0];
            out.read_exact(&mut byte).expect("Xvfb finds a free display");
            said.extend(byte);
        }
        let name = format!(":{}", String::from_utf8(said).unwrap().trim());
        Self { server, name }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The test's own view of the display.
pub struct Viewer {
    pub x: RustConnection,
    root: u32,
}

impl Viewer {
    /// On the display of this process.
    pub fn new() -> Self {
        Self::connect(None)
    }

    /// On another display.
    pub fn on(screen: &Screen) -> Self {
        Self::connect(Some(&screen.name))
    }

    fn connect(display: Option<&str>) -> Self {
        let (x, screen) = x11rb::connect(display).unwrap();
        let root = x.setup().roots[screen].root;
        Self { x, root }
    }

    /// The pointer goes over a window, which then gets the keys.
    pub fn point_at(&self, window: u32) {
        self.x.warp_pointer(x11rb::NONE, window, 0, 0, 0, 0, 40, 40).unwrap().check().unwrap();
    }

    /// The windows that can be seen.
    pub fn windows(&self) -> Vec<u32> {
        let children = self.x.query_tree(self.root).unwrap().reply().unwrap().children;
        let seen = |w: &u32| {
            self.x
                .get_window_attributes(*w)
                .unwrap()
                .reply()
                .is_ok_and(|attributes| attributes.map_state == MapState::VIEWABLE)
        };
        children.into_iter().filter(seen).collect()
    }

    pub fn title(&self, window: u32) -> String {
        let title =
            self.x.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 256).unwrap().reply().unwrap();
        String::from_utf8_lossy(&title.value).into_owned()
    }

    pub fn size(&self, window: u32) -> (usize, usize) {
        let at = self.x.get_geometry(window).unwrap().reply().unwrap();
        (at.width.into(), at.height.into())
    }

    /// What is seen in a part of the screen, from its upper left corner on: packed RGB.
    pub fn look(&self, (x, y): (usize, usize), (width, height): (usize, usize)) -> Vec<u8> {
        let (x, y, width, height) = (x as i16, y as i16, width as u16, height as u16);
        let image =
            self.x.get_image(ImageFormat::Z_PIXMAP, self.root, x, y, width, height, !0).unwrap().reply().unwrap();
        image.data.chunks_exact(4).flat_map(|bgrx| [bgrx[2], bgrx[1], bgrx[0]]).collect()
    }

    /// What is seen at the upper left of the screen: packed RGB.
    pub fn shot(&self, (width, height): (usize, usize), name: &str) -> Vec<u8> {
        let rgb = self.look((0, 0), (width, height));
        if let Some(folder) = std::env::var_os("GRADCAST_PICTURES") {
            let file = std::fs::File::create(Path::new(&folder).join(format!("window-{name}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, width as u32, height as u32);
            encoder.set_color(png::ColorType::Rgb);
            encoder.write_header().unwrap().write_image_data(&rgb).unwrap();
        }
        rgb
    }

    /// The key that writes `sym` without Shift.
    pub fn code(&self, sym: u32) -> u8 {
        let setup = self.x.setup();
        let (least, most) = (setup.min_keycode, setup.max_keycode);
        let map = self.x.get_keyboard_mapping(least, most - least + 1).unwrap().reply().unwrap();
        let per_key = usize::from(map.keysyms_per_keycode);
        let place = map.keysyms.chunks(per_key).position(|syms| syms[0] == sym).expect("the keyboard has the key");
        least + place as u8
    }

    pub fn press(&self, syms: &[u32]) {
        let send = |kind, sym: &u32| {
            self.x.xtest_fake_input(kind, self.code(*sym), 0, self.root, 0, 0, 0).unwrap().check().unwrap();
        };
        syms.iter().for_each(|sym| send(KEY_PRESS_EVENT, sym));
        syms.iter().rev().for_each(|sym| send(KEY_RELEASE_EVENT, sym));
    }

    /// What a window manager sends when the cross is clicked.
    pub fn close(&self, window: u32) {
        let atom = |name: &str| self.x.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
        let data = [atom("WM_DELETE_WINDOW"), 0, 0, 0, 0];
        let event = ClientMessageEvent::new(32, window, atom("WM_PROTOCOLS"), data);
        self.x.send_event(false, window, EventMask::NO_EVENT, event).unwrap().check().unwrap();
    }
}
