//! What a board's history means.

use super::{Board, Event};
use crate::event::Meta;

/// The state after an event; total, and the same in whatever order facts come.
pub fn evolve(board: Board, meta: &Meta, event: &Event) -> Board {
    let _ = (meta, event);
    board
}
