//! The log on a real nats-server keeps the contract of every log.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::sync::Arc;

use takt_nats::{Connection, NatsLog, Settings};
use takt_ports::EventLog;
use takt_testkit::event_log_contract;
use takt_tests::nats::Nats;

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
