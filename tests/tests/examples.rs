//! The examples of the documents: shown as they are, and run against a real server.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use takt_tests::nats::Nats;
use takt_tests::server::steady_address;
use takt_tests::{Script, Server, binary, node, repository, tools};

const DOCUMENTS: [&str; 2] = ["docs/publishing.md", "docs/subscribers.md"];
/// What stands before a block that shows a file.
const MARK: &str = "<!-- file: ";
/// How long something may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn examples() -> PathBuf {
    repository().join("docs/examples")
}

/// The files that a document shows, each with what it shows.
fn shown(text: &str) -> Vec<(String, String)> {
    let pieces = text.split(MARK).skip(1);
    let block = |piece: &str| {
        let (name, rest) = piece.split_once(" -->\n```").unwrap();
        let (_, rest) = rest.split_once('\n').unwrap();
        let (code, _) = rest.split_once("```\n").unwrap();
        (name.to_owned(), code.to_owned())
    };
    pieces.map(block).collect()
}

#[test]
fn the_documents_show_every_example_as_it_is() {
    let mut seen = BTreeSet::new();
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(repository().join(document)).unwrap();
        for (name, code) in shown(&text) {
            let file = repository().join("docs").join(&name);
            let is =
                std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(code == is, "`{document}` shows another `{name}` than there is");
            seen.insert(file);
        }
    }
    let folders = ["python", "javascript", "rust", "curl"].map(|name| examples().join(name));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files: BTreeSet<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|end| end != "json"))
        .collect();
    assert_eq!(seen, files, "an example is shown, or it is none");
}

fn shop(data: &Path) -> Server {
    let server = Server::start(data);
    server.ok(&["stream", "create", "shop"]);
    server
}

fn python(name: &str) -> Command {
    let mut command = Command::new(tools::python());
    command.arg(examples().join("python").join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command
}

fn curl(name: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg(examples().join("curl").join(name)).env("no_proxy", "127.0.0.1");
    command
}

/// Runs an example that must end well, and gives its stdout.
fn run(command: &mut Command) -> String {
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {said}");
    String::from_utf8(ended.stdout).unwrap()
}

/// What a subscriber says of an event.
fn line(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    format!("{} {} {}", event["taktseq"], text("type"), text("subject"))
}

/// What a subscriber must say of the log of the stream from a sequence on.
fn log_lines(server: &Server, after: u64) -> Vec<String> {
    let from = (after + 1).to_string();
    let log = server.ok(&["events", "read", "--from", &from, "-o", "jsonl"]);
    log.lines().map(|it| line(&serde_json::from_str(it).unwrap())).collect()
}

/// Hears a subscriber say so many lines.
fn hear(script: &Script, lines: usize) -> Vec<String> {
    (0..lines).map(|_| script.line().unwrap()).collect()
}

#[test]
fn publishers_without_nats_are_told_what_became_of_their_facts() {
    let data = tempfile::tempdir().unwrap();
    let server = shop(data.path());
    for name in ["publish.sh", "binary.sh"] {
        let told = run(curl(name).args(["shop", name, "Todo"]).env("TAKT_SERVER", &server.url));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["results"][0]["outcome"], "recorded", "{name}: {told}");
    }
    let mut publish = python("publish_grpc.py");
    let told = run(publish.args(["shop", "grpc", "Todo"]).env("TAKT_SERVER", &server.url));
    assert!(told.starts_with("recorded "), "{told}");
    let cards = server.json(&["card", "list"]);
    let cards: BTreeSet<&str> =
        cards.as_array().unwrap().iter().map(|it| it["card"].as_str().unwrap()).collect();
    assert_eq!(cards, BTreeSet::from(["publish.sh", "binary.sh", "grpc"]));
}

#[test]
fn subscribers_without_nats_go_on_where_they_were_through_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let mut server = shop(data.path());
    server.ok(&["column", "set", "Todo"]);
    let watchers = [
        ("SSE in Python", python("watch_sse.py")),
        ("gRPC in Python", python("watch_grpc.py")),
        ("SSE in JavaScript", node::example("watch_sse.mjs")),
    ];
    let begin = |(name, mut command): (&str, Command)| {
        Script::run(name, command.arg("shop").env("TAKT_SERVER", &server.url))
    };
    let watchers = watchers.map(begin);
    let before = log_lines(&server, 0);
    for watcher in &watchers {
        assert_eq!(hear(watcher, before.len()), before);
    }
    server.kill_and_restart();
    server.ok(&["card", "add", "--id", "C-1", "after the kill"]);
    let after = log_lines(&server, before.len() as u64);
    assert!(after.iter().any(|it| it.contains("card_added")), "{after:?}");
    for watcher in &watchers {
        assert_eq!(hear(watcher, after.len()), after);
    }
    drop(watchers);
    let last = before.len().to_string();
    let mut watch = python("watch_sse.py");
    let resumed = Script::run("SSE", watch.args(["shop", &last]).env("TAKT_SERVER", &server.url));
    assert_eq!(hear(&resumed, after.len()), after, "it begins after the sequence it is given");
}

