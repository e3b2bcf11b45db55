//! A docker engine for the stack: the one that is there, or one of the test's own.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::tools::{self, say};

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The Debian package that brings engine and client.
const PACKAGE: &str = "docker.io";

/// An engine; one that the test has started ends with it.
#[derive(Debug)]
pub struct Engine {
    /// The process and the folder, of an own one.
    own: Option<(Child, tempfile::TempDir)>,
    socket: Option<String>,
}

impl Engine {
    /// An engine, if this machine has one or can start one; why not is said aloud.
    ///
    /// # Panics
    /// When one is there to be started and does not start.
    #[must_use]
    pub fn find() -> Option<Self> {
        let given = Self { own: None, socket: None };
        if given.answers() {
            return Some(given);
        }
        if !is_root() {
            say(
                "SKIPPED: no dockerd answers, and only root could start one: the stack was not run",
            );
            return None;
        }
        if which("dockerd").is_none() && std::env::var_os("CI").is_some() {
            say(&format!("installing the Debian package {PACKAGE}, once"));
            install();
        }
        let Some(program) = which("dockerd") else {
            say(&format!(
                "SKIPPED: there is no dockerd: the stack was not run; `apt-get install {PACKAGE}`"
            ));
            return None;
        };
        Self::start(&program)
    }

    fn start(program: &Path) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name).display().to_string();
        let socket = format!("unix://{}", at("docker.sock"));
        let log = std::fs::File::create(at("log")).unwrap();
        let child = Command::new(program)
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "-H", &socket])
            .args(["--pidfile", &at("pid")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut engine = Self { own: Some((child, home)), socket: Some(socket) };
        let begun = Instant::now();
        while !engine.answers() {
            let (child, home) = engine.own.as_mut()?;
            if child.try_wait().unwrap().is_some() {
                let said = std::fs::read_to_string(home.path().join("log")).unwrap();
                let last = said.lines().last().unwrap_or_default();
                say(&format!("SKIPPED: dockerd cannot start here: {last}; the stack was not run"));
                return None;
            }
            assert!(begun.elapsed() < PATIENCE, "dockerd does not answer after {PATIENCE:?}");
            std::thread::yield_now();
        }
        Some(engine)
    }

    fn answers(&self) -> bool {
        // The client ends well even when there is no engine, but knows no version of it then.
        let asked = self.docker(&["version", "--format", "{{.Server.Version}}"]).output();
        asked.is_ok_and(|told| told.status.success() && !told.stdout.trim_ascii().is_empty())
    }

    /// A command that talks to this engine.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        if let Some(socket) = &self.socket {
            command.env("DOCKER_HOST", socket);
        }
        command
    }

    /// A command of the client.
    #[must_use]
    pub fn docker(&self, args: &[&str]) -> Command {
        let mut command = self.command("docker");
        command.args(args);
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some((child, _home)) = &mut self.own else { return };
        // It ends its containers and unmounts their layers, so that the folder can go.
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let _ = child.wait();
    }
}

/// What a command that must end well has said on stdout.
///
/// # Panics
/// When it does not end well.
pub fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {said}");
    String::from_utf8(stdout).unwrap()
}

/// The program `busybox` that needs no library, from Debian's package.
///
/// # Panics
/// When it cannot be fetched.
#[must_use]
pub fn busybox() -> PathBuf {
    let home = tools::folder().join("busybox");
    let program = home.join("bin/busybox");
    let lock = std::fs::File::create(tools::folder().join("busybox.lock")).unwrap();
    lock.lock().unwrap();
    if !program.exists() {
        std::fs::create_dir_all(&home).unwrap();
        say("fetching the Debian package busybox-static, once");
        let fetch = "apt-get -qq update && apt-get -qq -oAPT::Sandbox::User=root download \
                     busybox-static && dpkg-deb -x busybox-static_*.deb .";
        done(Command::new("sh").args(["-ec", fetch]).current_dir(&home));
    }
    program
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|it| it.is_file())
}

fn install() {
    let install =
        format!("apt-get -qq update && apt-get install -y -qq --no-install-recommends {PACKAGE}");
    let mut command = Command::new("sh");
    command.args(["-ec", &install]).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let ended = command.output().unwrap();
    if !ended.status.success() {
        say(&format!("`{install}`: {}", String::from_utf8_lossy(&ended.stderr)));
    }
}
