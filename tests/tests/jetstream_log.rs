//! The log on a real nats-server keeps the contract of every log.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::sync::Arc;

use takt_domain::EventId;
use takt_nats::{Connection, NatsLog, Settings};
use takt_ports::{Append, EventLog, NewEntry, Subject, Tail};
use takt_testkit::event_log_contract;
use takt_tests::nats::Nats;
use tokio_stream::StreamExt;

async fn open(nats: &Nats) -> NatsLog {
    let connection = Connection::open(&Settings::new(nats.url()), "test").await.unwrap();
    NatsLog::open(connection, 1).await.unwrap()
}

#[tokio::test]
async fn the_log_on_jetstream_keeps_the_contract_of_a_log() {
    let servers = std::sync::Mutex::new(vec![]);
    event_log_contract(async || {
        let nats = Nats::start();
        let log = open(&nats).await;
        servers.lock().unwrap().push(nats);
        Arc::new(log) as Arc<dyn EventLog>
    })
    .await;
}

fn entries(range: std::ops::Range<u64>) -> Append {
    let entry = |number: u64| NewEntry {
        subject: Subject::from_log("takt.log.shop.line"),
        id: EventId::derive("urn:test", &number.to_string(), 0),
        bytes: format!("{{\"number\":{number}}}").into(),
    };
    Append { conditions: vec![], entries: range.map(entry).collect() }
}

/// Reads up to a sequence; every entry must be the next one.
async fn read_up_to(tail: &mut dyn Tail, at: &mut u64, end: u64) {
    while *at < end {
        for entry in tail.next(512).await.unwrap() {
            *at += 1;
            assert_eq!(entry.seq, *at);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_alone_is_not_sent_its_own_entries_and_hears_of_another_at_once() {
    let nats = Nats::start();
    let (one, other) = (open(&nats).await, open(&nats).await);
    let (mut tail, mut at) = (one.tail(1), 0);
    for batch in 0..20 {
        let first = batch * 500;
        one.append(entries(first..first + 500)).await.unwrap();
        read_up_to(tail.as_mut(), &mut at, first + 500).await;
    }
    let client = async_nats::connect(nats.url()).await.unwrap();
    let log = async_nats::jetstream::new(client).get_stream("TAKT_LOG").await.unwrap();
    let consumers: Vec<_> = log.consumers().map(Result::unwrap).collect().await;
    let sent = consumers.iter().map(|it| it.delivered.stream_sequence).max();
    assert!(sent < Some(10_000), "the consumer was read to the end: {sent:?}");

    for number in [10_000, 10_002] {
        other.append(entries(number..number + 1)).await.unwrap();
        one.append(entries(number + 1..number + 2)).await.unwrap();
    }
    read_up_to(tail.as_mut(), &mut at, 10_004).await;
}
