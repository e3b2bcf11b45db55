//! What a board's history means.

use std::sync::Arc;

use super::{
    Board, Card, CardAdded, CardReported, Column, ColumnReported, ColumnSet, Details, Event,
    Latest, Move, Told, WipPolicy,
};
use crate::event::{Meta, OrderKey};
use crate::ids::{CardId, ColumnName};
use crate::time::{Span, Time};

/// The state after an event; total, and the same in whatever order facts come, however often.
pub fn evolve(mut board: Board, meta: &Meta, event: &Event) -> Board {
    if meta.historical {
        board.import = board.import.max(Some(meta.recorded));
    }
    match event {
        Event::ColumnSet(set) => set_column(&mut board, meta, set),
        Event::ColumnReported(reported) => report_column(&mut board, meta, reported),
        Event::CardAdded(CardAdded { card, column, details }) => {
            see(&mut board, meta, card, Some(column));
            describe(&mut board, meta, card, details);
        }
        Event::CardMoved(moved) => see(&mut board, meta, &moved.card, Some(&moved.column)),
        Event::CardReported(reported) => report_card(&mut board, meta, reported),
        Event::CardBlocked(it) => block(&mut board, meta, &it.card, Some(it.reason.clone())),
        Event::CardUnblocked(it) => block(&mut board, meta, &it.card, None),
        Event::CardDeleted(it) => see(&mut board, meta, &it.card, None),
        Event::CardOverdue(it) => {
            let now = Told { since: it.since, deadline: it.since + it.limit };
            let told = &mut board.cards.entry(it.card.clone()).or_default().overdue_told;
            let told = told.get_or_insert_default().entry(it.column.clone()).or_insert(now);
            told.since = told.since.max(now.since);
            told.deadline = told.deadline.max(now.deadline);
        }
        Event::ImportClosed(_) => board.import = None,
        Event::GatePassed(_) => {}
    }
    board
}

impl<T> Latest<T> {
    /// Takes a value if its fact is the latest so far.
    fn take(&mut self, order: &OrderKey, value: T) {
        if self.order.is_none() || *order > self.order {
            *self = Self { order: order.clone(), value };
        }
    }
}

fn set_column(board: &mut Board, meta: &Meta, set: &ColumnSet) {
    let column = board.columns.entry(set.column.clone()).or_default();
    column.set_at.get_or_insert(meta.time);
    column.kind_set = set.kind.or(column.kind_set);
    column.order_set = set.order.or(column.order_set);
    if let Some(limit) = set.wip_limit {
        column.wip_limit = limit;
    }
    if let Some(limit) = set.time_limit {
        column.time_limit = (limit > Span::ZERO).then_some(limit);
    }
    if let Some(stage) = &set.stage {
        column.stage = (!stage.is_empty()).then(|| stage.clone());
    }
}

fn report_column(board: &mut Board, meta: &Meta, reported: &ColumnReported) {
    let order = meta.order();
    let column = board.columns.entry(reported.column.clone()).or_default();
    column.reported = true;
    column.first_seen = earlier(column.first_seen, meta.time);
    if reported.kind.is_some() {
        column.kind_reported.take(&order, reported.kind);
    }
    if reported.order.is_some() {
        column.order_reported.take(&order, reported.order);
    }
}

fn earlier(known: Option<Time>, time: Time) -> Option<Time> {
    Some(known.map_or(time, |known| known.min(time)))
}

fn report_card(board: &mut Board, meta: &Meta, reported: &CardReported) {
    let card = &reported.card;
    if reported.deleted {
        see(board, meta, card, None);
    } else if reported.column.is_some() {
        see(board, meta, card, reported.column.as_ref());
    }
    describe(board, meta, card, &reported.details);
    match reported.blocked {
        Some(true) => block(board, meta, card, Some(reported.reason.clone().unwrap_or_default())),
        Some(false) => block(board, meta, card, None),
        None => {}
    }
}

/// Records a sighting of a card, and keeps the counts of the columns it leaves and enters.
fn see(board: &mut Board, meta: &Meta, id: &CardId, column: Option<&ColumnName>) {
    let column = column.map(|name| sight_column(board, meta, name));
    let card = board.cards.entry(id.clone()).or_default();
    let order = meta.order();
    let Err(place) = card.moves.binary_search_by(|known| known.order.cmp(&order)) else { return };
    let before = card.place().cloned();
    if card.moves.len() == card.moves.capacity() {
        // A board keeps every move of every card, so doubling would waste a third of its memory.
        card.moves.reserve_exact(card.moves.len() / 4 + 1);
    }
    card.moves.insert(place, Move { order, column, historical: meta.historical });
    let after = card.place().cloned();
    if before == after {
        return;
    }
    if let Some(left) = before
        && let Some(count) = board.counts.get_mut(&left)
    {
        *count = count.saturating_sub(1);
        if *count == 0 {
            board.counts.remove(&left);
        }
    }
    if let Some(entered) = after {
        *board.counts.entry(entered).or_default() += 1;
    }
}

/// Records that a column was seen; gives its name as the board's moves share it.
fn sight_column(board: &mut Board, meta: &Meta, name: &ColumnName) -> Arc<ColumnName> {
    let column = board.columns.entry(name.clone()).or_default();
    column.first_seen = earlier(column.first_seen, meta.time);
    board.shared(name)
}

