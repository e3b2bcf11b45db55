//! What may happen on the line.

use super::{Command, Event, Line};
use crate::rejection::Rejection;
use crate::time::{Span, Time};

/// Decides a command.
///
/// # Errors
/// Names every unmet condition with its remedy.
pub fn decide(line: &Line, command: Command) -> Result<Vec<Event>, Rejection> {
    let _ = (line, command);
    Ok(vec![])
}

/// The next instant at which an acknowledgement expires or an alert escalates.
pub fn due(line: &Line, escalate_after: Span) -> Option<Time> {
    let _ = (line, escalate_after);
    None
}
