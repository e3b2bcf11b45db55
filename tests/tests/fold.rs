//! Anyone can fold the log: two folds in Python agree with the server, and every line is a CloudEvent.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use takt_tests::nats::Nats;
use takt_tests::{Random, Server, repository, tools};

const SCHEMA: &str = "third_party/cloudevents/cloudevents.json";
const SHA256: &str = "e15bd480a82ae8cd02f65ec692f550c57591cbc7318a0f857f133c184a186aad";

/// Runs a command with a text on its stdin, and gives its stdout.
fn through(mut command: Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A script that fails reads no further; its status tells.
        scope.spawn(move || stdin.write_all(input.as_bytes()).ok());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{}: see above", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The fold in docs/events.md, as it stands there.
fn fold_of_the_document() -> String {
    let text = std::fs::read_to_string(repository().join("docs/events.md")).unwrap();
    let (_, rest) = text.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn near(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-6 * other.abs().max(1e-9),
        _ => one == other,
    }
}

/// The percentile by linear interpolation, type 7, of seconds in order.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * share;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * place.fract()
}

fn sorted_ids(list: &Value, name: &str) -> Vec<String> {
    let rows = list.as_array().unwrap().iter();
    let mut ids: Vec<String> = rows.map(|row| row[name].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Holds the server's answers to both folds, and the log to CloudEvents.
fn agree(server: &Server) -> Value {
    agree_on(server, &server.ok(&["events", "read", "-o", "jsonl"]))
}

/// The same for the log however it was read.
fn agree_on(server: &Server, log: &str) -> Value {
    let lead = server.json(&["metrics", "lead-time"]);
    let alerts = sorted_ids(&server.json(&["andon", "list"]), "alert");
    let cards = server.json(&["card", "list"]);
    let open = cards.as_array().unwrap().iter().filter(|card| card["done"] == false).cloned();
    let open = sorted_ids(&open.collect(), "card");
    let stopped = server.takt(&["andon", "check"]).code == 4;

    let own: Value = serde_json::from_str(&through(tools::script("fold.py"), log)).unwrap();
    for name in ["completed", "reopened", "open", "reopened_open", "p50", "p85", "p95", "mean"] {
        assert!(near(&lead[name], &own[name]), "{name}: server {lead}\nfold {own}");
    }
    assert_eq!(own["open_cards"], serde_json::json!(open));
    assert_eq!(own["open_alerts"], serde_json::json!(alerts));
    assert_eq!(own["line_stopped"], stopped);

    let mut document = Command::new(tools::python());
    document.args(["-c", &fold_of_the_document()]);
    let document: Value = serde_json::from_str(&through(document, log)).unwrap();
    for name in ["completed", "open", "open_alerts", "line_stopped"] {
        assert_eq!(document[name], own[name], "{name}");
    }
    let spans: Vec<f64> = document["lead_time_seconds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_f64().unwrap())
        .collect();
    for (name, share) in [("p50", 0.5), ("p85", 0.85), ("p95", 0.95)] {
        let value = (!spans.is_empty()).then(|| percentile(&spans, share)).into();
        assert!(near(&lead[name], &value), "{name}: server {lead}, document {value}");
    }

    let everything = {
        let mut command = server.command(&["events", "read", "-o", "jsonl"]);
        command.env_remove("TAKT_STREAM");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let mut check = tools::script("cloudevents.py");
    check.args([repository().join(SCHEMA).to_str().unwrap(), SHA256]);
    let checked: usize = through(check, &everything).trim().parse().unwrap();
    assert_eq!(checked, everything.lines().count());
    assert!(checked >= log.lines().count());
    lead
}

#[test]
fn two_folds_in_python_agree_with_the_server_over_untidy_facts_and_commands() {
    let data = tempfile::tempdir().unwrap();
    untidy(&Server::start(data.path()), agree);
}

#[test]
fn two_folds_in_python_over_nats_agree_with_the_server() {
    let (nats, data) = (Nats::start(), tempfile::tempdir().unwrap());
    let server = Server::start_node(data.path(), "127.0.0.1:0", &nats.url());
    untidy(&server, |server| {
        let mut read = tools::script("log.py");
        read.args([&nats.url(), "shop"]);
        agree_on(server, &through(read, ""))
    });
}

fn untidy(server: &Server, agree: impl Fn(&Server) -> Value) {
    let mut random = Random::said("the untidy facts");
    server.ok(&["stream", "create", "shop"]);
    assert_eq!(agree(server)["p50"], Value::Null);
    let mut facts = tools::script("facts.py");
    facts.args([&random.number().to_string(), "120"]);
    let facts = through(facts, "");
    let published = server.fed(&["publish", "-", "-o", "json"], facts.as_bytes()).json();
    assert!(published["duplicate"].as_u64().unwrap() > 0, "{published}");
    assert!(agree(server)["completed"].as_u64().unwrap() > 0);

    // Commands over the facts: columns that say otherwise, cards of our own, and the Andon.
    server.ok(&["column", "set", "Review", "--kind", "done"]);
    server.ok(&["column", "set", "Doing", "--wip-limit", "1", "--wip-policy", "soft"]);
    for (card, to) in [("own-1", "Doing"), ("own-2", "Doing"), ("own-3", "Done")] {
        server.ok(&["card", "add", "--id", card, "--column", "Todo", "a card"]);
        server.ok(&["card", "move", card, to]);
    }
    server.ok(&["card", "move", "own-3", "Todo"]);
    server.ok(&["card", "delete", "own-1"]);
    let pulled = server.json(&["andon", "pull", "smoke"]);
    server.ok(&["andon", "pull", "more smoke"]);
    assert!(agree(server)["reopened_open"].as_u64().unwrap() > 0);
    let alert = pulled["alert"].as_str().unwrap();
    let why = ["--category", "fixed", "--cause", "fire", "--countermeasure", "water"];
    server.ok(&[&["andon", "resolve", alert], &why[..]].concat());
    agree(server);
}
