//! What stands on the log: a rebuild gives the same, and bytes that were altered are found.

use async_trait::async_trait;
use takt_ports::{Entry, Hash, LogError, Tail};
use takt_testkit::{OddLog, Oddity};

use super::*;

#[tokio::test]
async fn a_rebuild_gives_the_same_read_side_and_saves_it_whole() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts = (0..50).map(|n| format!("f{n} c{} doing {n}", n % 7).into()).collect();
    engine.publish(&shop(), facts).await.unwrap();
    let before = engine.shared().read(World::hash);
    let seq = engine.rebuild().await.unwrap();
    assert_eq!(engine.shared().read(World::hash), before);
    assert_eq!(engine.progress(), (seq, seq));

    board(&engine, add("new")).await.unwrap();
    engine.shutdown().await;
    let engine = house.open().await;
    let (live, replayed, _) = engine.verify().await.unwrap();
    assert_eq!(live, replayed);
}

#[tokio::test]
async fn a_rebuild_makes_a_store_good_again_that_had_lost_a_batch() {
    let house = House::new();
    let engine = with_columns(&house).await;
    house.store.failing.store(1, Ordering::SeqCst);
    crate::save::save(engine.shared()).await;
    engine.rebuild().await.unwrap();
    board(&engine, add("a")).await.unwrap();
    engine.shutdown().await;
    assert_eq!(house.store.checkpoint().unwrap().unwrap().seq, house.log.head().await.unwrap());
}

/// A log whose entry at a sequence has lost its history: a replica that altered bytes.
struct Altered(MemoryLog, u64);

impl Oddity for Altered {
    fn log(&self) -> &dyn EventLog {
        &self.0
    }
    fn given(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.iter_mut().filter(|it| it.seq == self.1).for_each(|it| it.prev = Hash([7; 16]));
        entries
    }
}

#[tokio::test]
async fn an_entry_that_does_not_follow_its_subject_is_named_also_after_a_restart() {
    let house = House::new();
    let engine = with_columns(&house).await;
    engine.shutdown().await;
    let saved = house.log.head().await.unwrap();
    let engine = house.open().await;
    let seq = board(&engine, add("a")).await.unwrap().sequence;
    // What comes after is not saved, as after a crash.
    house.store.failing.store(1, Ordering::SeqCst);
    engine.shutdown().await;
    assert!(saved < seq);

    let parts = house.on(Arc::new(OddLog::new(Altered((*house.log).clone(), seq))));
    let refused = Engine::start(parts).await.err().unwrap();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains(&format!("entry {seq} is damaged")), "{cause}");
}

#[tokio::test]
async fn a_log_that_ends_before_its_checkpoint_is_not_served() {
    let house = House::new();
    let engine = with_columns(&house).await;
    engine.shutdown().await;
    let head = house.log.head().await.unwrap();
    let mut checkpoint = house.store.checkpoint().unwrap().unwrap();
    checkpoint.seq = head + 2;
    house.store.commit(vec![], &checkpoint).unwrap();

    let parts = house.on(Arc::clone(&house.log) as _);
    let refused = Engine::start(parts).await.err().unwrap();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains(&format!("entry {} is damaged", head + 1)), "{cause}");
    assert!(cause.contains("take the folder `projections` away"), "{cause}");
}

#[tokio::test]
async fn after_a_lost_batch_all_is_saved_anew_as_soon_as_the_store_works() {
    let house = House::new();
    let engine = with_columns(&house).await;
    house.store.failing.store(1, Ordering::SeqCst);
    crate::save::save(engine.shared()).await;
    board(&engine, add("a")).await.unwrap();
    crate::save::save(engine.shared()).await;
    let head = house.log.head().await.unwrap();
    assert_eq!(house.store.checkpoint().unwrap().map(|it| it.seq), Some(head));
    engine.shutdown().await;
    let engine = house.open().await;
    let (live, replayed, _) = engine.verify().await.unwrap();
    assert_eq!(live, replayed);
}

#[tokio::test]
async fn the_same_fact_is_recorded_once_in_each_stream() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let other = StreamName::new("bank");
    let create = stream::Command::Create { name: other.clone(), title: "Bank".into() };
    engine.stream(&other, call(), create).await.unwrap();
    for name in [shop(), other] {
        let fact = || vec![Bytes::from("f1 a todo 5")];
        let first = engine.publish(&name, fact()).await.unwrap();
        assert!(matches!(first[..], [Published::Recorded { .. }]), "{name}: {first:?}");
        let again = engine.publish(&name, fact()).await.unwrap();
        assert!(matches!(again[..], [Published::Duplicate { .. }]), "{name}: {again:?}");
    }
}

