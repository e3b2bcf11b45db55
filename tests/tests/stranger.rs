//! A stranger's client, with reflection and no generated code, against the real server.

#![expect(clippy::indexing_slicing, reason = "a test's helpers fail the test by panicking")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use takt_tests::server::steady_address;
use takt_tests::{Random, Script, Server, summary};

const KILLS: u64 = 20;

#[test]
fn a_stranger_sees_every_event_once_and_in_order_across_twenty_kills() {
    let mut random = Random::said("the stranger and the kills");
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(data.path(), &steady_address());
    let mut stranger = Script::start("stranger.py", &[&server.address()]);
    let kills = takt_tests::number("TAKT_KILLS", KILLS);
    for _ in 0..kills {
        let _ = stranger.line_that_starts("wrote");
        let moment = Instant::now() + Duration::from_micros(random.below(150_000));
        let _ = stranger.hear_until(moment);
        server.kill_and_restart();
    }
    let _ = stranger.line_that_starts("wrote");
    stranger.tell("done");
    let found: Value = serde_json::from_str(&stranger.last_line()).unwrap();
    assert!(found["acknowledged"].as_u64().unwrap() >= kills, "{found}");
    // Each watch was really broken off; a kill before it had come back breaks nothing more.
    let breaks = found["breaks"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap());
    assert!(breaks.min().unwrap() > 0, "{found}");
    assert_eq!(server.json(&["projection", "verify"])["ok"], true);
    assert_eq!(server.json(&["log", "verify"])["ok"], true);
    let (acknowledged, head) = (&found["acknowledged"], &found["head"]);
    let measured = format!("{acknowledged} commands, {head} events, each seen once and in order");
    summary::row("kill -9 under four watches", kills, &measured);
}

/// A server with the columns `Todo` and `Doing`, the latter with a hard limit, and cards in `Todo`.
fn crowd(data: &std::path::Path, limit: u32, cards: u32) -> Server {
    let server = Server::start(data);
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["column", "set", "Todo"]);
    let limit = limit.to_string();
    server.ok(&["column", "set", "Doing", "--wip-limit", &limit, "--wip-policy", "hard"]);
    let facts: Vec<String> = (0..cards)
        .map(|number| {
            json!({"specversion": "1.0", "id": format!("{number}"), "source": "urn:crowd",
                "type": "dev.takt.report.card.v1", "time": "2026-03-02T09:00:00Z",
                "data": {"card": format!("C-{number}"), "column": "Todo"}})
            .to_string()
        })
        .collect();
    let published = server.fed(&["publish", "-", "-o", "json"], facts.join("\n").as_bytes());
    assert_eq!(published.json()["recorded"], cards, "{published:?}");
    server
}

#[test]
fn of_a_hundred_clients_three_get_into_a_column_with_room_for_three() {
    let data = tempfile::tempdir().unwrap();
    let server = crowd(data.path(), 3, 100);
    let mut clients = Script::start("hundred.py", &[&server.address(), "100", "3"]);
    let found: Value = serde_json::from_str(&clients.last_line()).unwrap();
    assert_eq!(found["codes"], json!({"OK": 3, "FAILED_PRECONDITION": 97}), "{found}");
    let words = found["words"].as_array().unwrap();
    assert!(words.contains(&json!("column `Doing` is full: 3 cards, hard limit 3")), "{found}");
    assert_eq!(words.len(), 2, "the three say nothing, the others all the same: {found}");
    let board = server.json(&["board", "show"]);
    assert_eq!(board["columns"][1]["count"], 3, "{board}");
}

#[test]
fn of_twenty_processes_three_exit_with_0_and_seventeen_with_4_and_a_hint() {
    let data = tempfile::tempdir().unwrap();
    let server = crowd(data.path(), 3, 20);
    let ended: Vec<_> = std::thread::scope(|scope| {
        let server = &server;
        let moves: Vec<_> = (0..20)
            .map(|number| {
                scope.spawn(move || server.takt(&["card", "move", &format!("C-{number}"), "Doing"]))
            })
            .collect();
        moves.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let refused: Vec<_> = ended.iter().filter(|it| it.code != 0).collect();
    assert_eq!(refused.len(), 17, "{ended:?}");
    for one in refused {
        assert_eq!(one.code, 4, "{one:?}");
        assert!(one.err.contains("`Doing` is full: 3 cards, hard limit 3"), "{one:?}");
        assert!(one.err.lines().last().unwrap().starts_with("hint: "), "{one:?}");
    }
}
