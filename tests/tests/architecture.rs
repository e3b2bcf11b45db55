//! The architecture holds: arrows point inward, outside crates have keepers, files stay short.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may panic as the test itself may"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

const LONGEST_FILE: usize = 500;

/// Each crate, the crates of ours it may use, and those its tests may use besides.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    ("takt-domain", &[], &["takt-testkit"]),
    ("takt-events", &["takt-domain"], &["takt-testkit"]),
    ("takt-projections", &["takt-domain"], &["takt-testkit"]),
    ("takt-ports", &["takt-domain", "takt-events"], &["takt-testkit"]),
    (
        "takt-engine",
        &["takt-domain", "takt-events", "takt-projections", "takt-ports"],
        &["takt-testkit", "takt-embedded", "takt-store"],
    ),
    ("takt-embedded", &["takt-domain", "takt-events", "takt-ports"], &["takt-testkit"]),
    ("takt-nats", &["takt-domain", "takt-events", "takt-ports"], &["takt-testkit"]),
    ("takt-drivers", &["takt-domain", "takt-ports"], &["takt-testkit"]),
    ("takt-store", &["takt-ports"], &["takt-testkit"]),
    ("takt-intake", &["takt-domain", "takt-events", "takt-ports"], &["takt-testkit"]),
    ("takt-proto", &["takt-domain", "takt-events", "takt-projections"], &["takt-testkit"]),
    (
        "takt-server",
        &[
            "takt-domain",
            "takt-events",
            "takt-projections",
            "takt-ports",
            "takt-engine",
            "takt-embedded",
            "takt-nats",
            "takt-store",
            "takt-intake",
            "takt-drivers",
            "takt-proto",
        ],
        &["takt-testkit"],
    ),
    (
        "takt-bench",
        &[
            "takt-domain",
            "takt-events",
            "takt-projections",
            "takt-ports",
            "takt-engine",
            "takt-embedded",
            "takt-nats",
            "takt-store",
            "takt-intake",
            "takt-proto",
            "takt-server",
        ],
        &["takt-testkit"],
    ),
    (
        "takt-cli",
        &["takt-proto", "takt-server", "takt-intake", "takt-nats", "takt-bench"],
        &["takt-testkit"],
    ),
    ("takt-testkit", &["takt-domain", "takt-events", "takt-ports"], &[]),
    (
        "takt-tests",
        &[],
        &["takt-domain", "takt-events", "takt-nats", "takt-ports", "takt-server", "takt-testkit"],
    ),
];

/// Each kept outside crate and the crates that alone may name it.
const KEEPERS: &[(&str, &[&str])] = &[
    ("sled", &["takt-store", "takt-bench"]),
    ("postcard", &["takt-projections"]),
    ("prost", &["takt-proto"]),
    ("prost-types", &["takt-proto"]),
    ("protox", &["takt-proto"]),
    ("tonic-prost", &["takt-proto"]),
    ("tonic-prost-build", &["takt-proto"]),
    ("tonic", &["takt-proto", "takt-server", "takt-bench", "takt-cli"]),
    ("axum", &["takt-server"]),
    ("maud", &["takt-server"]),
    ("http-body", &["takt-server"]),
    ("hyper-util", &["takt-server", "takt-drivers"]),
    ("hyper", &["takt-drivers"]),
    ("http-body-util", &["takt-drivers"]),
    ("rcgen", &["takt-drivers"]),
    ("ring", &["takt-drivers"]),
    ("rustls-native-certs", &["takt-drivers"]),
    ("tokio-rustls", &["takt-drivers"]),
    ("prometheus-client", &["takt-server"]),
    ("tonic-health", &["takt-server"]),
    ("tonic-reflection", &["takt-server"]),
    ("tonic-web", &["takt-server"]),
    ("clap", &["takt-cli"]),
    ("indicatif", &["takt-cli"]),
    ("anstream", &["takt-cli"]),
    ("async-nats", &["takt-nats", "takt-bench", "takt-tests"]),
    ("nkeys", &["takt-tests"]),
    ("quick-xml", &["takt-intake"]),
    ("csv", &["takt-intake"]),
    ("cdevents-sdk", &["takt-intake"]),
];

const PURE: &[&str] = &["takt-domain", "takt-events", "takt-projections"];
const PURE_MAY_NAME: &[&str] =
    &["jiff", "postcard", "serde", "serde_json", "sha2", "smol_str", "thiserror", "uuid"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn manifests() -> Vec<Table> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.push(root().join("tests"));
    folders.sort();
    folders
        .iter()
        .map(|folder| folder.join("Cargo.toml"))
        .filter(|manifest| manifest.exists())
        .map(|manifest| fs::read_to_string(manifest).unwrap().parse().unwrap())
        .collect()
}

