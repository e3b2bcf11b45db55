//! What the line's history means.

use super::{Alert, Event, Line};
use crate::event::Meta;
use crate::time::Time;

/// The state after an event; total, and an event about an alert that is not open changes nothing.
pub fn evolve(mut line: Line, meta: &Meta, event: &Event) -> Line {
    match event {
        Event::Pulled(pulled) => {
            let trigger = &pulled.trigger;
            line.open.entry(pulled.alert.clone()).or_insert_with(|| Alert {
                effect: pulled.effect,
                cause: pulled.cause.clone(),
                stage: pulled.stage.clone(),
                column: pulled.column.clone(),
                pulled_at: trigger.at,
                summary: trigger.summary.clone(),
                events: vec![trigger.event.clone()],
                acknowledged: None,
                unattended_since: meta.recorded,
                escalated: false,
                cleared: false,
            });
        }
        Event::Joined(joined) => with(&mut line, &joined.alert, |alert| {
            if !alert.events.contains(&joined.trigger.event) {
                alert.events.push(joined.trigger.event.clone());
            }
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
            if let Some(alert) = line.open.remove(&it.alert) {
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
