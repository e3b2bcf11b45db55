//! The house is in order: short documents, files of others with their papers, owned tasks, and
//! the lints' settings the same everywhere.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic as the test itself may")]

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The longest a document may be that a newcomer reads from top to bottom, in lines.
const LONGEST: &[(&str, usize)] = &[("README.md", 150), ("ARCHITECTURE.md", 199)];

/// The crates that may start tasks which nobody waits for: those that only run inside tests.
const LOOSE: &[&str] = &["takt-testkit"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn named(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn length_fault(name: &str, text: &str, most: usize) -> Option<String> {
    let lines = text.lines().count();
    let is_fault = lines == 0 || lines > most;
    is_fault.then(|| format!("`{name}` has {lines} lines: keep it between 1 and {most}"))
}

/// What is missing in the papers of a folder of somebody else's files.
fn paper_faults(name: &str, readme: &str, files: &[(String, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    let has_file = |wanted: &str| files.iter().any(|(file, _)| file == wanted);
    if !has_file("LICENSE") || !readme.contains("Licence:") {
        faults.push(format!("`{name}` has no licence: add `LICENSE`, and name it in `README.md`"));
    }
    let is_version = |word: &str| {
        let parts: Vec<&str> = word.trim_end_matches('.').split('.').collect();
        let is_number =
            |part: &&str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
        parts.len() == 3 && parts.iter().all(is_number)
    };
    if !readme.split_whitespace().any(is_version) {
        faults.push(format!("`{name}` names no version in its `README.md`, such as `10.0.0`"));
    }
    let is_paper = |file: &str| file.starts_with("LICENSE") || file == "README.md";
    for (file, sum) in files.iter().filter(|(file, _)| !is_paper(file)) {
        if !readme.contains(&format!("| {file} | {sum} |")) {
            faults.push(format!("`{name}/{file}` is not in its `README.md` with sha256 `{sum}`"));
        }
    }
    faults
}

/// Tasks that nobody waits for at the end.
fn loose_tasks(path: &str, text: &str) -> Vec<String> {
    let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let loose = own.lines().filter(|line| line.contains("tokio::spawn("));
    loose.map(|line| format!("`{path}`: `{}` has no owner: use a tracker", line.trim())).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            sources(&path, found);
        } else if named(&path).ends_with(".rs") && !path.iter().any(|it| it == "tests") {
            found.push(path);
        }
    }
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "the house is not in order:\n  {}", faults.join("\n  "));
}

#[test]
fn the_documents_to_read_first_are_short() {
    let fault = |(name, most): &(&str, usize)| {
        length_fault(name, &fs::read_to_string(root().join(name)).unwrap(), *most)
    };
    assert_none(&LONGEST.iter().filter_map(fault).collect::<Vec<_>>());
}

#[test]
fn files_of_others_come_with_licence_version_and_checksum() {
    let folders = entries(&root().join("third_party"));
    assert!(!folders.is_empty());
    for folder in folders {
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        let files = entries(&folder);
        let files = files.iter().map(|file| (named(file), sha256(&fs::read(file).unwrap())));
        assert_none(&paper_faults(&named(&folder), &readme, &files.collect::<Vec<_>>()));
    }
}

#[test]
fn every_task_has_an_owner() {
    let mut found = Vec::new();
    for folder in entries(&root().join("crates")) {
        if !LOOSE.contains(&named(&folder).as_str()) {
            sources(&folder.join("src"), &mut found);
        }
    }
    assert!(found.len() > 50, "only {} files were found: look at the folders", found.len());
    let faults = found.iter().flat_map(|path| {
        let name = named(path);
        if name == "tests.rs" {
            return Vec::new();
        }
        loose_tasks(&path.display().to_string(), &fs::read_to_string(path).unwrap())
    });
    assert_none(&faults.collect::<Vec<_>>());
}

#[test]
fn a_crate_with_lint_settings_of_its_own_repeats_those_of_the_root() {
    let shared = fs::read_to_string(root().join("clippy.toml")).unwrap();
    let mut own = 0;
    for folder in entries(&root().join("crates")) {
        let Ok(text) = fs::read_to_string(folder.join("clippy.toml")) else { continue };
        own += 1;
        for line in shared.lines() {
            assert!(text.contains(line), "{} lacks `{line}`: it stands alone", folder.display());
        }
    }
    assert!(own >= 3, "the pure crates forbid clocks, files and unordered maps");
}

#[test]
fn the_rules_find_bad_samples() {
    assert!(length_fault("a.md", &"x\n".repeat(200), 199).is_some());
    assert!(length_fault("a.md", "", 199).is_some());
    assert!(length_fault("a.md", "x\n", 199).is_none());
    let file = |name: &str, bytes: &str| (name.to_owned(), sha256(bytes.as_bytes()));
    assert_eq!(paper_faults("bad", "It is from somewhere.", &[file("a.js", "a")]).len(), 3);
    let good = format!("Version 1.2.3 of it. Licence: MIT.\n| a.js | {} |", sha256(b"a"));
    let files = [file("LICENSE", "MIT"), file("README.md", "x"), file("a.js", "a")];
    assert_eq!(paper_faults("good", &good, &files), Vec::<String>::new());
    let changed = [file("LICENSE", "MIT"), file("a.js", "b")];
    assert_eq!(paper_faults("changed", &good, &changed).len(), 1);
    assert_eq!(loose_tasks("a.rs", "    tokio::spawn(work);\n").len(), 1);
    assert_eq!(loose_tasks("a.rs", "    tracker.spawn(work);\n").len(), 0);
}
