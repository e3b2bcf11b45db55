//! Follows the log in order and keeps the read side up to date.

use std::sync::{Arc, PoisonError};

use sha2::{Digest as _, Sha256};
use takt_domain::{Aggregate, Event, EventId, Meta, Recorded, StreamName, Time, event::Unknown};
use takt_ports::{Entry, EventLog, LogError};
use takt_projections::World;

use crate::engine::{Health, Shared};

/// How many entries are folded under one lock.
const BATCH: usize = 512;

/// The running digest over (sequence, payload hash), and the last entry's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) value: [u8; 32],
    pub(crate) id: EventId,
}

impl Digest {
    fn add(&mut self, entry: &Entry) {
        let mut hasher = Sha256::new();
        hasher.update(self.value);
        hasher.update(entry.seq.to_be_bytes());
        hasher.update(Sha256::digest(&entry.bytes));
        self.value = hasher.finalize().into();
        self.id = entry.id;
    }
}

/// Folds everything that is in the log now.
pub(crate) async fn catch_up_to_head(shared: &Shared) -> Result<(), LogError> {
    let head = shared.log.head().await?;
    let mut from = shared.read(|world| world.seq) + 1;
    while from <= head {
        let entries = shared.log.read(from, BATCH).await?;
        let Some(last) = entries.last() else { break };
        from = last.seq + 1;
        fold(shared, &entries);
    }
    Ok(())
}

/// Follows the log until the last writer has ended, since writers wait for what they wrote; a log
/// that cannot be served breaks the engine's health.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut tail = shared.log.tail(shared.read(|world| world.seq) + 1);
    loop {
        let next = tokio::select! {
            next = tail.next(BATCH) => next,
            () = shared.done.cancelled() => return,
        };
        match next {
            Ok(entries) => fold(&shared, &entries),
            Err(error) => {
                tracing::error!(%error, "the log cannot be followed; reads are refused");
                shared.health.send_replace(Health::Broken(error.to_string()));
                return;
            }
        }
    }
}

fn fold(shared: &Shared, entries: &[Entry]) {
    let recorded: Vec<Arc<Recorded>> =
        entries.iter().map(|entry| Arc::new(decode(entry))).collect();
    {
        // Both are changed under the world's lock, so that a save sees them at one sequence.
        let mut world = shared.world.write().unwrap_or_else(PoisonError::into_inner);
        let mut digest = shared.digest.lock().unwrap_or_else(PoisonError::into_inner);
        for (entry, recorded) in entries.iter().zip(&recorded) {
            world.apply(recorded);
            digest.add(entry);
        }
    }
    if let Some(last) = entries.last() {
        shared.seen.send_replace(last.seq);
    }
    for one in recorded {
        // Nobody may be listening, which is no error.
        let _ = shared.changes.send(one);
    }
}

/// A fresh read side, folded from the whole log up to a sequence.
pub(crate) async fn replay(log: &dyn EventLog, through: u64) -> Result<World, LogError> {
    let mut world = World::default();
    while world.seq < through {
        let left = usize::try_from(through - world.seq).unwrap_or(BATCH);
        let entries = log.read(world.seq + 1, left.min(BATCH)).await?;
        if entries.is_empty() {
            break;
        }
        entries.iter().for_each(|entry| world.apply(&decode(entry)));
    }
    Ok(world)
}

/// An entry that is no CloudEvent is kept as an unknown event: history cannot be refused.
fn decode(entry: &Entry) -> Recorded {
    takt_events::decode(entry.seq, &entry.bytes).unwrap_or_else(|error| {
        tracing::warn!(seq = entry.seq, %error, "an entry of the log is no CloudEvent");
        Recorded {
            seq: entry.seq,
            stream: StreamName::new("$unreadable"),
            aggregate: Aggregate::Other("$unreadable".into()),
            meta: Meta::new(entry.id, "".into(), Time::EPOCH),
            event: Event::Unknown(Unknown { kind: "".into(), data: "null".into() }),
        }
    })
}