#[tokio::test]
async fn what_was_read_from_the_log_and_is_published_again_is_a_duplicate() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let entries = house.log.read(1, 10).await.unwrap();
    let own = engine.publish(&shop(), vec![entries[1].bytes.clone()]).await.unwrap();
    assert_eq!(own, [Published::Duplicate { sequence: 2 }]);
    // With another id it is forged, and no fact.
    let forged = String::from_utf8(entries[1].bytes.to_vec()).unwrap();
    let forged = forged.replace(&entries[1].id.to_string(), &uuid::Uuid::from_u128(9).to_string());
    let answer = engine.publish(&shop(), vec![forged.into()]).await.unwrap();
    assert!(matches!(answer[..], [Published::Dead { .. }]), "{answer:?}");
}

/// A log whose tail fails: for a while, or for ever at a damaged entry.
struct Failing {
    log: MemoryLog,
    failures: AtomicI64,
    error: LogError,
}

struct FailingTail(Option<LogError>, Box<dyn Tail>);

#[async_trait]
impl Tail for FailingTail {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, LogError> {
        match self.0.take() {
            Some(error) => Err(error),
            None => self.1.next(max).await,
        }
    }
}

impl Oddity for Failing {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    fn tail(&self, from: u64) -> Box<dyn Tail> {
        let fails = self.failures.fetch_sub(1, Ordering::SeqCst) > 0;
        Box::new(FailingTail(fails.then(|| self.error.clone()), self.log.tail(from)))
    }
}

async fn on_failing_log(failures: i64, error: LogError) -> Engine {
    let house = House::new();
    let log = Failing { log: (*house.log).clone(), failures: AtomicI64::new(failures), error };
    let parts = house.on(Arc::new(OddLog::new(log)));
    Engine::start(parts).await.unwrap()
}

#[tokio::test]
async fn a_log_that_fails_for_a_while_is_followed_again() {
    let engine = on_failing_log(2, LogError::Unavailable { reason: "too many files".into() }).await;
    let mut health = engine.health_changes();
    health.wait_for(|it| matches!(it, Health::Cut(_))).await.unwrap();
    engine.view(0, Duration::from_secs(1), |_| ()).await.unwrap();
    let create = || stream::Command::Create { name: shop(), title: "Shop".into() };
    let refused = engine.stream(&shop(), call(), create()).await.unwrap_err();
    assert!(matches!(&refused, Error::Unavailable(why) if why.contains("too many files")));
    // Commands are refused while the log cannot be followed, and work again without a restart.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while engine.stream(&shop(), call(), create()).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the log is not followed again");
        tokio::task::yield_now().await;
    }
    health.wait_for(|it| *it == Health::Following).await.unwrap();
}

/// A log that is deleted while it is followed: its reader is cut off, and then it is not there.
struct Deleted {
    log: MemoryLog,
    heads: AtomicI64,
    tails: AtomicI64,
}

fn deleted() -> LogError {
    LogError::Damaged { seq: 1, reason: "it is gone".into() }
}

#[async_trait]
impl Oddity for Deleted {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    async fn head(&self) -> Result<u64, LogError> {
        let is_there = self.heads.fetch_sub(1, Ordering::SeqCst) > 0;
        if is_there { self.log.head().await } else { Err(deleted()) }
    }
    fn tail(&self, from: u64) -> Box<dyn Tail> {
        let is_there = self.tails.fetch_sub(1, Ordering::SeqCst) > 0;
        let cut_off = LogError::Unavailable { reason: "the reader is cut off".into() };
        let error = if is_there { cut_off } else { deleted() };
        Box::new(FailingTail(Some(error), self.log.tail(from)))
    }
}

#[tokio::test]
async fn a_log_that_is_deleted_while_it_is_followed_is_told_as_damage() {
    let house = House::new();
    let (heads, tails) = (AtomicI64::new(1), AtomicI64::new(1));
    let log = Deleted { log: (*house.log).clone(), heads, tails };
    let engine = Engine::start(house.on(Arc::new(OddLog::new(log)))).await.unwrap();
    let mut health = engine.health_changes();
    health.wait_for(|it| matches!(it, Health::Broken(_))).await.unwrap();
    let seen = engine.view(0, Duration::from_secs(1), |_| ()).await;
    assert!(matches!(&seen, Err(Error::Damaged(why)) if why.contains("it is gone")), "{seen:?}");
    let create = stream::Command::Create { name: shop(), title: "Shop".into() };
    let made = engine.stream(&shop(), call(), create).await;
    assert!(matches!(&made, Err(Error::Damaged(why)) if why.contains("it is gone")), "{made:?}");
}

#[tokio::test]
async fn a_damaged_entry_in_the_tail_ends_reads_with_its_sequence() {
    let engine = on_failing_log(1, LogError::Damaged { seq: 7, reason: "flipped".into() }).await;
    let mut health = engine.health_changes();
    health.wait_for(|it| matches!(it, Health::Broken(_))).await.unwrap();
    let refused = engine.view(0, Duration::from_secs(1), |_| ()).await.unwrap_err();
    assert!(matches!(&refused, Error::Damaged(why) if why.contains("entry 7")), "{refused}");
}
