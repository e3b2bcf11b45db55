//! What cannot be recorded or read now stops neither for ever nor in silence.

use std::sync::atomic::AtomicBool;

use takt_ports::{Append, AppendError, DeadLetters};
use takt_testkit::{OddLog, Oddity};
use tokio::time::timeout;

use super::nodes::{PATIENCE, Town, create, until};
use super::*;

/// A log that takes nothing while it is told so, and calls that a conflict in which nothing moved.
struct Refusing {
    log: Arc<MemoryLog>,
    refuses: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Oddity for Refusing {
    fn log(&self) -> &dyn EventLog {
        self.log.as_ref()
    }
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        if self.refuses.load(Ordering::SeqCst) {
            let subject = append.entries[0].subject.clone();
            return Err(AppendError::Conflict { subject, expected: 3, actual: 3 });
        }
        self.log.append(append).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_nothing_is_told_to_who_asks_and_everything_goes_on_after_it() {
    let house = House::new();
    let refuses = Arc::new(AtomicBool::new(false));
    let log = Refusing { log: Arc::clone(&house.log), refuses: Arc::clone(&refuses) };
    let engine = Engine::start(house.on(Arc::new(OddLog::new(log)))).await.unwrap();
    create(&engine).await;
    refuses.store(true, Ordering::SeqCst);
    let moved = timeout(PATIENCE, board(&engine, add("a"))).await.unwrap();
    assert!(matches!(&moved, Err(Error::Unavailable(_))), "{moved:?}");
    let fact = vec![Bytes::from("f1 c1 todo 1")];
    let told = timeout(PATIENCE, engine.publish(&shop(), fact.clone())).await.unwrap();
    assert!(matches!(&told, Err(Error::Unavailable(_))), "{told:?}");
    refuses.store(false, Ordering::SeqCst);
    board(&engine, add("a")).await.unwrap();
    let told = engine.publish(&shop(), fact).await.unwrap();
    assert!(matches!(&told[0], Published::Recorded { .. }), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_messages_cannot_be_read_keeps_none_of_another_from_being_dead_letters() {
    let town = Town::new(Duration::from_secs(2));
    town.inbox.set_broken(">");
    town.inbox.publish(">", "f1 c1 todo 1");
    town.inbox.publish("*", "f1 c1 todo 1");
    town.inbox.publish("nowhere", "f1 c1 todo 1");
    let engine = town.node().await;
    until("two are dead letters", async || town.house.dead.count().await.unwrap() == 2).await;
    let letters = town.house.dead.list(None, 0, 9).await.unwrap();
    let star = letters.iter().find(|it| it.letter.stream.as_str() == "*").unwrap();
    assert!(star.letter.remedy.contains("`takt.in.`"), "{}", star.letter.remedy);
    until("they are purged", async || town.inbox.kept_messages() == 1).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_opens_more_slowly_than_it_is_purged_is_taken_in() {
    let town = Town::new(Duration::from_secs(2));
    // Two seconds lie between two purges.
    town.inbox.set_slow(Duration::from_secs(3));
    let engine = town.node().await;
    create(&engine).await;
    town.inbox.publish("shop", "f1 c1 todo 1");
    until("it is taken in", async || town.facts().await.len() == 1).await;
    engine.shutdown().await;
}
