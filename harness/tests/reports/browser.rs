//! A page in a headless browser, driven over the pipe of its remote debugging protocol.
//!
//! The protocol's pipe is the file descriptors 3 and 4. A shell hands the browser its own standard input and output as
//! these, so that no socket, no port and no further crate is needed.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Set to leave these tests out on a machine without a browser.
const NO_BROWSER: &str = "INTACT_NO_BROWSER";
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// How long the browser may be silent; only a browser that hangs comes near it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A page that is open.
pub(crate) struct Page {
    browser: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    sent: u64,
    session: Option<String>,
    said: Vec<String>,
    _folder: TempDir,
}

/// The browser; `None` where these tests are left out on purpose.
pub(crate) fn browser() -> Option<PathBuf> {
    if env::var_os(NO_BROWSER).is_some() {
        return None;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    Some(found.unwrap_or_else(|| {
        panic!("no browser found: run `INTACT_SETUP=test ci/setup`, or set {NO_BROWSER}=1")
    }))
}

impl Page {
    /// Opens the page, and waits until it says that it is ready; `None` where there is to be no browser.
    pub(crate) fn open(html: &str, fragment: &str) -> Option<Self> {
        let mut page = Self::blank(html)?;
        page.visit(fragment);
        Some(page)
    }

    /// The same, before the address is visited.
    pub(crate) fn blank(html: &str) -> Option<Self> {
        let browser = browser()?;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("report.html"), html).expect("written");
        let mut browser = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell runs");
        let (to, stdout) = (browser.stdin.take().expect("piped"), browser.stdout.take().expect("piped"));
        let (sender, from) = channel();
        thread::spawn(move || {
            for message in BufReader::new(stdout).split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).expect("the protocol is JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut page = Self { browser, to, from, sent: 0, session: None, said: Vec::new(), _folder: folder };
        let target = page.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = page.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        page.session = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Runtime.enable", "Page.enable", "Log.enable"] {
            page.call(domain, &json!({}));
        }
        page.resize(1280, 900);
        Some(page)
    }

    /// Goes to the page, at this place of it.
    pub(crate) fn visit(&mut self, fragment: &str) {
        let file = self._folder.path().join("report.html");
        let url =
            format!("file://{}{}{fragment}", file.display(), if fragment.is_empty() { "" } else { "#" });
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait("document.documentElement.dataset.ready !== undefined");
    }

    /// One command of the protocol, and its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut message = self.from.recv_timeout(PATIENCE).expect("the browser answers");
            if message["id"] == self.sent {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            if let Some("Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded") =
                message["method"].as_str()
            {
                self.said.push(message["params"].to_string());
            }
        }
    }

    /// The value of an expression in the page; promises are waited for.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", &params);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// The text that an expression gives.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        match self.eval(expression) {
            Value::String(text) => text,
            other => panic!("{expression} is {other}, and no text"),
        }
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&mut self, expression: &str) {
        let poll = format!(
            "new Promise((done) => {{ let left = 3000; const look = () => {{ let is = false; \
             try {{ is = {expression}; }} catch {{ is = false; }} \
             left -= 1; if (is || left === 0) done(Boolean(is)); else setTimeout(look, 20); }}; look(); }})"
        );
        assert_eq!(self.eval(&poll), true, "waited long for: {expression}");
    }

    /// Presses a key, with Shift or without.
    pub(crate) fn press(&mut self, key: &str) {
        let (modifiers, key) = key.strip_prefix("Shift+").map_or((0, key), |key| (8, key));
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "PageDown" => 34,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            letter => u32::from(letter.to_ascii_uppercase().as_bytes()[0]),
        };
        let mut event = json!({
            "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers
        });
        if key == "Enter" {
            event["text"] = json!("\r");
        }
        self.call("Input.dispatchKeyEvent", &event);
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// Types text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Clicks on the first element of a selector.
    pub(crate) fn click(&mut self, selector: &str) {
        self.eval(&format!("document.querySelector({}).click()", json!(selector)));
    }

    /// Gives the window another size, in CSS pixels.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &params);
    }

    /// Says that the system's colours are dark, or light.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// What was written to the console, and what went wrong in scripts.
    pub(crate) fn console(&self) -> &[String] {
        &self.said
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.to.write_all(format!("{}\0", json!({ "id": 0, "method": "Browser.close" })).as_bytes());
        // A browser that does not close in time is killed, and its child processes with their pipes.
        for _ in 0..100 {
            if matches!(self.browser.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