fn name(manifest: &Table) -> &str {
    manifest["package"]["name"].as_str().unwrap()
}

fn named<'a>(manifest: &'a Table, section: &str) -> BTreeSet<&'a str> {
    let section = manifest.get(section).and_then(toml::Value::as_table);
    section.into_iter().flat_map(|table| table.keys().map(String::as_str)).collect()
}

fn arrow_faults(manifest: &Table) -> Vec<String> {
    let own = name(manifest);
    let Some((_, normal, tests)) = ARROWS.iter().find(|(row, ..)| *row == own) else {
        return vec![format!("`{own}` is not in ARROWS: say what it may use")];
    };
    let mut faults = Vec::new();
    for (section, extra) in [("dependencies", &[][..]), ("dev-dependencies", *tests)] {
        for used in named(manifest, section).iter().filter(|used| used.starts_with("takt-")) {
            if !normal.contains(used) && !extra.contains(used) {
                faults.push(format!("`{own}` may not name `{used}` in [{section}]: remove it"));
            }
        }
    }
    faults
}

fn keeper_faults(manifest: &Table) -> Vec<String> {
    let own = name(manifest);
    let mut faults = Vec::new();
    for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
        for used in named(manifest, section) {
            let kept = KEEPERS.iter().find(|(outside, _)| *outside == used);
            if let Some((_, keepers)) = kept.filter(|(_, keepers)| !keepers.contains(&own)) {
                let keepers = keepers.join("`, `");
                faults.push(format!("`{own}` may not name `{used}`: ask `{keepers}` instead"));
            }
        }
    }
    faults
}

fn purity_faults(manifest: &Table) -> Vec<String> {
    let own = name(manifest);
    if !PURE.contains(&own) {
        return Vec::new();
    }
    named(manifest, "dependencies")
        .into_iter()
        .filter(|used| !used.starts_with("takt-") && !PURE_MAY_NAME.contains(used))
        .map(|used| format!("`{own}` is pure and may not name `{used}`: move the use to the shell"))
        .collect()
}

fn source_faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        faults.push(format!("`{path}` has {lines} lines: split it below {LONGEST_FILE}"));
    }
    if !text.starts_with("//!") {
        faults.push(format!("`{path}` does not open with `//!`: say in a sentence what it is"));
    }
    faults
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "the architecture is broken:\n  {}", faults.join("\n  "));
}

#[test]
fn arrows_point_inward() {
    assert_none(&manifests().iter().flat_map(arrow_faults).collect::<Vec<_>>());
}

#[test]
fn only_its_keeper_names_an_outside_crate() {
    assert_none(&manifests().iter().flat_map(keeper_faults).collect::<Vec<_>>());
}

#[test]
fn pure_crates_name_only_what_the_list_allows() {
    assert_none(&manifests().iter().flat_map(purity_faults).collect::<Vec<_>>());
}

#[test]
fn every_row_of_the_table_is_a_crate() {
    let manifests = manifests();
    let crates: BTreeSet<&str> = manifests.iter().map(name).collect();
    let rows: BTreeSet<&str> = ARROWS.iter().map(|(row, ..)| *row).collect();
    assert_eq!(crates, rows);
}

#[test]
fn files_are_short_and_open_with_a_sentence() {
    let mut found = Vec::new();
    sources(&root().join("crates"), &mut found);
    sources(&root().join("tests"), &mut found);
    assert!(found.len() > 50, "only {} files were found: look at the folders", found.len());
    let faults: Vec<String> = found
        .iter()
        .flat_map(|path| {
            source_faults(&path.display().to_string(), &fs::read_to_string(path).unwrap())
        })
        .collect();
    assert_none(&faults);
}

#[test]
fn the_rules_find_bad_samples() {
    let bad: Table = "[package]\nname = 'takt-domain'\n\
        [dependencies]\ntakt-engine = '1'\nsled = '1'\n\
        [dev-dependencies]\ntakt-server = '1'\n"
        .parse()
        .unwrap();
    assert_eq!(arrow_faults(&bad).len(), 2);
    assert_eq!(keeper_faults(&bad).len(), 1);
    assert_eq!(purity_faults(&bad).len(), 1);
    let stranger: Table = "[package]\nname = 'takt-stranger'\n".parse().unwrap();
    assert_eq!(arrow_faults(&stranger).len(), 1);
    assert_eq!(source_faults("a.rs", &"x\n".repeat(LONGEST_FILE + 1)).len(), 2);
    assert_eq!(source_faults("a.rs", "//! Good.\n").len(), 0);
}
