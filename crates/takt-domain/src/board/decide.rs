//! What may happen on a board.

use smol_str::SmolStr;

use super::{
    Board, CardAdded, CardBlocked, CardDeleted, CardMoved, CardOverdue, CardUnblocked, ColumnSet,
    Command, Details, Event, GatePassed, ImportClosed, Order, WipPolicy,
};
use crate::andon::{Effect, Line};
use crate::ids::{AlertId, CardId, ColumnName};
use crate::rejection::{Rejection, Unmet};
use crate::stream::Strictness;
use crate::time::{Span, Time};

/// An import that nobody closes is closed this long after its last fact.
pub const IMPORT_QUIET: Span = Span::from_secs(60);

/// How many overdue cards one look at the clock tells of; the next one tells of the rest, so that
/// what is told at once fits in one batch of the log.
const TOLD_AT_ONCE: usize = 500;

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
    match command.order {
        Order::SetColumn(set) => set_column(board, set),
        Order::AddCard { card, column, details, fixes } => {
            add(board, evidence, card, (column, details), fixes)
        }
        Order::MoveCard { card, column, fixes } => move_card(board, evidence, card, column, fixes),
        Order::Block { card, reason } => block(board, card, reason),
        Order::Unblock { card } => {
            let free = on_board(board, &card)?.blocked().is_none();
            Ok(if free { vec![] } else { vec![Event::CardUnblocked(CardUnblocked { card })] })
        }
        Order::Delete { card } => {
            on_board(board, &card)?;
            Ok(vec![Event::CardDeleted(CardDeleted { card })])
        }
        Order::ReportCard(reported) => Ok(vec![Event::CardReported(reported)]),
        Order::ReportColumn(reported) => Ok(vec![Event::ColumnReported(reported)]),
        Order::CloseImport => Ok(board.import.map(|_| close_import(board)).into_iter().collect()),
        Order::Wake => {
            let quiet = import_ends(board).filter(|at| *at <= command.asked.at);
            let closed = quiet.map(|_| close_import(board));
            Ok(overdue(board, command.asked.at).into_iter().chain(closed).collect())
        }
    }
}

fn close_import(board: &Board) -> Event {
    let over = board.columns.keys().filter(|name| board.is_over(name));
    let over_limit = over.map(|name| (name.clone(), board.count(name))).collect();
    Event::ImportClosed(ImportClosed { over_limit })
}

/// When an import that nobody closes is over.
fn import_ends(board: &Board) -> Option<Time> {
    board.import.map(|last| last + IMPORT_QUIET)
}

fn set_column(board: &Board, set: ColumnSet) -> Result<Vec<Event>, Rejection> {
    if let Some(limit) = set.wip_limit
        && limit.policy != WipPolicy::Off
        && limit.cards == 0
    {
        return Err(Rejection::Invalid {
            field: "wip_limit",
            problem: "is 0, so nothing could ever enter the column".to_owned(),
            remedy: "give a limit of 1 or more, or the policy `off`".to_owned(),
        });
    }
    if let Some(limit) = set.time_limit
        && limit < Span::ZERO
    {
        return Err(Rejection::Invalid {
            field: "time_limit",
            problem: format!("is {} seconds, below 0", limit.seconds()),
            remedy: "give a time above 0, or 0 to take the limit away".to_owned(),
        });
    }
    Ok(if changes(board, &set) { vec![Event::ColumnSet(set)] } else { vec![] })
}

/// Whether a command would leave the column as it is.
fn changes(board: &Board, set: &ColumnSet) -> bool {
    let Some(column) = board.columns.get(&set.column) else { return true };
    column.set_at.is_none()
        || set.kind.is_some_and(|kind| column.kind_set != Some(kind))
        || set.order.is_some_and(|order| column.order_set != Some(order))
        || set.wip_limit.is_some_and(|limit| column.wip_limit != limit)
        || set.time_limit.is_some_and(|limit| column.time_limit.unwrap_or(Span::ZERO) != limit)
        || set.stage.as_ref().is_some_and(|stage| column.stage.as_deref().unwrap_or("") != stage)
}

fn on_board<'a>(board: &'a Board, card: &CardId) -> Result<&'a super::Card, Rejection> {
    let known = board.cards.get(card).filter(|known| known.place().is_some());
    known.ok_or_else(|| Rejection::NotFound {
        kind: "card",
        name: card.as_str().into(),
        remedy: "`takt card list` shows the cards on the board".to_owned(),
    })
}

