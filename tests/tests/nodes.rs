//! Two nodes on one log: each takes commands, one of them reacts, both know the same.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use takt_tests::inbox::{Publisher, message, until};
use takt_tests::nats::Nats;
use takt_tests::server::steady_address;
use takt_tests::{Ended, Server, number, summary, tools};

struct House {
    nats: Nats,
    one: Server,
    other: Server,
    _data: [tempfile::TempDir; 2],
}

impl House {
    fn open() -> Self {
        let nats = Nats::start();
        let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let start = |data: &tempfile::TempDir| {
            Server::start_node(data.path(), &steady_address(), &nats.url())
        };
        let (one, other) = (start(&data[0]), start(&data[1]));
        one.ok(&["stream", "create", "shop"]);
        Self { nats, one, other, _data: data }
    }

    fn nodes(&self) -> [&Server; 2] {
        [&self.one, &self.other]
    }

    /// Waits until both nodes have folded the same whole log, and agree on what it gives.
    fn agree(&self) {
        let seen = || self.nodes().map(|node| node.json(&["projection", "status"]));
        let same = |[one, other]: &[Value; 2]| {
            one["applied"] == one["head"] && one["head"] == other["applied"]
        };
        let [one, other] = until("the same sequence on both nodes", seen, same);
        assert_eq!(one["hash"], other["hash"]);
        let verified = self.one.json(&["projection", "verify"]);
        assert_eq!(verified["ok"], true, "{verified}");
        assert_eq!(verified["nodes"].as_array().unwrap().len(), 2, "{verified}");
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let log = self.other.ok(&["events", "read", "-o", "jsonl"]);
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["type"] == kind).collect()
    }

    /// The subjects of all that subscribers were told, once there is so much; the keys differ.
    fn told(&self, count: usize) -> Vec<String> {
        let read = || {
            let ended = Ended::of(tools::script("out.py").arg(self.nats.url()).output().unwrap());
            assert_eq!(ended.code, 0, "{}", ended.err);
            let lines = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.collect::<Vec<_>>()
        };
        let told = until("what subscribers are told", read, |told| told.len() >= count);
        let keys: BTreeSet<&str> = told.iter().map(|one| one["key"].as_str().unwrap()).collect();
        assert_eq!(keys.len(), told.len(), "a message was stored twice");
        told.iter().map(|one| one["subject"].as_str().unwrap().to_owned()).collect()
    }

    /// The node that holds the lease of the stream, and the other one.
    fn holder_first(&self) -> [&Server; 2] {
        let holds = |node: &Server| {
            let checks = node.json(&["doctor"]);
            let leases = checks.as_array().unwrap().iter().find(|it| it["check"] == "leases");
            let found = leases.unwrap()["found"].as_str().unwrap();
            found.starts_with("this node holds") && found.contains("`shop`")
        };
        let held = || self.nodes().map(holds);
        match until("a holder of the lease", held, |[one, other]| one != other) {
            [true, _] => [&self.one, &self.other],
            [false, _] => [&self.other, &self.one],
        }
    }
}

#[test]
fn of_a_hundred_moves_over_two_nodes_three_fit_into_a_column_with_room_for_three() {
    let house = House::open();
    house.one.ok(&["column", "set", "Todo"]);
    house.one.ok(&["column", "set", "Doing", "--wip-limit", "3", "--wip-policy", "hard"]);
    for card in 0..100 {
        let id = format!("C-{card}");
        house.nodes()[card % 2].ok(&["card", "add", "--id", &id, "--column", "Todo", "a card"]);
    }
    let addresses = house.nodes().map(Server::address).join(",");
    let mut script = tools::script("hundred.py");
    let ended = Ended::of(script.args([&addresses, "100", "3"]).output().unwrap());
    let found = ended.json();
    assert_eq!(found["codes"], json!({"OK": 3, "FAILED_PRECONDITION": 97}), "{found}");
    assert_eq!(house.events("dev.takt.board.card_moved.v1").len(), 3);
    house.agree();
}

