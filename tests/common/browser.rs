//! A real Chromium without a window, driven over its DevTools protocol.
#![allow(dead_code)] // every user has a part of its own

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// One browser with one page. Dropping it ends it.
pub struct Browser {
    child: Child,
    page: WebSocket<TcpStream>,
    next: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser that shows an address.
    pub fn open(address: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".into()))
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let devtools = lines.find_map(|l| Some(l.split_once("listening on ws://")?.1.to_owned())).expect("it listens");
        std::thread::spawn(move || lines.for_each(drop));
        let port = devtools.split('/').next().unwrap().to_owned();
        let pages: Value = serde_json::from_str(
            &ureq::get(format!("http://{port}/json/list")).call().unwrap().body_mut().read_to_string().unwrap(),
        )
        .unwrap();
        let page = pages.as_array().unwrap().iter().find(|p| p["type"] == "page").expect("a page");
        let stream = TcpStream::connect(&port).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let url = page["webSocketDebuggerUrl"].as_str().unwrap();
        let (page, _) = tungstenite::client::client(url, stream).unwrap();
        let mut browser = Self { child, page, next: 0, _profile: profile };
        browser.size(1280, 800);
        browser.call("Page.enable", &json!({}));
        browser.go(address);
        browser
    }

    pub fn go(&mut self, address: &str) {
        self.call("Page.navigate", &json!({ "url": address }));
    }

    pub fn size(&mut self, width: u32, height: u32) {
        let mobile = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let call = json!({ "id": self.next, "method": method, "params": params });
        self.page.send(Message::text(call.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.page.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(text.as_str()).unwrap();
            if answer["id"] == self.next {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The value of an expression, promises awaited.
    pub fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, script: &str, limit: Duration) {
        let end = Instant::now() + limit;
        while self.eval(&format!("!!({script})")) != true {
            assert!(Instant::now() < end, "not within {limit:?}: {script}\n{}", self.eval("document.body.innerText"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A key, as somebody at the keyboard would press it.
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                &json!({ "type": kind, "key": key, "text": if kind == "keyDown" { key } else { "" } }),
            );
        }
    }

    /// A screenshot as PNG, in base64.
    pub fn screenshot(&mut self) -> String {
        self.call("Page.captureScreenshot", &json!({ "format": "png" }))["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
