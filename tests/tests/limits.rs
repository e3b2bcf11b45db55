//! Limits and history: an import tells once what stands over its limits, live work is told once.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use serde_json::Value;
use takt_tests::Server;

/// The pulls in the log: kind of the cause and column of each.
fn pulls(server: &Server) -> Vec<(String, String)> {
    let log = server.ok(&["events", "read", "-o", "jsonl"]);
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pulled = events.filter(|event| event["type"] == "dev.takt.andon.pulled.v1");
    let mut found: Vec<_> = pulled
        .map(|event| (text(&event["data"]["cause"]["kind"]), text(&event["data"]["column"])))
        .collect();
    found.sort();
    found
}

fn joins(server: &Server) -> usize {
    let log = server.ok(&["events", "read", "-o", "jsonl"]);
    log.lines().filter(|line| line.contains("dev.takt.andon.joined.v1")).count()
}

/// A board's history: columns are crowded and left again, and in the end three of them are full.
fn history() -> String {
    let mut rows = String::from("case,activity,timestamp\n");
    for card in 0..40 {
        let (day, minute) = (1 + card % 20, card);
        rows.push_str(&format!("{card},Todo,2026-01-{day:02}T08:{minute:02}:00Z\n"));
        rows.push_str(&format!("{card},Doing,2026-02-{day:02}T08:{minute:02}:00Z\n"));
        if card % 2 == 0 {
            rows.push_str(&format!("{card},Review,2026-03-{day:02}T08:{minute:02}:00Z\n"));
        }
        if card % 8 == 0 {
            rows.push_str(&format!("{card},Done,2026-04-{day:02}T08:{minute:02}:00Z\n"));
        }
    }
    rows
}

#[test]
fn an_import_into_limits_adds_one_alert_for_each_column_over_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    server.ok(&["stream", "create", "shop"]);
    for (column, limit) in [("Todo", "5"), ("Doing", "3"), ("Review", "2")] {
        let policy = if column == "Doing" { "hard" } else { "soft" };
        let limits = ["--wip-limit", limit, "--wip-policy", policy, "--time-limit", "1h"];
        server.ok(&[&["column", "set", column], &limits[..]].concat());
    }
    let file = folder.path().join("history.csv");
    std::fs::write(&file, history()).unwrap();
    let import = ["import", "csv", file.to_str().unwrap(), "--done", "Done"];
    let first = server.json(&import);
    assert_eq!((&first["recorded"], &first["dead"]), (&109.into(), &0.into()), "{first}");
    // `Todo` is empty in the end; 20 cards are in `Doing`, 15 in `Review`.
    let told = [("wip_limit", "Doing"), ("wip_limit", "Review")]
        .map(|(kind, column)| (kind.to_owned(), column.to_owned()));
    assert_eq!(pulls(&server), told);
    assert_eq!(joins(&server), 0);
    let events = server.ok(&["events", "read", "-o", "jsonl"]);
    assert_eq!(server.json(&import)["recorded"], 0);
    assert_eq!(server.ok(&["events", "read", "-o", "jsonl"]), events);
    let mut server = server;
    server.kill_and_restart();
    assert_eq!(pulls(&server), told, "a restart has told again");
    // It stands open, is no stop, and ends with its condition.
    assert_eq!(server.takt(&["andon", "check"]).code, 0);
}

#[test]
fn a_limit_breached_in_live_work_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["column", "set", "Todo"]);
    server.ok(&["column", "set", "Doing", "--wip-limit", "2", "--wip-policy", "soft"]);
    for number in 0..6 {
        let card = format!("C-{number}");
        server.ok(&["card", "add", "--id", &card, "--column", "Todo", "a card"]);
        server.ok(&["card", "move", &card, "Doing"]);
    }
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while pulls(&server).is_empty() && std::time::Instant::now() < until {}
    assert_eq!(pulls(&server), [("wip_limit".to_owned(), "Doing".to_owned())]);
    for number in 0..4 {
        server.ok(&["card", "move", &format!("C-{number}"), "Todo"]);
    }
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let open = || server.json(&["andon", "list"]).as_array().unwrap().len();
    while open() > 0 && std::time::Instant::now() < until {}
    assert_eq!(open(), 0, "the alert ends with its condition");
    assert_eq!(pulls(&server).len(), 1);
}