fn add(
    board: &Board,
    evidence: Evidence<'_>,
    card: CardId,
    (column, details): (Option<ColumnName>, Details),
    fixes: Option<AlertId>,
) -> Result<Vec<Event>, Rejection> {
    is_open(evidence, fixes.as_ref())?;
    if let Some(place) = board.cards.get(&card).and_then(super::Card::place) {
        return Err(Rejection::refused(
            "card_exists",
            format!("card `{card}` is on the board, in column `{place}`"),
            format!("choose another id, or `takt card move {card} COLUMN`"),
        ));
    }
    let column = match column {
        Some(column) => known_column(board, column)?,
        None => board.column_order().first().map(|name| (*name).clone()).ok_or_else(|| {
            Rejection::refused(
                "no_columns",
                "the board has no columns",
                "make one with `takt column set NAME`",
            )
        })?,
    };
    let mut unmet = Vec::from_iter(full(board, &column));
    let way = Way { card: &card, from: None, to: &column, fixes: fixes.as_ref() };
    let gate = gate(board, evidence, way, &mut unmet);
    if !unmet.is_empty() {
        return Err(Rejection::Refused(unmet));
    }
    let passed = gate.then(|| passed(evidence, way));
    let added = Event::CardAdded(CardAdded { card, column, details });
    Ok([Some(added), passed].into_iter().flatten().collect())
}

fn known_column(board: &Board, column: ColumnName) -> Result<ColumnName, Rejection> {
    if board.columns.contains_key(&column) {
        return Ok(column);
    }
    Err(Rejection::NotFound {
        kind: "column",
        name: column.as_str().into(),
        remedy: format!("make it with `takt column set '{column}'`"),
    })
}

fn move_card(
    board: &Board,
    evidence: Evidence<'_>,
    card: CardId,
    column: ColumnName,
    fixes: Option<AlertId>,
) -> Result<Vec<Event>, Rejection> {
    is_open(evidence, fixes.as_ref())?;
    let known = on_board(board, &card)?;
    let column = known_column(board, column)?;
    let Some(from) = known.place().filter(|from| **from != column).cloned() else {
        return Ok(vec![]);
    };
    let mut unmet = Vec::from_iter(full(board, &column));
    let way = Way { card: &card, from: Some(&from), to: &column, fixes: fixes.as_ref() };
    let gate = gate(board, evidence, way, &mut unmet);
    if !unmet.is_empty() {
        return Err(Rejection::Refused(unmet));
    }
    let passed = gate.then(|| passed(evidence, way));
    let moved = Event::CardMoved(CardMoved { card, from, column });
    Ok([Some(moved), passed].into_iter().flatten().collect())
}

/// The way that a card wants to go.
#[derive(Clone, Copy)]
struct Way<'a> {
    card: &'a CardId,
    from: Option<&'a ColumnName>,
    to: &'a ColumnName,
    /// The alert that the work is marked as the fix of.
    fixes: Option<&'a AlertId>,
}

fn passed(evidence: Evidence<'_>, way: Way<'_>) -> Event {
    Event::GatePassed(GatePassed {
        card: way.card.clone(),
        column: way.to.clone(),
        line_seq: evidence.line_seq,
        fixes: way.fixes.cloned(),
    })
}

/// Work is the fix of an alert that is open, or of none.
fn is_open(evidence: Evidence<'_>, fixes: Option<&AlertId>) -> Result<(), Rejection> {
    let Some(alert) = fixes.filter(|alert| !evidence.line.open.contains_key(*alert)) else {
        return Ok(());
    };
    Err(Rejection::NotFound {
        kind: "open alert",
        name: alert.as_str().into(),
        remedy: "`takt andon list` shows the open alerts; without `--fixes` none is passed over"
            .to_owned(),
    })
}

/// The unmet condition of a column that is at or above its hard limit.
fn full(board: &Board, name: &ColumnName) -> Option<Unmet> {
    let column = board.columns.get(name)?;
    let limit = column.limit().filter(|_| column.wip_limit.policy == WipPolicy::Hard)?;
    let count = board.count(name);
    (count >= limit).then(|| Unmet {
        code: "wip_limit",
        message: format!("column `{name}` is full: {count} cards, hard limit {limit}"),
        remedy: format!(
            "finish or move a card out of `{name}` first; `takt card list --column '{name}'` shows them"
        ),
    })
}

/// Looks at the line where a move enters done from outside, or goes on past the column of a
/// stage. Adds what is unmet; returns whether the line was looked at.
fn gate(board: &Board, evidence: Evidence<'_>, way: Way<'_>, unmet: &mut Vec<Unmet>) -> bool {
    let Way { from, to, .. } = way;
    if evidence.line_policy == Strictness::Off {
        return false;
    }
    let enters_done = board.is_done(to) && !from.is_some_and(|from| board.is_done(from));
    let stages = stages_passed(board, from, to);
    if !enters_done && stages.is_empty() {
        return false;
    }
    if evidence.line_policy == Strictness::Warn {
        return true;
    }
    for (id, alert) in &evidence.line.open {
        let broken = alert.stage.as_ref().is_some_and(|stage| stages.contains(&stage));
        if alert.effect == Effect::Stop && way.fixes != Some(id) && (enters_done || broken) {
            unmet.push(stopped(way, id, &alert.summary));
        }
    }
    true
}

