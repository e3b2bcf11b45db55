//! What the line's history means.

use super::{Alert, ClearedBy, Effect, Event, Line, Pulled};
use crate::event::Meta;
use crate::time::Time;

/// How many of the events that joined an alert are remembered, the newest in the log's order.
const JOINED: usize = 100;

/// The state after an event; total, and an event about an alert that is not open changes nothing.
pub fn evolve(mut line: Line, meta: &Meta, event: &Event) -> Line {
    match event {
        Event::Pulled(pulled) => {
            line.open.entry(pulled.alert.clone()).or_insert_with(|| opened(pulled, meta.recorded));
        }
        Event::Joined(joined) => with(&mut line, &joined.alert, |alert| {
            if !alert.events.contains(&joined.trigger.event) {
                alert.events.push(joined.trigger.event.clone());
                let forgotten = alert.events.len().saturating_sub(JOINED);
                alert.events.drain(..forgotten);
            }
            alert.seen_at = alert.seen_at.max(joined.trigger.at);
            broke(alert, joined.cleared_by.as_ref(), joined.trigger.at);
            // The trouble was seen again, so what cleared it did not last.
            alert.cleared = false;
        }),
        Event::Acknowledged(it) => with(&mut line, &it.alert, |alert| {
            alert.acknowledged = Some((it.by.clone(), it.until));
        }),
        Event::AcknowledgementExpired(it) => with(&mut line, &it.alert, |alert| {
            alert.acknowledged = None;
            alert.unattended_since = it.at;
            alert.escalated = false;
        }),
        Event::Escalated(it) => with(&mut line, &it.alert, |alert| alert.escalated = true),
        Event::ConditionCleared(it) => with(&mut line, &it.alert, |alert| alert.cleared = true),
        Event::Resolved(it) => {
            // Only a stop asks when its root was last resolved; see `decide::pull`.
            let alert = line.open.remove(&it.alert);
            if let Some(alert) = alert.filter(|alert| alert.effect == Effect::Stop) {
                let at = line.resolved.entry(alert.cause).or_insert(Time::from_micros(i64::MIN));
                *at = meta.time.max(*at);
            }
        }
    }
    line
}

fn with(line: &mut Line, id: &crate::ids::AlertId, change: impl FnOnce(&mut Alert)) {
    if let Some(alert) = line.open.get_mut(id) {
        change(alert);
    }
}

/// The alert that a pull opens.
pub(super) fn opened(pulled: &Pulled, unattended_since: Time) -> Alert {
    let trigger = &pulled.trigger;
    let mut alert = Alert {
        effect: pulled.effect,
        cause: pulled.cause.clone(),
        stage: pulled.stage.clone(),
        column: pulled.column.clone(),
        name: Default::default(),
        parts: Default::default(),
        pulled_at: trigger.at,
        seen_at: trigger.at,
        summary: trigger.summary.clone(),
        events: vec![trigger.event.clone()],
        acknowledged: None,
        unattended_since,
        escalated: false,
        cleared: false,
    };
    broke(&mut alert, pulled.cleared_by.as_ref(), trigger.at);
    alert
}

/// Notes what has to end well after an instant, for the condition to be cleared.
pub(super) fn broke(alert: &mut Alert, cleared_by: Option<&ClearedBy>, at: Time) {
    let Some(cleared_by) = cleared_by else { return };
    // A task's run does not say of which pipeline it is, nor a case's run of which suite.
    if !cleared_by.name.is_empty() {
        alert.name = cleared_by.name.clone();
    }
    for part in &cleared_by.parts {
        let last = alert.parts.entry(part.clone()).or_insert(at);
        *last = at.max(*last);
    }
}
