//! How far a value stream's intake has come, and what waits as dead letters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_domain::system::IntakeAdvanced;
use uuid::Uuid;

/// How far the intake has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intake {
    /// The inbox that the position was read from; nil before the first.
    pub inbox: Uuid,
    /// The last sequence of it that is taken in.
    pub through: u64,
    /// The dead letters that facts wait in, oldest first, by the thing they are about: the aggregate
    /// and the subject.
    pub parked: BTreeMap<(SmolStr, SmolStr), Vec<Uuid>>,
}

impl Intake {
    /// The position in an inbox: 0 in another than it was read from.
    pub fn position(&self, inbox: Uuid) -> u64 {
        if self.inbox == inbox { self.through } else { 0 }
    }

    pub(crate) fn apply(&mut self, advanced: &IntakeAdvanced) {
        (self.inbox, self.through) = (advanced.inbox, advanced.through);
        for parked in &advanced.parked {
            let thing = (parked.aggregate.clone(), parked.subject.clone());
            self.parked.entry(thing).or_default().push(parked.letter);
        }
        if !advanced.freed.is_empty() {
            self.parked.values_mut().for_each(|it| it.retain(|id| !advanced.freed.contains(id)));
            self.parked.retain(|_, letters| !letters.is_empty());
        }
    }
}