/// What the policy `warn` lets an order pass over, with its remedies: the conditions for which
/// `require` would refuse it.
pub fn passed_over(board: &Board, evidence: Evidence<'_>, order: &Order) -> Vec<Unmet> {
    if evidence.line_policy != Strictness::Warn {
        return vec![];
    }
    let (card, from, to, fixes) = if let Order::MoveCard { card, column, fixes } = order {
        let from = board.cards.get(card).and_then(super::Card::place);
        (card, from, Some(column), fixes)
    } else if let Order::AddCard { card, column, fixes, .. } = order {
        let first = || board.column_order().first().copied();
        (card, None, column.as_ref().or_else(first), fixes)
    } else {
        return vec![];
    };
    let Some(to) = to else { return vec![] };
    let mut unmet = vec![];
    let strict = Evidence { line_policy: Strictness::Require, ..evidence };
    gate(board, strict, Way { card, from, to, fixes: fixes.as_ref() }, &mut unmet);
    unmet
}

fn stopped(way: Way<'_>, alert: &AlertId, summary: &str) -> Unmet {
    let fix = match way.from {
        Some(_) => format!("`takt card move {} '{}' --fixes {alert}`", way.card, way.to),
        None => format!("`takt card add --column '{}' --fixes {alert} TITLE`", way.to),
    };
    Unmet {
        code: "line_stopped",
        message: format!("the line is stopped by alert `{alert}`: {summary}"),
        remedy: format!(
            "`takt andon resolve {alert} --category fixed --cause '…' --countermeasure '…'`; \
             if this work is the fix: {fix}"
        ),
    }
}

/// The stages whose columns a forward move leaves behind.
fn stages_passed<'a>(
    board: &'a Board,
    from: Option<&ColumnName>,
    to: &ColumnName,
) -> Vec<&'a SmolStr> {
    let order = board.column_order();
    let place = |name: &ColumnName| order.iter().position(|known| *known == name);
    let (start, end) = (from.and_then(place).unwrap_or(0), place(to).unwrap_or(0));
    order
        .iter()
        .take(end)
        .skip(start)
        .filter_map(|name| board.columns.get(*name)?.stage.as_ref())
        .collect()
}

fn block(board: &Board, card: CardId, reason: SmolStr) -> Result<Vec<Event>, Rejection> {
    let known = on_board(board, &card)?;
    if reason.trim().is_empty() {
        return Err(Rejection::Invalid {
            field: "reason",
            problem: "is empty".to_owned(),
            remedy: "say in a line what the card waits for".to_owned(),
        });
    }
    let same = known.blocked() == Some(&reason);
    Ok(if same { vec![] } else { vec![Event::CardBlocked(CardBlocked { card, reason })] })
}

/// Cards whose stay has breached their column's time limit by `at`, and has not been told, as many
/// as are told at once.
fn overdue(board: &Board, at: Time) -> Vec<Event> {
    breaches(board)
        .filter(|(deadline, _)| *deadline <= at)
        .take(TOLD_AT_ONCE)
        .map(|(_, overdue)| Event::CardOverdue(overdue))
        .collect()
}

fn breaches(board: &Board) -> impl Iterator<Item = (Time, CardOverdue)> {
    let limited = board.columns.values().any(|column| column.time_limit.is_some());
    let cards = limited.then(|| board.cards.iter()).into_iter().flatten();
    cards.filter_map(|(id, card)| {
        let column = card.place()?;
        let limit = board.columns.get(column)?.time_limit?;
        let since = card.stay()?.order.time;
        let overdue = CardOverdue { card: id.clone(), column: column.clone(), since, limit };
        Some((card.breaches_at(limit)?, overdue))
    })
}

/// The next instant at which a time limit is breached, or an import is over by itself.
pub fn due(board: &Board) -> Option<Time> {
    breaches(board).map(|(deadline, _)| deadline).chain(import_ends(board)).min()
}

/// The time of a command's event about a card: now, or just after its latest move when the clock
/// is behind that, so that what was asked last holds.
pub fn event_time(board: &Board, card: &CardId, now: Time) -> Time {
    // A block or a title is decided by its own latest fact, so that must be passed too.
    let latest = board.cards.get(card).and_then(super::Card::latest);
    latest.map_or(now, |latest| now.max(latest + Span::from_micros(1)))
}
