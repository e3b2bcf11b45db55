//! What every outbox must do, as one suite that each adapter runs.
#![expect(clippy::unwrap_used, reason = "a test suite fails by panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::format_smolstr;
use takt_ports::{OutMessage, Outbox};

/// Reads an outbox as a subscriber outside does.
#[async_trait]
pub trait Subscriber: Send + Sync {
    /// Every message that is kept, in order.
    async fn messages(&self) -> Vec<OutMessage>;
}

/// A message of the stream `shop` that tells of the log's entry `seq`.
pub fn out_message(seq: u64, bytes: &'static [u8]) -> OutMessage {
    OutMessage {
        subject: "takt.andon.shop".into(),
        key: format_smolstr!("key-{seq}"),
        seq,
        content_type: "application/cloudevents+json".into(),
        bytes: Bytes::from_static(bytes),
    }
}

/// Runs every rule on a fresh outbox each.
///
/// # Panics
/// When a rule does not hold.
pub async fn outbox_contract(make: impl AsyncFn() -> (Arc<dyn Outbox>, Arc<dyn Subscriber>)) {
    let (outbox, subscriber) = make().await;
    messages_come_as_they_were_sent(outbox, subscriber).await;
    let (outbox, subscriber) = make().await;
    what_is_sent_again_is_known_by_its_key(outbox, subscriber).await;
    let (outbox, subscriber) = make().await;
    senders_at_once_lose_nothing(outbox, subscriber).await;
}

async fn messages_come_as_they_were_sent(outbox: Arc<dyn Outbox>, outside: Arc<dyn Subscriber>) {
    outbox.send(vec![]).await.unwrap();
    assert_eq!(outside.messages().await, []);
    let mut deployed = out_message(3, "{\"a\": \"ü\",\n \"b\": 1}".as_bytes());
    deployed.subject = "takt.cdevents.shop.service.deployed".into();
    deployed.content_type = "application/json".into();
    let not_json = out_message(4, b"\xff\x00 not json, not even text\n");
    let sent = vec![out_message(1, b"{\"n\":1}"), deployed, not_json];
    outbox.send(sent.clone()).await.unwrap();
    assert_eq!(outside.messages().await, sent);
    outbox.send(vec![out_message(9, b"[]")]).await.unwrap();
    let all: Vec<_> = sent.into_iter().chain([out_message(9, b"[]")]).collect();
    assert_eq!(outside.messages().await, all, "an order of time");
}

async fn what_is_sent_again_is_known_by_its_key(
    outbox: Arc<dyn Outbox>,
    outside: Arc<dyn Subscriber>,
) {
    let sent = vec![out_message(1, b"{\"n\":1}"), out_message(2, b"{\"n\":2}")];
    outbox.send(sent.clone()).await.unwrap();
    outbox.send(sent.clone()).await.unwrap();
    let more = vec![out_message(2, b"{\"n\":2}"), out_message(3, b"{\"n\":3}")];
    outbox.send(more.clone()).await.unwrap();
    let told = outside.messages().await;
    assert!(told.starts_with(&sent), "{told:?}");
    let each: BTreeSet<_> = told.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(each.into_iter().collect::<Vec<_>>(), ["key-1", "key-2", "key-3"]);
    assert!(told.iter().all(|it| sent.contains(it) || more.contains(it)), "{told:?}");
}

async fn senders_at_once_lose_nothing(outbox: Arc<dyn Outbox>, outside: Arc<dyn Subscriber>) {
    let senders: Vec<_> = (0..10_u64)
        .map(|n| {
            let outbox = Arc::clone(&outbox);
            let messages = (0..10).map(|m| out_message(n * 10 + m + 1, b"{}")).collect();
            tokio::spawn(async move { outbox.send(messages).await.unwrap() })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let told = outside.messages().await;
    let each: BTreeSet<_> = told.iter().map(|it| it.seq).collect();
    assert_eq!(each, (1..=100).collect());
    for n in 0..10 {
        let own: Vec<_> = told.iter().map(|it| it.seq).filter(|seq| (seq - 1) / 10 == n).collect();
        assert!(own.is_sorted(), "each sender's order is kept: {own:?}");
    }
}