fn describe(board: &mut Board, meta: &Meta, id: &CardId, details: &Details) {
    let card = board.cards.entry(id.clone()).or_default();
    if *details == Details::default() {
        return;
    }
    let order = meta.order();
    let said = card.said.get_or_insert_default();
    if let Some(title) = &details.title {
        said.title.take(&order, title.clone());
    }
    if let Some(kind) = &details.kind {
        said.kind.take(&order, kind.clone());
    }
    if let Some(class) = details.class {
        said.class.take(&order, class);
    }
    if details.size.is_some() {
        said.size.take(&order, details.size);
    }
}

fn block(board: &mut Board, meta: &Meta, id: &CardId, reason: Option<smol_str::SmolStr>) {
    let said = board.cards.entry(id.clone()).or_default().said.get_or_insert_default();
    said.blocked.take(&meta.order(), reason);
}

impl Card {
    /// The column it is in: where its latest move put it; `None` when it is off the board.
    pub fn place(&self) -> Option<&ColumnName> {
        self.moves.last()?.column.as_deref()
    }

    /// The move that began its present uninterrupted stay in its column.
    pub fn stay(&self) -> Option<&Move> {
        let here = self.place()?;
        self.moves.iter().rev().take_while(|step| step.column.as_deref() == Some(here)).last()
    }

    /// Its first appearance on the board.
    pub fn first_seen(&self) -> Option<Time> {
        self.moves.iter().find(|step| step.column.is_some()).map(|step| step.order.time)
    }

    /// A line of text; empty if nobody gave one.
    pub fn title(&self) -> &str {
        self.said.as_ref().map_or("", |said| said.title.value.as_str())
    }

    /// Type of work; empty if nobody gave one.
    pub fn kind(&self) -> &str {
        self.said.as_ref().map_or("", |said| said.kind.value.as_str())
    }

    /// Class of service.
    pub fn class(&self) -> super::Class {
        self.said.as_ref().map(|said| said.class.value).unwrap_or_default()
    }

    /// Size in the team's own unit.
    pub fn size(&self) -> Option<u32> {
        self.said.as_ref().and_then(|said| said.size.value)
    }

    /// Why it is blocked, if it is.
    pub fn blocked(&self) -> Option<&smol_str::SmolStr> {
        self.said.as_ref().and_then(|said| said.blocked.value.as_ref())
    }

    /// The latest instant that a fact or command about it carries.
    pub fn latest(&self) -> Option<Time> {
        let said = self.said.iter().flat_map(|said| {
            [&said.title.order, &said.kind.order, &said.class.order, &said.size.order]
                .into_iter()
                .chain([&said.blocked.order])
        });
        let said = said.filter(|order| !order.is_none());
        self.moves.last().map(|it| &it.order).into_iter().chain(said).map(|it| it.time).max()
    }

    /// When its present stay breaches a time limit, unless that was told. A stay that a historical
    /// fact began never does, and each stay does so once: again when a longer limit gives it a
    /// later deadline, or when a late fact shows that it began later than was thought.
    pub fn breaches_at(&self, limit: Span) -> Option<Time> {
        let stay = self.stay()?;
        let (since, deadline) = (stay.order.time, stay.order.time + limit);
        let told = self.told(self.place()?);
        let known = told.is_some_and(|told| since <= told.since && deadline <= told.deadline);
        (!stay.historical && !known).then_some(deadline)
    }

    /// The latest breach of a column's time limit that was told.
    pub fn told(&self, column: &ColumnName) -> Option<Told> {
        self.overdue_told.as_ref()?.get(column).copied()
    }
}

impl Column {
    /// Its kind: what a command set, over what facts reported.
    pub fn kind(&self) -> Option<super::ColumnKind> {
        self.kind_set.or(self.kind_reported.value)
    }

    /// Whether finished work is here.
    pub fn is_done(&self) -> bool {
        self.kind() == Some(super::ColumnKind::Done)
    }

    /// Whether only a card's move made it, so that nobody planned it.
    pub fn is_unplanned(&self) -> bool {
        self.set_at.is_none() && !self.reported
    }

    /// How many cards it may hold, if it has a limit.
    pub fn limit(&self) -> Option<u32> {
        (self.wip_limit.policy != WipPolicy::Off).then_some(self.wip_limit.cards)
    }
}

impl Board {
    /// A column's name in one place for all moves: a board has many moves and few columns.
    pub fn shared(&mut self, name: &ColumnName) -> Arc<ColumnName> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let shared = Arc::new(name.clone());
        self.names.insert(Arc::clone(&shared));
        shared
    }

    /// The columns' names as the board shows them: by order, those without one last; then what
    /// commands made, then by first appearance, then by name.
    pub fn column_order(&self) -> Vec<&ColumnName> {
        let mut columns: Vec<_> = self.columns.iter().collect();
        columns.sort_by_key(|(name, column)| {
            let order = column.order_set.or(column.order_reported.value);
            let seen = column.set_at.or(column.first_seen);
            (order.is_none(), order, column.set_at.is_none(), seen, *name)
        });
        columns.into_iter().map(|(name, _)| name).collect()
    }

    /// How many cards a column holds.
    pub fn count(&self, column: &ColumnName) -> u32 {
        self.counts.get(column).copied().unwrap_or(0)
    }

    /// Whether a column holds more cards than its limit.
    pub fn is_over(&self, name: &ColumnName) -> bool {
        let limit = self.columns.get(name).and_then(Column::limit);
        limit.is_some_and(|limit| self.count(name) > limit)
    }

    /// Whether finished work is in a column of this name.
    pub fn is_done(&self, name: &ColumnName) -> bool {
        self.columns.get(name).is_some_and(Column::is_done)
    }
}
