//! A real nats-server on a free port, with a folder and a configuration of its own.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::steady_address;

/// How long it may take to be ready on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A nats-server with JetStream that is killed with -9 when it goes out of scope.
#[derive(Debug)]
pub struct Nats {
    child: Option<Child>,
    address: String,
    folder: tempfile::TempDir,
}

impl Nats {
    /// Starts one that lets everybody in, and waits until it answers.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with more in its configuration, such as accounts or TLS.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_with(extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = steady_address();
        let store = folder.path().join("jetstream");
        let sizes = "max_mem: 64MB\n  max_file: 20GB";
        let config = format!(
            "listen: \"{address}\"\nmax_payload: 4MB\njetstream {{\n  store_dir: {store:?}\n  \
             sync_interval: always\n  {sizes}\n}}\n{extra}\n"
        );
        fs::write(folder.path().join("nats.conf"), config).unwrap();
        let mut nats = Self { child: None, address, folder };
        nats.restart();
        nats
    }

    /// Starts it on its folder and its port, after a kill with -9 if it runs, and waits until it
    /// answers.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn restart(&mut self) {
        self.end();
        let said = File::options().create(true).append(true).open(self.log()).unwrap();
        let child = Command::new(server())
            .arg("--config")
            .arg(self.folder().join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "nats-server ended with {ended:?}: {}", self.said());
            assert!(Instant::now() < deadline, "nats-server is not ready: {}", self.said());
            std::thread::yield_now();
        }
    }

    /// Whether it greets who connects; JetStream is ready by then.
    fn answers(&self) -> bool {
        let Ok(socket) = TcpStream::connect(&self.address) else { return false };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = String::new();
        BufReader::new(socket).read_line(&mut greeting).is_ok() && greeting.starts_with("INFO ")
    }

    /// Kills it with -9.
    ///
    /// # Panics
    /// When it had ended before by itself.
    pub fn kill(&mut self) {
        let before = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
        assert!(before.is_none(), "nats-server ended with {before:?}: {}", self.said());
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended before, as the test meant it to.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it listens, as a client wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where it listens, without the scheme.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The id of its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The folder of its data and its configuration, `nats.conf`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> PathBuf {
        self.folder().join("nats.log")
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

/// Tries until it is answered: after a restart the client needs a moment.
///
/// # Panics
/// When it is not answered in time.
pub async fn in_the_end<T, E: std::fmt::Debug>(ask: impl AsyncFn() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline, "no answer: {error:?}"),
        }
        tokio::task::yield_now().await;
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.end();
    }
}

/// The program, which comes with the stranger's tools.
///
/// # Panics
/// When the tools cannot be fetched.
#[must_use]
pub fn server() -> PathBuf {
    crate::tools::python().with_file_name("nats-server")
}
