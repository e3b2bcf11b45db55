//! What follows from what: the intents that an event gives rise to.

use smol_str::SmolStr;

use crate::andon::{Cause, Trigger};
use crate::board::Board;
use crate::event::Recorded;
use crate::ids::ColumnName;
use crate::time::Time;

/// What should be done because of an event; answered once, by a command on `line`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Intent {
    /// Pull the Andon, or join the open alert of the same cause.
    Pull {
        /// The root.
        cause: Cause,
        /// The broken stage, if known.
        stage: Option<SmolStr>,
        /// The column it is about, for limits.
        column: Option<ColumnName>,
        /// What pulled.
        trigger: Trigger,
    },
    /// The condition behind a cause ended.
    Clear {
        /// The root.
        cause: Cause,
        /// When.
        at: Time,
    },
}

/// What follows from an event. `board` is the event's board after it, if it has one.
pub fn react(board: Option<&Board>, recorded: &Recorded) -> Vec<Intent> {
    let _ = (board, recorded);
    vec![]
}
