//! What stands on the log: a rebuild gives the same, and bytes that were altered are found.

use async_trait::async_trait;
use takt_ports::{Append, AppendError, Entry, Hash, LogError, LogIdentity, Subject, Tail};

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

impl Altered {
    fn alter(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.iter_mut().filter(|it| it.seq == self.1).for_each(|it| it.prev = Hash([7; 16]));
        entries
    }
}

#[async_trait]
impl EventLog for Altered {
    fn identity(&self) -> LogIdentity {
        self.0.identity()
    }
    async fn head(&self) -> Result<u64, LogError> {
        self.0.head().await
    }
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        self.0.append(append).await
    }
    async fn read(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        self.0.read(from, max).await.map(|entries| self.alter(entries))
    }
    async fn read_subject(
        &self,
        of: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        self.0.read_subject(of, from, max).await.map(|entries| self.alter(entries))
    }
    async fn subject_head(&self, subject: &Subject) -> Result<(u64, Hash), LogError> {
        self.0.subject_head(subject).await
    }
    fn tail(&self, from: u64) -> Box<dyn Tail> {
        self.0.tail(from)
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

    let parts = Parts {
        log: Arc::new(Altered((*house.log).clone(), seq)),
        dead: Arc::clone(&house.dead) as _,
        store: Arc::clone(&house.store) as _,
        clock: Arc::clone(&house.clock) as _,
        parse,
    };
    let refused = Engine::start(parts).await.err().unwrap();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains(&format!("entry {seq} is damaged")), "{cause}");
}
