//! Node with the packages of the JavaScript examples, fetched once into the target folder.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::tools::{self, say};

/// The Debian packages that bring it.
const PACKAGES: &str = "nodejs npm";

/// The folder of the JavaScript examples.
fn examples() -> PathBuf {
    crate::repository().join("docs/examples/javascript")
}

/// A command that runs one of the JavaScript examples.
///
/// # Panics
/// When Node or the packages cannot be fetched: with the remedy.
#[must_use]
pub fn example(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(home().join(name));
    command
}

/// A folder with the examples beside their packages, which is where Node looks for them.
fn home() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let home = tools::folder().join("javascript");
        fs::create_dir_all(&home).unwrap();
        let lock = File::create(tools::folder().join("javascript.lock")).unwrap();
        lock.lock().unwrap();
        let wanted = fs::read(examples().join("package-lock.json")).unwrap();
        let noted = home.join("node_modules/.fetched");
        let is_there = fs::read(&noted).is_ok_and(|have| have == wanted);
        for entry in fs::read_dir(examples()).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                fs::copy(&file, home.join(file.file_name().unwrap())).unwrap();
            }
        }
        if !is_there {
            node();
            say(&format!("fetching the packages of npm into `{}`, once", home.display()));
            shell("npm ci --silent --no-audit --no-fund", &home);
            fs::write(&noted, wanted).unwrap();
        }
        home
    })
}

/// Makes sure that there is a Node that knows `fetch`, and npm.
fn node() {
    let remedy = format!("install Node 18 or newer with npm: `apt-get install {PACKAGES}`");
    let is_there = || {
        let version = Command::new("node").arg("--version").output().ok();
        let version = version.and_then(|told| String::from_utf8(told.stdout).ok());
        let major =
            version.and_then(|it| it.trim().strip_prefix('v')?.split('.').next()?.parse().ok());
        let npm = Command::new("npm").arg("--version").output();
        major.is_some_and(|it: u32| it >= 18) && npm.is_ok_and(|told| told.status.success())
    };
    if is_there() {
        return;
    }
    let id = Command::new("id").arg("-u").output().unwrap();
    let is_root = id.stdout.trim_ascii() == b"0";
    assert!(is_root && Path::new("/usr/bin/apt-get").exists(), "{remedy}");
    say(&format!("installing the Debian packages {PACKAGES}, once"));
    let install =
        format!("apt-get update -qq && apt-get install -y -qq --no-install-recommends {PACKAGES}");
    shell(&install, Path::new("/"));
    assert!(is_there(), "{remedy}");
}

fn shell(script: &str, folder: &Path) {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(folder).env("DEBIAN_FRONTEND", "noninteractive");
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "`{script}`: {said}; connect to the network once");
}
