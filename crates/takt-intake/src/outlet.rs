//! What subscribers are told of the log: CDEvents 0.5.1 of what happened, and notices of the Andon.

mod own;
#[cfg(test)]
mod tests;
mod upgrade;

use serde_json::{Value, json};
use smol_str::{SmolStr, format_smolstr};
use takt_domain::{Event, EventId, StreamName, system};
use takt_ports::{OutMessage, Telling, stream_token};

use crate::cdevent::{CUSTOM, STANDARD, is_type};

/// The version of CDEvents that is spoken outside.
const SPOKEN: &str = "0.5.1";

/// What subscribers are told of an event, in order; nothing for most, and never of history.
pub fn tell(telling: &Telling<'_>) -> Vec<OutMessage> {
    if telling.recorded.meta.historical {
        return vec![];
    }
    cdevent(telling).into_iter().chain(andon_notice(telling)).collect()
}

/// An event as a CDEvent. One that came as a CDEvent goes out under its own source and id, in the
/// words of version 0.5.1; another is told of by this Takt, under the id that it has in the log, so
/// that what comes back is known.
pub fn cdevent(telling: &Telling<'_>) -> Option<OutMessage> {
    let recorded = telling.recorded;
    if recorded.meta.historical {
        return None;
    }
    let event = match original(telling) {
        Some(original) => upgrade::upgraded(original, || mark(telling)),
        None => own::cdevent(telling)?,
    };
    let kind = event.pointer("/context/type").and_then(Value::as_str)?;
    let kind = kind.strip_prefix(STANDARD).or_else(|| kind.strip_prefix(CUSTOM))?;
    let (subject, rest) = kind.split_once('.')?;
    let predicate = rest.split('.').next()?;
    let token = |text: &str| stream_token(&StreamName::new(text));
    let stream = stream_token(&recorded.stream);
    Some(OutMessage {
        subject: format_smolstr!("takt.cdevents.{stream}.{}.{}", token(subject), token(predicate)),
        key: format_smolstr!("cdevents/{}", recorded.meta.id),
        seq: recorded.seq,
        content_type: SmolStr::new_static("application/json"),
        bytes: event.to_string().into(),
    })
}

/// What tells that an event was put into these words by this Takt, and from which of its own: when
/// it comes back it is known by it.
fn mark(telling: &Telling<'_>) -> Value {
    let recorded = telling.recorded;
    json!({
        "source": telling.source,
        "id": recorded.meta.id,
        "stream": recorded.stream,
        "sequence": recorded.seq,
    })
}

/// The CDEvent that an event was made of.
fn original(telling: &Telling<'_>) -> Option<Value> {
    let recorded = telling.recorded;
    if let Some(text) = &recorded.meta.cdevent {
        return serde_json::from_str(text).ok();
    }
    match &recorded.event {
        Event::System(system::Event::ForeignRecorded(foreign)) if is_type(&foreign.kind) => {
            Some(foreign.data.clone())
        }
        Event::System(_)
        | Event::Stream(_)
        | Event::Board(_)
        | Event::Andon(_)
        | Event::Testing(_)
        | Event::Change(_)
        | Event::Deployment(_)
        | Event::Unknown(_) => None,
    }
}

/// A notice of a step of an alert, as a CloudEvent in JSON that says all that a person needs.
pub fn andon_notice(telling: &Telling<'_>) -> Option<OutMessage> {
    let recorded = telling.recorded;
    let (step, alert) = takt_events::step(&recorded.event).filter(|_| !recorded.meta.historical)?;
    let (stream, seq) = (&recorded.stream, recorded.seq);
    let id = EventId::derive("urn:takt:notice", &format!("{stream}/{alert}/{step}/{seq}"), 0);
    let notice = takt_events::notice(id, telling.source, recorded, telling.alert.as_ref())?;
    Some(OutMessage {
        subject: format_smolstr!("takt.andon.{}", stream_token(stream)),
        key: format_smolstr!("andon/{id}"),
        seq,
        content_type: SmolStr::new_static("application/cloudevents+json"),
        bytes: notice.into(),
    })
}
