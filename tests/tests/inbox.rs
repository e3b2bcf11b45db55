//! Services publish to NATS with a client of their own: what is a fact is recorded once, in order;
//! what is none is a dead letter with its reason.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use takt_domain::EventId;
use takt_tests::inbox::{Publisher, message, until};
use takt_tests::nats::Nats;
use takt_tests::{Server, shared_data};

struct House {
    nats: Nats,
    server: Server,
    _data: tempfile::TempDir,
}

impl House {
    fn open() -> Self {
        let nats = Nats::start();
        let data = tempfile::tempdir().unwrap();
        let server = Server::start_node(data.path(), "127.0.0.1:0", &nats.url());
        server.ok(&["stream", "create", "shop"]);
        Self { nats, server, _data: data }
    }

    fn publish(&self, messages: &[Value]) {
        let _ = Publisher::start(&self.nats.url(), messages).done();
    }

    /// The events of the stream that came from outside.
    fn facts(&self) -> Vec<Value> {
        let log = self.server.ok(&["events", "read", "-o", "jsonl"]);
        let events = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let own = |event: &Value| event["source"].as_str().unwrap().starts_with("urn:takt:");
        events.filter(|event| !own(event)).collect()
    }

    fn dead(&self) -> Vec<Value> {
        let letters = self.server.json(&["dead", "list", "--limit", "200"]);
        letters.as_array().unwrap().clone()
    }

    /// The names of the examples that have pulled an alert or joined it, in order.
    fn behind(&self, alert: &Value, folder: &Path) -> Vec<String> {
        let named = examples(folder).into_iter().map(|(name, event)| {
            let source = event["context"]["source"].as_str().unwrap();
            (EventId::derive(source, &name, 0).to_string(), name)
        });
        let names: BTreeMap<String, String> = named.collect();
        let log = self.server.ok(&["events", "read", "-o", "jsonl"]);
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_cause = |event: &Value| {
            let kind = event["type"].as_str().unwrap();
            let is_step = kind.starts_with("dev.takt.andon.pulled")
                || kind.starts_with("dev.takt.andon.joined");
            is_step && event["data"]["alert"] == alert["alert"]
        };
        let causes = events.filter(is_cause);
        let mut behind: Vec<String> =
            causes.map(|it| names[it["causationid"].as_str().unwrap()].clone()).collect();
        behind.sort();
        behind
    }

    /// Waits until everything that was published before is taken in: this, published last, is
    /// behind it in the same order.
    fn settled(&self, mark: &str) {
        let event = json!({
            "specversion": "1.0", "id": mark, "source": "urn:test:mark", "type": "com.test.mark",
            "time": "2026-01-01T00:00:00Z",
        });
        self.publish(&[message("takt.in.shop.mark", &event.to_string())]);
        let came = |facts: &Vec<Value>| facts.iter().any(|fact| fact["data"]["fact_id"] == mark);
        until("the mark", || self.facts(), came);
    }
}

