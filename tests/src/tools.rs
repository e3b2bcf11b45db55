//! The stranger's tools: Python with pinned packages, fetched once into the target folder.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Says something past the test harness, which would keep it for itself.
pub fn say(line: &str) {
    // Nobody listens: then nobody needs to know.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Where the tools of the tests are kept: `target/test-tools`, whatever the profile.
///
/// # Panics
/// When the folder cannot be made.
#[must_use]
pub fn folder() -> PathBuf {
    let folder = crate::binary::profile_folder().parent().unwrap().join("test-tools");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A Python that has the packages of `tests/python/requirements.txt`.
///
/// # Panics
/// When there is no Python, or the packages cannot be fetched: with the remedy.
#[must_use]
pub fn python() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = folder();
        // Tests of several processes and threads may want it at once.
        let lock = File::create(folder.join("python.lock")).unwrap();
        lock.lock().unwrap();
        let home = folder.join("python");
        let python = home.join("bin/python");
        let required = scripts().join("requirements.txt");
        let noted = home.join("requirements.txt");
        let wanted = fs::read(&required).unwrap();
        if fs::read(&noted).is_ok_and(|have| have == wanted) && python.exists() {
            return python;
        }
        make(&home, &required);
        fs::write(&noted, wanted).unwrap();
        python
    })
}

fn make(home: &Path, required: &Path) {
    say(&format!(
        "fetching the Python packages of `{}` from PyPI into `{}`, once",
        required.display(),
        home.display()
    ));
    let venv = Command::new("python3").args(["-m", "venv", "--clear"]).arg(home).output();
    let venv = venv.unwrap_or_else(|error| {
        panic!("`python3` does not start: {error}; install Python 3.10 or newer")
    });
    let said = String::from_utf8_lossy(&venv.stderr);
    assert!(venv.status.success(), "no virtual environment: {said}; install `python3-venv`");
    let pip = Command::new(home.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(required)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&pip.stderr);
    assert!(
        pip.status.success(),
        "pip could not fetch the packages: {said}; connect to the network once, or name an index \
         with `PIP_INDEX_URL`"
    );
}

/// The folder of the Python scripts.
#[must_use]
pub fn scripts() -> PathBuf {
    crate::repository().join("tests/python")
}

/// A command that runs a script of `tests/python`.
#[must_use]
pub fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(scripts().join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    // A proxy of the machine is not for a server on it.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command
}
