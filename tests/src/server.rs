//! A real server on a free port, and the commands of a user against it.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a server may take to be ready on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is killed with -9 when it goes out of scope, as a power cut would.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// How long it took from its start to its word that it is ready.
    pub ready_in: Duration,
    data: PathBuf,
    /// What it was told beside folder and address, so that it is told the same again.
    options: Vec<String>,
    said: Arc<Mutex<String>>,
}

/// How a command of the user ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// The data, from stdout.
    pub out: String,
    /// The talk, from stderr.
    pub err: String,
}

impl Ended {
    /// What a finished process left behind.
    ///
    /// # Panics
    /// When a signal ended it, or it wrote something else than text.
    #[must_use]
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().unwrap_or_else(|| panic!("{}: {err}", output.status));
        Self { code, out, err }
    }

    /// Its JSON on stdout.
    ///
    /// # Panics
    /// When it did not end well, or there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Server {
    /// Starts a server on a folder and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start(data: &Path) -> Self {
        Self::start_on(data, "127.0.0.1:0")
    }

    /// Starts a server on a folder at an address, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_on(data: &Path, listen: &str) -> Self {
        let command = Command::new(crate::binary::takt());
        Self::start_as(command, data, listen).unwrap_or_else(|ended| panic!("{ended:?}"))
    }

    /// Starts a node on a log that a nats-server keeps, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_node(data: &Path, listen: &str, nats: &str) -> Self {
        let options = vec!["--nats".to_owned(), nats.to_owned()];
        let command = Command::new(crate::binary::takt());
        let started = Self::start_with(command, data, listen, options);
        started.unwrap_or_else(|ended| panic!("{ended:?}"))
    }

    /// Starts a server on a folder at a free port, told more, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_told(data: &Path, options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let command = Command::new(crate::binary::takt());
        let started = Self::start_with(command, data, "127.0.0.1:0", options);
        started.unwrap_or_else(|ended| panic!("{ended:?}"))
    }

    /// Starts a server by a command that ends in `takt`, such as one with less room for files.
    ///
    /// # Errors
    /// How it ended, when it did not get ready.
    ///
    /// # Panics
    /// When it neither ends nor gets ready.
    pub fn start_as(command: Command, data: &Path, listen: &str) -> Result<Self, Ended> {
        Self::start_with(command, data, listen, vec![])
    }

    fn start_with(
        mut command: Command,
        data: &Path,
        listen: &str,
        options: Vec<String>,
    ) -> Result<Self, Ended> {
        let begun = Instant::now();
        let mut child = command
            .args(["serve", "--listen", listen, "--data"])
            .arg(data)
            .args(&options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::default();
        let ready = listen_to(child.stderr.take().unwrap(), &said);
        match ready.recv_timeout(PATIENCE) {
            Ok(url) => {
                let ready_in = begun.elapsed();
                let data = data.to_path_buf();
                let server = Self { child, url, ready_in, data, options, said };
                assert_eq!(server.get("/readyz").0, 200, "{}", server.said());
                Ok(server)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let code = child.wait().unwrap().code().unwrap_or(-1);
                let err = said.lock().unwrap().clone();
                Err(Ended { code, out: String::new(), err })
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("not ready after {PATIENCE:?}: {}", said.lock().unwrap());
            }
        }
    }

    /// Kills it with -9.
    ///
    /// # Panics
    /// When it had ended before by itself.
    pub fn kill(&mut self) {
        let before = self.child.try_wait().unwrap();
        assert!(before.is_none(), "it ended by itself with {before:?}: {}", self.said());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it with -9 and starts another on the same folder at the same address.
    ///
    /// # Panics
    /// When it does not get ready again.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        let command = Command::new(crate::binary::takt());
        let options = self.options.clone();
        let started = Self::start_with(command, &self.data, &self.address(), options);
        *self = started.unwrap_or_else(|ended| panic!("{ended:?}"));
    }

    /// Asks it to stop, and gives its exit code once it has.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(mut self) -> i32 {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        self.ended()
    }

    /// Waits for its end, and gives its exit code.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn ended(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// The id of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The folder of its data.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where it listens, without the scheme.
    #[must_use]
    pub fn address(&self) -> String {
        self.url.trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    /// What it has said on stderr so far.
    ///
    /// # Panics
    /// Never, as nothing panics while it holds the text.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// A command of a user of the stream `shop`, to be run or changed first.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(crate::binary::takt());
        command.args(args).env("TAKT_SERVER", &self.url).env("TAKT_STREAM", "shop");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it does not start, or a signal ends it.
    #[must_use]
    pub fn takt(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args).output().unwrap())
    }

    /// Runs a command that must end well, and gives its stdout.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn ok(&self, args: &[&str]) -> String {
        let ended = self.takt(args);
        assert_eq!(ended.code, 0, "{args:?}: {}\nthe server said: {}", ended.err, self.said());
        ended.out
    }

    /// Runs a command that must end well, and gives its JSON.
    ///
    /// # Panics
    /// When it does not end well, or its stdout is not JSON.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["-o", "json"]].concat())).unwrap()
    }

    /// Runs a command with something on its stdin.
    ///
    /// # Panics
    /// When it does not start, or a signal ends it.
    #[must_use]
    pub fn fed(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A command that has read enough closes its end, which is no fault of the test.
            scope.spawn(move || stdin.write_all(input).ok());
            Ended::of(child.wait_with_output().unwrap())
        })
    }

    /// What it answers to a plain GET: status and body.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = self.address();
        write!(socket, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before, as the test meant it to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what the server says, and sends its address once it says that it is ready.
fn listen_to(
    stderr: impl Read + Send + 'static,
    said: &Arc<Mutex<String>>,
) -> mpsc::Receiver<String> {
    let (tell, ready) = mpsc::channel();
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let words = || line.split_whitespace();
            let url = words().find(|word| word.starts_with("http://"));
            if let Some(url) = url.filter(|_| words().any(|word| word == "ready")) {
                // The receiver is gone after the first one.
                let _ = tell.send(url.to_owned());
            }
            said.lock().unwrap().push_str(&format!("{line}\n"));
        }
    });
    ready
}

/// An address that is free now and that no outgoing connection takes: a server can come back to it
/// after a kill. (A client that calls a free port of the ephemeral range may even reach itself.)
///
/// # Panics
/// When there is none.
#[must_use]
pub fn steady_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 11_000).unwrap();
    (0..11_000)
        .map(|_| 20_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 11_000)
        .map(|port| format!("127.0.0.1:{port}"))
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap()
}
