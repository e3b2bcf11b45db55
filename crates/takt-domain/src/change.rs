//! Changes: what is integrated, with its size; reported by facts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::event::OrderKey;
use crate::ids::{CardId, ChangeId};
use crate::time::Time;

/// What happened to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `dev.takt.change.reported.v1`
    Reported(Reported),
}

/// A change as its source knows it; the data of `dev.takt.report.change.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The change, such as a commit or a pull request.
    pub change: ChangeId,
    /// Its commits' hashes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<SmolStr>,
    /// When the first commit was authored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authored_at: Option<Time>,
    /// When it was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_at: Option<Time>,
    /// Files touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
    /// Lines added and removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// The cards it is for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cards: BTreeSet<CardId>,
}

/// A change as its latest report has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The latest report and its key.
    pub latest: Option<(OrderKey, Reported)>,
}

/// The state after an event; total. The latest report by order key holds.
pub fn evolve(mut state: State, order: &OrderKey, event: &Event) -> State {
    let Event::Reported(reported) = event;
    if state.latest.as_ref().is_none_or(|(known, _)| known < order) {
        state.latest = Some((order.clone(), reported.clone()));
    }
    state
}
