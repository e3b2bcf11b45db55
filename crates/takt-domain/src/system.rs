//! Foreign facts, summed refusals, and the bookkeeping of intake and reactors.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::ids::ColumnName;
use crate::notice;

/// What is recorded beside the work itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A fact of a type that Takt does not understand: `dev.takt.foreign.recorded.v1`.
    ForeignRecorded(ForeignRecorded),
    /// Commands refused since the last sum: `dev.takt.refusals.summed.v1`.
    RefusalsSummed(RefusalsSummed),
    /// How far a reactor has come: `dev.takt.reactor.advanced.v1`.
    ReactorAdvanced(ReactorAdvanced),
    /// How far the intake has come: `dev.takt.intake.advanced.v1`.
    IntakeAdvanced(IntakeAdvanced),
    /// Notices were asked for: `dev.takt.notice.requested.v1`.
    NoticeRequested(notice::Requested),
    /// A receiver took a notice: `dev.takt.notice.delivered.v1`.
    NoticeDelivered(notice::Delivered),
    /// A notice was given up: `dev.takt.notice.failed.v1`.
    NoticeFailed(notice::Failed),
}

/// A fact of a type that Takt does not understand, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignRecorded {
    /// The CloudEvents or CDEvents type.
    pub kind: SmolStr,
    /// The fact's own id.
    pub fact_id: SmolStr,
    /// The fact's data as it came.
    pub data: serde_json::Value,
}

/// Refusals of one column for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// The column asked for, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<ColumnName>,
    /// The unmet condition's code.
    pub reason: SmolStr,
    /// How many commands.
    pub count: u64,
}

/// Commands refused since the last sum, at most one event in ten seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalsSummed {
    /// One row for each column and reason.
    pub refusals: Vec<Refusals>,
}

/// A reactor has answered everything up to a sequence of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactorAdvanced {
    /// The last sequence answered.
    pub through: u64,
}

/// The intake of a value stream has taken in everything up to a sequence of the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntakeAdvanced {
    /// The inbox's creation id: a position counts only in the inbox it was read from.
    pub inbox: uuid::Uuid,
    /// The last sequence taken in; 0 = none yet.
    pub through: u64,
    /// Facts that wait as dead letters, in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<Parked>,
    /// Letters that no fact waits behind any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freed: Vec<uuid::Uuid>,
}

/// A fact that waits as a dead letter, since it or an earlier one about the same thing could not be
/// applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The thing's aggregate, such as `board.main`.
    pub aggregate: SmolStr,
    /// The thing itself, such as a card's id.
    pub subject: SmolStr,
    /// The dead letter's id.
    pub letter: uuid::Uuid,
}
