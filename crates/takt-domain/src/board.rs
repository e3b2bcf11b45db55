//! Boards: columns with limits, and cards with their whole life.

mod decide;
mod evolve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use decide::{Evidence, IMPORT_QUIET, decide, due, event_time, passed_over};
pub use evolve::evolve;

use crate::event::OrderKey;
use crate::ids::{AlertId, CardId, ColumnName};
use crate::rejection::Asked;
use crate::time::{Span, Time};

/// What kind of work a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Work waits.
    Queue,
    /// Work is worked on.
    Active,
    /// Work is finished.
    Done,
}

/// What a WIP limit does when it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WipPolicy {
    /// There is no limit.
    #[default]
    Off,
    /// A card over the limit is let in, and a `warn` alert opens.
    Soft,
    /// A card over the limit is refused.
    Hard,
}

/// How many cards a column may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WipLimit {
    /// Cards; 1 or more when the policy is not `off`.
    pub cards: u32,
    /// What happens at the limit.
    pub policy: WipPolicy,
}

/// Class of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The ordinary class.
    #[default]
    Standard,
    /// Goes first; limits hold it as they hold other work.
    Expedite,
    /// Has a date it must be done by.
    FixedDate,
    /// Pays off later.
    Intangible,
}

/// What is asked of a board. Each carries who asks and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// When and by whom.
    pub asked: Asked,
    /// What.
    pub order: Order,
}

/// The orders that a board understands.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Make a column or change what is given of it.
    SetColumn(ColumnSet),
    /// Put a new card on the board; without a column, into the first.
    AddCard {
        /// The card's id.
        card: CardId,
        /// Where; the first column if `None`.
        column: Option<ColumnName>,
        /// What it is about.
        details: Details,
        /// The open alert that this work is the fix of, if any.
        fixes: Option<AlertId>,
    },
    /// Move a card.
    MoveCard {
        /// The card.
        card: CardId,
        /// Where to.
        column: ColumnName,
        /// The open alert that this work is the fix of, if any.
        fixes: Option<AlertId>,
    },
    /// Mark a card as blocked, with the reason.
    Block {
        /// The card.
        card: CardId,
        /// Why.
        reason: SmolStr,
    },
    /// The card is free again.
    Unblock {
        /// The card.
        card: CardId,
    },
    /// Take a card off the board.
    Delete {
        /// The card.
        card: CardId,
    },
    /// A fact about a card; never refused.
    ReportCard(CardReported),
    /// A fact about a column; never refused.
    ReportColumn(ColumnReported),
    /// An import has ended: evaluate the present state once.
    CloseImport,
    /// The clock has reached an instant: tell what is due by it.
    Wake,
}

/// What happened on a board.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `dev.takt.board.column_set.v1`
    ColumnSet(ColumnSet),
    /// `dev.takt.board.column_reported.v1`
    ColumnReported(ColumnReported),
    /// `dev.takt.board.card_added.v1`
    CardAdded(CardAdded),
    /// `dev.takt.board.card_moved.v1`
    CardMoved(CardMoved),
    /// `dev.takt.board.card_reported.v1`
    CardReported(CardReported),
    /// `dev.takt.board.card_blocked.v1`
    CardBlocked(CardBlocked),
    /// `dev.takt.board.card_unblocked.v1`
    CardUnblocked(CardUnblocked),
    /// `dev.takt.board.card_deleted.v1`
    CardDeleted(CardDeleted),
    /// `dev.takt.board.card_overdue.v1`
    CardOverdue(CardOverdue),
    /// `dev.takt.board.gate_passed.v1`
    GatePassed(GatePassed),
    /// `dev.takt.board.import_closed.v1`
    ImportClosed(ImportClosed),
}

/// A column was made, or what is given of it was changed, by command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSet {
    /// The column.
    pub column: ColumnName,
    /// Its kind, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ColumnKind>,
    /// Its place among the columns, if given; columns of one order stand by age, then name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i32>,
    /// Its WIP limit, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wip_limit: Option<WipLimit>,
    /// How long a card may stay, in microseconds, if given; 0 takes the limit away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Span>,
    /// The pipeline stage it stands for, if given; empty takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<SmolStr>,
}

/// A column as a source knows it; fills in what no command has set, never limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnReported {
    /// The column.
    pub column: ColumnName,
    /// Its kind, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ColumnKind>,
    /// Its place among the columns, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i32>,
}

/// What a card is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// A line of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<SmolStr>,
    /// Type of work, such as `feature` or `bug`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<SmolStr>,
    /// Class of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Size in the team's own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
}

/// A card came onto the board, by command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardAdded {
    /// The card.
    pub card: CardId,
    /// Where it came.
    pub column: ColumnName,
    /// What it is about.
    #[serde(flatten)]
    pub details: Details,
}

