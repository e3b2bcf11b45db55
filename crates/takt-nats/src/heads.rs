//! Where subjects end, as far as this node has seen: the sequence and the chain hash of each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use takt_ports::{Entry, Hash, Subject, chain_hash};

/// How many subjects are remembered; past it all are forgotten and read anew as they are needed.
const MOST: usize = 100_000;

/// The ends of subjects, never further than the log and often as far.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<HashMap<Subject, (u64, Hash)>>);

impl Heads {
    /// The last sequence and chain hash seen of a subject.
    pub(crate) fn get(&self, subject: &Subject) -> Option<(u64, Hash)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(subject).copied()
    }

    /// Remembers entries that stand in the log.
    pub(crate) fn saw(&self, entries: &[Entry]) {
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heads.len() > MOST {
            heads.clear();
        }
        // The last first: what comes before it in its subject then needs no hash.
        for entry in entries.iter().rev() {
            let known = heads.get(&entry.subject).map_or(0, |(seq, _)| *seq);
            if entry.seq > known {
                heads.insert(entry.subject.clone(), head_after(entry));
            }
        }
    }
}

/// Where a subject ends with this entry.
pub(crate) fn head_after(entry: &Entry) -> (u64, Hash) {
    (entry.seq, chain_hash(&entry.prev, &entry.id, &entry.bytes))
}

#[cfg(test)]
mod tests {
    use takt_domain::EventId;

    use super::*;

    fn entry(seq: u64) -> Entry {
        let id = EventId::derive("urn:test", &seq.to_string(), 0);
        let subject = Subject::from_log("takt.log.shop.line");
        Entry { seq, subject, id, prev: Hash::default(), bytes: "{}".into() }
    }

    #[test]
    fn what_is_seen_late_does_not_take_an_end_back() {
        let heads = Heads::default();
        heads.saw(&[entry(7), entry(3)]);
        assert_eq!(heads.get(&entry(1).subject), Some(head_after(&entry(7))));
        heads.saw(&[entry(6)]);
        assert_eq!(heads.get(&entry(1).subject).map(|it| it.0), Some(7));
    }
}
