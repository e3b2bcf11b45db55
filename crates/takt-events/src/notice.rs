//! What a notice of a step of an alert says, in the same words whichever way it is told.

use serde_json::{Map, Value, json};
use takt_domain::andon::{Cause, Effect, Event as E};
use takt_domain::{AlertId, ColumnName, Event, EventId, Recorded, Time};

/// The type of every notice of an alert.
const TYPE: &str = "dev.takt.andon.notice.v1";

/// How an alert was pulled, where that is known beside the event.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What it does to the line.
    pub effect: Effect,
    /// The root.
    pub cause: &'a Cause,
    /// The first trigger's summary.
    pub summary: &'a str,
    /// The broken stage, if known.
    pub stage: Option<&'a str>,
    /// The column it is about, for limits.
    pub column: Option<&'a ColumnName>,
    /// When it was pulled.
    pub pulled_at: Time,
    /// Who pulled, if a person did.
    pub pulled_by: Option<&'a str>,
}

/// The step of an alert that an event is, with the alert; `None` for a trigger that joined it and
/// for what is not on the line.
pub fn step(event: &Event) -> Option<(&'static str, &AlertId)> {
    let Event::Andon(event) = event else { return None };
    match event {
        E::Pulled(it) => Some(("pulled", &it.alert)),
        E::Acknowledged(it) => Some(("acknowledged", &it.alert)),
        E::AcknowledgementExpired(it) => Some(("acknowledgement_expired", &it.alert)),
        E::Escalated(it) => Some(("escalated", &it.alert)),
        E::ConditionCleared(it) => Some(("condition_cleared", &it.alert)),
        E::Resolved(it) => Some(("resolved", &it.alert)),
        E::Joined(_) => None,
    }
}

/// The notice of an event on the line under an id, as a CloudEvent in JSON; `None` where the event
/// is no step. Only what cannot change any more is in it, so that it is the same bytes whenever it is
/// told.
pub fn notice(
    id: EventId,
    source: &str,
    recorded: &Recorded,
    about: Option<&About<'_>>,
) -> Option<String> {
    let (step, alert) = step(&recorded.event)?;
    let body = json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": TYPE,
        "subject": alert,
        "time": recorded.meta.time,
        "datacontenttype": "application/json",
        "taktstream": recorded.stream,
        "data": data(recorded, step, alert, about),
    });
    Some(body.to_string())
}

fn data(
    recorded: &Recorded,
    step: &str,
    alert: &AlertId,
    about: Option<&About<'_>>,
) -> Map<String, Value> {
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            data.insert(name.to_owned(), value);
        }
    };
    let (by, until, event) = said(&recorded.event);
    put("stream", json!(recorded.stream));
    put("alert", json!(alert));
    put("step", json!(step));
    put("sequence", json!(recorded.seq));
    put("by", json!(by.or(recorded.meta.actor.as_deref())));
    put("until", json!(until));
    if let Some(about) = about {
        put("effect", json!(about.effect));
        put("cause", json!(about.cause));
        put("summary", json!(about.summary));
        put("stage", json!(about.stage));
        put("column", json!(about.column));
        put("pulled_at", json!(about.pulled_at));
        put("pulled_by", json!(about.pulled_by));
    }
    put("event", event);
    data
}

/// Who did it by the event itself, until when it holds or which deadline passed, and its data.
fn said(event: &Event) -> (Option<&str>, Option<Time>, Value) {
    let Event::Andon(event) = event else { return (None, None, Value::Null) };
    match event {
        E::Acknowledged(it) => (Some(&it.by), Some(it.until), json!(it)),
        E::AcknowledgementExpired(it) => (None, Some(it.at), json!(it)),
        E::Escalated(it) => (None, Some(it.at), json!(it)),
        E::Resolved(it) => (Some(&it.by), None, json!(it)),
        E::Pulled(it) => (None, None, json!(it)),
        E::Joined(it) => (None, None, json!(it)),
        E::ConditionCleared(it) => (None, None, json!(it)),
    }
}
