//! A column: its load against its limit, in words, and its cards.

use maud::{Markup, html};
use takt_domain::Time;
use takt_domain::board::{ColumnKind, WipPolicy};
use takt_projections::{CardView, ColumnView};

use super::card::{Sign, card};
use super::icon;
use super::span::human;

/// How many cards a done column shows.
pub const DONE_SHOWN: usize = 10;
/// The largest limit that is drawn with one slot for each card.
const SLOTS: u32 = 12;

/// A column with its head and its cards.
pub(super) fn column(
    column: &ColumnView,
    sign: impl Fn(&ColumnView, &CardView) -> Sign,
    now: Time,
) -> Markup {
    let is_done = column.kind == Some(ColumnKind::Done);
    html! {
        section.column data-column=(column.name) data-newest=[is_done.then_some(DONE_SHOWN)]
            aria-label=(format!("Column {}", column.name)) {
            header { (head(column)) }
            ul.cards { (cards(column, sign, now)) }
            p.none { "No cards here." }
        }
    }
}

/// The cards of a column in the order in which they are shown: in done the newest first.
pub fn cards(
    column: &ColumnView,
    sign: impl Fn(&ColumnView, &CardView) -> Sign,
    now: Time,
) -> Markup {
    let is_done = column.kind == Some(ColumnKind::Done);
    html! {
        @if is_done {
            @for it in column.cards.iter().rev().take(DONE_SHOWN) {
                (card(it, sign(column, it), now))
            }
        } @else {
            @for it in &column.cards { (card(it, sign(column, it), now)) }
        }
    }
}

/// The head of a column: its name, how full it is, and the rules that hold in it.
pub fn head(column: &ColumnView) -> Markup {
    let rules = rules(column);
    html! {
        div.name {
            h2 { (column.name) }
            @if let Some(stage) = &column.stage { p.rules { "stage " (stage) } }
        }
        (load(column))
        p.rules {
            @for (at, rule) in rules.iter().enumerate() {
                @if at > 0 { ", " }
                span { (rule) }
            }
            @if column.unplanned { ", " span.unplanned { (icon("?")) " unplanned" } }
        }
    }
}

/// How full the column is: the number, the limit, and in words what that means.
fn load(column: &ColumnView) -> Markup {
    let count = column.count;
    if column.kind == Some(ColumnKind::Done) {
        return html! {
            p.load {
                strong { (count) } " finished"
                @if count as usize > DONE_SHOWN { span.band { "newest " (DONE_SHOWN) } }
            }
        };
    }
    let limit = column.wip_limit;
    if limit.policy == WipPolicy::Off {
        return html! { p.load { strong { (count) } span.band { "no limit" } } };
    }
    let (class, sign, word) = match count.cmp(&limit.cards) {
        std::cmp::Ordering::Less => ("load under", "○", "under limit"),
        std::cmp::Ordering::Equal => ("load at", "●", "at limit"),
        std::cmp::Ordering::Greater => ("load over", "▲", "over limit"),
    };
    html! {
        p class=(class) {
            strong { (count) } " of " (limit.cards)
            span.band { (icon(sign)) " " (word) }
        }
        @if limit.cards <= SLOTS { (slots(count, limit.cards)) }
    }
}

/// The limit drawn: a slot for each card that may be here, filled or free, and what is over.
fn slots(count: u32, limit: u32) -> Markup {
    html! {
        p.slots aria-hidden="true" {
            @for at in 0..limit.max(count.min(SLOTS)) {
                @if at >= limit { i.spill {} } @else if at < count { i.full {} } @else { i {} }
            }
        }
    }
}

fn rules(column: &ColumnView) -> Vec<String> {
    let kind = match column.kind {
        Some(ColumnKind::Queue) => "queue",
        Some(ColumnKind::Active) => "active",
        Some(ColumnKind::Done) => "done",
        None => "no kind",
    };
    let limit = match column.wip_limit.policy {
        WipPolicy::Off => None,
        WipPolicy::Soft => Some("soft limit".to_owned()),
        WipPolicy::Hard => Some("hard limit".to_owned()),
    };
    let time = column.time_limit.map(|limit| format!("at most {}", human(limit)));
    [Some(kind.to_owned()), limit, time].into_iter().flatten().collect()
}
