//! Facts are judged and recorded while those before them are still folded.

use takt_ports::{Entry, LogError, Tail};
use takt_testkit::{OddLog, Oddity};
use tokio::sync::watch;

use super::nodes::until;
use super::*;

/// A log whose readers are given nothing while it is held.
struct Held(MemoryLog, watch::Sender<bool>);

struct HeldTail(Box<dyn Tail>, watch::Receiver<bool>);

#[async_trait::async_trait]
impl Tail for HeldTail {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, LogError> {
        let entries = self.0.next(max).await;
        self.1.wait_for(|held| !held).await.unwrap();
        entries
    }
}

impl Oddity for Held {
    fn log(&self) -> &dyn EventLog {
        &self.0
    }
    fn tail(&self, from: u64) -> Box<dyn Tail> {
        Box::new(HeldTail(self.0.tail(from), self.1.subscribe()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_knows_the_facts_of_one_before_it_that_is_not_folded_yet() {
    let house = House::new();
    let log = Arc::new(OddLog::new(Held((*house.log).clone(), watch::Sender::new(false))));
    let engine = Engine::start(house.on(Arc::clone(&log) as _)).await.unwrap();
    super::nodes::create(&engine).await;
    let before = house.log.head().await.unwrap();

    log.0.1.send_replace(true);
    let mut facts: Vec<Bytes> = (0..999).map(|n| format!("f{n} c{n} todo {n}").into()).collect();
    facts.extend(["f0 c0 todo 0".into(), "f1 c1 doing 2000".into(), "f999 c0 doing 2000".into()]);
    let asked = engine.clone();
    let asked = tokio::spawn(async move { asked.publish(&shop(), facts).await.unwrap() });
    until("the second batch waits for the first to be folded", async || {
        house.log.head().await.unwrap() == before + 1000
    })
    .await;
    assert_eq!(engine.progress().0, before, "nothing is folded meanwhile");

    log.0.1.send_replace(false);
    let published = asked.await.unwrap();
    assert_eq!(published[999], Published::Duplicate { sequence: before + 1 });
    assert!(
        matches!(&published[1000], Published::Dead { reason, .. } if reason.contains("reused"))
    );
    assert_eq!(published[1001], Published::Recorded { sequence: before + 1000 });
    let (live, replayed, _) = engine.verify().await.unwrap();
    assert_eq!(live, replayed);
    engine.shutdown().await;
}
