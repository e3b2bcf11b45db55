//! Where each event stands in the log, by its id: 24 bytes an event, and little more.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use takt_domain::EventId;

/// How many ids wait at least before they are merged into the sorted ones.
const FEWEST: usize = 4096;

/// Sequences by event id. Ids arrive in random order and are never taken away, so most of them stand
/// sorted in one piece, and only the newest in a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    ids: Vec<EventId>,
    seqs: Vec<u64>,
    recent: BTreeMap<EventId, u64>,
}

impl Identities {
    /// Where an id stands first.
    pub(crate) fn get(&self, id: &EventId) -> Option<u64> {
        self.recent.get(id).copied().or_else(|| {
            let place = find(&self.ids, id).ok()?;
            self.seqs.get(place).copied()
        })
    }

    /// Adds an id; of two sequences the first in the log holds.
    pub(crate) fn add(&mut self, id: EventId, seq: u64) {
        if let Ok(place) = find(&self.ids, &id) {
            if let Some(known) = self.seqs.get_mut(place) {
                *known = seq.min(*known);
            }
            return;
        }
        match self.recent.entry(id) {
            Entry::Occupied(mut known) => *known.get_mut() = seq.min(*known.get()),
            Entry::Vacant(fresh) => drop(fresh.insert(seq)),
        }
        if self.recent.len() > FEWEST.max(self.ids.len() / 16) {
            self.merge();
        }
    }

    /// Every id with its sequence, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EventId, u64)> + '_ {
        let mut sorted = self.ids.iter().copied().zip(self.seqs.iter().copied()).peekable();
        let mut recent = self.recent.iter().map(|(id, seq)| (*id, *seq)).peekable();
        std::iter::from_fn(move || match (sorted.peek(), recent.peek()) {
            (Some((one, _)), Some((two, _))) if one < two => sorted.next(),
            (_, Some(_)) => recent.next(),
            (_, None) => sorted.next(),
        })
    }

    /// Merges from the end, in place, so that nothing is in memory twice.
    fn merge(&mut self) {
        let mut old = self.ids.len();
        let mut place = old + self.recent.len();
        self.ids.reserve_exact(self.recent.len());
        self.seqs.reserve_exact(self.recent.len());
        self.ids.resize(place, EventId::default());
        self.seqs.resize(place, 0);
        for (id, seq) in std::mem::take(&mut self.recent).into_iter().rev() {
            let before = self.ids.get(..old).unwrap_or_default();
            let first_above = before.partition_point(|known| *known < id);
            let above = old - first_above;
            self.ids.copy_within(first_above..old, place - above);
            self.seqs.copy_within(first_above..old, place - above);
            (old, place) = (first_above, place - above - 1);
            if let (Some(to), Some(of)) = (self.ids.get_mut(place), self.seqs.get_mut(place)) {
                (*to, *of) = (id, seq);
            }
        }
    }
}

/// As `binary_search`, but begins where a hashed id would be: most ids are, so the search stays within
/// a few pages of memory instead of jumping through all of them.
fn find(ids: &[EventId], id: &EventId) -> Result<usize, usize> {
    let high = u128::from(id.0.as_u64_pair().0);
    let guess = usize::try_from((high * ids.len() as u128) >> 64).unwrap_or(0);
    let is_below = |place: usize| ids.get(place).is_some_and(|known| known < id);
    let (mut low, mut top, mut step) = (guess, guess, 64);
    while low > 0 && !is_below(low - 1) {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 64;
    while top < ids.len() && is_below(top) {
        top = (top + step).min(ids.len());
        step *= 2;
    }
    let near = ids.get(low..top.max(low)).unwrap_or_default();
    let place = low + near.partition_point(|known| known < id);
    if ids.get(place) == Some(id) { Ok(place) } else { Err(place) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(number: u64) -> EventId {
        // Spread, as hashed ids are.
        EventId(Uuid::from_u128(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn they_hold_what_a_map_holds(numbers in prop::collection::vec(0_u64..12_000, 0..20_000)) {
            let (mut identities, mut map) = (Identities::default(), BTreeMap::new());
            for (seq, number) in (1..).zip(numbers) {
                identities.add(id(number), seq);
                map.entry(id(number)).or_insert(seq);
            }
            prop_assert!(identities.iter().eq(map.iter().map(|(id, seq)| (*id, *seq))));
            for number in 0..12_000 {
                prop_assert_eq!(identities.get(&id(number)), map.get(&id(number)).copied());
            }
        }
    }

    #[test]
    fn a_search_finds_what_a_binary_search_finds_also_where_ids_are_not_spread() {
        let spread: Vec<EventId> = (0..5000).map(id).collect();
        let crowded: Vec<EventId> =
            (0..5000).map(|it| EventId(Uuid::from_u128((0x0190 << 112) + it * 3))).collect();
        for mut ids in [spread, crowded, vec![]] {
            ids.sort_unstable();
            let between = |it: &EventId| EventId(Uuid::from_u128(it.0.as_u128().wrapping_add(1)));
            let others = [EventId(Uuid::nil()), EventId(Uuid::max())];
            for one in ids.iter().copied().chain(ids.iter().map(between)).chain(others) {
                assert_eq!(find(&ids, &one), ids.binary_search(&one), "{one}");
            }
        }
    }

    #[test]
    fn of_two_sequences_the_first_in_the_log_holds_in_whatever_order_they_come() {
        let mut identities = Identities::default();
        (0..5000).for_each(|number| identities.add(id(number), number + 10));
        identities.add(id(7), 3);
        identities.add(id(4999), 4);
        identities.add(id(4999), 9);
        assert_eq!((identities.get(&id(7)), identities.get(&id(4999))), (Some(3), Some(4)));
    }
}
