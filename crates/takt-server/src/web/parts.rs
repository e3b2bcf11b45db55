//! The parts of a board: the Andon strip, columns with their limits, and cards.

use maud::{Markup, html};
use takt_domain::andon::Effect;
use takt_domain::board::{Class, ColumnKind, WipPolicy};
use takt_domain::{AlertId, Time};
use takt_projections::{AlertRecord, BoardView, CardView, ColumnView};

use super::span::human;

/// How many cards a done column shows.
const DONE_SHOWN: usize = 20;

/// A place with nothing in it, and the command that puts something there.
pub(super) fn empty(what: &str, command: &str) -> Markup {
    html! { p.empty { (what) " Fill it with " code { (command) } "." } }
}

/// What is wrong now: alerts that stop the line first, then the oldest first.
pub(super) fn andon(alerts: &[(AlertId, &AlertRecord)], now: Time) -> Markup {
    let mut alerts: Vec<_> = alerts.iter().collect();
    alerts.sort_by_key(|(id, it)| (it.effect != Effect::Stop, it.pulled_at, id));
    html! {
        section.andon aria-label="Andon" {
            @if alerts.is_empty() {
                p.calm { (icon("✓")) " The line runs; no open alerts." }
            } @else {
                ul { @for (id, record) in alerts { (alert(id, record, now)) } }
            }
        }
    }
}

fn alert(id: &AlertId, alert: &AlertRecord, now: Time) -> Markup {
    let (class, sign, word) = match alert.effect {
        Effect::Stop => ("alert stop", "■", "Stop"),
        Effect::Warn => ("alert warn", "▲", "Warning"),
    };
    html! {
        li class=(class) {
            strong.effect { (icon(sign)) " " (word) }
            span.summary { (alert.summary) }
            span.meta {
                @if let Some(stage) = &alert.stage { "stage " (stage) " · " }
                @if let Some(column) = &alert.column { "column " (column) " · " }
                "open for " (human(now.since(alert.pulled_at))) " · "
                @match &alert.acknowledged {
                    Some((_, by)) => { "acknowledged by " (by) }
                    None => { "not acknowledged" }
                }
                " · " code { (id) }
            }
        }
    }
}

/// The columns side by side.
pub(super) fn board(board: &BoardView) -> Markup {
    let none = board.columns.iter().all(|column| column.count == 0);
    html! {
        @if board.columns.is_empty() {
            (empty("This board has no column yet.", "takt column set NAME"))
        } @else {
            @if none { (empty("This board has no cards yet.", "takt card add TITLE")) }
            div.columns role="region" aria-label="Columns" tabindex="0" {
                @for (index, it) in board.columns.iter().enumerate() { (column(index, it)) }
            }
        }
    }
}

fn column(index: usize, column: &ColumnView) -> Markup {
    html! {
        section.column aria-label=(format!("Column {}", column.name)) {
            header {
                h2 { (column.name) }
                (load(column))
                p.marks {
                    span.mark { (kind(column.kind)) }
                    @if column.unplanned {
                        " " span.mark.unplanned { (icon("?")) " unplanned" }
                    }
                }
            }
            @if column.cards.is_empty() {
                p.none { "No cards." }
            } @else if column.kind == Some(ColumnKind::Done) {
                (done(index, column))
            } @else {
                ul.cards { @for it in &column.cards { (card(it)) } }
            }
        }
    }
}

/// How full the column is: the number, the limit, and in words what that means.
fn load(column: &ColumnView) -> Markup {
    let count = column.count;
    let Some(limit) = limit(column) else {
        return html! { p.load { (count) " " span.band { "no limit" } } };
    };
    let (class, sign, word) = match count.cmp(&limit) {
        std::cmp::Ordering::Less => ("load under", "○", "under limit"),
        std::cmp::Ordering::Equal => ("load at", "●", "at limit"),
        std::cmp::Ordering::Greater => ("load over", "▲", "over limit"),
    };
    html! { p class=(class) { (count) " / " (limit) " " span.band { (icon(sign)) " " (word) } } }
}

fn limit(column: &ColumnView) -> Option<u32> {
    let limit = column.wip_limit;
    (limit.policy != WipPolicy::Off).then_some(limit.cards)
}

const fn kind(kind: Option<ColumnKind>) -> &'static str {
    match kind {
        Some(ColumnKind::Queue) => "queue",
        Some(ColumnKind::Active) => "active",
        Some(ColumnKind::Done) => "done",
        None => "no kind",
    }
}

/// Finished work is folded away, the newest first.
fn done(index: usize, column: &ColumnView) -> Markup {
    let shown = column.cards.len().min(DONE_SHOWN);
    html! {
        details #{ "done-" (index) } {
            summary {
                @if shown < column.cards.len() {
                    "The newest " (shown) " of " (column.count)
                } @else {
                    (column.count) " finished"
                }
            }
            ul.cards { @for it in column.cards.iter().rev().take(DONE_SHOWN) { (card(it)) } }
        }
    }
}

fn card(card: &CardView) -> Markup {
    let title = if card.title.is_empty() { card.id.as_str() } else { card.title.as_str() };
    let class = if card.blocked.is_some() { "card blocked" } else { "card" };
    html! {
        li class=(class) {
            h3 { (title) }
            p.meta {
                code { (card.id) } " · here for " (human(card.age))
                @if !card.kind.is_empty() { " · " (card.kind) }
                @if let Some(size) = card.size { " · size " (size) }
                @if let Some((sign, word)) = service(card.class) {
                    " " span.mark.class { (icon(sign)) " " (word) }
                }
            }
            @if let Some(reason) = &card.blocked {
                p.reason {
                    (icon("◆")) " " strong { "Blocked" }
                    @if !reason.is_empty() { ": " (reason) }
                }
            }
        }
    }
}

const fn service(class: Class) -> Option<(&'static str, &'static str)> {
    match class {
        Class::Standard => None,
        Class::Expedite => Some(("»", "expedite")),
        Class::FixedDate => Some(("◷", "fixed date")),
        Class::Intangible => Some(("◇", "intangible")),
    }
}

/// A sign beside its word; screen readers hear the word only.
fn icon(sign: &str) -> Markup {
    html! { span.icon aria-hidden="true" { (sign) } }
}
