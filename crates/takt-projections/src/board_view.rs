//! A board as people see it: columns in order, each with its cards, age and load.

use smol_str::SmolStr;
use takt_domain::board::{Board, Card, Class, ColumnKind, WipLimit};
use takt_domain::{CardId, ColumnName, Span, Time};

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
    let columns = board.column_order().into_iter().filter_map(|it| board.columns.get_key_value(it));
    let mut views: std::collections::BTreeMap<&ColumnName, Vec<CardView>> = Default::default();
    for (id, card) in &board.cards {
        if let (Some(column), Some(stay)) = (card.place(), card.stay()) {
            let card = card_view(id, card, stay.order.time, now);
            views.entry(column).or_default().push(card);
        }
    }
    let columns = columns.map(|(name, column)| {
        let mut cards = views.remove(name).unwrap_or_default();
        cards.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        let count = u32::try_from(cards.len()).unwrap_or(u32::MAX);
        ColumnView {
            name: name.clone(),
            kind: column.kind(),
            wip_limit: column.wip_limit,
            count,
            over: column.limit().is_some_and(|limit| count > limit),
            unplanned: column.is_unplanned(),
            time_limit: column.time_limit,
            stage: column.stage.clone(),
            cards,
        }
    });
    BoardView { columns: columns.collect() }
}

fn card_view(id: &CardId, card: &Card, since: Time, now: Time) -> CardView {
    CardView {
        id: id.clone(),
        title: card.title().into(),
        kind: card.kind().into(),
        class: card.class(),
        size: card.size(),
        blocked: card.blocked().cloned(),
        since,
        age: now.since(since),
    }
}
