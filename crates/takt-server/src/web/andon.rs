//! The Andon strip: what is wrong now, who looks after it, and the command that is next.

use maud::{Markup, html};
use takt_domain::andon::Effect;
use takt_domain::{AlertId, StreamName, Time};
use takt_projections::AlertRecord;

use super::span::since;
use super::{icon, prose};

/// What is wrong now: alerts that stop the line first, then the oldest first.
pub fn andon(stream: &StreamName, alerts: &[(AlertId, &AlertRecord)], now: Time) -> Markup {
    let mut alerts: Vec<_> = alerts.iter().collect();
    alerts.sort_by_key(|(id, it)| (it.effect != Effect::Stop, it.pulled_at, id));
    html! {
        @if alerts.is_empty() {
            p.calm { (icon("✓")) " The line runs. No alert is open." }
        } @else {
            ul { @for (id, record) in alerts { (alert(stream, id, record, now)) } }
        }
    }
}

fn alert(stream: &StreamName, id: &AlertId, alert: &AlertRecord, now: Time) -> Markup {
    let (class, sign, word) = match alert.effect {
        Effect::Stop => ("alert stop", "■", "Line stopped"),
        Effect::Warn => ("alert warn", "▲", "Warning"),
    };
    html! {
        li class=(class) {
            p.what {
                strong.effect { (icon(sign)) " " (word) }
                " " span.summary { (prose(&alert.summary)) }
            }
            p.meta {
                @if let Some(by) = &alert.pulled_by { "pulled by " b { (by) } " · " }
                @if let Some(stage) = &alert.stage { "stage " b { (stage) } " · " }
                "since " (since(alert.pulled_at, now)) " · "
                @match &alert.acknowledged {
                    Some((_, by)) => { "acknowledged by " b { (by) } }
                    None => { "not acknowledged" }
                }
                @if alert.cleared_at.is_some() { " · its condition has ended" }
                @if alert.escalated_at.is_some() && alert.acknowledged.is_none() {
                    " · " strong { "escalated" }
                }
            }
            (next(stream, id, alert))
        }
    }
}

/// The command that takes the alert one step further; Takt itself ends a warning.
fn next(stream: &StreamName, id: &AlertId, alert: &AlertRecord) -> Markup {
    let stream = quoted(stream.as_str());
    let command = if alert.acknowledged.is_none() {
        format!("takt andon ack --stream {stream} {id}")
    } else if alert.effect == Effect::Stop {
        format!(
            "takt andon resolve --stream {stream} {id} --category fixed --cause '…' \
             --countermeasure '…'"
        )
    } else {
        return html! {};
    };
    html! { p.next { code { (command) } } }
}

/// A word for the shell, in quotes where it needs them.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "-_.:/".contains(one);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