#[test]
fn one_key_sent_to_both_nodes_at_once_has_one_effect() {
    let house = House::open();
    house.one.ok(&["column", "set", "Todo"]);
    for round in 0..20 {
        let key = format!("key-{round}");
        let add = ["card", "add", "a card", "--idempotency-key", &key, "-o", "json"];
        let running = house.nodes().map(|node| {
            let mut command = node.command(&add);
            command.stdout(std::process::Stdio::piped()).spawn().unwrap()
        });
        let ended = running.map(|child| Ended::of(child.wait_with_output().unwrap()).json());
        assert_eq!(ended[0]["sequence"], ended[1]["sequence"], "{ended:?}");
    }
    assert_eq!(house.events("dev.takt.board.card_added.v1").len(), 20);
    house.agree();
}

#[test]
fn a_broken_stage_pulls_the_andon_once_whichever_node_hears_of_it() {
    let house = House::open();
    let failed = |id: usize| {
        json!({
            "specversion": "1.0", "id": format!("run-{id}"), "source": "urn:ci",
            "type": "dev.takt.report.pipeline.v1", "time": "2026-01-01T00:00:00Z",
            "data": {"pipeline": "main", "run": "r-1", "outcome": "failure"},
        })
        .to_string()
    };
    let facts: Vec<String> = (0..20).map(failed).collect();
    let publish = |node: &Server, facts: &[String]| {
        for fact in facts {
            let ended = node.fed(&["publish", "-"], fact.as_bytes());
            assert_eq!(ended.code, 0, "{}", ended.err);
        }
    };
    std::thread::scope(|scope| {
        for (node, half) in house.nodes().into_iter().zip(facts.chunks(10)) {
            scope.spawn(move || publish(node, half));
        }
        let messages: Vec<Value> = facts.iter().map(|it| message("takt.in.shop.ci", it)).collect();
        let url = house.nats.url();
        scope.spawn(move || Publisher::start(&url, &messages).done());
    });
    let open = || house.other.json(&["andon", "list"]);
    until("the alert", open, |alerts| alerts.as_array().unwrap().len() == 1);
    house.agree();
    assert_eq!(house.events("dev.takt.andon.pulled.v1").len(), 1);
    assert_eq!(house.other.takt(&["andon", "check"]).code, 4);
}

/// The end of a signal to one process.
fn signal(node: &Server, name: &str) {
    let sent = Command::new("kill").args([name, &node.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_holder_that_was_stopped_for_a_while_doubles_nothing_when_it_goes_on() {
    let pause = Duration::from_secs(number("TAKT_PAUSE_SECONDS", 15));
    let house = House::open();
    house.one.ok(&["column", "set", "Doing", "--wip-limit", "5", "--wip-policy", "soft"]);
    let cards: Vec<Value> = (0..3000)
        .map(|card| {
            json!({
                "specversion": "1.0", "id": format!("c-{card}"), "source": "urn:board",
                "type": "dev.takt.report.card.v1", "time": "2026-01-01T00:00:00Z",
                "data": {"card": format!("c-{card}"), "column": "Doing"},
            })
        })
        .map(|event| message("takt.in.shop.board", &event.to_string()))
        .collect();
    let [holder, other] = house.holder_first();
    let publisher = Publisher::start(&house.nats.url(), &cards);
    publisher.stored(200);
    signal(holder, "-STOP");
    let begun = Instant::now();
    let _ = publisher.done();
    let taken_in = || other.json(&["card", "list"]).as_array().unwrap().len();
    until("every card on the other node", taken_in, |count| *count == 3000);
    until("the end of the pause", || begun.elapsed(), |it| *it >= pause);
    signal(holder, "-CONT");
    until(
        "every card on the node that was stopped",
        || holder.json(&["card", "list"]).as_array().unwrap().len(),
        |count| *count == 3000,
    );
    house.agree();
    assert_eq!(house.events("dev.takt.board.card_reported.v1").len(), 3000);
    assert_eq!(house.events("dev.takt.andon.pulled.v1").len(), 1);
    let told = house.told(3001);
    let of = |subject: &str| told.iter().filter(|one| one.starts_with(subject)).count();
    assert_eq!(of("takt.andon.shop"), 1, "one pull is told once");
    assert_eq!(of("takt.cdevents.shop.takt-card.moved"), 3000, "each move is told once");
    let what = "the holder of the lease stopped, another took over, the first went on";
    let measured = format!("stopped for {} s, 3000 facts recorded once", pause.as_secs());
    summary::row(what, 1, &measured);
}
