//! What the line's history means.

use super::{Event, Line};
use crate::event::Meta;

/// The state after an event; total.
pub fn evolve(line: Line, meta: &Meta, event: &Event) -> Line {
    let _ = (meta, event);
    line
}