/// The variables of the file with the passwords.
fn passwords() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository().join("deploy/example.env")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A nats-server with the accounts that are shipped.
fn nats() -> Nats {
    let config = repository().join("deploy/nats/nats-server.conf");
    let mut config = std::fs::read_to_string(config).unwrap();
    for (name, value) in passwords() {
        config = config.replace(&format!("${name}"), &format!("{value:?}"));
    }
    let accounts = config.find("\naccounts {").unwrap();
    Nats::start_with(&config[accounts..])
}

/// A node of Takt on that nats-server.
fn node_on(nats: &Nats, data: &Path, listen: &str) -> Server {
    let mut command = Command::new(binary::takt());
    let passwords = passwords();
    let password = passwords.iter().find(|(name, _)| name == "TAKT_NATS_SERVER_PASSWORD").unwrap();
    command.env("TAKT_NATS", nats.url()).env("TAKT_NATS_USER", "takt");
    command.env("TAKT_NATS_PASSWORD", &password.1);
    Server::start_as(command, data, listen).unwrap_or_else(|ended| panic!("{ended:?}"))
}

/// An example that knows where NATS is, with its passwords.
fn told(mut command: Command, nats: &Nats) -> Command {
    command.env("TAKT_NATS", nats.url()).envs(passwords());
    command
}

fn rust(name: &str) -> Command {
    Command::new(binary::example(name))
}

/// Publishes a card in each language, into the inbox.
fn publish_in_every_language(nats: &Nats) {
    let publishers = [
        ("py", python("publish.py")),
        ("js", node::example("publish.mjs")),
        ("rs", rust("publish")),
    ];
    for (card, command) in publishers {
        let stored = run(told(command, nats).args(["shop", card, "Todo"]));
        assert!(stored.starts_with("stored in the inbox at "), "{card}: {stored}");
    }
}

/// Waits until a subscriber has noted that it has dealt with what this line tells.
fn wait_for_note(checkpoint: &str, line: &str) {
    let deadline = Instant::now() + PATIENCE;
    let is_noted = |noted: String| line.starts_with(&format!("{} ", noted.trim()));
    while !std::fs::read_to_string(checkpoint).is_ok_and(is_noted) {
        assert!(Instant::now() < deadline, "`{checkpoint}` does not come to `{line}`");
    }
}

#[test]
fn examples_over_nats_are_recorded_and_followed_through_kills() {
    let data = tempfile::tempdir().unwrap();
    let (mut nats, listen) = (nats(), steady_address());
    let mut server = node_on(&nats, data.path(), &listen);
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["column", "set", "Todo"]);
    let at = |name: &str| data.path().join(name).display().to_string();
    let subscribers = || {
        [
            ("python", python("subscribe.py")),
            ("javascript", node::example("subscribe.mjs")),
            ("rust", rust("subscribe")),
        ]
    };
    let begin = |(name, command): (&str, Command)| {
        let checkpoint = at(&format!("{name}.checkpoint"));
        Script::run(name, told(command, &nats).args(["shop", &checkpoint]))
    };
    let following = subscribers().map(begin);
    publish_in_every_language(&nats);
    let cards = |server: &Server| server.json(&["card", "list"]).as_array().unwrap().len();
    let deadline = Instant::now() + PATIENCE;
    while cards(&server) < 3 {
        assert!(Instant::now() < deadline, "{}", server.said());
    }
    let first = log_lines(&server, 0);
    for subscriber in &following {
        assert_eq!(hear(subscriber, first.len()), first);
    }
    // The subscribers stay; what they follow is killed.
    server.kill();
    nats.restart();
    server = node_on(&nats, data.path(), &listen);
    server.ok(&["card", "add", "--id", "C-1", "after the kill"]);
    let all = log_lines(&server, 0);
    let later = &all[first.len()..];
    assert!(later.iter().any(|it| it.contains("card_added")), "{later:?}");
    for subscriber in &following {
        assert_eq!(hear(subscriber, later.len()), later);
    }
    // Now they go, once they have noted how far they are, and come again.
    for name in ["python", "javascript", "rust"] {
        wait_for_note(&at(&format!("{name}.checkpoint")), later.last().unwrap());
    }
    drop(following);
    server.ok(&["card", "add", "--id", "C-2", "while they were away"]);
    let all = log_lines(&server, 0);
    let last = all.last().unwrap();
    let again = |(name, command): (&str, Command)| {
        let checkpoint = at(&format!("{name}.checkpoint"));
        let mut command = told(command, &nats);
        Script::run(name, command.args(["shop", &checkpoint])).line().unwrap()
    };
    for told in subscribers().map(again) {
        assert_eq!(&told, last, "it begins after its checkpoint");
    }
}
