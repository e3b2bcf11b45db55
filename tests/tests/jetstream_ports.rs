//! JetStream: the inbox, the leases and the other ports of many nodes on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use async_trait::async_trait;
use bytes::Bytes;
use takt_nats::{
    Connection, LEASE_TTL, NatsBlobs, NatsDeadLetters, NatsInbox, NatsLease, NatsOutbox, NatsRelay,
    OpenError, SEQUENCE_HEADER, Settings,
};
use takt_ports::{
    BlobError, BlobStore, DeadLetters, Fate, Inbox, Incoming, Lease, Message, OutMessage, Outbox,
    Relay, RelayError, Serving,
};
use takt_testkit::{
    Publisher, Subscriber, blob_store_contract, dead_letters_contract, inbox_contract,
    lease_contract, leases_between_nodes_contract, letter, out_message, outbox_contract,
};
use takt_tests::Nats;
use takt_tests::nats::in_the_end;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// How long a test waits for what must come on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const GIB: i64 = 1024 * 1024 * 1024;

async fn context(nats: &Nats) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// A stream that the rules before have filled is made anew.
async fn without(context: &Context, stream: &str) {
    // There is none before the first.
    let _ = context.delete_stream(stream).await;
}

struct Service(Context);

#[async_trait]
impl Publisher for Service {
    async fn publish(&self, subject: &str, headers: &[(&str, &str)], bytes: &[u8]) -> u64 {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|&(name, value)| map.append(name, value));
        let bytes = bytes.to_vec().into();
        let sent = self.0.publish_with_headers(subject.to_owned(), map, bytes).await.unwrap();
        sent.await.unwrap().sequence
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_keeps_its_contract() {
    let nats = Nats::start();
    let context = context(&nats).await;
    inbox_contract(async || {
        without(&context, "TAKT_IN").await;
        let inbox = NatsInbox::open(context.clone(), 1, GIB).await.unwrap();
        let service: Arc<dyn Publisher> = Arc::new(Service(context.clone()));
        (Arc::new(inbox) as Arc<dyn Inbox>, service)
    })
    .await;
}

/// Messages of a follower until `count` have come; it is followed anew when it fails.
async fn followed(
    inbox: &NatsInbox,
    incoming: &mut Box<dyn Incoming>,
    from: u64,
    count: usize,
) -> Vec<Message> {
    let (mut seen, mut after) = (Vec::new(), from);
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < count {
        match tokio::time::timeout_at(deadline, incoming.next(100, 1 << 20)).await.unwrap() {
            Ok(messages) => seen.extend(messages),
            Err(_) => *incoming = inbox.follow(&"shop".into(), after),
        }
        after = seen.last().map_or(from, |message| message.seq);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_the_inbox_outlives_a_killed_server_and_misses_nothing() {
    let mut nats = Nats::start();
    let context = context(&nats).await;
    let inbox = NatsInbox::open(context.clone(), 1, GIB).await.unwrap();
    let service = Service(context.clone());
    let mut incoming = inbox.follow(&"shop".into(), 0);
    let (mut published, mut seen) = (Vec::new(), Vec::new());
    for round in 0..3 {
        for _ in 0..10 {
            published.push(service.publish("takt.in.shop.x", &[], b"{}").await);
        }
        let from = seen.last().copied().unwrap_or(0);
        let messages = followed(&inbox, &mut incoming, from, 10).await;
        seen.extend(messages.iter().map(|message| message.seq));
        assert_eq!(seen, published, "round {round}");
        nats.kill();
        nats.restart();
        in_the_end(async || context.get_stream("TAKT_IN").await).await;
    }
    let again = NatsInbox::open(context, 1, GIB).await.unwrap();
    assert_eq!(again.creation(), inbox.creation(), "it is the same inbox");
    assert_eq!(again.read("shop", 0, 100, 1 << 20).await.unwrap().len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_a_server_that_hangs_says_so() {
    let nats = Nats::start();
    let inbox = NatsInbox::open(context(&nats).await, 1, GIB).await.unwrap();
    let mut incoming = inbox.follow(&"shop".into(), 0);
    assert!(timeout(Duration::from_secs(1), incoming.next(1, 1)).await.is_err(), "none is there");
    let signal = |name: &str| {
        let pid = nats.pid().to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let told = timeout(PATIENCE, incoming.next(1, 1)).await;
    signal("-CONT");
    let error = told.unwrap().unwrap_err();
    assert!(error.to_string().contains("heartbeat"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_takes_long_messages_and_refuses_what_it_has_no_room_for() {
    let nats = Nats::start();
    let context = context(&nats).await;
    let inbox = NatsInbox::open(context.clone(), 1, 8 << 20).await.unwrap();
    let service = Service(context.clone());
    let long = vec![b'x'; 2 << 20];
    for _ in 0..3 {
        service.publish("takt.in.shop", &[("ce-id", "1")], &long).await;
    }
    let refused = context.publish("takt.in.shop.x", long.clone().into()).await.unwrap().await;
    assert!(refused.unwrap_err().to_string().contains("maximum bytes exceeded"));
    let mut incoming = inbox.follow(&"shop".into(), 0);
    let mut seen = 0;
    while seen < 3 {
        let next = timeout(PATIENCE, incoming.next(100, 3 << 20)).await.unwrap().unwrap();
        assert_eq!((next.len(), next[0].bytes.len()), (1, 2 << 20), "about 3 MiB at once");
        assert_eq!(next[0].subject, "takt.in.shop._", "what names a stream alone is its too");
        seen += next.len();
    }
    inbox.purge("shop", 3).await.unwrap();
    service.publish("takt.in.shop.x", &[], &long).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_to_a_wildcard_is_read_and_removed_alone() {
    let nats = Nats::start();
    let context = context(&nats).await;
    let inbox = NatsInbox::open(context.clone(), 1, GIB).await.unwrap();
    let service = Service(context.clone());
    let shop = service.publish("takt.in.shop.x", &[], b"shop").await;
    let star = service.publish("takt.in.*.x", &[], b"star").await;
    let rest = service.publish("takt.in.>.x", &[], b"rest").await;
    let last = service.publish("takt.in.bank.x", &[], b"bank").await;
    assert_eq!(inbox.tokens().await.unwrap(), ["*", ">", "bank", "shop"]);
    for (token, seq) in [("*", star), (">", rest)] {
        let read = inbox.read(token, 0, 100, 1 << 20).await.unwrap();
        assert_eq!(read.iter().map(|it| it.seq).collect::<Vec<_>>(), [seq], "{token}");
        inbox.purge(token, last).await.unwrap();
        assert_eq!(inbox.read(token, 0, 100, 1 << 20).await.unwrap(), []);
    }
    assert_eq!(inbox.tokens().await.unwrap(), ["bank", "shop"]);
    let kept = inbox.read("shop", 0, 100, 1 << 20).await.unwrap();
    assert_eq!(kept.iter().map(|it| it.seq).collect::<Vec<_>>(), [shop]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_longer_than_one_request_brings_is_refused_to_its_publisher() {
    let nats = Nats::start_with("max_payload: 8MB");
    let context = context(&nats).await;
    let inbox = NatsInbox::open(context.clone(), 1, GIB).await.unwrap();
    let long = vec![b'x'; 6 << 20];
    let refused = context.publish("takt.in.shop.x", long.into()).await.unwrap().await;
    assert!(refused.unwrap_err().to_string().contains("message size exceeds maximum allowed"));
    Service(context).publish("takt.in.shop.x", &[], b"short").await;
    let mut incoming = inbox.follow(&"shop".into(), 0);
    let next = timeout(PATIENCE, incoming.next(100, 3 << 20)).await.unwrap().unwrap();
    assert_eq!(next[0].bytes, b"short".as_slice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_other_settings_is_refused_with_the_differences() {
    let nats = Nats::start();
    let context = context(&nats).await;
    let strange = Config {
        name: "TAKT_IN".to_owned(),
        subjects: vec!["takt.in.>".to_owned()],
        max_age: Duration::from_secs(60),
        ..Config::default()
    };
    context.create_stream(strange).await.unwrap();
    let refused = NatsInbox::open(context.clone(), 1, GIB).await.unwrap_err();
    let OpenError::Differs { differences, .. } = &refused else { panic!("{refused}") };
    let settings: Vec<_> = differences.iter().map(|it| it.setting.as_str()).collect();
    for setting in ["discard", "max_age", "max_bytes", "duplicate_window", "metadata.takt-inbox-id"]
    {
        assert!(settings.contains(&setting), "`{setting}` is not in {settings:?}");
    }
    assert!(refused.to_string().contains("`nats stream edit TAKT_IN`"), "{refused}");
    without(&context, "TAKT_IN").await;
    let made: Vec<_> =
        (0..8).map(|_| tokio::spawn(NatsInbox::open(context.clone(), 1, GIB))).collect();
    let mut creations = Vec::new();
    for inbox in made {
        creations.push(inbox.await.unwrap().unwrap().creation());
    }
    creations.dedup();
    assert_eq!(creations.len(), 1, "of many nodes that make it, one does");
    let huge = NatsInbox::open(context.clone(), 1, GIB + 1).await.unwrap_err();
    assert!(huge.to_string().contains("`max_bytes` is `1073741824`"), "{huge}");
    without(&context, "TAKT_IN").await;
    let huge = NatsInbox::open(context, 1, 1 << 50).await.unwrap_err();
    assert!(huge.to_string().contains("give JetStream room for it"), "{huge}");
}

async fn lease(context: &Context, node: Uuid, ttl: Duration) -> Arc<dyn Lease> {
    Arc::new(NatsLease::open(context.clone(), node, ttl, 1).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_keep_their_contract_through_a_killed_server() {
    let nats = std::sync::Mutex::new(Nats::start());
    let node = Uuid::from_u128(7);
    lease_contract(async |again| {
        if again {
            let mut nats = nats.lock().unwrap();
            nats.kill();
            nats.restart();
        }
        let url = nats.lock().unwrap().url();
        let context = jetstream::new(async_nats::connect(url).await.unwrap());
        lease(&context, node, LEASE_TTL).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_between_nodes_keep_their_contract() {
    let nats = Nats::start();
    leases_between_nodes_contract(async |node| {
        lease(&context(&nats).await, node, Duration::from_secs(2)).await
    })
    .await;
    let other = NatsLease::open(context(&nats).await, Uuid::nil(), LEASE_TTL, 1).await;
    let refused = other.unwrap_err().to_string();
    assert!(refused.contains("`max_age` is `2000000000` and must be `10000000000`"), "{refused}");
}

struct Outside(Context);

#[async_trait]
impl Subscriber for Outside {
    async fn messages(&self) -> Vec<OutMessage> {
        let stream = self.0.get_stream("TAKT_OUT").await.unwrap();
        let mut messages = Vec::new();
        for seq in 1..=stream.cached_info().state.last_sequence {
            let kept = stream.get_raw_message(seq).await.unwrap();
            let header = |name: &str| kept.headers.get(name).unwrap().as_str().to_owned();
            messages.push(OutMessage {
                subject: kept.subject.as_str().into(),
                key: header("Nats-Msg-Id").into(),
                seq: header(SEQUENCE_HEADER).parse().unwrap(),
                content_type: header("content-type").into(),
                bytes: kept.payload.clone(),
            });
        }
        messages
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_keeps_its_contract() {
    let nats = Nats::start();
    let context = context(&nats).await;
    outbox_contract(async || {
        without(&context, "TAKT_OUT").await;
        let outbox = NatsOutbox::open(context.clone(), 1).await.unwrap();
        let outside: Arc<dyn Subscriber> = Arc::new(Outside(context.clone()));
        (Arc::new(outbox) as Arc<dyn Outbox>, outside)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_after_a_killed_server_is_kept_once_and_in_order() {
    let mut nats = Nats::start();
    let context = context(&nats).await;
    let outbox = NatsOutbox::open(context.clone(), 1).await.unwrap();
    let sent: Vec<_> = (1..=1200).map(|seq| out_message(seq, b"{}")).collect();
    outbox.send(sent[..700].to_vec()).await.unwrap();
    nats.kill();
    nats.restart();
    in_the_end(async || outbox.send(sent.clone()).await).await;
    assert_eq!(Outside(context).messages().await, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_keep_their_contract() {
    let nats = Nats::start();
    let context = context(&nats).await;
    blob_store_contract(async || {
        without(&context, "OBJ_TAKT_BLOBS").await;
        Arc::new(NatsBlobs::open(context.clone(), 1).await.unwrap()) as Arc<dyn BlobStore>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_outlives_a_killed_server_and_a_damaged_one_is_not_served() {
    let mut nats = Nats::start();
    let context = context(&nats).await;
    let blobs = NatsBlobs::open(context.clone(), 1).await.unwrap();
    let bytes = Bytes::from(vec![7; 1_000_000]);
    let id = blobs.put(bytes.clone()).await.unwrap();
    nats.kill();
    nats.restart();
    assert_eq!(in_the_end(async || blobs.get(id).await).await, Some(bytes.clone()));
    let other = context.get_object_store("TAKT_BLOBS").await.unwrap();
    let mut altered = bytes.to_vec();
    altered[500_000] ^= 1;
    other.put(id.to_string().as_str(), &mut altered.as_slice()).await.unwrap();
    let refused = blobs.get(id).await.unwrap_err();
    assert!(matches!(refused, BlobError::Damaged { .. }), "{refused}");
}

/// Answers every call with its request and a word, until it is dropped.
fn answering(mut serving: Box<dyn Serving>, word: &'static str) -> tokio::task::AbortHandle {
    let answering = async move {
        while let Some(call) = serving.next().await {
            let answer = [call.request(), word.as_bytes()].concat();
            call.answer(answer.into()).await;
        }
    };
    tokio::spawn(answering).abort_handle()
}

async fn relay(nats: &Nats) -> NatsRelay {
    NatsRelay::new(Connection::open(&Settings::new(nats.url()), "test").await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_ask_each_other_through_the_relay() {
    let mut nats = Nats::start();
    let asking = relay(&nats).await;
    let wait = Duration::from_secs(30);
    let began = Instant::now();
    let nobody = asking.ask("facts.shop", "a".into(), wait).await.unwrap_err();
    assert!(matches!(nobody, RelayError::Nobody(_)), "{nobody}");
    assert!(asking.ask_all("facts.shop", "a".into(), wait).await.unwrap().is_empty());
    assert!(began.elapsed() < wait / 2, "nobody is known at once");

    let (one, two) = (relay(&nats).await, relay(&nats).await);
    let served = answering(one.serve("facts.shop").await.unwrap(), " by one");
    assert_eq!(asking.ask("facts.shop", "a".into(), wait).await.unwrap(), "a by one");
    let long = Bytes::from(vec![b'x'; takt_ports::MOST_RELAYED_BYTES - 7]);
    let answer = asking.ask("facts.shop", long.clone(), wait).await.unwrap();
    assert_eq!(answer.len(), takt_ports::MOST_RELAYED_BYTES);
    let too_long = [long, Bytes::from_static(b"12345678")].concat();
    let refused = asking.ask("facts.shop", too_long.into(), wait).await.unwrap_err();
    assert!(refused.to_string().contains("3145729 bytes"), "{refused}");
    let refused = asking.ask("facts.>", "a".into(), wait).await.unwrap_err();
    assert!(refused.to_string().contains("`facts.>`"), "{refused}");

    answering(two.serve("facts.shop").await.unwrap(), " by two");
    let silent = asking.serve("facts.shop").await.unwrap();
    let second = Duration::from_secs(1);
    let mut all = asking.ask_all("facts.shop", "b".into(), second).await.unwrap();
    all.sort();
    assert_eq!(all, ["b by one", "b by two"], "and one node says nothing");
    let unheard = asking.serve("silent").await.unwrap();
    let unanswered = asking.ask("silent", "a".into(), second).await.unwrap_err();
    assert!(matches!(unanswered, RelayError::Unanswered(_)), "{unanswered}");
    drop((silent, unheard));
    served.abort();

    let mut deaf = two.serve("deaf").await.unwrap();
    let other = asking.clone();
    let asked = tokio::spawn(async move { other.ask("deaf", "a".into(), wait).await });
    let heard = deaf.next().await.unwrap();
    let began = Instant::now();
    nats.kill();
    let lost = asked.await.unwrap().unwrap_err();
    assert!(matches!(lost, RelayError::Unanswered(_)), "{lost}");
    assert!(began.elapsed() < wait / 2, "an answer does not come on another connection");
    drop(heard);
    nats.restart();
    let answer = in_the_end(async || asking.ask("facts.shop", "c".into(), second).await).await;
    assert_eq!(answer, "c by two", "a name is served again when the server is back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_keep_their_contract() {
    let nats = Nats::start();
    let context = context(&nats).await;
    dead_letters_contract(async || {
        without(&context, "TAKT_DEAD").await;
        Arc::new(NatsDeadLetters::open(context.clone(), 1).await.unwrap()) as Arc<dyn DeadLetters>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_outlive_a_killed_server_with_any_text_and_any_bytes() {
    let mut nats = Nats::start();
    let context = context(&nats).await;
    let letters = NatsDeadLetters::open(context.clone(), 1).await.unwrap();
    let mut odd = letter("shop", "odd");
    odd.stream = "ein Läden/*>.%".into();
    odd.reason = " no\r\nJSON: `ä` \u{1F600} 100 % ".into();
    odd.place = String::new().into();
    odd.remedy = "x".repeat(5000).into();
    odd.bytes = Bytes::from(vec![0xFF; 1 << 20]);
    let seq = letters.keep(odd.clone()).await.unwrap();
    let dropped = letter("shop", "dropped");
    letters.keep(dropped.clone()).await.unwrap();
    assert!(letters.remove(dropped.id, Fate::Dropped).await.unwrap());
    nats.kill();
    nats.restart();
    assert_eq!(in_the_end(async || letters.count().await).await, 1);
    assert_eq!(letters.keep(odd.clone()).await.unwrap(), seq, "it is known");
    let kept = letters.get(odd.id).await.unwrap().unwrap();
    assert_eq!((kept.seq, &kept.letter), (seq, &odd));
    assert_eq!(letters.list(Some(&odd.stream), 0, 10).await.unwrap(), [kept]);
    assert_eq!(letters.fate(dropped.id).await.unwrap(), Some(Fate::Dropped));
    let removals: Vec<_> = (1..=8)
        .map(|sequence| {
            let letters = letters.clone();
            tokio::spawn(async move { letters.remove(odd.id, Fate::Recorded { sequence }).await })
        })
        .collect();
    let mut removed = 0;
    for removal in removals {
        removed += u8::from(removal.await.unwrap().unwrap());
    }
    assert_eq!((removed, letters.count().await.unwrap()), (1, 0), "it is removed once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_was_cut_short_is_finished_by_who_meets_it() {
    let nats = Nats::start();
    let context = context(&nats).await;
    let letters = NatsDeadLetters::open(context.clone(), 1).await.unwrap();
    let it = letter("shop", "it");
    let seq = letters.keep(it.clone()).await.unwrap();
    // The fate is written, and the node is gone before the letter is.
    let mut headers = HeaderMap::new();
    headers.insert("takt-letter", seq.to_string());
    headers.insert("takt-recorded", "7");
    let fate = format!("takt.dead.$fate.of.{}", it.id);
    context.publish_with_headers(fate, headers, Bytes::new()).await.unwrap().await.unwrap();
    assert_eq!(letters.fate(it.id).await.unwrap(), Some(Fate::Recorded { sequence: 7 }));
    assert!(!letters.remove(it.id, Fate::Dropped).await.unwrap(), "the first fate counts");
    assert_eq!(letters.count().await.unwrap(), 0);
    assert!(letters.keep(it.clone()).await.unwrap() > seq, "it may come again");
    assert_eq!(letters.fate(it.id).await.unwrap(), None);
}
