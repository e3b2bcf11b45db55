//! What a node that holds leases does when something is away, and what it takes from strangers.

use std::sync::atomic::AtomicBool;

use takt_ports::{
    Append, AppendError, Inbox, InboxError, Incoming, Lease, LeaseError, LogError, Message,
    Notifier, Relay,
};
use takt_projections::World;
use takt_testkit::{MemoryInbox, MemoryLease, MemoryNotifier, OddLog, Oddity};
use tokio::sync::Barrier;

use super::nodes::{Town, until};
use super::*;

/// A lease that is given back only when as many are given back at once as a test says.
struct Together {
    lease: MemoryLease,
    all: Barrier,
    asked: AtomicI64,
}

#[async_trait::async_trait]
impl Lease for Together {
    fn node(&self) -> uuid::Uuid {
        self.lease.node()
    }
    fn ttl(&self) -> Duration {
        self.lease.ttl()
    }
    async fn hold(&self, name: &str) -> Result<Option<u64>, LeaseError> {
        self.lease.hold(name).await
    }
    async fn release(&self, name: &str) -> Result<(), LeaseError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.all.wait().await;
        self.lease.release(name).await
    }
    async fn holders(&self) -> Result<Vec<(smol_str::SmolStr, uuid::Uuid)>, LeaseError> {
        self.lease.holders().await
    }
}

fn together(town: &Town, count: usize) -> (Arc<Together>, Nodes) {
    let (lease, asked) = (town.leases.node(), AtomicI64::new(0));
    let lease = Arc::new(Together { lease, all: Barrier::new(count), asked });
    (Arc::clone(&lease), Nodes { lease, ..town.shared() })
}

