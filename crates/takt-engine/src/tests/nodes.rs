//! Several engines on one log: nothing lost, doubled or overtaken, whoever holds the lease.

use takt_ports::{AppendError, DeadLetters};
use takt_testkit::{MemoryInbox, MemoryLeases, MemoryOutbox, MemoryRelays, OddLog, Oddity};
use tokio::time::Instant;

use super::*;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What several nodes share.
pub(super) struct Town {
    pub(super) house: House,
    pub(super) leases: MemoryLeases,
    pub(super) inbox: MemoryInbox,
    pub(super) relays: MemoryRelays,
    outbox: MemoryOutbox,
}

impl Town {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            house: House::new(),
            leases: MemoryLeases::new(ttl),
            inbox: MemoryInbox::default(),
            relays: MemoryRelays::default(),
            outbox: MemoryOutbox::default(),
        }
    }

    /// A node with projections of its own.
    pub(super) async fn node(&self) -> Engine {
        self.node_on(Arc::clone(&self.house.log) as _).await
    }

    pub(super) async fn node_on(&self, log: Arc<dyn EventLog>) -> Engine {
        let nodes = self.shared();
        self.node_of(log, nodes, parse).await
    }

    /// What a new node shares with the others.
    pub(super) fn shared(&self) -> Nodes {
        Nodes {
            lease: Arc::new(self.leases.node()),
            inbox: Arc::new(self.inbox.clone()),
            relay: Arc::new(self.relays.node()),
        }
    }

    pub(super) async fn node_of(
        &self,
        log: Arc<dyn EventLog>,
        nodes: Nodes,
        parse: Parse,
    ) -> Engine {
        let own = House { store: Arc::default(), ..self.house.clone() };
        let parts = Parts {
            parse,
            nodes: Some(nodes),
            outbox: Some(Arc::new(self.outbox.clone())),
            outlet: |telling| message(telling.recorded).into_iter().collect(),
            ..own.on(log)
        };
        Engine::start(parts).await.unwrap()
    }

    /// All facts of cards that are in the log, in its order.
    pub(super) async fn facts(&self) -> Vec<String> {
        let history = history(&self.house).await;
        let facts = history.iter().filter(|one| one.meta.source == "test");
        facts.map(|one| format!("{} {}", one.meta.subject, one.meta.time)).collect()
    }

    pub(super) fn at(&self, card: u32, second: u32) -> String {
        format!("c{card} {}", Time::EPOCH + Span::from_secs(i64::from(second)))
    }
}

fn message(recorded: &Recorded) -> Option<takt_ports::OutMessage> {
    (recorded.meta.source == "test").then(|| takt_ports::OutMessage {
        subject: "takt.cdevents.shop.card.moved".into(),
        key: recorded.meta.id.to_string().into(),
        seq: recorded.seq,
        content_type: "text/plain".into(),
        bytes: Bytes::new(),
    })
}

pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn create(engine: &Engine) {
    let create = stream::Command::Create { name: shop(), title: "Shop".into() };
    engine.stream(&shop(), call(), create).await.unwrap();
    board(engine, column("todo", 0)).await.unwrap();
    board(engine, column("doing", 3)).await.unwrap();
}

/// A command on a task of its own.
fn asked(engine: &Engine, call: Call, order: Order) -> tokio::task::JoinHandle<Receipt> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.board(&shop(), &BoardId::main(), call, order).await.unwrap() })
}

fn holds(engine: &Engine) -> bool {
    engine.shared().holds(&shop())
}

