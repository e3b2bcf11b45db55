//! What a stream's history means.

use super::{Event, State};

/// The state after an event; total.
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::Created(created) => state.title = Some(created.title.clone()),
        Event::PolicySet(set) => state.policy = set.policy.clone(),
    }
    state
}
