//! The envelope: CloudEvents 1.0 in JSON structured mode.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smol_str::SmolStr;
use takt_domain::event::normal_sequence;
use takt_domain::{Aggregate, Event, EventId, Meta, Recorded, StreamName, Time};

use crate::dictionary::{cdevent_of, data_of, read, type_of};

/// Why bytes are not an event of the log, or why an event of a known type is not understood.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no CloudEvent.
    #[error("the entry is not a CloudEvent in JSON: {0}")]
    Envelope(serde_json::Error),
    /// An attribute has a value that does not read.
    #[error("attribute `{name}` is {value}: {error}")]
    Attribute {
        /// The attribute.
        name: String,
        /// Its value, as JSON; cut when it is long.
        value: String,
        /// What is wrong, and where in the entry.
        error: serde_json::Error,
    },
    /// The data of a known type does not read.
    #[error("data of type `{kind}` does not read: {error}, in {data}")]
    Data {
        /// The type.
        kind: String,
        /// The data, as JSON; cut when it is long.
        data: String,
        /// What is wrong, and where in the data.
        error: serde_json::Error,
    },
}

/// How many characters of a value an error shows.
const SHOWN: usize = 80;

/// A value as an error shows it: in backticks, and not at any length.
pub(crate) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", value.get(..end).unwrap_or_default()),
        None => format!("`{value}`"),
    }
}

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
        data: Cow::Owned(data_of(event, meta.cdevent.as_deref()).expect("an event's data is JSON")),
    };
    serde_json::to_vec(&envelope).expect("an envelope is JSON")
}

/// An event from the bytes in the log, at its sequence. Unknown types and fields are kept or
/// passed over, never refused.
///
/// # Errors
/// When the bytes are not a CloudEvent with the attributes that every entry has.
pub fn decode(seq: u64, bytes: &[u8]) -> Result<Recorded, DecodeError> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(bytes).map_err(|error| misread(bytes, error))?;
    let some = |text: Option<Cow<'_, str>>| text.map(SmolStr::new);
    let event = read(&envelope.kind, envelope.data.get());
    Ok(Recorded {
        seq,
        stream: StreamName::new(&*envelope.taktstream),
        aggregate: Aggregate::parse(&envelope.taktaggregate),
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
            cdevent: cdevent_of(&event, envelope.data.get()),
        },
        event,
    })
}

/// Why an entry does not read: the attribute that is to blame, where one is.
fn misread(bytes: &[u8], error: serde_json::Error) -> DecodeError {
    let attributes: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(bytes).unwrap_or_default();
    let to_blame = attributes.into_iter().find(|(name, value)| !fits(name, value.get()));
    match to_blame {
        Some((name, value)) => DecodeError::Attribute { name, value: shown(value.get()), error },
        None => DecodeError::Envelope(error),
    }
}

/// Whether an attribute's value reads as the envelope wants it.
fn fits(name: &str, value: &str) -> bool {
    fn reads<'a, T: Deserialize<'a>>(value: &'a str) -> bool {
        serde_json::from_str::<T>(value).is_ok()
    }
    match name {
        "id" => reads::<EventId>(value),
        "time" | "recordedtime" => reads::<Time>(value),
        "takthistorical" => reads::<bool>(value),
        "specversion" | "source" | "type" | "subject" | "taktstream" | "taktaggregate" => {
            reads::<Cow<'_, str>>(value)
        }
        "sequence" | "actor" | "causationid" | "correlationid" | "traceparent" | "taktdigest" => {
            reads::<Option<Cow<'_, str>>>(value)
        }
        _ => true,
    }
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
