//! REST from outside: facts in by every format, the log out by lines and by server-sent events.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::path::Path;

use serde_json::{Value, json};
use takt_tests::Server;
use takt_tests::http::{Answer, Watch, ask};

const PUBLISH: &str = "POST /v1/streams/shop/events";
const ONE: (&str, &str) = ("Content-Type", "application/cloudevents+json; charset=utf-8");
const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");
const ARRAY: (&str, &str) = ("Content-Type", "application/cloudevents-batch+json");

fn shop(data: &Path) -> Server {
    let server = Server::start(data);
    server.ok(&["stream", "create", "shop"]);
    server
}

fn card(number: u32, column: &str) -> Value {
    json!({
        "specversion": "1.0", "id": format!("{number}-{column}"), "source": "/jira",
        "type": "dev.takt.report.card.v1", "subject": format!("C-{number}"),
        "time": format!("2026-03-02T09:{:02}:00Z", number % 60), "data": { "card": format!("C-{number}"), "column": column },
    })
}

fn send(server: &Server, kind: (&str, &str), body: &str) -> Answer {
    ask(&server.address(), PUBLISH, &[kind], body.as_bytes())
}

fn get(server: &Server, path: &str) -> Answer {
    ask(&server.address(), &format!("GET {path}"), &[], b"")
}