/// A card was moved, by command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardMoved {
    /// The card.
    pub card: CardId,
    /// Where it was.
    pub from: ColumnName,
    /// Where it is.
    pub column: ColumnName,
}

/// A card as a source saw it: what is given holds from the event's time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardReported {
    /// The card.
    pub card: CardId,
    /// The column it was seen in, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<ColumnName>,
    /// What it is about.
    #[serde(flatten)]
    pub details: Details,
    /// Whether it was blocked, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<bool>,
    /// Why it was blocked, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SmolStr>,
    /// Whether it was taken off the board.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A card cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardBlocked {
    /// The card.
    pub card: CardId,
    /// Why.
    pub reason: SmolStr,
}

/// A card can go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardUnblocked {
    /// The card.
    pub card: CardId,
}

/// A card was taken off the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardDeleted {
    /// The card.
    pub card: CardId,
}

/// A card has stayed in a column longer than its time limit; the event's time is the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardOverdue {
    /// The card.
    pub card: CardId,
    /// The column.
    pub column: ColumnName,
    /// When its present stay there began.
    pub since: Time,
    /// The limit in microseconds.
    pub limit: Span,
}

/// A card passed a gate that looks at the line; recorded beside the move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatePassed {
    /// The card.
    pub card: CardId,
    /// The column it entered.
    pub column: ColumnName,
    /// The last sequence on `line` that was looked at; 0 if it had none.
    pub line_seq: u64,
    /// The alert that the work is marked as the fix of, which did not hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixes: Option<AlertId>,
}

/// An import has ended; the present state was evaluated once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportClosed {
    /// Columns over their limit, with the number of cards in each.
    pub over_limit: BTreeMap<ColumnName, u32>,
}

/// One sighting of a card: where it was seen, or that it was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// When, and its place among moves of the same time.
    pub order: OrderKey,
    /// The column; `None` = taken off the board. Shared by the moves of a board, which has many
    /// moves and few columns.
    pub column: Option<Arc<ColumnName>>,
    /// Imported history, which never fires a time limit.
    pub historical: bool,
}

/// A value that the latest fact decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest<T> {
    /// The key of the fact that set it.
    pub order: OrderKey,
    /// The value.
    pub value: T,
}

/// A card's whole life. A card is where its latest move put it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Sightings in order; never empty once the card has been seen in a column.
    pub moves: Vec<Move>,
    /// What was said of it beside its moves; boxed, since imported cards carry moves only.
    pub said: Option<Box<Said>>,
    /// The breaches of time limits that were told, by column; boxed, since few cards have any.
    pub overdue_told: Option<Box<BTreeMap<ColumnName, Told>>>,
}

/// The latest breach of a column's time limit by a card that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When the latest stay that it was told of began.
    pub since: Time,
    /// The latest deadline that it was told of.
    pub deadline: Time,
}

/// What was said of a card beside its moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// A line of text.
    pub title: Latest<SmolStr>,
    /// Type of work.
    pub kind: Latest<SmolStr>,
    /// Class of service.
    pub class: Latest<Class>,
    /// Size.
    pub size: Latest<Option<u32>>,
    /// Why it is blocked, if it is.
    pub blocked: Latest<Option<SmolStr>>,
}

/// A column as commands and facts have made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Set by command.
    pub kind_set: Option<ColumnKind>,
    /// Set by command.
    pub order_set: Option<i32>,
    /// When the first command named it; columns set by command stand before others of one order.
    pub set_at: Option<Time>,
    /// Reported by facts.
    pub kind_reported: Latest<Option<ColumnKind>>,
    /// Reported by facts.
    pub order_reported: Latest<Option<i32>>,
    /// The earliest time a fact spoke of it.
    pub first_seen: Option<Time>,
    /// Whether a fact has reported it as a column.
    pub reported: bool,
    /// The WIP limit.
    pub wip_limit: WipLimit,
    /// How long a card may stay.
    pub time_limit: Option<Span>,
    /// The pipeline stage it stands for.
    pub stage: Option<SmolStr>,
}

/// A board's state: all that its decisions and read models need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// Columns by name.
    pub columns: BTreeMap<ColumnName, Column>,
    /// Cards by id, deleted ones too.
    pub cards: BTreeMap<CardId, Card>,
    /// How many cards are in each column; derived, kept by `evolve`.
    pub counts: BTreeMap<ColumnName, u32>,
    /// When the last historical fact was recorded, while its import is open.
    pub import: Option<Time>,
    /// The columns' names as the moves share them; derived, see [`Board::shared`].
    names: BTreeSet<Arc<ColumnName>>,
}
