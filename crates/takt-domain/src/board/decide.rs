//! What may happen on a board.

use super::{Board, Command, Event};
use crate::andon::Line;
use crate::rejection::Rejection;
use crate::stream::Strictness;
use crate::time::Time;

/// What a decision needs to know beside the board.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The line, as it was at `line_seq`.
    pub line: &'a Line,
    /// The last sequence on `line`; 0 if it has none.
    pub line_seq: u64,
    /// The policy's word on a stopped line.
    pub line_policy: Strictness,
}

/// Decides a command.
///
/// # Errors
/// Names every unmet condition with its remedy.
pub fn decide(
    board: &Board,
    evidence: Evidence<'_>,
    command: Command,
) -> Result<Vec<Event>, Rejection> {
    let _ = (board, evidence, command);
    Ok(vec![])
}

/// The next instant at which a time limit is breached.
pub fn due(board: &Board) -> Option<Time> {
    let _ = board;
    None
}
