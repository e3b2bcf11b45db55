//! What may happen to a value stream.

use super::{Command, Created, Event, Policy, PolicySet, State};
use crate::ids::StreamName;
use crate::rejection::Rejection;
use crate::time::Span;

/// Decides a command against the stream's state.
///
/// # Errors
/// `Invalid` for a name that Takt keeps for itself; `Refused` for a second stream of the same name
/// with another title.
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Create { name, title } => match &state.title {
            None if name.as_str().starts_with('$') => Err(kept(&name)),
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

/// Names such as `$sys` stand for what belongs to no stream.
fn kept(name: &StreamName) -> Rejection {
    Rejection::Invalid {
        field: "stream",
        problem: format!("`{name}` begins with `$`, which Takt keeps for names of its own"),
        remedy: "choose a name that begins with something else".to_owned(),
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