fn outcomes(answer: &Answer) -> Vec<String> {
    let results = answer.json()["results"].as_array().unwrap().clone();
    results.iter().map(|it| it["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn facts_come_in_by_every_format_and_are_recorded_once() {
    let data = tempfile::tempdir().unwrap();
    let server = shop(data.path());
    let cards: Vec<String> = (1..=6).map(|it| card(it, "Todo").to_string()).collect();
    let one = send(&server, ONE, &cards[0]);
    assert_eq!((one.status, outcomes(&one)), (200, vec!["recorded".to_owned()]), "{one:?}");
    assert_eq!(one.json()["results"][0]["sequence"], one.json()["sequence"]);
    assert_eq!(send(&server, ("Content-Type", "application/json"), &cards[1]).status, 200);
    let lines = send(&server, LINES, &format!("{}\n\n{}\r\n", cards[0], cards[2]));
    assert_eq!(outcomes(&lines), ["duplicate", "recorded"], "{lines:?}");
    let array = send(&server, ARRAY, &format!("[{}, {}]", cards[3], cards[3]));
    assert_eq!(outcomes(&array), ["recorded", "duplicate"], "{array:?}");
    let binary = [
        ("Content-Type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "5-Todo"),
        ("ce-source", "/jira"),
        ("ce-type", "dev.takt.report.card.v1"),
        ("ce-subject", "C-5"),
        ("ce-time", "2026-03-02T09:05:00Z"),
    ];
    let binary = ask(&server.address(), PUBLISH, &binary, br#"{"card": "C-5", "column": "Todo"}"#);
    assert_eq!(outcomes(&binary), ["recorded"], "{binary:?}");
    assert_eq!(outcomes(&send(&server, ONE, &cards[4])), ["duplicate"], "the mode is no content");
    let cut = &cards[5][..cards[5].len() / 2];
    let some = send(&server, LINES, &format!("{cut}\n{}", cards[5]));
    assert_eq!((some.status, outcomes(&some)), (207, vec!["dead".into(), "recorded".into()]));
    for said in ["id", "reason", "place", "remedy"] {
        assert!(some.json()["results"][0][said].is_string(), "{some:?}");
    }
    assert_eq!(server.json(&["dead", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(server.json(&["card", "list"]).as_array().unwrap().len(), 6);
}

#[test]
fn a_refusal_is_json_that_names_the_remedy_and_nothing_is_recorded() {
    let data = tempfile::tempdir().unwrap();
    let server = shop(data.path());
    let head = get(&server, "/v1/events").header("takt-sequence").unwrap().to_owned();
    let fact = card(1, "Todo").to_string();
    let large = "x".repeat(8 * 1024 * 1024 + 1);
    let elsewhere = ("Origin", "http://evil.example");
    let other = "POST /v1/streams/web/events";
    let jumbled = ("Content-Type", "text/plain");
    for (request, headers, body, status, code, hint) in [
        (other, vec![ONE], fact.as_str(), 404, "not_found", "takt stream create"),
        (PUBLISH, vec![jumbled], &fact, 415, "content_type", "application/x-ndjson"),
        (PUBLISH, vec![], &fact, 415, "content_type", "application/cloudevents+json"),
        (PUBLISH, vec![ONE], &large, 413, "too_large", "fewer"),
        (PUBLISH, vec![ONE], "", 400, "invalid", "at least one"),
        (PUBLISH, vec![ARRAY], &fact[..20], 400, "invalid", "nothing of it was recorded"),
        (PUBLISH, vec![ONE, elsewhere], &fact, 403, "forbidden", "its own name"),
        ("GET /v1/events?from=two", vec![], "", 400, "invalid", "whole number"),
        ("GET /v1/events?form=2", vec![], "", 400, "invalid", "`from`"),
        ("GET /v1/streams/web/events", vec![], "", 404, "not_found", "takt stream create"),
        ("GET /v1/streams/web/events/watch", vec![], "", 404, "not_found", "takt stream create"),
        ("GET /v1/events/watch", vec![("Last-Event-ID", "x")], "", 400, "invalid", "whole number"),
        ("GET /v1/boards", vec![], "", 404, "not_found", "/openapi.json"),
        ("DELETE /v1/events", vec![], "", 405, "method", "/openapi.json"),
    ] {
        let answer = ask(&server.address(), request, &headers, body.as_bytes());
        let said = answer.json();
        assert_eq!(
            (answer.status, said["code"].as_str()),
            (status, Some(code)),
            "{request} {said}"
        );
        assert!(said["remedy"].as_str().unwrap().contains(hint), "{request} {said}");
        assert!(said["message"].is_string() && said["field"].is_string(), "{request} {said}");
    }
    assert_eq!(get(&server, "/v1/events").header("takt-sequence"), Some(head.as_str()));
}

#[test]
fn the_log_is_read_as_the_command_line_shows_it() {
    let data = tempfile::tempdir().unwrap();
    let server = shop(data.path());
    let facts: Vec<String> = (1..=600).map(|it| card(it, "Todo").to_string()).collect();
    assert_eq!(send(&server, LINES, &facts.join("\n")).status, 200);
    let all = get(&server, "/v1/streams/shop/events");
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(all.body, server.ok(&["events", "read", "-o", "jsonl"]));
    let some = get(&server, "/v1/streams/shop/events?from=300&limit=20").body;
    assert_eq!(
        some,
        server.ok(&["events", "read", "--from", "300", "--limit", "20", "-o", "jsonl"])
    );
    assert_eq!(some.lines().count(), 20);
    let every = get(&server, "/v1/events").body;
    let at = |line: &str| serde_json::from_str::<Value>(line).unwrap()["taktseq"].as_u64().unwrap();
    assert!(every.lines().map(at).eq(1..=every.lines().count() as u64), "every sequence, once");
}

/// Hears events up to a sequence, and gives their sequences.
fn hear(watch: &mut Watch, last: u64) -> Vec<u64> {
    let mut heard = Vec::new();
    while heard.last().is_none_or(|it| *it < last) {
        let Some(sent) = watch.next_event() else { break };
        let event: Value = serde_json::from_str(&sent.data).unwrap();
        assert_eq!(event["taktseq"].to_string(), sent.id);
        heard.push(sent.id.parse().unwrap());
    }
    heard
}

#[test]
fn a_watch_that_comes_again_after_a_kill_sees_every_sequence_once_and_in_order() {
    let data = tempfile::tempdir().unwrap();
    let mut server = shop(data.path());
    server.ok(&["column", "set", "Todo"]);
    let mut watch = Watch::open(&server.address(), "/v1/events/watch?from=1", &[]);
    let mut heard = hear(&mut watch, 2);
    server.ok(&["card", "add", "--id", "C-1", "live"]);
    heard.extend(hear(&mut watch, 3));
    server.kill_and_restart();
    let rest = std::iter::from_fn(|| watch.next_event()).map(|it| it.id.parse::<u64>().unwrap());
    heard.extend(rest);
    let last = heard.last().unwrap().to_string();
    server.ok(&["card", "add", "--id", "C-2", "while it was away"]);
    let resumed = [("Last-Event-ID", last.as_str())];
    let mut watch = Watch::open(&server.address(), "/v1/events/watch?from=1", &resumed);
    server.ok(&["card", "add", "--id", "C-3", "live again"]);
    let answer = get(&server, "/v1/events");
    let head = answer.header("takt-sequence").unwrap().parse().unwrap();
    heard.extend(hear(&mut watch, head));
    assert_eq!(heard, (1..=head).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_takes_nothing_holds_nobody_up_and_then_sees_everything() {
    let data = tempfile::tempdir().unwrap();
    let server = shop(data.path());
    let mut slow = Watch::open(&server.address(), "/v1/streams/shop/events/watch", &[]);
    let mut quick = Watch::open(&server.address(), "/v1/streams/shop/events/watch", &[]);
    let subscribers = "takt_subscribers{kind=\"watch\"} 2";
    assert!(get(&server, "/metrics").body.contains(subscribers), "each has a seat");
    // More than sockets and channels hold on the way.
    let title = "x".repeat(4000);
    let mut sequence = 0;
    for round in 0..8 {
        let facts = (0..500).map(|number| {
            let mut fact = card(round * 500 + number, "Todo");
            fact["data"]["title"] = title.as_str().into();
            fact.to_string()
        });
        let answer = send(&server, LINES, &facts.collect::<Vec<_>>().join("\n"));
        sequence = answer.json()["sequence"].as_u64().unwrap();
        assert_eq!(hear(&mut quick, sequence).last(), Some(&sequence));
    }
    let heard = hear(&mut slow, sequence);
    assert!(heard.is_sorted_by(|a, b| a < b), "once and in order");
    let read = get(&server, "/v1/streams/shop/events").body;
    assert_eq!(heard.len(), read.lines().count());
}

#[test]
fn what_the_description_names_is_there() {
    let data = tempfile::tempdir().unwrap();
    let server = shop(data.path());
    let document = get(&server, "/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 8, "{paths:?}");
    for (path, item) in paths {
        let path = path.replace("{stream}", "shop");
        if path.ends_with("/watch") {
            assert!(Watch::open(&server.address(), &path, &[]).next_event().is_some());
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            let request = format!("{} {path}", method.to_uppercase());
            let fact = card(1, "Todo").to_string();
            let body = if method == "post" { fact.as_bytes() } else { b"" };
            let answer = ask(&server.address(), &request, &[ONE], body);
            assert_eq!(answer.status, 200, "{request}: {answer:?}");
        }
    }
}
