//! A real browser without a screen: one headless Chromium, and windows that know nothing of each other.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what a test needs fails the test by panicking"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant;

use serde_json::{Value, json};

use crate::devtools::{Devtools, PATIENCE};
use crate::tools;

/// The Debian packages that bring the browser and its fonts.
const PACKAGES: [&str; 3] = ["chromium-headless-shell", "fonts-dejavu-core", "fonts-inter"];
/// What the browser is called, here and there.
const BROWSERS: [&str; 4] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// A browser, which ends with its windows when nobody holds it any more.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    devtools: Devtools,
    _home: tempfile::TempDir,
}

impl Browser {
    /// The browser of this process; it is started, and before that installed, where it is not.
    ///
    /// # Panics
    /// When there is no browser and it cannot be installed: with the packages that bring it.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Browser>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(browser) = shared.upgrade() {
            return browser;
        }
        let browser = Arc::new(Self::start());
        *shared = Arc::downgrade(&browser);
        browser
    }

    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        // Chromium takes commands from descriptor 3 and answers on 4, and ends when they close.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program())
            // Its sandbox needs rights that a container does not give; it sees our own page only.
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run"])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let devtools = Devtools::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, devtools, _home: home }
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let answer = self.devtools.ask(None, method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Opens a window of the size of a small laptop, light, in a profile that knows nothing yet.
    ///
    /// # Panics
    /// When the browser opens none.
    #[must_use]
    pub fn window(self: &Arc<Self>) -> Window {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let profile =
            text(&self.ask("Target.createBrowserContext", &json!({}))["browserContextId"]);
        let asked = json!({ "url": "about:blank", "browserContextId": profile });
        let page = text(&self.ask("Target.createTarget", &asked)["targetId"]);
        let asked = json!({ "targetId": page, "flatten": true });
        let session = text(&self.ask("Target.attachToTarget", &asked)["sessionId"]);
        let window = Window { browser: Arc::clone(self), profile, session };
        for domain in ["Page", "Runtime", "Log"] {
            window.ask(&format!("{domain}.enable"), &json!({}));
        }
        window.ask("Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
        window.resize(1440, 900);
        window.scheme("light");
        window
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Debian's browser is a child of a script, so it is asked to end rather than killed; if it
        // does not hear, it still ends with its pipes.
        self.devtools.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One window of a browser.
#[derive(Debug)]
pub struct Window {
    browser: Arc<Browser>,
    profile: String,
    session: String,
}

impl Window {
    fn ask(&self, method: &str, params: &Value) -> Value {
        let answer = self.browser.devtools.ask(Some(&self.session), method, params);
        answer.unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// Goes to an address and waits until the page is loaded.
    ///
    /// # Panics
    /// When there is no page.
    pub fn go(&self, url: &str) {
        let answer = self.ask("Page.navigate", &json!({ "url": url }));
        assert_eq!(answer["errorText"], Value::Null, "{url}");
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The value of a JavaScript expression in the page; a promise is waited for.
    ///
    /// # Panics
    /// When it throws.
    #[must_use]
    pub fn eval(&self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|error| panic!("`{expression}`: {error}"))
    }

    fn try_eval(&self, expression: &str) -> Result<Value, Value> {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let ask =
            |params| self.browser.devtools.ask(Some(&self.session), "Runtime.evaluate", params);
        let mut answer = ask(&asked)?;
        match answer.get_mut("exceptionDetails") {
            Some(exception) => Err(exception.take()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// When it does not become true in time: with what the page showed then.
    pub fn wait(&self, expression: &str) {
        // The page itself looks again and again for a while; it may go away in the middle.
        let look = format!(
            "new Promise((resolve) => {{
               const end = Date.now() + 1000;
               const look = () => {{
                 let is = false;
                 try {{ is = ({expression}) === true; }} catch {{}}
                 if (is || Date.now() > end) resolve(is); else setTimeout(look, 5);
               }};
               look();
             }})"
        );
        let begun = Instant::now();
        while self.try_eval(&look).ok() != Some(Value::Bool(true)) {
            let shown = || self.try_eval("document.body.innerText");
            assert!(begun.elapsed() < PATIENCE, "never `{expression}`; shown: {:?}", shown());
        }
    }

    /// Presses a key, such as `Tab` or `Enter`.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => panic!("the key `{key}` has no code here"),
        };
        let mut event =
            json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            event["text"] = text.into();
        }
        self.ask("Input.dispatchKeyEvent", &event);
        event["type"] = "keyUp".into();
        self.ask("Input.dispatchKeyEvent", &event);
    }

    /// Gives the page a size in CSS pixels; a narrow one is a phone, with two pixels for each.
    pub fn resize(&self, width: u32, height: u32) {
        let is_phone = width < 600;
        let scale = if is_phone { 2 } else { 1 };
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone,
        });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Makes the page believe that its user likes it `light` or `dark`.
    pub fn scheme(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.ask("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// What the page shows, as PNG.
    ///
    /// # Panics
    /// When the browser makes no picture.
    #[must_use]
    pub fn picture(&self) -> Vec<u8> {
        let picture = self.ask("Page.captureScreenshot", &json!({ "format": "png" }));
        from_base64(picture["data"].as_str().unwrap())
    }

    /// What went wrong in the page since this was last asked for: errors on its console, and
    /// exceptions that nobody caught.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.browser.devtools.errors(&self.session)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let profile = json!({ "browserContextId": self.profile });
            self.browser.ask("Target.disposeBrowserContext", &profile);
        }
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |byte: u8| digits.iter().position(|it| *it == byte);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_usize, 0_u32);
    for six in text.bytes().filter_map(value) {
        bits = (bits << 6 | six) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

fn program() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        find().unwrap_or_else(|| {
            install();
            find().unwrap_or_else(|| panic!("no browser after the installation; {}", remedy()))
        })
    })
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let on_path = |name| folders.iter().map(|folder| folder.join(name)).find(|it| it.is_file());
    BROWSERS.iter().find_map(on_path)
}

fn remedy() -> String {
    format!(
        "the browser tests need Chromium; install it with `apt-get install \
         --no-install-recommends {}`",
        PACKAGES.join(" ")
    )
}

/// Installs the Debian packages, which only root can.
fn install() {
    // Tests of several processes may want it at once, and apt has no patience.
    let lock = File::create(tools::folder().join("browser.lock")).unwrap();
    lock.lock().unwrap();
    if find().is_some() {
        return;
    }
    let id = Command::new("id").arg("-u").output().unwrap();
    let is_root = id.stdout.trim_ascii() == b"0";
    assert!(is_root && Path::new("/usr/bin/apt-get").exists(), "{}", remedy());
    tools::say(&format!("installing the Debian packages {}, once", PACKAGES.join(" ")));
    apt(&["update", "-qq"]);
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"][..], &PACKAGES[..]].concat());
}

fn apt(args: &[&str]) {
    let ended = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "`apt-get {}`: {err}; {}", args.join(" "), remedy());
}
