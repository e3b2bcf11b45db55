//! Cards as people read them.

use takt_proto::v1::{Card, CardMove};

use crate::output::human::{age, count, span, when};
use crate::output::page::{Mark, Page};
use crate::output::table::{Cell, Sheet, Table};

/// What is out of the ordinary about a card, in words.
pub(in crate::commands) fn signs(it: &Card) -> String {
    let mut signs = vec![];
    if it.blocked {
        signs.push(match it.blocked_reason.as_str() {
            "" => "blocked".to_owned(),
            reason => format!("blocked: {reason}"),
        });
    }
    if !matches!(it.class.as_str(), "" | "standard") {
        signs.push(it.class.replace('_', " "));
    }
    if it.reopened {
        signs.push("reopened".to_owned());
    }
    if it.deleted {
        signs.push("deleted".to_owned());
    }
    signs.join(", ")
}

/// Cards, one a row.
pub(super) fn table(cards: &[Card], page: &Page) -> String {
    let mut table = Table::new(&["card", "column", "in it for", "signs", "title"]);
    for it in cards {
        let entered = it.entered.as_ref().map(|at| age(page.now.saturating_sub(at.seconds)));
        let mark = if it.blocked { Mark::Warn } else { Mark::None };
        table.row([
            (&it.card).into(),
            (&it.column).into(),
            entered.unwrap_or_default().into(),
            Cell::marked(mark, signs(it)),
            (&it.title).into(),
        ]);
    }
    table.text(page)
}

/// One card with its history.
pub(super) fn sheet(it: &Card, history: &[CardMove], omitted: u64, page: &Page) -> String {
    let title = if it.title.is_empty() { String::new() } else { format!("  {}", it.title) };
    let mut sheet = Sheet::new(format!("{}{title}", it.card));
    let state = match (it.deleted, it.done) {
        (true, _) => "deleted",
        (false, true) => "done",
        (false, false) => "open",
    };
    let reopened = if it.reopened { ", has been reopened" } else { "" };
    sheet.line("state", format!("{state}{reopened}"));
    sheet.line("column", &it.column);
    if let Some(at) = &it.entered {
        sheet.line("since", when(at.seconds, page.now));
    }
    if let Some(at) = &it.first_seen {
        sheet.line("first seen", when(at.seconds, page.now));
    }
    sheet.line("type", &it.r#type);
    sheet.line("class", it.class.replace('_', " "));
    sheet.line("size", it.size.map(|size| size.to_string()).unwrap_or_default());
    if it.blocked {
        let reason =
            if it.blocked_reason.is_empty() { "no reason given" } else { &it.blocked_reason };
        sheet.marked("blocked", Mark::Warn, reason);
    }
    let before = match omitted {
        0 => String::new(),
        moves => format!("{}\n", Mark::Dim.on(format!("… {} before", count(moves, "move")))),
    };
    format!("{}\n{before}{}", sheet.text(), steps(history, page))
}

/// Where a card has been, and for how long.
fn steps(history: &[CardMove], page: &Page) -> String {
    let mut table = Table::new(&["time", "column", "stayed", ""]);
    for (at, step) in history.iter().enumerate() {
        let Some(time) = &step.time else { continue };
        let next = history.get(at + 1).and_then(|next| next.time.as_ref());
        let stayed = match next {
            Some(next) => span(next.seconds.saturating_sub(time.seconds)),
            None => String::new(),
        };
        let column = if step.column.is_empty() { "(off the board)" } else { &step.column };
        table.row([
            crate::output::human::clock(time.seconds).into(),
            column.into(),
            stayed.into(),
            Cell::marked(Mark::Dim, if step.historical { "imported" } else { "" }),
        ]);
    }
    table.text(page)
}
