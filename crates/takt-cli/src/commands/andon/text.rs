//! Alerts as people read them.

use takt_proto::v1::Alert;

use crate::output::human::{ago, count, span, when};
use crate::output::page::{Mark, Page};
use crate::output::table::{Cell, Sheet, Table};

/// Where an alert stands, in words.
fn state(it: &Alert, page: &Page) -> (Mark, String) {
    if it.resolved_at.is_some() {
        return (Mark::Good, format!("resolved, {}", it.category.replace('_', " ")));
    }
    if it.cleared {
        return (Mark::Warn, "open, condition cleared".to_owned());
    }
    let held = it.acknowledged_until.as_ref().is_none_or(|until| until.seconds > page.now);
    match it.acknowledged_by.as_str() {
        "" if it.escalated => (Mark::Bad, "open, escalated".to_owned()),
        "" => (Mark::Bad, "open".to_owned()),
        name if held => (Mark::Warn, format!("open, {name} is on it")),
        name => (Mark::Bad, format!("open, {name}'s word has run out")),
    }
}

/// Alerts, one a row.
pub(super) fn table(alerts: &[Alert], page: &Page) -> String {
    let mut table = Table::new(&["alert", "effect", "pulled", "state", "summary"]);
    for it in alerts {
        let pulled = it.pulled_at.as_ref().map(|at| ago(page.now.saturating_sub(at.seconds)));
        let (mark, state) = state(it, page);
        let open = it.resolved_at.is_none();
        let effect = if open && it.effect == "stop" { Mark::Bad } else { Mark::None };
        table.row([
            (&it.alert).into(),
            Cell::marked(effect, &it.effect),
            pulled.unwrap_or_default().into(),
            Cell::marked(mark, state),
            (&it.summary).into(),
        ]);
    }
    table.text(page)
}

/// One alert with all that is known of it.
pub(super) fn sheet(it: &Alert, page: &Page) -> String {
    let mut sheet = Sheet::new(format!("{}  {}", it.alert, it.summary));
    let (mark, state) = state(it, page);
    sheet.marked("state", mark, state);
    sheet.line(
        "effect",
        match it.effect.as_str() {
            "stop" => "stop: it stops the line while it is open",
            "warn" => "warn: it ends with its condition",
            other => other,
        },
    );
    sheet.line("cause", format!("{} `{}` of `{}`", it.cause_kind, it.cause_id, it.cause_source));
    sheet.line("stage", &it.stage);
    sheet.line("column", &it.column);
    sheet.line("triggers", it.triggers.to_string());
    let at = |seconds: i64| when(seconds, page.now);
    let pulled = it.pulled_at.as_ref().map(|at| at.seconds);
    sheet.line("pulled", pulled.map(at).unwrap_or_default());
    if let Some(taken) = &it.acknowledged_at {
        sheet.line("taken up", format!("{} by {}", at(taken.seconds), it.acknowledged_by));
    }
    if let Some(until) = it.acknowledged_until.as_ref().filter(|_| it.resolved_at.is_none()) {
        sheet.line("holds until", at(until.seconds));
    }
    if let Some(resolved) = &it.resolved_at {
        let lasted = pulled.map(|pulled| resolved.seconds.saturating_sub(pulled));
        sheet.line("resolved", format!("{} by {}", at(resolved.seconds), it.resolved_by));
        sheet.line("it lasted", lasted.map(span).unwrap_or_default());
        sheet.line("it was", &it.cause);
        sheet.line("countermeasure", &it.countermeasure);
    }
    sheet.text()
}

/// Whether the line is stopped, and by what.
pub(super) fn check(alerts: &[Alert], page: &Page) -> String {
    if alerts.is_empty() {
        return format!("{}\n", Mark::Good.on("the line runs"));
    }
    let number = u64::try_from(alerts.len()).unwrap_or(u64::MAX);
    let head = format!("the line is STOPPED by {}", count(number, "alert"));
    format!("{}\n{}", Mark::Bad.on(head), table(alerts, page))
}
