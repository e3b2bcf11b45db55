//! A board as people see it: columns in order, each with its cards, age and load.

use std::collections::BTreeMap;

use smol_str::SmolStr;
use takt_domain::board::{Board, Card, Class, Column, ColumnKind, WipLimit};
use takt_domain::{CardId, ColumnName, Span, Time, text};

/// A board at an instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardView {
    /// The columns, in the order of the work.
    pub columns: Vec<ColumnView>,
}

/// A column and its cards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnView {
    /// Its name.
    pub name: ColumnName,
    /// Its kind, if anyone has said.
    pub kind: Option<ColumnKind>,
    /// Its WIP limit.
    pub wip_limit: WipLimit,
    /// How many cards are in it.
    pub count: u32,
    /// Whether it holds more cards than its limit.
    pub over: bool,
    /// Made by a card's move and nothing else.
    pub unplanned: bool,
    /// How long a card may stay.
    pub time_limit: Option<Span>,
    /// The pipeline stage it stands for.
    pub stage: Option<SmolStr>,
    /// Its cards, the longest there first.
    pub cards: Vec<CardView>,
}

/// A card in its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardView {
    /// The card.
    pub id: CardId,
    /// A line of text; empty if nobody gave one.
    pub title: SmolStr,
    /// Type of work; empty if nobody gave one.
    pub kind: SmolStr,
    /// Class of service.
    pub class: Class,
    /// Size in the team's own unit.
    pub size: Option<u32>,
    /// Why it is blocked, if it is.
    pub blocked: Option<SmolStr>,
    /// When its present stay in the column began.
    pub since: Time,
    /// How long it has been there.
    pub age: Span,
}

/// The board as it stands, with ages as of `now`.
pub fn board_view(board: &Board, now: Time) -> BoardView {
    board_newest(board, now, usize::MAX)
}

/// The same, with no more than the `newest` cards of each done column; counts are of all cards.
pub fn board_newest(board: &Board, now: Time, newest: usize) -> BoardView {
    let mut cards: BTreeMap<&ColumnName, Vec<(Time, &CardId, &Card)>> = BTreeMap::new();
    for (id, card) in &board.cards {
        if let (Some(column), Some(stay)) = (card.place(), card.stay()) {
            cards.entry(column).or_default().push((stay.order.time, id, card));
        }
    }
    let columns = board.column_order().into_iter().filter_map(|name| {
        let mut here = cards.remove(name).unwrap_or_default();
        here.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let mut head = column_head(board, name)?;
        // The cards themselves are the truth that the count is derived from.
        head.count = u32::try_from(here.len()).unwrap_or(u32::MAX);
        let limit = board.columns.get(name).and_then(Column::limit);
        head.over = limit.is_some_and(|limit| head.count > limit);
        let left_out = if board.is_done(name) { here.len().saturating_sub(newest) } else { 0 };
        let shown = here.into_iter().skip(left_out);
        let cards = shown.map(|(since, id, card)| card_view(id, card, since, now)).collect();
        Some(ColumnView { cards, ..head })
    });
    BoardView { columns: columns.collect() }
}

/// A column without its cards, with the count of all of them.
pub fn column_head(board: &Board, name: &ColumnName) -> Option<ColumnView> {
    let (name, column) = board.columns.get_key_value(name)?;
    let count = board.count(name);
    Some(ColumnView {
        name: name.clone(),
        kind: column.kind(),
        wip_limit: column.wip_limit,
        count,
        over: column.limit().is_some_and(|limit| count > limit),
        unplanned: column.is_unplanned(),
        time_limit: column.time_limit,
        stage: column.stage.clone(),
        cards: vec![],
    })
}

/// One card and the column it is in, if it is on the board.
pub fn card_at(board: &Board, id: &CardId, now: Time) -> Option<(ColumnName, CardView)> {
    let (id, card) = board.cards.get_key_value(id)?;
    let (column, stay) = (card.place()?, card.stay()?);
    Some((column.clone(), card_view(id, card, stay.order.time, now)))
}

fn card_view(id: &CardId, card: &Card, since: Time, now: Time) -> CardView {
    CardView {
        id: id.clone(),
        title: shown(card.title()),
        kind: shown(card.kind()),
        class: card.class(),
        size: card.size(),
        blocked: card.blocked().map(|reason| shown(reason)),
        since,
        age: now.since(since),
    }
}

/// A source may report a text of any length, and is never refused; people see its beginning.
fn shown(text: &str) -> SmolStr {
    text::cut(text, text::LONGEST).into()
}

/// The newest cards of a column, the oldest of them first.
pub fn newest_of(board: &Board, column: &ColumnName, newest: usize, now: Time) -> Vec<CardView> {
    let here = board.cards.iter().filter(|(_, card)| card.place() == Some(column));
    let mut here: Vec<_> =
        here.filter_map(|(id, card)| Some((card.stay()?.order.time, id, card))).collect();
    here.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let left_out = here.len().saturating_sub(newest);
    here.into_iter()
        .skip(left_out)
        .map(|(since, id, card)| card_view(id, card, since, now))
        .collect()
}

/// The column in which a card was before its present stay, if it was in one.
pub fn came_from<'a>(board: &'a Board, id: &CardId) -> Option<&'a ColumnName> {
    let card = board.cards.get(id)?;
    let here = card.place();
    let before = card.moves.iter().rev().find(|step| step.column.as_deref() != here)?;
    before.column.as_deref()
}
