//! The projector that one would write first: every event is one batch of sled, checkpoint included.

use std::path::Path;

use takt_domain::{Event, Recorded, board};

/// Cards, their moves, the columns' counts, an index by time and one of identities, all in sled.
///
/// It is given every advantage: plain bytes for values, one tree, sled's own cache and its own
/// timer for flushing, so that no event waits for the disk.
pub(crate) struct Naive {
    db: sled::Db,
}

impl Naive {
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { db: sled::open(folder)? })
    }

    /// Takes an event in; what is not about a card's place only moves the checkpoint.
    pub(crate) fn apply(&self, recorded: &Recorded) -> anyhow::Result<()> {
        let mut batch = sled::Batch::default();
        batch.insert(b"checkpoint", &recorded.seq.to_be_bytes());
        batch.insert(key("id", recorded.meta.id.0.as_bytes()), &recorded.seq.to_be_bytes());
        if let Event::Board(board::Event::CardReported(seen)) = &recorded.event
            && let Some(column) = &seen.column
        {
            self.card(&mut batch, recorded, seen.card.as_str(), column.as_str())?;
        }
        Ok(self.db.apply_batch(batch)?)
    }

    fn card(
        &self,
        batch: &mut sled::Batch,
        recorded: &Recorded,
        card: &str,
        column: &str,
    ) -> anyhow::Result<()> {
        let at = recorded.meta.time.micros().to_be_bytes();
        let row = key("card", card.as_bytes());
        let before = self.db.get(&row)?;
        let before = before.as_deref().and_then(<[u8]>::split_first_chunk::<8>);
        // A card's row: when it was first seen, then where it is.
        let first_seen = before.map_or(at, |(first, _)| *first);
        batch.insert(row, [&first_seen, column.as_bytes()].concat());
        batch.insert(key("move", &[card.as_bytes(), b"/", &at].concat()), column.as_bytes());
        batch.insert(key("time", &[&at, card.as_bytes()].concat()), column.as_bytes());
        let left = before.map(|(_, column)| column);
        if left != Some(column.as_bytes()) {
            self.count(batch, column.as_bytes(), 1)?;
            left.map_or(Ok(()), |left| self.count(batch, left, u64::MAX))?;
        }
        Ok(())
    }

    fn count(&self, batch: &mut sled::Batch, column: &[u8], by: u64) -> anyhow::Result<()> {
        let row = key("count", column);
        let known = self.db.get(&row)?;
        let known = known.as_deref().and_then(<[u8]>::first_chunk::<8>).copied();
        let count = known.map_or(0, u64::from_be_bytes).wrapping_add(by);
        batch.insert(row, &count.to_be_bytes());
        Ok(())
    }

    /// Waits until everything is on its way to the disk.
    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        self.db.flush()?;
        Ok(())
    }

    #[cfg(test)]
    fn cards_in(&self, column: &str) -> u64 {
        let known = self.db.get(key("count", column.as_bytes())).unwrap();
        known.map_or(0, |it| u64::from_be_bytes(it.as_ref().try_into().unwrap()))
    }
}

fn key(kind: &str, name: &[u8]) -> Vec<u8> {
    [kind.as_bytes(), b"/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use takt_domain::{Aggregate, BoardId, EventId, Meta, Time};

    #[test]
    fn a_card_is_counted_where_its_last_event_put_it() {
        let folder = tempfile::tempdir().unwrap();
        let naive = Naive::open(folder.path()).unwrap();
        for (seq, column) in [(1, "Doing"), (2, "Doing"), (3, "Done")] {
            let data = serde_json::json!({"card": "a", "column": column});
            let seen = serde_json::from_value(data).unwrap();
            let recorded = Recorded {
                seq,
                stream: "bench".into(),
                aggregate: Aggregate::Board(BoardId::main()),
                meta: Meta::new(EventId::derive("s", column, 0), "s".into(), Time::EPOCH),
                event: Event::Board(board::Event::CardReported(seen)),
            };
            naive.apply(&recorded).unwrap();
        }
        assert_eq!((naive.cards_in("Doing"), naive.cards_in("Done")), (0, 1));
    }
}
