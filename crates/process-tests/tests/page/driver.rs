//! A headless Chromium, driven through its WebDriver, chromedriver.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// A test that waits longer than this fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// How WebDriver marks a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The keys that WebDriver has characters for.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const SPACE: &str = " ";

/// A browser with one window, closed when dropped.
pub(crate) struct Browser {
    _driver: Child,
    /// The browser's own process, which outlives a driver that is killed.
    process: u64,
    http: Client,
    session: String,
}

/// Whether both programs are installed.
fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["chromium", "chromedriver"]
        .iter()
        .all(|name| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its other processes end with it.
        let kill = ["-KILL", &self.process.to_string()];
        let _ = std::process::Command::new("kill").args(kill).status();
    }
}

impl Browser {
    /// `None`, with a line on stderr, where none is installed. Downloads go to `downloads`, and the profile to a folder in it.
    pub(crate) async fn start(downloads: &Path) -> Option<Self> {
        if !installed() {
            // Not with `eprintln!`, which is captured and shown only for tests that fail.
            let mut shown = std::io::stderr();
            let reason = "no chromium and chromedriver on PATH";
            writeln!(
                shown,
                "SKIPPED: {reason}, the lab's page is not tried in a browser"
            )
            .unwrap();
            return None;
        }
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", downloads)
            .env("TMPDIR", downloads)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let http = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let base = format!("http://127.0.0.1:{port}");
        until("chromedriver listens", async || {
            http.get(format!("{base}/status")).send().await.is_ok()
        })
        .await;
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": {
                // A container has neither a sandbox for root nor much of /dev/shm.
                "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                    "--no-first-run", "--disable-background-networking", "--no-proxy-server"],
            },
        } } });
        let answer = http.post(format!("{base}/session")).json(&capabilities);
        let answer: Value = answer.send().await.unwrap().json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str();
        let id = id.unwrap_or_else(|| panic!("no session: {answer}"));
        let process = &answer["value"]["capabilities"]["goog:processID"];
        let browser = Self {
            _driver: driver,
            process: process.as_u64().unwrap(),
            session: format!("{base}/session/{id}"),
            http,
        };
        let save = json!({ "behavior": "allow", "downloadPath": downloads });
        browser.devtools("Browser.setDownloadBehavior", save).await;
        Some(browser)
    }

    async fn command(&self, path: &str, body: Value) -> Result<Value, String> {
        let answer = self
            .http
            .post(format!("{}/{path}", self.session))
            .json(&body);
        let mut answer: Value = answer.send().await.unwrap().json().await.unwrap();
        match answer["value"]["error"].as_str() {
            Some(error) => Err(format!("{path}: {error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].take()),
        }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.command("url", json!({ "url": url })).await.unwrap();
    }

    /// What a JavaScript function of this body returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let script = json!({ "script": script, "args": [] });
        self.command("execute/sync", script).await.unwrap()
    }

    /// A command of Chromium's own protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let command = json!({ "cmd": command, "params": parameters });
        self.command("goog/cdp/execute", command).await.unwrap()
    }

    /// Waits until JavaScript finds this expression true.
    pub(crate) async fn sees(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        until(expression, async || self.run(&script).await == true).await;
    }

    /// Waits until this text is on the page.
    pub(crate) async fn reads(&self, text: &str) {
        self.sees(&format!(
            "document.body.innerText.includes({})",
            json!(text)
        ))
        .await;
    }

    async fn element(&self, xpath: &str) -> String {
        let found = json!({ "using": "xpath", "value": xpath });
        let mut id = None;
        until(xpath, async || {
            id = self.command("element", found.clone()).await.ok();
            id.is_some()
        })
        .await;
        id.unwrap()[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks an element once it has stopped moving: the page updates itself, and a click on a moving element misses.
    pub(crate) async fn click(&self, xpath: &str) {
        let place = format!(
            "const found = document.evaluate({}, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null);
             const box = found.singleNodeValue?.getBoundingClientRect();
             return box && [box.x + scrollX, box.y + scrollY]",
            json!(xpath)
        );
        let mut stood = Value::Null;
        until(xpath, async || {
            let stands = self.run(&place).await;
            let stands_still = !stands.is_null() && stands == stood;
            stood = stands;
            stands_still
        })
        .await;
        let id = self.element(xpath).await;
        let clicked = self
            .command(&format!("element/{id}/click"), json!({}))
            .await;
        clicked.unwrap();
    }

    /// The control with this label, as a screen reader finds it.
    fn labelled(label: &str) -> String {
        format!("//*[@id=//label[normalize-space()='{label}']/@for]")
    }

    pub(crate) async fn fill(&self, label: &str, text: &str) {
        let id = self.element(&Self::labelled(label)).await;
        let cleared = self
            .command(&format!("element/{id}/clear"), json!({}))
            .await;
        cleared.unwrap();
        let typed = json!({ "text": text });
        let typed = self.command(&format!("element/{id}/value"), typed).await;
        typed.unwrap();
    }

    pub(crate) async fn choose(&self, label: &str, option: &str) {
        let option = format!(
            "{}/option[starts-with(.,'{option}')]",
            Self::labelled(label)
        );
        self.click(&option).await;
    }

    pub(crate) async fn toggle(&self, label: &str) {
        self.click(&Self::labelled(label)).await;
    }

    /// Presses keys one after another, at the current focus.
    pub(crate) async fn press(&self, keys: &str) {
        let presses = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let actions = json!({ "actions": [
            { "type": "key", "id": "keyboard", "actions": presses.collect::<Vec<_>>() },
        ] });
        self.command("actions", actions).await.unwrap();
    }

    pub(crate) async fn width(&self, width: u32, height: u32) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
    }

    pub(crate) async fn scheme(&self, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Keeps a picture of the whole page in `target/tmp/page`, for people to look at.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&folder).unwrap();
        let options = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", options).await;
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().unwrap());
        let bytes = bytes.unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What was logged since the last time: `browser` for the console, `performance` for requests.
    pub(crate) async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.command("se/log", json!({ "type": kind })).await;
        log.unwrap().as_array().unwrap().clone()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Asks until the condition holds: a browser does not notify its driver when the page changes.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let held = tokio::time::timeout(PATIENCE, asking).await;
    assert!(held.is_ok(), "timed out waiting until {what}");
}