async fn make(engine: &Engine, name: &str) {
    let create = stream::Command::Create { name: name.into(), title: name.into() };
    engine.stream(&name.into(), call(), create).await.unwrap();
    until("the lease is held", async || engine.shared().holds(&name.into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_gives_all_its_leases_back_at_once() {
    let town = Town::new(Duration::from_secs(60));
    let (_, nodes) = together(&town, 6);
    let engine = town.node_of(Arc::clone(&town.house.log) as _, nodes, parse).await;
    for name in ["a", "b", "c", "d", "e"] {
        make(&engine, name).await;
    }
    assert_eq!(engine.leases_held(), 6);
    engine.shutdown().await;
    assert_eq!(town.leases.node().holders().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_leases_do_not_answer_stops_all_the_same() {
    let town = Town::new(Duration::from_secs(60));
    let (lease, nodes) = together(&town, 100);
    let engine = town.node_of(Arc::clone(&town.house.log) as _, nodes, parse).await;
    make(&engine, "a").await;
    tokio::time::timeout(Duration::from_secs(15), engine.shutdown()).await.expect("it stops");
    assert_eq!(lease.asked.load(Ordering::SeqCst), 2);
}

/// A log that can be away, or refuse to store what a test names.
struct Failing {
    log: MemoryLog,
    is_away: AtomicBool,
    /// What the subjects of refused entries begin with.
    refused: Mutex<Option<&'static str>>,
    failures: AtomicI64,
}

impl Failing {
    fn of(town: &Town) -> Arc<OddLog<Self>> {
        Arc::new(OddLog::new(Self {
            log: (*town.house.log).clone(),
            is_away: AtomicBool::new(false),
            refused: Mutex::default(),
            failures: AtomicI64::new(0),
        }))
    }

    fn refuse(&self, subjects: Option<&'static str>) {
        *self.refused.lock().unwrap() = subjects;
    }
}

#[async_trait::async_trait]
impl Oddity for Failing {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    async fn head(&self) -> Result<u64, LogError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable { reason: "it is away".into() });
        }
        self.log.head().await
    }
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let refused = *self.refused.lock().unwrap();
        let is_refused = |start| {
            let subjects = append.entries.iter().map(|entry| entry.subject.to_string());
            subjects.into_iter().any(|subject| subject.starts_with(start))
        };
        if refused.is_some_and(is_refused) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Err(LogError::Unavailable { reason: "it is refused".into() }.into());
        }
        self.log.append(append).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_asks_nobody_to_take_its_leases_back() {
    let town = Town::new(Duration::from_secs(60));
    let (lease, nodes) = together(&town, 100);
    let log = Failing::of(&town);
    let engine = town.node_of(Arc::clone(&log) as _, nodes, parse).await;
    make(&engine, "a").await;
    log.0.is_away.store(true, Ordering::SeqCst);
    until("it is cut off", async || matches!(engine.health(), Health::Cut(_))).await;
    engine.shutdown().await;
    assert_eq!(lease.asked.load(Ordering::SeqCst), 0);
}

/// `{"source", "id"}` as a fact about a card.
fn parse_json(bytes: &[u8], now: Time) -> Result<Fact, Misfit> {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    let word = |name: &str| value[name].as_str().unwrap().to_owned();
    let fact = parse(format!("{} c todo 1", word("id")).as_bytes(), now)?;
    Ok(Fact { source: word("source").into(), ..fact })
}

fn named(source: &str, id: &str) -> Bytes {
    serde_json::json!({ "source": source, "id": id }).to_string().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_that_it_is_from_this_takt_is_its_own_event_or_no_fact() {
    let town = Town::new(Duration::from_secs(60));
    let log = || Arc::clone(&town.house.log) as _;
    let engine = town.node_of(log(), town.shared(), parse_json).await;
    make(&engine, "other").await;
    make(&engine, "shop").await;
    let all = history(&town.house).await;
    let (source, of_other) = (&all[0].meta.source, &all[0]);
    let of_shop = all.iter().find(|one| one.stream == shop()).unwrap();
    let facts = [
        named(source, &of_shop.meta.id.to_string()),
        named(source, &of_other.meta.id.to_string()),
        named(source, &uuid::Uuid::now_v7().to_string()),
        named(source, "run-7"),
        named("urn:ci", "run-7"),
    ];
    let published = engine.publish(&shop(), facts.to_vec()).await.unwrap();
    assert_eq!(published[0], Published::Duplicate { sequence: of_shop.seq });
    assert_eq!(published[1], Published::Duplicate { sequence: of_other.seq });
    for dead in &published[2..4] {
        let Published::Dead { reason, remedy, place, .. } = dead else { panic!("{dead:?}") };
        assert!(reason.starts_with("not a fact: source `urn:takt:"), "{reason}");
        assert_eq!(
            (place.as_str(), remedy.as_str()),
            ("source", "give your service a source of its own")
        );
    }
    assert!(matches!(published[4], Published::Recorded { .. }), "{published:?}");
    // An event that another node has written is no stranger, however new it is.
    let second = town.node_of(log(), town.shared(), parse_json).await;
    for n in 0..20 {
        board(&second, add(&format!("c{n}"))).await.unwrap();
        let written = history(&town.house).await.pop().unwrap();
        let again = vec![named(source, &written.meta.id.to_string())];
        let published = engine.publish(&shop(), again).await.unwrap();
        assert_eq!(published, [Published::Duplicate { sequence: written.seq }]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_history_that_is_called_as_the_other_lease_is_taken_in_all_the_same() {
    let town = Town::new(Duration::from_secs(60));
    let name = StreamName::new("$sys");
    let source = "test".into();
    let mut meta =
        takt_domain::Meta::new(takt_domain::EventId(uuid::Uuid::now_v7()), source, Time::EPOCH);
    meta.recorded = Time::EPOCH;
    let created = stream::Event::Created(stream::Created { title: "old".into() });
    let (aggregate, event) = (takt_domain::Aggregate::Stream, takt_domain::Event::Stream(created));
    let bytes = takt_events::encode(&name, &aggregate, &meta, &event).into();
    let entry = takt_ports::NewEntry {
        subject: takt_ports::Subject::of(&name, &aggregate),
        id: meta.id,
        bytes,
    };
    town.house.log.append(Append { conditions: vec![], entries: vec![entry] }).await.unwrap();
    let engine = town.node().await;
    town.inbox.publish(&takt_ports::stream_token(&name), "f1 c1 todo 1");
    until("it is taken in", async || town.facts().await.len() == 2).await;
    assert_eq!(engine.leases_held(), 2);
    let create = stream::Command::Create { name: "$new".into(), title: "".into() };
    let refused = engine.stream(&"$new".into(), call(), create).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(Rejection::Invalid { .. })), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_whose_notices_cannot_be_asked_for_hold_no_other_up() {
    let town = Town::new(Duration::from_secs(60));
    let log = Failing::of(&town);
    let engine = town.node_on(Arc::clone(&log) as _).await;
    let bad: Vec<String> = (0..30).map(|n| format!("bad{n:02}")).collect();
    for name in bad.iter().map(String::as_str).chain(["shop"]) {
        make(&engine, name).await;
    }
    log.0.refuse(Some("takt.log.$sys.reactor.bad"));
    let chat = MemoryNotifier::new("chat");
    for name in bad.iter().map(String::as_str).chain(["shop"]) {
        engine.andon(&name.into(), call(), pull("a")).await.unwrap();
    }
    engine.notify(vec![Arc::clone(&chat) as Arc<dyn Notifier>]);
    // The first look leaves a mark; what is pulled after it is told.
    let mark = |engine: &Engine| {
        engine.shared().read(|world| world.streams[&shop()].notices.tally.through.is_some())
    };
    let told = until("the stream is looked at", async || mark(&engine));
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("no stream waits for others");
    assert!(log.0.failures.load(Ordering::SeqCst) >= 30);
    log.0.refuse(None);
    engine.andon(&"bad00".into(), call(), pull("b")).await.unwrap();
    let looked_at = |world: &World, name: &String| {
        let stream = StreamName::new(name.as_str());
        world.streams[&stream].notices.tally.through.is_some()
    };
    until("the others are asked for again", async || {
        engine.shared().read(|world| bad.iter().all(|name| looked_at(world, name)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_holds_a_lease_and_does_not_answer_is_named_and_nothing_is_ok() {
    let town = Town::new(Duration::from_secs(60));
    let engine = town.node().await;
    make(&engine, "shop").await;
    let silent = town.leases.node();
    silent.hold("stream/away").await.unwrap();
    let verified = engine.verify_all().await.unwrap();
    let stands: Vec<_> =
        verified.iter().map(|it| (it.node, it.is_ok(), it.digests.is_some())).collect();
    let own = engine.shared().nodes.as_ref().unwrap().lease.node();
    assert_eq!(stands, [(own, true, true), (silent.node(), false, false)]);
    silent.release("stream/away").await.unwrap();
    let verified = engine.verify_all().await.unwrap();
    assert_eq!(verified.iter().map(|it| (it.node, it.is_ok())).collect::<Vec<_>>(), [(own, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_seen_more_than_the_log_has_is_not_ok() {
    let town = Town::new(Duration::from_secs(60));
    let engine = town.node().await;
    make(&engine, "shop").await;
    let (live, seq) = engine.shared().read(|world| (world.hash(), world.seq));
    let node = uuid::Uuid::from_u128(7);
    let told = serde_json::json!({ "node": node, "seq": seq + 100, "live": live }).to_string();
    let mut serving = town.relays.node().serve("hash").await.unwrap();
    let other = tokio::spawn(async move {
        while let Some(called) = serving.next().await {
            called.answer(told.clone().into()).await;
        }
    });
    let verified = engine.verify_all().await.unwrap();
    let stands: Vec<_> = verified.iter().map(|it| (it.node == node, it.is_ok())).collect();
    assert_eq!(stands, [(false, true), (true, false)]);
    other.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_holder_that_dies_with_it_ends_when_the_lease_does_and_not_at_the_deadline() {
    let town = Town::new(Duration::from_secs(60));
    let dying = town.leases.node();
    dying.hold("stream/shop").await.unwrap();
    let mut serving = town.relays.node().serve("publish.shop").await.unwrap();
    let engine = town.node().await;
    super::nodes::create(&engine).await;
    let asking = engine.clone();
    let published =
        tokio::spawn(async move { asking.publish(&shop(), vec!["f1 a todo 5".into()]).await });
    let called = serving.next().await.unwrap();
    let begun = std::time::Instant::now();
    until("the caller has seen who holds the lease", async || {
        begun.elapsed() > Duration::from_secs(1)
    })
    .await;
    assert!(!published.is_finished());
    dying.release("stream/shop").await.unwrap();
    let refused = published.await.unwrap().unwrap_err();
    assert!(matches!(&refused, Error::Unavailable(why) if why.contains("ask again")), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it has waited for its deadline");
    drop(called);
}

/// An inbox that compares what is purged with the position that is durable then.
struct Watched {
    inbox: MemoryInbox,
    log: MemoryLog,
    early: Arc<Mutex<Vec<(u64, u64)>>>,
    purges: Arc<AtomicI64>,
    read: Arc<AtomicI64>,
    looks: Arc<AtomicI64>,
}

impl Watched {
    fn of(town: &Town) -> Self {
        Self {
            inbox: town.inbox.clone(),
            log: (*town.house.log).clone(),
            early: Arc::default(),
            purges: Arc::default(),
            read: Arc::default(),
            looks: Arc::default(),
        }
    }
}

#[async_trait::async_trait]
impl Inbox for Watched {
    fn creation(&self) -> uuid::Uuid {
        self.inbox.creation()
    }
    fn follow(&self, stream: &StreamName, after: u64) -> Box<dyn Incoming> {
        let inner = self.inbox.follow(stream, after);
        Box::new(Counted { inner, read: Arc::clone(&self.read) })
    }
    async fn tokens(&self) -> Result<Vec<smol_str::SmolStr>, InboxError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.inbox.tokens().await
    }
    async fn count(&self) -> Result<u64, InboxError> {
        self.inbox.count().await
    }
    async fn read(
        &self,
        token: &str,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, InboxError> {
        self.inbox.read(token, after, max, max_bytes).await
    }
    async fn purge(&self, token: &str, through: u64) -> Result<(), InboxError> {
        let durable = durable(&self.log).await;
        if through > durable {
            self.early.lock().unwrap().push((through, durable));
        }
        self.purges.fetch_add(1, Ordering::SeqCst);
        self.inbox.purge(token, through).await
    }
}

struct Counted {
    inner: Box<dyn Incoming>,
    read: Arc<AtomicI64>,
}

#[async_trait::async_trait]
impl Incoming for Counted {
    async fn next(&mut self, max: usize, max_bytes: usize) -> Result<Vec<Message>, InboxError> {
        let messages = self.inner.next(max, max_bytes).await?;
        let last = messages.last().map_or(0, |last| i64::try_from(last.seq).unwrap());
        self.read.fetch_max(last, Ordering::SeqCst);
        Ok(messages)
    }
}

/// The last position of the inbox that the log has.
async fn durable(log: &MemoryLog) -> u64 {
    let entries = log.read(1, usize::MAX).await.unwrap();
    let position = entries.iter().filter_map(|entry| {
        let event = takt_events::decode(entry.seq, &entry.bytes).unwrap().event;
        let takt_domain::Event::System(takt_domain::system::Event::IntakeAdvanced(it)) = event
        else {
            return None;
        };
        Some(it.through)
    });
    position.last().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_is_never_purged_beyond_the_position_that_is_durable_in_the_log() {
    let town = Town::new(Duration::from_secs(60));
    let log = Failing::of(&town);
    let watched = Watched::of(&town);
    let (early, purges) = (Arc::clone(&watched.early), Arc::clone(&watched.purges));
    let read = Arc::clone(&watched.read);
    let nodes = Nodes { inbox: Arc::new(watched), ..town.shared() };
    let engine = town.node_of(Arc::clone(&log) as _, nodes, parse).await;
    make(&engine, "shop").await;
    let publish = |numbers: std::ops::Range<u32>| {
        for n in numbers {
            town.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
        }
    };
    publish(0..10);
    until("the first are purged", async || town.inbox.kept_messages() == 0).await;
    log.0.refuse(Some("takt.log.shop.board"));
    publish(10..3000);
    // The pauses between so many tries are longer than the time between two purges.
    until("they are read and cannot be recorded", async || {
        log.0.failures.load(Ordering::SeqCst) >= 7 && read.load(Ordering::SeqCst) > 10
    })
    .await;
    assert_eq!((durable(&town.house.log).await, town.inbox.kept_messages()), (10, 2990));
    log.0.refuse(None);
    until("all is purged in the end", async || town.inbox.kept_messages() == 0).await;
    assert_eq!(*early.lock().unwrap(), []);
    assert!(purges.load(Ordering::SeqCst) >= 2);
    assert_eq!(town.facts().await.len(), 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_is_asked_for_all_its_subjects_seldom_while_nobody_strays() {
    let town = Town::new(Duration::from_secs(60));
    let watched = Watched::of(&town);
    let looks = Arc::clone(&watched.looks);
    let nodes = Nodes { inbox: Arc::new(watched), ..town.shared() };
    let begun = std::time::Instant::now();
    let engine = town.node_of(Arc::clone(&town.house.log) as _, nodes, parse).await;
    until("it has looked twice", async || looks.load(Ordering::SeqCst) == 2).await;
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    engine.shutdown().await;
}