/// The examples of both versions in order of their names, each with the file's name.
fn examples(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> = ["v0.4.1", "v0.5.1"]
        .iter()
        .flat_map(|version| fs::read_dir(folder.join(version)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(folder).unwrap().display().to_string();
        (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_example_of_the_cdevents_project_is_recorded_once_and_pulls_what_the_rules_say() {
    let Some(folder) = shared_data("cdevents") else { return };
    let house = House::open();
    let messages: Vec<Value> = examples(&folder)
        .into_iter()
        .map(|(name, mut event)| {
            event["context"]["id"] = json!(name);
            json!({ "subject": "takt.in.shop.cdevents", "text": event.to_string() })
        })
        .collect();
    assert_eq!(messages.len(), 92);
    for mark in ["first", "again"] {
        house.publish(&messages);
        house.settled(mark);
        let marks = if mark == "first" { 1 } else { 2 };
        assert_eq!(house.facts().len(), 92 + marks, "after publishing {mark}");
        assert_eq!(house.dead(), Vec::<Value>::new());
    }
    // Both versions tell of the same runs, so the files of one join the alert of the other.
    let alerts = house.server.json(&["andon", "list"]);
    let stops = alerts.as_array().unwrap().iter().filter(|alert| alert["effect"] == "stop");
    let mut found: Vec<(&str, Vec<String>)> = stops
        .map(|alert| (alert["cause_kind"].as_str().unwrap(), house.behind(alert, &folder)))
        .collect();
    found.sort();
    let of = |names: &[&str]| -> Vec<String> {
        let versions = ["v0.4.1", "v0.5.1"].into_iter();
        versions.flat_map(|it| names.iter().map(move |name| format!("{it}/{name}.json"))).collect()
    };
    let expected = [
        ("incident", of(&["incident_detected", "incident_reported"])),
        ("pipeline", of(&["pipelinerun_finished", "taskrun_finished"])),
        ("rollback", of(&["service_rolledback"])),
        ("test", of(&["testsuiterun_finished"])),
    ];
    assert_eq!(found, expected, "{alerts:#}");
}

#[test]
fn examples_that_share_their_ids_are_three_facts_and_reused_identities() {
    let Some(folder) = shared_data("cdevents") else { return };
    let house = House::open();
    let messages: Vec<Value> = examples(&folder)
        .into_iter()
        .map(|(_, event)| json!({ "subject": "takt.in.shop.ci", "text": event.to_string() }))
        .collect();
    house.publish(&messages);
    house.settled("mark");
    assert_eq!(house.facts().len(), 3 + 1);
    let dead = house.dead();
    assert_eq!(dead.len(), 89);
    for letter in &dead {
        assert!(letter["reason"].as_str().unwrap().starts_with("identity reused"), "{letter}");
    }
}

#[test]
fn what_is_no_fact_changes_nothing_and_is_kept_with_its_reason() {
    let house = House::open();
    house.server.ok(&["column", "set", "Doing", "--kind", "active"]);
    house.server.ok(&["andon", "pull", "smoke"]);
    let alerts = house.server.json(&["andon", "list"]);
    let policy = house.server.ok(&["stream", "policy", "show"]);
    let before = house.facts().len();
    let card = json!({
        "specversion": "1.0", "id": "c-1", "source": "urn:test", "time": "2026-01-01T00:00:00Z",
        "type": "dev.takt.report.card.v1", "data": {"card": "c-1", "column": "Doing"},
    });
    let with = |kind: &str, data: Value| {
        let mut event = card.clone();
        event["type"] = json!(kind);
        event["data"] = data;
        event.to_string()
    };
    let alert = &alerts[0]["alert"];
    let resolved =
        json!({"alert": alert, "category": "fixed", "cause": "x", "countermeasure": "y"});
    let whole = card.to_string();
    let mut big = card.clone();
    big["data"]["title"] = json!("x".repeat(2 << 20));
    let messages = [
        message("takt.in.shop.ci", &whole[..whole.len() - 20]),
        message("takt.in.shop.ci", &big.to_string()),
        message("takt.in.shop.ci", &with("dev.takt.andon.resolved.v1", resolved)),
        message("takt.in.shop.ci", &with("dev.takt.stream.policy_set.v1", json!({}))),
        message("takt.in.nowhere.ci", &whole),
    ];
    house.publish(&messages);
    house.settled("mark");
    let everywhere = || {
        let mut command = house.server.command(&["dead", "list", "-o", "json"]);
        command.env_remove("TAKT_STREAM");
        serde_json::from_slice::<Value>(&command.output().unwrap().stdout).unwrap()
    };
    let dead = until("the dead letters", everywhere, |it| it.as_array().unwrap().len() == 5);
    let dead = dead.as_array().unwrap();
    let reasons: Vec<&str> = dead.iter().map(|it| it["reason"].as_str().unwrap()).collect();
    for part in ["not JSON", "bytes, more than `1048576`", "not a fact", "unknown stream"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part}: {reasons:?}");
    }
    assert_eq!(reasons.iter().filter(|it| it.contains("not a fact")).count(), 2, "{reasons:?}");
    assert_eq!(house.facts().len(), before + 1, "the mark alone is new");
    assert_eq!(house.server.json(&["andon", "list"]), alerts);
    assert_eq!(house.server.ok(&["stream", "policy", "show"]), policy);
}

#[test]
fn a_message_id_used_again_is_swallowed_within_its_window_and_recorded_after_it() {
    let house = House::open();
    let event = |id: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "urn:test", "type": "com.test.tick",
            "time": "2026-01-01T00:00:00Z",
        })
    };
    let named = |id: &str| {
        let mut message = message("takt.in.shop.tick", &event(id).to_string());
        message["headers"]["Nats-Msg-Id"] = json!("one");
        message
    };
    // Both at once: the second is not stored, and its acknowledgement says so.
    let duplicates = Publisher::start(&house.nats.url(), &[named("1"), named("2")]).done();
    assert_eq!(duplicates, 1);
    // Starting another publisher takes longer than the window of 100 ms.
    assert_eq!(Publisher::start(&house.nats.url(), &[named("3")]).done(), 0);
    house.settled("mark");
    let ids: Vec<Value> = house.facts().iter().map(|it| it["data"]["fact_id"].clone()).collect();
    assert!(ids.contains(&json!("3")) && ids.len() == 3, "{ids:?}");
}
