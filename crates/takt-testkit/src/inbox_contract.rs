//! What every inbox must do, as one suite that each adapter runs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test suite fails by panic")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use takt_ports::{Inbox, Message};
use tokio::time::timeout;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
const MANY: usize = 100;
const MUCH: usize = 1024 * 1024;

/// Publishes to an inbox as a service does.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes a message and returns its sequence.
    async fn publish(&self, subject: &str, headers: &[(&str, &str)], bytes: &[u8]) -> u64;
}

/// Runs every rule on a fresh inbox each.
///
/// # Panics
/// When a rule does not hold.
pub async fn inbox_contract(make: impl AsyncFn() -> (Arc<dyn Inbox>, Arc<dyn Publisher>)) {
    let (inbox, services) = make().await;
    messages_are_read_as_they_were_published(inbox, services).await;
    let (inbox, services) = make().await;
    reads_are_bounded(inbox, services).await;
    let (inbox, services) = make().await;
    a_follower_waits_and_sees_its_stream_in_order(inbox, services).await;
    let (inbox, services) = make().await;
    what_is_purged_is_gone_and_sequences_go_on(inbox, services).await;
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

async fn messages_are_read_as_they_were_published(
    inbox: Arc<dyn Inbox>,
    services: Arc<dyn Publisher>,
) {
    assert_eq!(inbox.creation(), inbox.creation());
    assert!(inbox.tokens().await.unwrap().is_empty());
    assert!(inbox.read("shop", 0, MANY, MUCH).await.unwrap().is_empty());
    let headers = [("ce-id", "1"), ("content-type", "application/json"), ("ce-id", "2")];
    let a = services.publish("takt.in.shop.ci.run-7", &headers, b"\xff\x00 bytes").await;
    let b = services.publish("takt.in.bank.x", &[], b"").await;
    let c = services.publish("takt.in.shop.board", &[], b"{}").await;
    assert!(0 < a && a < b && b < c);
    let mut tokens = inbox.tokens().await.unwrap();
    tokens.sort();
    assert_eq!(tokens, ["bank", "shop"]);
    let read = inbox.read("shop", 0, MANY, MUCH).await.unwrap();
    assert_eq!(seqs(&read), [a, c]);
    assert_eq!(read[0].subject, "takt.in.shop.ci.run-7");
    assert_eq!(read[0].bytes, b"\xff\x00 bytes".as_slice());
    let of_it = |name: &str| {
        let headers = read[0].headers.iter().filter(|(it, _)| it == name);
        headers.map(|(_, value)| value.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of_it("ce-id"), ["1", "2"]);
    assert_eq!(of_it("content-type"), ["application/json"]);
    assert!(read[0].at <= read[1].at);
    assert_eq!(inbox.read("shop", a, MANY, MUCH).await.unwrap(), read[1..]);
    assert!(inbox.read("shop", c, MANY, MUCH).await.unwrap().is_empty());
    assert!(inbox.read("sho", 0, MANY, MUCH).await.unwrap().is_empty());
    assert!(inbox.read("nobody", 0, MANY, MUCH).await.unwrap().is_empty());
}

async fn reads_are_bounded(inbox: Arc<dyn Inbox>, services: Arc<dyn Publisher>) {
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(services.publish("takt.in.shop.x", &[], &[b'x'; 10_000]).await);
    }
    assert_eq!(seqs(&inbox.read("shop", 0, 7, MUCH).await.unwrap()), all[..7]);
    let some = inbox.read("shop", all[6], MANY, 45_000).await.unwrap();
    assert!((1..=10).contains(&some.len()), "about 45,000 bytes are {} messages", some.len());
    assert_eq!(seqs(&some), all[7..7 + some.len()]);
    let one = inbox.read("shop", 0, MANY, 1).await.unwrap();
    assert!(!one.is_empty(), "a message longer than was asked for is read all the same");
}

async fn a_follower_waits_and_sees_its_stream_in_order(
    inbox: Arc<dyn Inbox>,
    services: Arc<dyn Publisher>,
) {
    let first = services.publish("takt.in.shop.x", &[], b"before").await;
    let mut follower = inbox.follow(&"shop".into(), 0);
    let mut later = inbox.follow(&"shop".into(), first);
    let before = timeout(PATIENCE, follower.next(MANY, MUCH)).await.unwrap().unwrap();
    assert_eq!(seqs(&before), [first]);
    // A wait that is given up loses nothing.
    assert!(timeout(Duration::from_millis(100), follower.next(MANY, MUCH)).await.is_err());
    let publishing = tokio::spawn(async move {
        let mut published = Vec::new();
        for n in 0..50 {
            services.publish("takt.in.bank.x", &[], b"other").await;
            let text = n.to_string();
            published.push(services.publish("takt.in.shop.x", &[], text.as_bytes()).await);
        }
        published
    });
    for follower in [&mut follower, &mut later] {
        let mut seen = Vec::new();
        while seen.len() < 50 {
            let next = timeout(PATIENCE, follower.next(7, MUCH)).await.unwrap().unwrap();
            assert!((1..=7).contains(&next.len()));
            seen.extend(next);
        }
        let texts: Vec<_> = seen.iter().map(|message| message.bytes.to_vec()).collect();
        assert_eq!(texts, (0..50).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>());
        assert!(seen.is_sorted_by_key(|message| message.seq));
    }
    publishing.await.unwrap();
}

async fn what_is_purged_is_gone_and_sequences_go_on(
    inbox: Arc<dyn Inbox>,
    services: Arc<dyn Publisher>,
) {
    let a = services.publish("takt.in.shop.x", &[], b"a").await;
    let b = services.publish("takt.in.bank.x", &[], b"b").await;
    let c = services.publish("takt.in.shop.x", &[], b"c").await;
    let count = inbox.count().await.unwrap();
    inbox.purge("shop", a).await.unwrap();
    assert_eq!(inbox.count().await.unwrap(), count - 1);
    assert_eq!(seqs(&inbox.read("shop", 0, MANY, MUCH).await.unwrap()), [c]);
    assert_eq!(seqs(&inbox.read("bank", 0, MANY, MUCH).await.unwrap()), [b]);
    inbox.purge("shop", a).await.unwrap();
    inbox.purge("shop", c).await.unwrap();
    inbox.purge("nobody", c).await.unwrap();
    assert_eq!(inbox.tokens().await.unwrap(), ["bank"]);
    inbox.purge("bank", c).await.unwrap();
    assert!(inbox.tokens().await.unwrap().is_empty());
    let d = services.publish("takt.in.shop.x", &[], b"d").await;
    assert!(d > c, "a sequence is given once");
    let mut follower = inbox.follow(&"shop".into(), a);
    let next = timeout(PATIENCE, follower.next(MANY, MUCH)).await.unwrap().unwrap();
    assert_eq!(seqs(&next), [d]);
}
