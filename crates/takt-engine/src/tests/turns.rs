//! Facts that cannot be stored, and nodes that take turns at one inbox.

use takt_ports::{AppendError, DeadLetters};
use takt_testkit::{OddLog, Oddity};

use super::nodes::{PATIENCE, Town, create, same_everywhere, until};
use super::*;

/// A log that stores no entry with more than so many bytes.
struct Narrow(MemoryLog, usize);

#[async_trait::async_trait]
impl Oddity for Narrow {
    fn log(&self) -> &dyn EventLog {
        &self.0
    }
    async fn append(&self, append: takt_ports::Append) -> Result<u64, AppendError> {
        if append.entries.iter().any(|entry| entry.bytes.len() > self.1) {
            return Err(AppendError::TooLarge { problem: "is too long".to_owned() });
        }
        self.0.append(append).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_cannot_be_stored_parks_its_card_until_its_letters_are_gone() {
    let town = Town::new(Duration::from_secs(2));
    let engine = town.node_on(Arc::new(OddLog::new(Narrow((*town.house.log).clone(), 3000)))).await;
    create(&engine).await;
    let long = "x".repeat(3000);
    let messages = [
        "f1 a todo 1".into(),
        format!("f2 b {long} 2"),
        "f3 b todo 3".into(),
        "f4 c todo 4".into(),
    ];
    for message in messages {
        town.inbox.publish("shop", message);
    }
    until("the others are recorded", async || town.facts().await.len() == 2).await;
    let dead = &town.house.dead;
    let letters = dead.list(None, 0, 10).await.unwrap();
    let [unfit, behind] = &letters[..] else { panic!("{letters:?}") };
    assert!(unfit.letter.reason.starts_with("cannot be applied"), "{}", unfit.letter.reason);
    assert_eq!(behind.letter.reason, format!("parked behind {}", unfit.letter.id));
    // Out of its turn it stays parked, and no second letter is kept of it.
    let replay = async || {
        let facts = vec![behind.letter.bytes.clone()];
        let letter = Some(behind.letter.id);
        engine.record(&shop(), facts, letter, PATIENCE).await.unwrap().remove(0)
    };
    assert!(matches!(replay().await, Published::Dead { id, .. } if id == behind.letter.id));
    assert_eq!(dead.count().await.unwrap(), 2);
    assert!(dead.remove(unfit.letter.id, takt_ports::Fate::Dropped).await.unwrap());
    assert!(matches!(replay().await, Published::Recorded { .. }));
    assert!(dead.remove(behind.letter.id, takt_ports::Fate::Dropped).await.unwrap());
    town.inbox.publish("shop", "f5 b todo 5");
    until("the card is free again", async || town.facts().await.len() == 4).await;
    assert!(engine.shared().read(|world| world.streams[&shop()].intake.parked.is_empty()));
    same_everywhere(&engine, 1).await;
}

/// What happens while two nodes take in one inbox.
#[derive(Clone, Debug)]
enum Turn {
    Publish(u32),
    Again(u32),
    Cut(usize),
    Rest(u64),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        (1..200_u32).prop_map(Turn::Publish),
        (1..200_u32).prop_map(Turn::Again),
        (0..2_usize).prop_map(Turn::Cut),
        (0..150_u64).prop_map(Turn::Rest),
    ];
    prop::collection::vec(turn, 1..20)
}

async fn play(turns: Vec<Turn>) {
    let town = Town::new(Duration::from_millis(150));
    let nodes = [town.node().await, town.node().await];
    create(&nodes[0]).await;
    let ids = nodes.each_ref().map(|node| node.shared().nodes.as_ref().unwrap().lease.node());
    let mut published = 0;
    for turn in turns {
        match turn {
            Turn::Publish(count) => {
                for n in published..published + count {
                    town.inbox.publish("shop", format!("f{n} c{} todo {n}", n % 9));
                }
                published += count;
            }
            Turn::Again(count) => {
                for n in published.saturating_sub(count)..published {
                    town.inbox.publish("shop", format!("f{n} c{} todo {n}", n % 9));
                }
            }
            Turn::Cut(node) => {
                town.leases.set_cut(ids[node], true);
                town.leases.set_cut(ids[1 - node], false);
            }
            Turn::Rest(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }
    ids.iter().for_each(|id| town.leases.set_cut(*id, false));
    let count = published as usize;
    until("all is taken in", async || town.facts().await.len() >= count).await;
    until("all is purged", async || town.inbox.kept_messages() == 0).await;
    let expected: Vec<_> = (0..published).map(|n| town.at(n % 9, n)).collect();
    assert_eq!(town.facts().await, expected);
    for (place, node) in nodes.iter().enumerate() {
        node.shutdown().await;
        let (live, replayed, _) = node.verify().await.unwrap();
        assert_eq!(live, replayed, "node {place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..few() })]

    #[test]
    fn whoever_takes_in_when_every_fact_is_recorded_once_and_in_order(turns in turns()) {
        run(play(turns));
    }
}
