//! What this node has just appended, for its own tails: they need not wait for the way back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use takt_ports::Entry;
use tokio::sync::watch;

/// How much is kept, in entries and in bytes.
const MOST: usize = 4096;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Entries that are durable and were appended here, by sequence.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    kept: Arc<Mutex<Kept>>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self { kept: Arc::default(), last: watch::Sender::new(0) }
    }
}

impl Recent {
    /// Keeps entries, and lets older ones go.
    pub(crate) fn add(&self, entries: &[Entry]) {
        let Some(last) = entries.last().map(|entry| entry.seq) else { return };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            kept.bytes += entry.bytes.len();
            kept.entries.insert(entry.seq, entry.clone());
        }
        while kept.entries.len() > MOST || kept.bytes > MOST_BYTES {
            let Some((_, gone)) = kept.entries.pop_first() else { break };
            kept.bytes -= gone.bytes.len();
        }
        drop(kept);
        self.last.send_modify(|known| *known = last.max(*known));
    }

    /// The entries that follow each other from a sequence on, at most `max`.
    pub(crate) fn from(&self, seq: u64, max: usize) -> Vec<Entry> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let run = kept.entries.range(seq..).zip(seq..);
        run.take_while(|((at, _), next)| *at == next)
            .take(max)
            .map(|((_, entry), _)| entry.clone())
            .collect()
    }

    /// How many of a range of sequences are kept.
    pub(crate) fn count(&self, seqs: Range<u64>) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.range(seqs).count()
    }

    /// Tells when something was added.
    pub(crate) fn added(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use takt_domain::EventId;
    use takt_ports::{Hash, Subject};

    use super::*;

    fn entry(seq: u64, length: usize) -> Entry {
        let id = EventId::derive("urn:test", &seq.to_string(), 0);
        let subject = Subject::from_log("takt.log.shop.line");
        Entry { seq, subject, id, prev: Hash::default(), bytes: vec![b'x'; length].into() }
    }

    fn seqs(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn a_run_ends_where_another_node_has_written() {
        let recent = Recent::default();
        recent.add(&[entry(5, 1), entry(6, 1)]);
        recent.add(&[entry(8, 1)]);
        assert_eq!(seqs(&recent.from(5, 10)), [5, 6]);
        assert_eq!(seqs(&recent.from(5, 1)), [5]);
        assert_eq!(seqs(&recent.from(7, 10)), Vec::<u64>::new());
        assert_eq!(seqs(&recent.from(8, 10)), [8]);
        assert_eq!(*recent.added().borrow(), 8);
        assert_eq!((recent.count(1..9), recent.count(6..8), recent.count(7..8)), (3, 1, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_bytes() {
        let recent = Recent::default();
        for seq in 1..=5000 {
            recent.add(&[entry(seq, 1)]);
        }
        assert!(recent.from(904, 1).is_empty() && recent.from(905, 5000).len() == MOST);
        recent.add(&[entry(5001, MOST_BYTES)]);
        assert_eq!(seqs(&recent.from(5001, 10)), [5001]);
        assert!(recent.from(5000, 1).is_empty());
    }
}
