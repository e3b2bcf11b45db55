//! From what was touched to what a browser must change: fragments of cards, heads and figures.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use takt_domain::board::{self, Board};
use takt_domain::{
    Aggregate, BoardId, CardId, ColumnName, Event, Recorded, Span, StreamName, Time,
};
use takt_projections::{StreamView, UsualStay, came_from, card_at, column_head, newest_of};

use super::feed::Known;
use crate::web::{self, DONE_SHOWN, Figures, Sign};

/// More cards than this in one patch are a reason to look at the whole board again.
const MANY: usize = 300;

/// What a burst of events has touched.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) cards: BTreeSet<CardId>,
    pub(super) line: bool,
    pub(super) columns: bool,
    pub(super) everything: bool,
    pub(super) figures: bool,
    /// Time has passed, so the signs of cards may be others.
    pub(super) ages: bool,
}

impl Touched {
    pub(super) fn is_nothing(&self) -> bool {
        let Self { cards, line, columns, everything, figures, ages } = self;
        cards.is_empty() && ![*line, *columns, *everything, *figures, *ages].contains(&true)
    }

    /// Takes an event of the stream in.
    pub(super) fn note(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::Stream(_) => self.everything = true,
            Event::Andon(_) => self.line = true,
            Event::Board(event) if recorded.aggregate == Aggregate::Board(BoardId::main()) => {
                self.board(event);
            }
            Event::Board(_)
            | Event::Testing(_)
            | Event::Change(_)
            | Event::Deployment(_)
            | Event::System(_)
            | Event::Unknown(_) => {}
        }
    }

    fn board(&mut self, event: &board::Event) {
        use board::Event as E;
        let card = match event {
            E::ColumnSet(_) | E::ColumnReported(_) => {
                self.columns = true;
                return;
            }
            E::CardAdded(it) => &it.card,
            E::CardMoved(it) => &it.card,
            E::CardReported(it) => &it.card,
            E::CardBlocked(it) => &it.card,
            E::CardUnblocked(it) => &it.card,
            E::CardDeleted(it) => &it.card,
            E::CardOverdue(it) => &it.card,
            E::GatePassed(_) | E::ImportClosed(_) => return,
        };
        self.cards.insert(card.clone());
        self.everything |= self.cards.len() > MANY;
    }
}

/// What browsers show, as far as it must be known to say what has changed.
#[derive(Default)]
pub(super) struct Shown {
    order: Vec<ColumnName>,
    heads: BTreeMap<ColumnName, String>,
    figures: String,
    /// The signs of open cards that are not usual.
    signs: BTreeMap<CardId, Sign>,
}

/// One patch, as the script reads it.
#[derive(Default, Serialize)]
struct Patch {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cards: Vec<CardPart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<CardId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heads: Vec<ColumnPart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lists: Vec<ColumnPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    andon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<String>,
}

#[derive(Serialize)]
struct CardPart {
    column: ColumnName,
    html: String,
}

#[derive(Serialize)]
struct ColumnPart {
    column: ColumnName,
    html: String,
}

impl Shown {
    /// What browsers must change: `None` = nothing, `Some(None)` = look at everything again.
    pub(super) fn update(
        &mut self,
        name: &StreamName,
        view: &StreamView,
        board: &Board,
        touched: &Touched,
        known: &Known,
        now: Time,
    ) -> Option<Option<String>> {
        let order: Vec<ColumnName> = board.column_order().into_iter().cloned().collect();
        let is_first = self.order.is_empty();
        let reordered = order != self.order;
        self.order = order;
        // A feed that has just begun knows no order; a change of columns is then taken as one.
        if touched.everything || (reordered && !is_first) || (is_first && touched.columns) {
            return Some(None);
        }
        let scene = Scene { board, usual: &known.usual, now };
        let mut patch = Patch { heads: self.heads(board), ..Patch::default() };
        self.cards(&scene, touched, &mut patch);
        if touched.line {
            let alerts: Vec<_> = view.alerts.open().map(|(id, it)| (id.clone(), it)).collect();
            patch.andon = Some(web::andon(name, &alerts, now).into_string());
        }
        let figures = Figures { open: open(board), lead_time: known.lead_time.clone() };
        let figures = web::figures(&figures).into_string();
        if figures != self.figures {
            patch.figures = Some(figures.clone());
            self.figures = figures;
        }
        // A patch that says nothing is `{}`.
        serde_json::to_string(&patch).ok().filter(|json| json.len() > 2).map(Some)
    }

    fn heads(&mut self, board: &Board) -> Vec<ColumnPart> {
        let mut heads = vec![];
        for column in &self.order {
            let Some(head) = column_head(board, column) else { continue };
            let html = web::head(&head).into_string();
            if self.heads.get(column) != Some(&html) {
                self.heads.insert(column.clone(), html.clone());
                heads.push(ColumnPart { column: column.clone(), html });
            }
        }
        heads
    }

    fn cards(&mut self, scene: &Scene<'_>, touched: &Touched, patch: &mut Patch) {
        let mut cards = touched.cards.clone();
        if touched.ages {
            cards.extend(self.changed_signs(scene));
        }
        let mut refill = BTreeSet::new();
        for id in cards {
            let place = card_at(scene.board, &id, scene.now);
            let here = place.as_ref().map(|(column, _)| column);
            if let Some(left) = came_from(scene.board, &id)
                && scene.board.is_done(left)
                && here != Some(left)
            {
                refill.insert(left.clone());
            }
            let Some((column, card)) = place else {
                patch.gone.push(id);
                continue;
            };
            let sign = scene.sign(&column, card.age);
            self.remember(id, sign);
            let html = web::card(&card, sign, scene.now).into_string();
            patch.cards.push(CardPart { column, html });
        }
        patch.lists = refill.into_iter().filter_map(|column| scene.list(column)).collect();
    }

    fn remember(&mut self, id: CardId, sign: Sign) {
        if sign == Sign::Usual {
            self.signs.remove(&id);
        } else {
            self.signs.insert(id, sign);
        }
    }

    /// The cards whose signs time has changed.
    fn changed_signs(&self, scene: &Scene<'_>) -> Vec<CardId> {
        let cards = scene.board.cards.iter();
        let changed = cards.filter(|(id, card)| {
            let (Some(column), Some(stay)) = (card.place(), card.stay()) else { return false };
            let sign = scene.sign(column, scene.now.since(stay.order.time));
            sign != self.signs.get(*id).copied().unwrap_or_default()
        });
        changed.map(|(id, _)| id.clone()).collect()
    }
}

/// The board at an instant.
struct Scene<'a> {
    board: &'a Board,
    usual: &'a BTreeMap<ColumnName, UsualStay>,
    now: Time,
}

impl Scene<'_> {
    fn sign(&self, column: &ColumnName, age: Span) -> Sign {
        if self.board.is_done(column) {
            return Sign::Usual;
        }
        let limit = self.board.columns.get(column).and_then(|column| column.time_limit);
        Sign::of(age, limit, self.usual.get(column))
    }

    /// A done column's newest cards, after one of them has left.
    fn list(&self, column: ColumnName) -> Option<ColumnPart> {
        let mut head = column_head(self.board, &column)?;
        head.cards = newest_of(self.board, &column, DONE_SHOWN, self.now);
        let html = web::cards(&head, |_, _| Sign::Usual, self.now).into_string();
        Some(ColumnPart { column, html })
    }
}

/// How many cards are on their way.
pub(super) fn open(board: &Board) -> u64 {
    let columns = board.columns.keys().filter(|column| !board.is_done(column));
    columns.map(|column| u64::from(board.count(column))).sum()
}
