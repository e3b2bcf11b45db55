//! kill -9 at random moments under load: nothing acknowledged is lost or doubled.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use takt_tests::crash::{Writers, in_folders};
use takt_tests::server::steady_address;
use takt_tests::{Random, Server, summary};

/// After so many rounds a folder has seen enough, and a new one is taken.
const ROUNDS_A_FOLDER: u64 = 20;

/// What was found over all rounds.
#[derive(Default)]
struct Found {
    restarts: Vec<Duration>,
    acknowledged: u64,
    events: u64,
    flipped: u64,
    moved_aside: u64,
    torn: u64,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_file() && path.metadata().unwrap().len() > 0);
    found.sort();
    found
}

/// Changes one byte of the projections' files, as a bad disk does.
fn flip_a_byte(data: &Path, random: &mut Random) {
    let files = files(&data.join("projections"));
    let path = &files[usize::try_from(random.below(files.len() as u64)).unwrap()];
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = random.below(file.metadata().unwrap().len());
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    let bit = 1 << random.below(8);
    file.write_all_at(&[byte[0] ^ bit], at).unwrap();
}

/// Puts the beginning of an entry behind the last one, as a write that was cut off does.
fn tear_the_tail(data: &Path, random: &mut Random) {
    let mut segments = files(&data.join("log"));
    segments.retain(|path| path.extension().is_some_and(|it| it == "seg"));
    let last = OpenOptions::new().read(true).write(true).open(segments.last().unwrap()).unwrap();
    let length = last.metadata().unwrap().len();
    let from = length.saturating_sub(400 + random.below(400)).max(44);
    let mut part = vec![0; usize::try_from((length - from).min(300)).unwrap()];
    last.read_exact_at(&mut part, from).unwrap();
    last.write_all_at(&part, length).unwrap();
}

fn sabotage(data: &Path, random: &mut Random, found: &mut Found) {
    match random.below(4) {
        0 => {
            flip_a_byte(data, random);
            found.flipped += 1;
        }
        1 => {
            tear_the_tail(data, random);
            found.torn += 1;
        }
        _ => {}
    }
}

fn rounds_on_one_folder(rounds: u64, random: &mut Random, found: &mut Found) {
    let data = tempfile::tempdir().unwrap();
    let address = steady_address();
    let mut server = Server::start_on(data.path(), &address);
    let mut writers = Writers::start(&[&server], None);
    for round in 0..rounds {
        writers.write_for_a_moment(random);
        server.kill();
        sabotage(data.path(), random, found);
        server = Server::start_on(data.path(), &address);
        found.restarts.push(server.ready_in);
        found.moved_aside += u64::from(server.said().contains("moved aside"));
        writers.check(round + 1 == rounds);
        let projection = server.takt(&["projection", "verify", "-o", "json"]);
        assert_eq!(projection.code, 0, "round {round}: {projection:?}\n{}", server.said());
        let log = server.takt(&["log", "verify", "-o", "json"]);
        assert_eq!(log.code, 0, "round {round}: {log:?}\n{}", server.said());
    }
    let [events, acknowledged] = writers.end();
    found.events += events;
    found.acknowledged += acknowledged;
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed_under_load() {
    let rounds = takt_tests::number("TAKT_CRASH_ROUNDS", 10);
    let mut random = Random::said("the crash rounds");
    let mut found = Found::default();
    in_folders(rounds, ROUNDS_A_FOLDER, |now| rounds_on_one_folder(now, &mut random, &mut found));
    assert!(found.acknowledged > rounds, "there was no load: {}", found.acknowledged);
    let Found { restarts, acknowledged, events, flipped, moved_aside, torn } = found;
    let measured = format!(
        "{acknowledged} acknowledged of {events} events, restart {}, {flipped} bytes flipped in \
         the projections ({moved_aside} moved aside), {torn} torn tails",
        summary::spans(restarts)
    );
    summary::row("kill -9 under load", rounds, &measured);
}
