//! What a mailbox has just recorded and the read side need not have folded yet.
//!
//! Facts depend on what was recorded before only by their identities and by where their aggregates
//! stand. A mailbox that remembers these of its last batches can judge and append the next one while
//! those are folded.

use std::collections::{HashMap, VecDeque};

use takt_domain::{Aggregate, EventId};

use crate::mailbox::Draft;

/// How many batches may be ahead of the read side.
const MOST: usize = 2;

/// Batches of facts in the log, the oldest first, each with its last sequence.
#[derive(Debug, Default)]
pub(crate) struct Ahead(VecDeque<(u64, Batch)>);

#[derive(Debug)]
struct Batch {
    ids: HashMap<EventId, u64>,
    heads: HashMap<Aggregate, u64>,
}

impl Ahead {
    /// Remembers a batch that the log has from a sequence on.
    pub(crate) fn add(&mut self, first: u64, drafts: &[Draft]) {
        let placed = || (first..).zip(drafts);
        let mut heads: HashMap<Aggregate, u64> = HashMap::new();
        for (seq, draft) in placed() {
            match heads.get_mut(&draft.aggregate) {
                Some(head) => *head = seq,
                None => drop(heads.insert(draft.aggregate.clone(), seq)),
            }
        }
        let ids = placed().map(|(seq, draft)| (draft.id, seq)).collect();
        let last = first + (drafts.len() as u64).saturating_sub(1);
        self.0.push_back((last, Batch { ids, heads }));
    }

    /// Forgets what is folded.
    pub(crate) fn forget(&mut self, through: u64) {
        while self.0.front().is_some_and(|(last, _)| *last <= through) {
            self.0.pop_front();
        }
    }

    /// The sequence that the read side must have come to before the next batch is judged, where all
    /// up to `written` is remembered or folded.
    pub(crate) fn must_be_folded(&self, written: u64) -> u64 {
        match self.0.back() {
            Some((last, _)) if *last == written => {
                let oldest = self.0.len().checked_sub(MOST).and_then(|at| self.0.get(at));
                oldest.map_or(0, |(last, _)| *last)
            }
            // Something else was written, which only the read side can tell of.
            Some(_) | None => written,
        }
    }

    /// Where an event stands.
    pub(crate) fn sequence_of(&self, id: &EventId) -> Option<u64> {
        self.0.iter().find_map(|(_, batch)| batch.ids.get(id)).copied()
    }

    /// Where an aggregate stands; 0 where nothing is remembered of it.
    pub(crate) fn head_of(&self, aggregate: &Aggregate) -> u64 {
        let heads = self.0.iter().rev().find_map(|(_, batch)| batch.heads.get(aggregate));
        heads.copied().unwrap_or(0)
    }
}
