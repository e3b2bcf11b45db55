//! The envelope: CloudEvents 1.0 in JSON structured mode.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smol_str::SmolStr;
use takt_domain::event::normal_sequence;
use takt_domain::{Aggregate, Event, EventId, Meta, Recorded, StreamName, Time};

use crate::dictionary::{data_of, read, type_of};

/// Why bytes are not an event of the log.
#[derive(Debug, thiserror::Error)]
#[error("the entry is not a CloudEvent in JSON")]
pub struct DecodeError(#[from] serde_json::Error);

/// The CloudEvent as it stands in the log; extension names are lowercase letters and digits only.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    id: EventId,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    // CloudEvents forbids an empty subject, so there is none then.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    subject: Cow<'a, str>,
    time: Time,
    #[serde(borrow, default = "json", skip_deserializing)]
    datacontenttype: Cow<'a, str>,
    recordedtime: Time,
    #[serde(borrow)]
    taktstream: Cow<'a, str>,
    #[serde(borrow)]
    taktaggregate: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    sequence: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    actor: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    causationid: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    correlationid: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    takthistorical: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    taktdigest: Option<Cow<'a, str>>,
    data: Cow<'a, RawValue>,
}

fn json() -> Cow<'static, str> {
    Cow::Borrowed("application/json")
}

/// An event as the bytes that go into the log.
#[expect(clippy::expect_used, reason = "event structs have text keys and finite numbers only")]
pub fn encode(stream: &StreamName, aggregate: &Aggregate, meta: &Meta, event: &Event) -> Vec<u8> {
    let some = |text: &'_ Option<SmolStr>| text.as_ref().map(|text| Cow::Owned(text.to_string()));
    let envelope = Envelope {
        specversion: Cow::Borrowed("1.0"),
        id: meta.id,
        source: Cow::Borrowed(&meta.source),
        kind: Cow::Borrowed(type_of(event)),
        subject: Cow::Borrowed(&meta.subject),
        time: meta.time,
        datacontenttype: json(),
        recordedtime: meta.recorded,
        taktstream: Cow::Borrowed(stream.as_str()),
        taktaggregate: Cow::Owned(aggregate.to_string()),
        sequence: some(&meta.sequence),
        actor: some(&meta.actor),
        causationid: some(&meta.causation),
        correlationid: some(&meta.correlation),
        traceparent: some(&meta.traceparent),
        takthistorical: meta.historical,
        taktdigest: some(&meta.digest),
        data: Cow::Owned(data_of(event).expect("an event's data is JSON")),
    };
    serde_json::to_vec(&envelope).expect("an envelope is JSON")
}

/// An event from the bytes in the log, at its sequence. Unknown types and fields are kept or
/// passed over, never refused.
///
/// # Errors
/// When the bytes are not a CloudEvent with the attributes that every entry has.
pub fn decode(seq: u64, bytes: &[u8]) -> Result<Recorded, DecodeError> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes)?;
    let some = |text: Option<Cow<'_, str>>| text.map(SmolStr::new);
    Ok(Recorded {
        seq,
        stream: StreamName::new(&*envelope.taktstream),
        aggregate: Aggregate::parse(&envelope.taktaggregate),
        event: read(&envelope.kind, envelope.data.get()),
        meta: Meta {
            id: envelope.id,
            source: SmolStr::new(envelope.source),
            subject: SmolStr::new(envelope.subject),
            time: envelope.time,
            recorded: envelope.recordedtime,
            sequence: envelope.sequence.as_deref().map(normal_sequence),
            actor: some(envelope.actor),
            causation: some(envelope.causationid),
            correlation: some(envelope.correlationid),
            traceparent: some(envelope.traceparent),
            historical: envelope.takthistorical,
            digest: some(envelope.taktdigest),
        },
    })
}

/// The digest that an entry's envelope carries, without reading the rest.
pub fn recorded_digest(bytes: &[u8]) -> Option<SmolStr> {
    #[derive(Deserialize)]
    struct Digest<'a> {
        #[serde(borrow)]
        taktdigest: Cow<'a, str>,
    }
    serde_json::from_slice::<Digest<'_>>(bytes).ok().map(|it| SmolStr::new(it.taktdigest))
}
