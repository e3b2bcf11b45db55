//! Imported history: the published figures, whatever way the facts take and however often they come.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use takt_tests::past::{HELPDESK, Known, holds, import, sample};
use takt_tests::server::steady_address;
use takt_tests::{Ended, Random, Server, repository, shared_data, summary};

/// Holds a repeat to adding nothing: the stream's events are, byte for byte, those of before. (The
/// server's own bookkeeping may go on by itself, and is not among them.)
fn adds_nothing(server: &Server, before: &str) {
    let after = events(server);
    let counts = (before.lines().count(), after.lines().count());
    assert!(before == after, "a repeat has changed the events: {counts:?} of them");
}

fn events(server: &Server) -> String {
    server.ok(&["events", "read", "-o", "jsonl"])
}

fn head(server: &Server) -> u64 {
    server.json(&["projection", "status"])["head"].as_u64().unwrap()
}

fn imports_once(file: &Path, known: &Known) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    server.ok(&["stream", "create", "shop"]);
    let import = import(file);
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    let first = server.json(&import);
    assert_eq!((&first["duplicate"], &first["dead"]), (&json!(0), &json!(0)), "{first}");
    holds(&server, known);
    let before = events(&server);
    let again = server.json(&import);
    assert_eq!((&again["recorded"], &again["duplicate"]), (&json!(0), &first["recorded"]));
    adds_nothing(&server, &before);
    holds(&server, known);
}

/// Runs a command until it ends otherwise than by a server that is gone.
fn patiently(run: impl Fn() -> Ended) -> Ended {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let ended = run();
        if ended.code != 3 || Instant::now() > deadline {
            return ended;
        }
    }
}

/// Publishes the emitted facts in another order and twice, while the server is killed three times.
fn publishes_shuffled_and_twice(file: &Path, known: &Known) {
    let mut random = Random::said("the shuffled history and the kills");
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(data.path(), &steady_address());
    server.ok(&["stream", "create", "shop"]);
    let mut emit = import(file);
    emit.extend(["--emit".to_owned(), "-".to_owned()]);
    let emitted = server.ok(&emit.iter().map(String::as_str).collect::<Vec<_>>());
    let once: Vec<&str> = emitted.lines().collect();
    let mut facts = [once.clone(), once.clone()].concat();
    random.shuffle(&mut facts);
    let shuffled = data.path().join("facts.jsonl");
    std::fs::write(&shuffled, facts.join("\n")).unwrap();
    let publish = ["publish", shuffled.to_str().unwrap(), "-o", "json"];

    let done = AtomicBool::new(false);
    let mut killed = 0;
    let ended = std::thread::scope(|scope| {
        let url = server.url.clone();
        let (done, run) = (&done, move || {
            let mut command = std::process::Command::new(takt_tests::binary::takt());
            command.args(publish).env("TAKT_SERVER", &url).env("TAKT_STREAM", "shop");
            Ended::of(command.output().unwrap())
        });
        let publisher = scope.spawn(move || {
            let ended = patiently(run);
            done.store(true, Ordering::Release);
            ended
        });
        // Each kill falls into what was written since the last one.
        while killed < 3 && !done.load(Ordering::Acquire) {
            let more = head(&server);
            let part = once.len() as u64 * (killed + 1) / 5;
            if more > part {
                server.kill_and_restart();
                killed += 1;
            }
        }
        publisher.join().unwrap()
    });
    let ended = ended.json();
    assert_eq!(killed, 3, "the publisher was done before the third kill: {ended}");
    assert_eq!(ended["dead"], 0, "{ended}");
    let total = ended["recorded"].as_u64().unwrap() + ended["duplicate"].as_u64().unwrap();
    assert_eq!(total, facts.len() as u64);
    holds(&server, known);
    let log = server.ok(&["events", "read", "-o", "jsonl"]);
    let facts_in_log = log.lines().filter(|line| line.contains("\"takthistorical\":true")).count();
    assert_eq!(facts_in_log, once.len(), "each fact is recorded once");
    let before = events(&server);
    assert_eq!(server.json(&publish[..2])["recorded"], 0);
    adds_nothing(&server, &before);
    assert_eq!(server.json(&["projection", "verify"])["ok"], true);
    let measured = format!("{} facts, each recorded once, the figures exact", once.len());
    summary::row("a history shuffled, doubled, killed three times", 1, &measured);
}

#[test]
fn the_help_desk_gives_the_published_figures_and_a_repeat_adds_no_event() {
    if let Some(file) = shared_data("helpdesk.xes.gz") {
        imports_once(&file, &HELPDESK);
    }
}

#[test]
fn the_help_desk_gives_the_same_shuffled_doubled_and_across_three_kills() {
    if let Some(file) = shared_data("helpdesk.xes.gz") {
        publishes_shuffled_and_twice(&file, &HELPDESK);
    }
}

#[test]
fn a_sample_of_our_own_gives_figures_made_by_hand_and_a_repeat_adds_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let (file, known) = sample(folder.path(), 100);
    imports_once(&file, &known);
}

#[test]
fn a_sample_of_our_own_gives_the_same_shuffled_doubled_and_across_three_kills() {
    let folder = tempfile::tempdir().unwrap();
    let (file, known) = sample(folder.path(), 2000);
    publishes_shuffled_and_twice(&file, &known);
}

#[test]
fn the_sample_of_the_repository_comes_in_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    server.ok(&["stream", "create", "shop"]);
    let file = repository().join("crates/takt-intake/samples/board.xes");
    let import = import(&file);
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    assert!(server.json(&import)["recorded"].as_u64().unwrap() > 0);
    let before = events(&server);
    assert_eq!(server.json(&import)["recorded"], 0);
    adds_nothing(&server, &before);
}
