//! What may happen to a value stream.

use super::{Command, Created, Event, Policy, PolicySet, State};
use crate::rejection::Rejection;
use crate::time::Span;

/// Decides a command against the stream's state.
///
/// # Errors
/// `NotFound` for a policy of a stream that is not made; `Refused` for a second stream of the same
/// name with another title.
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Create { name, title } => match &state.title {
            None => Ok(vec![Event::Created(Created { title })]),
            Some(known) if *known == title => Ok(vec![]),
            Some(known) => Err(Rejection::refused(
                "stream_exists",
                format!("stream `{name}` exists with the title `{known}`"),
                "choose another name",
            )),
        },
        Command::SetPolicy(policy) => set_policy(state, policy),
    }
}

fn set_policy(state: &State, policy: Policy) -> Result<Vec<Event>, Rejection> {
    for (field, span) in [
        ("policy.acknowledge_for", policy.acknowledge_for),
        ("policy.escalate_after", policy.escalate_after),
    ] {
        if span < Span::ZERO {
            return Err(Rejection::Invalid {
                field,
                problem: format!("is {} microseconds, below 0", span.micros()),
                remedy: "give a time of 0 or more".to_owned(),
            });
        }
    }
    if state.policy == policy {
        return Ok(vec![]);
    }
    Ok(vec![Event::PolicySet(PolicySet { policy })])
}
