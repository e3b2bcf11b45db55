//! Lead time and cycle time, computed from the moves of a board's cards.

use std::collections::BTreeSet;

use takt_domain::board::{Board, Card, ColumnKind, Move};
use takt_domain::{ColumnName, Sequence, Time};

/// Which completed cards count: those whose entry into done is in `[since, until)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The first instant; all of history if `None`.
    pub since: Option<Time>,
    /// The first instant no longer in it, and the one the board is looked at; now if `None`.
    pub until: Option<Time>,
}

/// How long work takes, in seconds. Without completed cards there are no percentiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeadTime {
    /// Cards in done whose present stay there began in the window.
    pub completed: u64,
    /// How many of them had left done before.
    pub reopened: u64,
    /// Cards that have left done and are not back.
    pub reopened_open: u64,
    /// Cards on the board that are not in done.
    pub open: u64,
    /// The median.
    pub p50: Option<f64>,
    /// 85 of 100 are no longer than this.
    pub p85: Option<f64>,
    /// 95 of 100 are no longer than this.
    pub p95: Option<f64>,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// What is odd about the data.
    pub quality: Quality,
}

/// What is odd about the data behind a metric; nothing is dropped in silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Completed cards whose first sighting was in done already; they count with 0.
    pub first_seen_in_done: u64,
    /// Completed cards whose span ends before it begins by the numbers that its source gave both
    /// sightings, against their times; they count as their times have it.
    pub negative_spans: u64,
    /// Completed cards that were never in an `active` column; they have no cycle time.
    pub never_active: u64,
    /// Cards spoken of but never seen in a column.
    pub never_seen: u64,
}

/// From a card's first appearance to its entry into done for its present stay there.
pub fn lead_time(board: &Board, window: Window) -> LeadTime {
    measure(board, window, |sightings, _| first_seen(sightings))
}

/// From a card's first entry into an `active` column to its entry into done.
pub fn cycle_time(board: &Board, window: Window) -> LeadTime {
    let active = columns_of(board, ColumnKind::Active);
    measure(board, window, |sightings, entry| {
        let mut before = sightings.iter().take(entry);
        before.position(|(_, column)| column.is_some_and(|it| active.contains(it)))
    })
}

type Sighting<'a> = (Time, Option<&'a ColumnName>);

/// Where a card was first seen on the board; a removal may have been told before.
fn first_seen(sightings: &[Sighting<'_>]) -> Option<usize> {
    sightings.iter().position(|(_, column)| column.is_some())
}

/// Whether a source's own numbers contradict that one move came before another.
fn contradicted(begun: &Move, ended: &Move) -> bool {
    match (&begun.order.sequence, &ended.order.sequence) {
        (Sequence::Number(begun), Sequence::Number(ended)) => begun > ended,
        _ => false,
    }
}

/// `start` is given a card's sightings and the index of its entry into done, and gives the index
/// of the one that the span begins at.
fn measure(
    board: &Board,
    window: Window,
    start: impl Fn(&[Sighting<'_>], usize) -> Option<usize>,
) -> LeadTime {
    let done = columns_of(board, ColumnKind::Done);
    let mut result = LeadTime::default();
    let mut spans = vec![];
    for card in board.cards.values() {
        let sightings = sightings(card, window.until);
        match standing(&sightings, &done) {
            Standing::Unseen => result.quality.never_seen += u64::from(card.moves.is_empty()),
            Standing::Gone => {}
            Standing::Open { reopened } => {
                result.open += 1;
                result.reopened_open += u64::from(reopened);
            }
            Standing::Done { entry, at, reopened } => {
                if window.since.is_some_and(|since| at < since) {
                    continue;
                }
                result.completed += 1;
                result.reopened += u64::from(reopened);
                result.quality.first_seen_in_done +=
                    u64::from(first_seen(&sightings) == Some(entry));
                let begun = start(&sightings, entry).and_then(|begun| card.moves.get(begun));
                let Some(begun) = begun else {
                    result.quality.never_active += 1;
                    continue;
                };
                spans.push(at.since(begun.order.time).micros());
                let ended = card.moves.get(entry);
                result.quality.negative_spans +=
                    u64::from(ended.is_some_and(|ended| contradicted(begun, ended)));
            }
        }
    }
    spans.sort_unstable();
    result.p50 = percentile(&spans, 50);
    result.p85 = percentile(&spans, 85);
    result.p95 = percentile(&spans, 95);
    result.mean = mean(&spans);
    result
}

/// Where a card stands with regard to done.
enum Standing {
    Unseen,
    Gone,
    Open { reopened: bool },
    Done { entry: usize, at: Time, reopened: bool },
}

fn standing(sightings: &[Sighting<'_>], done: &BTreeSet<&ColumnName>) -> Standing {
    let is_done = |(_, column): &Sighting<'_>| column.is_some_and(|column| done.contains(column));
    let Some(last) = sightings.iter().rposition(|(_, column)| column.is_some()) else {
        return Standing::Unseen;
    };
    let is_deleted = last + 1 < sightings.len();
    let entry = sightings
        .iter()
        .enumerate()
        .take(last + 1)
        .rev()
        .take_while(|(_, sighting)| is_done(sighting))
        .last();
    let was_done_before = |end: usize| sightings.iter().take(end).any(is_done);
    match entry {
        Some((entry, (at, _))) => {
            Standing::Done { entry, at: *at, reopened: was_done_before(entry) }
        }
        None if is_deleted => Standing::Gone,
        None => Standing::Open { reopened: was_done_before(last) },
    }
}

fn sightings(card: &Card, until: Option<Time>) -> Vec<Sighting<'_>> {
    let moves = card.moves.iter().map(|it| (it.order.time, it.column.as_deref()));
    moves.take_while(|(at, _)| until.is_none_or(|until| *at < until)).collect()
}

fn columns_of(board: &Board, kind: ColumnKind) -> BTreeSet<&ColumnName> {
    let columns = board.columns.iter();
    let of_kind = columns.filter(|(_, it)| it.kind() == Some(kind));
    of_kind.map(|(name, _)| name).collect()
}

/// Linear interpolation (Hyndman-Fan 7) over sorted microseconds, in seconds.
#[expect(clippy::cast_precision_loss, reason = "a value for display, exact below 285 years")]
pub(crate) fn percentile(sorted: &[i64], percent: usize) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? * percent;
    let low = i128::from(*sorted.get(place / 100)?);
    let high = i128::from(*sorted.get(place / 100 + 1).or_else(|| sorted.last())?);
    let hundredths = low * 100 + (high - low) * (place % 100) as i128;
    Some(hundredths as f64 / 1e8)
}

#[expect(clippy::cast_precision_loss, reason = "a value for display")]
fn mean(spans: &[i64]) -> Option<f64> {
    let sum: i128 = spans.iter().copied().map(i128::from).sum();
    (!spans.is_empty()).then(|| sum as f64 / spans.len() as f64 / 1e6)
}
