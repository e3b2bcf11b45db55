//! The engine's promises as sentences, on in-memory ports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use takt_domain::board::{CardReported, ColumnSet, Details, Order, WipLimit, WipPolicy};
use takt_domain::fact::{Fact, Report};
use takt_domain::{BoardId, Recorded, Rejection, Span, StreamName, Time, andon, stream, testing};
use takt_ports::{Checkpoint, EventLog, ReadStore, StoreError, Write};
use takt_projections::World;
use takt_testkit::{MemoryDeadLetters, MemoryLog};

use super::*;
use crate::mailbox::Task;

mod ahead;
mod answers;
mod commands;
mod due;
mod holders;
mod line;
mod nodes;
mod notices;
mod random;
mod rebuild;
mod stuck;
mod total;
mod turns;
mod unread;

/// A store in memory that outlives the engine, as a disk would.
#[derive(Default)]
struct MemoryStore {
    rows: Mutex<Rows>,
    /// How many commits fail from now on.
    failing: AtomicI64,
}

type Rows = (BTreeMap<Vec<u8>, Vec<u8>>, Option<Checkpoint>);

impl ReadStore for MemoryStore {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.rows.lock().unwrap().1.clone())
    }

    fn commit(&self, writes: Vec<Write>, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        if self.failing.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(StoreError { reason: "the disk is full".into() });
        }
        let mut rows = self.rows.lock().unwrap();
        for (key, value) in writes {
            match value {
                Some(value) => rows.0.insert(key, value),
                None => rows.0.remove(&key),
            };
        }
        rows.1 = Some(checkpoint.clone());
        Ok(())
    }

    fn load(&self, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        self.rows.lock().unwrap().0.iter().for_each(|(key, value)| row(key, value));
        Ok(())
    }

    fn reset(&self, _damaged: bool) -> Result<Option<std::path::PathBuf>, StoreError> {
        *self.rows.lock().unwrap() = Default::default();
        Ok(None)
    }
}

/// A clock that a test moves by hand.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// `id card column second` as a fact of the source `test`. An id with `h` is imported history, the
/// column `-` takes the card off the board, and `suite:NAME` is a test report, `red` or `green`.
fn parse(bytes: &[u8], _now: Time) -> Result<Fact, Misfit> {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split(' ').collect();
    let [id, card, column, second] = words[..] else {
        return Err(Misfit {
            reason: format!("`{text}` has not four words"),
            place: "line 1".to_owned(),
            remedy: "write `id card column second`".to_owned(),
        });
    };
    let report = match card.strip_prefix("suite:") {
        Some(suite) => Report::Test(test_report(id, suite, column == "green")),
        None => Report::Card(BoardId::main(), card_report(card, column)),
    };
    Ok(Fact {
        source: "test".into(),
        id: id.into(),
        digest: takt_events::text_digest(&text),
        subject: card.into(),
        time: Time::EPOCH + Span::from_secs(second.parse().unwrap()),
        sequence: None,
        correlation: None,
        traceparent: None,
        historical: id.starts_with('h'),
        cdevent: None,
        report,
    })
}

fn card_report(card: &str, column: &str) -> CardReported {
    CardReported {
        card: card.into(),
        column: (column != "-").then(|| column.into()),
        details: Details::default(),
        blocked: None,
        reason: None,
        deleted: column == "-",
    }
}

fn test_report(run: &str, suite: &str, green: bool) -> testing::Reported {
    let case = testing::Case {
        suite: suite.into(),
        class: "c".into(),
        name: "n".into(),
        outcome: if green { testing::CaseOutcome::Passed } else { testing::CaseOutcome::Failed },
        duration: Span::ZERO,
        message: None,
    };
    // A commit for each suite gives each an alert of its own.
    let commit = suite.into();
    testing::Reported { run: run.into(), level: testing::Level::Unit, commit, cases: vec![case] }
}

/// What outlives an engine in these tests.
#[derive(Clone)]
struct House {
    log: Arc<MemoryLog>,
    dead: Arc<MemoryDeadLetters>,
    store: Arc<MemoryStore>,
    clock: Arc<HandClock>,
}

impl House {
    fn new() -> Self {
        Self {
            log: Arc::new(MemoryLog::new()),
            dead: Arc::default(),
            store: Arc::default(),
            clock: Arc::new(HandClock(AtomicI64::new(1_700_000_000_000_000))),
        }
    }