pub(super) async fn same_everywhere(engine: &Engine, nodes: usize) {
    let rows = engine.verify_all().await.unwrap();
    assert_eq!(rows.len(), nodes);
    for row in rows {
        assert!(row.is_ok(), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_moves_on_two_nodes_into_a_column_for_3_exactly_3_succeed() {
    let town = Town::new(Duration::from_secs(2));
    let nodes = [town.node().await, town.node().await];
    create(&nodes[0]).await;
    for n in 0..100 {
        board(&nodes[n % 2], add(&format!("c{n}"))).await.unwrap();
    }
    let moves = (0..100).map(|n| {
        let engine = nodes[n % 2].clone();
        tokio::spawn(async move { board(&engine, to(&format!("c{n}"), "doing")).await })
    });
    let mut accepted = 0;
    for one in moves.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(Error::Rejected(Rejection::Refused(unmet))) => {
                assert_eq!(unmet[0].code, "wip_limit");
            }
            Err(other) => panic!("refused otherwise: {other}"),
        }
    }
    assert_eq!(accepted, 3);
    same_everywhere(&nodes[0], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_sent_to_two_nodes_at_once_is_one_effect() {
    let town = Town::new(Duration::from_secs(2));
    let nodes = [town.node().await, town.node().await];
    create(&nodes[0]).await;
    for round in 0..50 {
        let key = Some(format!("k{round}").into());
        let card = format!("c{round}");
        let [one, two] = nodes.each_ref().map(|engine| {
            let call = Call { key: key.clone(), ..call() };
            asked(engine, call, add(&card))
        });
        let (one, two) = tokio::join!(one, two);
        let receipts = [one.unwrap(), two.unwrap()];
        assert_eq!(receipts[0].sequence, receipts[1].sequence);
        assert_ne!(receipts[0].duplicate, receipts[1].duplicate);
    }
    assert_eq!(of_type(&history(&town.house).await, "board.card_added"), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_that_two_nodes_see_is_pulled_once() {
    let town = Town::new(Duration::from_secs(2));
    let nodes = [town.node().await, town.node().await];
    create(&nodes[0]).await;
    for n in 0..10 {
        town.inbox.publish("shop", format!("f{n} c{n} doing {n}"));
    }
    for engine in &nodes {
        until("the breach is told", async || open_causes(engine).len() == 1).await;
    }
    // Whoever does not hold the lease adds to the breach, and the line stays as it is.
    for engine in &nodes {
        board(engine, column("doing", 2)).await.unwrap();
    }
    assert_eq!(of_type(&history(&town.house).await, "andon.pulled"), 1);
    same_everywhere(&nodes[1], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_takes_over_at_the_position_and_republished_messages_are_duplicates() {
    let town = Town::new(Duration::from_millis(600));
    let first = town.node().await;
    create(&first).await;
    let publish = |numbers: std::ops::Range<u32>| {
        for n in numbers {
            town.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
        }
    };
    publish(0..1500);
    until("the first half is taken in", async || town.facts().await.len() == 1500).await;
    let second = town.node().await;
    first.shutdown().await;
    publish(0..3000);
    until("the rest is taken in", async || town.facts().await.len() == 3000).await;
    let expected: Vec<_> = (0..3000).map(|n| town.at(n, n)).collect();
    assert_eq!(town.facts().await, expected);
    // Only what the log says is taken in is purged, and in the end that is everything.
    until("the inbox is purged", async || town.inbox.kept_messages() == 0).await;
    assert_eq!(town.house.dead.count().await.unwrap(), 0);
    let (recorded, duplicates, _) = second.counts();
    assert_eq!((recorded, duplicates), (1500, 1500));
    same_everywhere(&second, 1).await;
}

/// A log whose appends wait, for one node, while it is frozen.
struct Freezing {
    log: MemoryLog,
    frozen: tokio::sync::watch::Receiver<bool>,
    waiting: Arc<AtomicI64>,
}

#[async_trait::async_trait]
impl Oddity for Freezing {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    async fn append(&self, append: takt_ports::Append) -> Result<u64, AppendError> {
        if *self.frozen.borrow() {
            self.waiting.fetch_add(1, Ordering::SeqCst);
        }
        self.frozen.clone().wait_for(|frozen| !frozen).await.unwrap();
        self.log.append(append).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_frozen_with_a_batch_in_hand_doubles_nothing_when_it_goes_on() {
    let town = Town::new(Duration::from_millis(600));
    let (freeze, frozen) = tokio::sync::watch::channel(false);
    let waiting = Arc::new(AtomicI64::new(0));
    let log = (*town.house.log).clone();
    let log = Arc::new(OddLog::new(Freezing { log, frozen, waiting: Arc::clone(&waiting) }));
    let old = town.node_on(log).await;
    create(&old).await;
    until("the first node holds the lease", async || holds(&old)).await;
    freeze.send_replace(true);
    for n in 0..100 {
        town.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
    }
    until("a batch is in hand", async || waiting.load(Ordering::SeqCst) > 0).await;
    town.leases.set_cut(old.shared().nodes.as_ref().unwrap().lease.node(), true);
    let new = town.node().await;
    until("the other node takes over", async || town.facts().await.len() == 100).await;
    freeze.send_replace(false);
    for n in 100..200 {
        town.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
    }
    until("all is taken in", async || town.facts().await.len() == 200).await;
    assert!(!holds(&old) && holds(&new));
    let expected: Vec<_> = (0..200).map(|n| town.at(n, n)).collect();
    assert_eq!(town.facts().await, expected);
    old.shutdown().await;
    assert_eq!(town.facts().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_published_on_a_node_without_the_lease_are_recorded_by_the_one_that_holds_it() {
    let town = Town::new(Duration::from_secs(2));
    let nodes = [town.node().await, town.node().await];
    create(&nodes[0]).await;
    until("a node holds the lease", async || nodes.iter().any(holds)).await;
    let other = nodes.iter().find(|engine| !holds(engine)).unwrap();
    let facts: Vec<Bytes> =
        (0..2500).map(|n| Bytes::from(format!("f{n} c{n} todo {n}"))).chain(["x".into()]).collect();
    let published = other.publish(&shop(), facts.clone()).await.unwrap();
    let recorded = |one: &&Published| matches!(one, Published::Recorded { .. });
    assert_eq!(published.iter().filter(recorded).count(), 2500);
    assert!(matches!(published.last().unwrap(), Published::Dead { .. }));
    // Who published finds it on its own node.
    assert!(other.shared().read(|world| world.streams[&shop()].boards["main"].cards.len()) == 2500);
    let again = other.publish(&shop(), facts).await.unwrap();
    assert_eq!(again.iter().filter(recorded).count(), 0);
    // A node that cannot ask for leases, alone, says that nobody holds it.
    let alone = Town { house: town.house.clone(), ..Town::new(Duration::from_secs(2)) };
    let engine = alone.node().await;
    alone.leases.set_cut(engine.shared().nodes.as_ref().unwrap().lease.node(), true);
    until("the lease has ended", async || !holds(&engine)).await;
    let refused = engine.publish(&shop(), vec!["z z todo 1".into()]).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Unavailable(why) if why.contains("no node holds")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_a_stream_that_nobody_made_are_dead_letters_with_the_remedy() {
    let town = Town::new(Duration::from_secs(2));
    let engine = town.node().await;
    town.inbox.publish("a=2Eb", "f1 c1 todo 1");
    until("it is a dead letter", async || town.house.dead.count().await.unwrap() == 1).await;
    let letter = town.house.dead.list(None, 0, 1).await.unwrap().remove(0).letter;
    assert_eq!(letter.stream.as_str(), "a.b");
    assert!(letter.reason.starts_with("unknown stream"), "{}", letter.reason);
    assert!(letter.remedy.contains("`takt stream create a.b`"), "{}", letter.remedy);
    until("it is purged", async || town.inbox.kept_messages() == 0).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_is_made_anew_is_read_from_its_beginning() {
    let town = Town::new(Duration::from_millis(600));
    let engine = town.node().await;
    create(&engine).await;
    for n in 0..10 {
        town.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
    }
    until("the first inbox is taken in", async || town.facts().await.len() == 10).await;
    engine.shutdown().await;
    let anew = Town { inbox: MemoryInbox::default(), ..town };
    anew.inbox.publish("shop", "g1 d1 todo 1");
    anew.inbox.publish("shop", "f1 c1 todo 1");
    let _engine = anew.node().await;
    until("the second is taken in", async || anew.facts().await.len() == 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_are_told_of_every_fact_in_order_whatever_fails() {
    let town = Town::new(Duration::from_millis(600));
    let engine = town.node().await;
    create(&engine).await;
    for n in 0..500 {
        town.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
    }
    town.inbox.publish("shop", "h1 old todo 1");
    until("all is told", async || town.outbox.sent().len() == 500).await;
    town.outbox.set_down(true);
    for n in 500..1000 {
        town.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
    }
    until("all is taken in", async || town.facts().await.len() == 1001).await;
    town.outbox.set_down(false);
    engine.shutdown().await;
    let _engine = town.node().await;
    let told = || {
        let mut seqs: Vec<u64> = town.outbox.sent().iter().map(|it| it.seq).collect();
        seqs.dedup();
        seqs.sort_unstable();
        seqs.dedup();
        seqs.len()
    };
    until("the rest is told", async || told() == 1000).await;
}

impl Town {
    /// The sequences that subscribers were told of, each once, in the order of the log.
    fn told(&self) -> Vec<u64> {
        let told =
            self.outbox.sent().iter().map(|it| it.seq).collect::<std::collections::BTreeSet<_>>();
        told.into_iter().collect()
    }

    fn publish(&self, numbers: std::ops::Range<u32>) {
        for n in numbers {
            self.inbox.publish("shop", format!("f{n} c{n} todo {n}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_are_told_nothing_old_of_a_log_that_nobody_has_told_of_and_all_that_follows() {
    let house = House::new();
    let silent = with_columns(&house).await;
    let facts = (0..300).map(|n| format!("f{n} c{n} todo {n}").into()).collect();
    silent.publish(&shop(), facts).await.unwrap();
    silent.shutdown().await;
    // The stream was made two days ago.
    house.clock.0.fetch_add(2 * 24 * 60 * 60 * 1_000_000, Ordering::SeqCst);
    let head = house.log.head().await.unwrap();
    let town = Town { house, ..Town::new(Duration::from_millis(600)) };
    let engine = town.node().await;
    town.publish(300..600);
    until("what follows is told", async || town.told().len() == 300).await;
    assert!(town.told().iter().all(|seq| *seq > head));
    engine.shutdown().await;
    // A stream that is new is told from its beginning, whenever the first outlet comes.
    let town = Town::new(Duration::from_millis(600));
    let silent = with_columns(&town.house).await;
    silent.publish(&shop(), vec!["f0 c0 todo 0".into()]).await.unwrap();
    silent.shutdown().await;
    let engine = town.node().await;
    until("it is told", async || town.told().len() == 1).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_had_not_told_or_not_noted_is_told_by_the_next() {
    let town = Arc::new(Town::new(Duration::from_millis(600)));
    let life = tokio::runtime::Runtime::new().unwrap();
    let same = Arc::clone(&town);
    let killed = life.spawn(async move { same.node().await }).await.unwrap();
    create(&killed).await;
    town.publish(0..500);
    until("something is told", async || !town.told().is_empty()).await;
    town.outbox.set_down(true);
    town.publish(500..1000);
    until("all is taken in", async || town.facts().await.len() == 1000).await;
    // All its tasks end where they are.
    life.shutdown_background();
    drop(killed);
    town.outbox.set_down(false);
    let next = town.node().await;
    until("all is told", async || town.told().len() == 1000).await;
    assert_eq!(town.facts().await.len(), 1000);
    next.shutdown().await;
}
