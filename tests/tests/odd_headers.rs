//! Messages whose headers no client reads: each is a dead letter, and stops nothing.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use takt_tests::Server;
use takt_tests::inbox::until;
use takt_tests::nats::Nats;

/// Headers, and what is said of them.
const ODD: [(&[u8], &str); 4] = [
    (b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n", "they are not UTF-8"),
    (b"NATS/1.0\r\nno colon here\r\n\r\n", "has no colon"),
    (b"NATS/1.0\r\nX\x01y: a\r\n\r\n", "is no name of a header"),
    (b"NATS/1.0\r\nce-id: a\rb\r\n\r\n", "carriage return"),
];

/// Publishes by hand, as no client would, and waits until the server has read it all.
fn publish(nats: &Nats, messages: &[(&str, &[u8], String)]) {
    let mut socket = TcpStream::connect(nats.address()).unwrap();
    let mut sent = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n".to_vec();
    for (subject, headers, body) in messages {
        let (head, whole) = (headers.len(), headers.len() + body.len());
        sent.extend(format!("HPUB {subject} {head} {whole}\r\n").bytes());
        sent.extend_from_slice(headers);
        sent.extend(format!("{body}\r\n").bytes());
    }
    sent.extend(b"PING\r\n");
    socket.write_all(&sent).unwrap();
    let lines = BufReader::new(socket).lines().map(Result::unwrap);
    let mut said = lines.skip_while(|line| line.starts_with("INFO") || line.starts_with("+OK"));
    assert_eq!(said.next().unwrap(), "PONG");
}

fn event(id: &str) -> String {
    json!({
        "specversion": "1.0", "id": id, "source": "urn:test", "type": "com.test.tick",
        "time": "2026-01-01T00:00:00Z",
    })
    .to_string()
}

/// Every odd message with a good one after it, and good ones to another stream between them.
fn odd_ones(nats: &Nats) {
    let plain: &[u8] = b"NATS/1.0\r\nX: ok\r\n\r\n";
    for (at, (headers, _)) in ODD.into_iter().enumerate() {
        publish(
            nats,
            &[
                ("takt.in.shop.x", headers, event(&format!("odd-{at}"))),
                ("takt.in.shop.x", plain, event(&format!("shop-{at}"))),
                ("takt.in.other.x", plain, event(&format!("other-{at}"))),
            ],
        );
    }
}

fn facts(server: &Server, stream: &str) -> Vec<String> {
    let mut command = server.command(&["events", "read", "-o", "jsonl"]);
    let read = command.env("TAKT_STREAM", stream).output().unwrap();
    let log = String::from_utf8(read.stdout).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ids = events.filter_map(|event| Some(event.pointer("/data/fact_id")?.as_str()?.to_owned()));
    ids.collect()
}

fn all_came(server: &Server) {
    for stream in ["shop", "other"] {
        let wanted: Vec<String> = (0..ODD.len()).map(|at| format!("{stream}-{at}")).collect();
        until("the messages behind", || facts(server, stream), |came| *came == wanted);
    }
    let dead = server.json(&["dead", "list"]);
    let reasons: Vec<&str> =
        dead.as_array().unwrap().iter().map(|it| it["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), ODD.len(), "{reasons:?}");
    for (_, why) in ODD {
        let is_told = |it: &&str| it.starts_with("headers do not read") && it.contains(why);
        assert!(reasons.iter().any(is_told), "{why}: {reasons:?}");
    }
    until("readiness", || server.get("/readyz").0, |status| *status == 200);
}

fn node(nats: &Nats, data: &tempfile::TempDir) -> Server {
    Server::start_node(data.path(), "127.0.0.1:0", &nats.url())
}

#[test]
fn odd_headers_are_dead_letters_of_a_node_that_runs_and_of_one_that_starts() {
    let (nats, data) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut server = node(&nats, &data);
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["stream", "create", "other"]);
    odd_ones(&nats);
    all_came(&server);
    server.kill();
    let (nats, data) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut server = node(&nats, &data);
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["stream", "create", "other"]);
    server.kill();
    odd_ones(&nats);
    all_came(&node(&nats, &data));
}

#[test]
fn odd_headers_to_a_stream_that_nobody_made_are_dead_letters_too() {
    let (nats, data) = (Nats::start(), tempfile::tempdir().unwrap());
    let server = node(&nats, &data);
    let messages = ODD.map(|(headers, _)| ("takt.in.nowhere.x", headers, event("x")));
    publish(&nats, &messages);
    let dead = || {
        let mut command = server.command(&["dead", "list", "-o", "json"]);
        command.env_remove("TAKT_STREAM");
        serde_json::from_slice::<Value>(&command.output().unwrap().stdout).unwrap()
    };
    until("the dead letters", dead, |it| it.as_array().is_some_and(|it| it.len() == ODD.len()));
}

#[test]
fn a_node_whose_own_client_ends_stops_so_that_it_is_started_again() {
    let (nats, data) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut server = node(&nats, &data);
    server.ok(&["stream", "create", "shop"]);
    until(
        "the end of the node",
        || {
            publish(&nats, &[("takt.node.publish.shop.call", ODD[3].0, String::new())]);
            server.said().contains("start takt again")
        },
        |is_said| *is_said,
    );
    assert_eq!(server.ended(), 5, "{}", server.said());
}