    /// The engine's parts on another log.
    fn on(&self, log: Arc<dyn EventLog>) -> Parts {
        Parts {
            log,
            dead: Arc::clone(&self.dead) as _,
            store: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock) as _,
            parse,
            text_of: |_, bytes| Ok(bytes.clone()),
            outlet: |_| vec![],
            outbox: None,
            nodes: None,
        }
    }

    async fn open(&self) -> Engine {
        let parts = self.on(Arc::clone(&self.log) as _);
        Engine::start(parts).await.unwrap()
    }
}

fn shop() -> StreamName {
    "shop".into()
}

fn call() -> Call {
    Call {
        actor: "ann".into(),
        key: None,
        expected_version: None,
        deadline: Duration::from_secs(30),
    }
}

async fn board(engine: &Engine, order: Order) -> Result<Receipt, Error> {
    engine.board(&shop(), &BoardId::main(), call(), order).await
}

fn column(name: &str, limit: u32) -> Order {
    let policy = if limit == 0 { WipPolicy::Off } else { WipPolicy::Hard };
    Order::SetColumn(ColumnSet {
        column: name.into(),
        kind: None,
        order: None,
        wip_limit: Some(WipLimit { cards: limit, policy }),
        time_limit: None,
        stage: None,
    })
}

fn add(card: &str) -> Order {
    Order::AddCard {
        card: card.into(),
        column: Some("todo".into()),
        details: Details::default(),
        fixes: None,
    }
}

fn to(card: &str, column: &str) -> Order {
    Order::MoveCard { card: card.into(), column: column.into(), fixes: None }
}

/// Somebody pulls the cord.
fn pull(alert: &str) -> andon::Order {
    let kind = andon::CauseKind::Person;
    andon::Order::Pull {
        alert: alert.into(),
        cause: andon::Cause { kind, source: "ann".into(), id: alert.into() },
        stage: None,
        column: None,
        cleared_by: None,
        trigger: andon::Trigger { event: "".into(), at: Time::EPOCH, summary: "smoke".into() },
    }
}

async fn with_columns(house: &House) -> Engine {
    let engine = house.open().await;
    let create = stream::Command::Create { name: shop(), title: "Shop".into() };
    engine.stream(&shop(), call(), create).await.unwrap();
    board(&engine, column("todo", 0)).await.unwrap();
    board(&engine, column("doing", 3)).await.unwrap();
    engine
}

/// All that is in the log.
async fn history(house: &House) -> Vec<Recorded> {
    let entries = house.log.read(1, usize::MAX).await.unwrap();
    entries.iter().map(|entry| takt_events::decode(entry.seq, &entry.bytes).unwrap()).collect()
}

fn of_type(history: &[Recorded], kind: &str) -> usize {
    let kind = format!("dev.takt.{kind}.v1");
    history.iter().filter(|one| takt_events::type_of(&one.event) == kind).count()
}

/// Lets the stream look at the clock, and waits until it has done what it saw.
async fn tick(engine: &Engine) {
    engine.mailbox(&shop()).unwrap().send(Task::Tick).await.unwrap();
    // The mailbox does one task after the other, and this one writes nothing.
    board(engine, Order::Wake).await.unwrap();
}

/// Properties over whole engines take few cases; the soak asks for more of all.
fn few() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.div_ceil(8), ..config }
}

/// Runs a story to its end, from within a property.
fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(story)
}

fn open_causes(engine: &Engine) -> Vec<andon::CauseKind> {
    engine.shared().read(|world| {
        world.streams[&shop()].line.open.values().map(|alert| alert.cause.kind).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_moves_at_once_into_a_column_for_3_exactly_3_succeed() {
    let house = House::new();
    let engine = with_columns(&house).await;
    for n in 0..100 {
        board(&engine, add(&format!("c{n}"))).await.unwrap();
    }
    let moves = (0..100).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move { board(&engine, to(&format!("c{n}"), "doing")).await })
    });
    let mut accepted = 0;
    for one in moves.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(Error::Rejected(Rejection::Refused(unmet))) => {
                assert_eq!(unmet[0].code, "wip_limit")
            }
            Err(other) => panic!("refused otherwise: {other}"),
        }
    }
    assert_eq!(accepted, 3);
}

