//! The binary `takt` and the examples beside the test executable, made sure to be fresh.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Where cargo puts what it builds for the profile of this test.
///
/// # Panics
/// When the test does not run from a target folder.
#[must_use]
pub fn profile_folder() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let deps = executable.parent().unwrap();
    let folder = if deps.ends_with("deps") { deps.parent().unwrap() } else { deps };
    folder.to_path_buf()
}

/// The binary `takt`, built of the sources as they are.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn takt() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("takt", &["-p", "takt-cli", "--bin", "takt"]))
}

/// One of the Rust examples of the documents.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    built(&format!("examples/{name}"), &["-p", "takt-tests", "--example", name])
}

fn built(path: &str, what: &[&str]) -> PathBuf {
    let folder = profile_folder();
    let binary = folder.join(path);
    if !is_fresh(&binary) {
        build(&folder, what);
    }
    assert!(binary.exists(), "cargo built no `{}`", binary.display());
    binary
}

/// Whether it is newer than every source that cargo noted beside it. This spares a second build of
/// the dependencies: cargo alone would build them anew with the features that only they ask for.
fn is_fresh(binary: &Path) -> bool {
    let Ok(noted) = std::fs::read_to_string(binary.with_extension("d")) else { return false };
    let Some(built) = modified(binary) else { return false };
    let Some((_, sources)) = noted.split_once(": ") else { return false };
    let sources = sources.split_whitespace().map(Path::new);
    let lock = crate::repository().join("Cargo.lock");
    sources.chain([lock.as_path()]).all(|source| modified(source).is_some_and(|at| at <= built))
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).ok()?.modified().ok()
}

fn build(folder: &Path, what: &[&str]) {
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(crate::repository())
        .arg("build")
        .args(what)
        .args(["--profile", profile, "--target-dir"])
        .arg(folder.parent().unwrap())
        .status()
        .unwrap_or_else(|error| panic!("cargo does not start: {error}; install it with rustup"));
    assert!(status.success(), "`cargo build {}` failed: see above", what.join(" "));
}
