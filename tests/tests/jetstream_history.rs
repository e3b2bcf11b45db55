//! Imported history over NATS: the published figures, whatever is killed while it comes in.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use takt_tests::inbox::{Publisher, message, until};
use takt_tests::nats::Nats;
use takt_tests::past::{HELPDESK, Known, holds, import, sample};
use takt_tests::server::steady_address;
use takt_tests::{Random, Server, shared_data, summary};

fn head(server: &Server) -> u64 {
    server.json(&["projection", "status"])["head"].as_u64().unwrap()
}

/// How many facts of the past the log has.
fn recorded(server: &Server) -> usize {
    let log = server.ok(&["events", "read", "-o", "jsonl"]);
    log.lines().filter(|line| line.contains("\"takthistorical\":true")).count()
}

/// Two publishers each publish all facts, each in an order of its own, while takt is killed three
/// times and the nats-server once.
fn comes_in_shuffled_and_twice(file: &Path, known: &Known) {
    let mut random = Random::said("the shuffled history over NATS and the kills");
    let data = tempfile::tempdir().unwrap();
    let mut nats = Nats::start();
    let mut server = Server::start_node(data.path(), &steady_address(), &nats.url());
    server.ok(&["stream", "create", "shop"]);
    let mut emit = import(file);
    emit.extend(["--emit".to_owned(), "-".to_owned()]);
    let emitted = server.ok(&emit.iter().map(String::as_str).collect::<Vec<_>>());
    let once: Vec<Value> = emitted.lines().map(|line| message("takt.in.shop.past", line)).collect();
    let publishers = [(), ()].map(|()| {
        let mut facts = once.clone();
        random.shuffle(&mut facts);
        Publisher::start(&nats.url(), &facts)
    });
    for part in 1..=4 {
        let share = once.len() as u64 * part / 5;
        until("more of the history", || head(&server), |head| *head > share);
        match part {
            3 => {
                nats.kill();
                nats.restart();
            }
            _ => server.kill_and_restart(),
        }
    }
    let _ = publishers.map(Publisher::done);
    until("the whole history", || recorded(&server), |count| *count >= once.len());
    holds(&server, known);
    // The second copy of the last facts may still be on its way, and adds nothing.
    let pending = || server.json(&["doctor"]).to_string();
    until("the end of the inbox", pending, |found| found.contains("the inbox is empty"));
    assert_eq!(recorded(&server), once.len(), "each fact is recorded once");
    holds(&server, known);
    assert_eq!(server.json(&["projection", "verify"])["ok"], true);
    assert_eq!(server.json(&["dead", "list"]), json!([]));
    let measured = format!("{} facts, each recorded once, the figures exact", once.len());
    let what =
        "a history shuffled and doubled over NATS, takt killed three times, nats-server once";
    summary::row(what, 1, &measured);
}

#[test]
fn the_help_desk_gives_the_published_figures_over_nats_across_four_kills() {
    if let Some(file) = shared_data("helpdesk.xes.gz") {
        comes_in_shuffled_and_twice(&file, &HELPDESK);
    }
}

#[test]
fn a_sample_of_our_own_gives_figures_made_by_hand_over_nats_across_four_kills() {
    let folder = tempfile::tempdir().unwrap();
    let (file, known) = sample(folder.path(), 1500);
    comes_in_shuffled_and_twice(&file, &known);
}

#[test]
fn five_hundred_moves_of_one_card_that_nobody_read_end_in_its_last_column() {
    let data = tempfile::tempdir().unwrap();
    let nats = Nats::start();
    let mut server = Server::start_node(data.path(), &steady_address(), &nats.url());
    server.ok(&["stream", "create", "shop"]);
    for column in ["Todo", "Doing", "Review", "Last"] {
        server.ok(&["column", "set", column]);
    }
    server.kill();
    let columns = ["Todo", "Doing", "Review"];
    let moves: Vec<Value> = (0..500)
        .map(|turn| {
            let column = if turn == 499 { "Last" } else { columns[turn % 3] };
            json!({
                "specversion": "1.0", "id": format!("m-{turn}"), "source": "urn:board",
                "type": "dev.takt.report.card.v1", "sequence": format!("{turn:020}"),
                "time": format!("2026-01-01T00:{:02}:{:02}Z", turn / 60, turn % 60),
                "data": {"card": "c-1", "column": column},
            })
        })
        .map(|event| message("takt.in.shop.board", &event.to_string()))
        .collect();
    let _ = Publisher::start(&nats.url(), &moves).done();
    let begun = Instant::now();
    let server = Server::start_node(data.path(), &server.address(), &nats.url());
    let column = || server.takt(&["card", "show", "c-1", "-o", "json"]).out;
    until("the last column", column, |card| card.contains("\"Last\""));
    let measured = format!("{} ms from the start of the process", begun.elapsed().as_millis());
    summary::row("500 moves of one card unread at a kill, its last column shown", 1, &measured);
    let shown = server.json(&["card", "show", "c-1"]);
    assert_eq!(shown["column"], "Last", "{shown}");
}