#[tokio::test]
async fn a_key_does_its_command_once_and_no_other() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let keyed = Call { key: Some("k1".into()), ..call() };
    let main = BoardId::main();
    let first = engine.board(&shop(), &main, keyed.clone(), add("a")).await.unwrap();
    let again = engine.board(&shop(), &main, keyed.clone(), add("a")).await.unwrap();
    assert_eq!((again.sequence, again.duplicate), (first.sequence, true));
    let other = engine.board(&shop(), &main, keyed, add("b")).await.unwrap_err();
    assert!(matches!(other, Error::KeyReused { .. }), "{other}");
}

#[tokio::test]
async fn a_fact_is_recorded_once_known_twice_and_dead_with_other_content() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts: Vec<Bytes> =
        ["f1 a todo 5", "f1 a todo 5", "f1 b todo 5", "nonsense"].map(Bytes::from).to_vec();
    let published = engine.publish(&shop(), facts.clone()).await.unwrap();
    let [Published::Recorded { sequence }, Published::Duplicate { sequence: twin }, reused, broken] =
        &published[..]
    else {
        panic!("{published:?}")
    };
    assert_eq!(sequence, twin);
    let Published::Dead { reason, .. } = reused else { panic!("{reused:?}") };
    assert!(reason.starts_with("identity reused"), "{reason}");
    let Published::Dead { place, remedy, .. } = broken else { panic!("{broken:?}") };
    assert_eq!((place.as_str(), remedy.as_str()), ("line 1", "write `id card column second`"));
    let head = house.log.head().await.unwrap();
    engine.publish(&shop(), facts).await.unwrap();
    assert_eq!(house.log.head().await.unwrap(), head);
    assert_eq!(engine.dead_letters().list(None, 0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_fact_for_a_stream_that_is_not_made_is_refused_by_name() {
    let engine = House::new().open().await;
    let error = engine.publish(&shop(), vec!["f1 a todo 5".into()]).await.unwrap_err();
    assert!(matches!(error, Error::UnknownStream(name) if name == shop()));
}

#[tokio::test]
async fn a_limit_breached_by_facts_is_told_once_and_cleared_when_it_ends() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts = (0..5).map(|n| format!("f{n} c{n} doing {n}").into()).collect();
    engine.publish(&shop(), facts).await.unwrap();
    board(&engine, column("other", 0)).await.unwrap();
    assert_eq!(open_causes(&engine), [andon::CauseKind::WipLimit]);
    for card in ["c0", "c1"] {
        board(&engine, to(card, "todo")).await.unwrap();
    }
    board(&engine, column("another", 0)).await.unwrap();
    assert_eq!(open_causes(&engine), []);
}

#[tokio::test]
async fn what_was_saved_and_what_is_replayed_are_the_same() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts = (0..50).map(|n| format!("f{n} c{} doing {n}", n % 7).into()).collect();
    engine.publish(&shop(), facts).await.unwrap();
    engine.shutdown().await;
    let saved = house.store.checkpoint().unwrap().unwrap().seq;
    assert_eq!(saved, house.log.head().await.unwrap());

    let engine = house.open().await;
    let (live, replayed, seq) = engine.verify().await.unwrap();
    assert_eq!((live, seq), (replayed, saved));
}

#[tokio::test]
async fn a_checkpoint_of_another_log_is_not_believed() {
    let house = House::new();
    let engine = with_columns(&house).await;
    engine.shutdown().await;
    let other = House { log: Arc::new(MemoryLog::new()), ..house };
    let engine = other.open().await;
    assert!(engine.shared().read(|world| world.streams.is_empty()));
}

#[tokio::test]
async fn a_batch_of_rows_that_was_lost_is_never_claimed_by_a_later_checkpoint() {
    let house = House::new();
    let engine = with_columns(&house).await;
    house.store.failing.store(1, Ordering::SeqCst);
    crate::save::save(engine.shared()).await;
    board(&engine, add("a")).await.unwrap();
    crate::save::save(engine.shared()).await;
    engine.shutdown().await;

    let engine = house.open().await;
    let (live, replayed, _) = engine.verify().await.unwrap();
    assert_eq!(live, replayed);
}
