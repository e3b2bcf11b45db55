//! From the bytes of one event to a fact, or to the reason why it is none.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use smol_str::SmolStr;
use takt_domain::Time;
use takt_domain::event::normal_sequence;
use takt_domain::fact::{Fact, Report};
use takt_domain::system::ForeignRecorded;
use takt_domain::text;
use takt_domain::time::Span;
use takt_events::content_digest;

use crate::{cdevent, nesting, report};

/// The largest fact, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting of a fact's JSON.
pub const MAX_DEPTH: usize = 64;
/// How far a clock may be ahead of ours.
const MAX_AHEAD: Span = Span::from_secs(24 * 3600);
/// The first instant of the year 1.
const FIRST: Time = Time::from_micros(-62_135_596_800_000_000);
/// The longest part of a reason, in bytes.
const MAX_REASON: usize = 1024;
const REPORT: &str = "dev.takt.report.";

/// Why bytes are not a fact: what is wrong, where, and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {place}: {remedy}")]
pub struct Misfit {
    /// What is wrong, with the value.
    pub reason: String,
    /// Where: line and column, byte, or a path such as `data.column`.
    pub place: String,
    /// What would mend it.
    pub remedy: String,
}

impl Misfit {
    pub(crate) fn new(
        reason: impl Into<String>,
        place: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let part = |text: String| text::cut(&text, MAX_REASON).into_owned();
        Self { reason: part(reason.into()), place: part(place.into()), remedy: part(remedy.into()) }
    }
}

/// A value as it is shown in a message: its JSON, cut at 80 characters.
pub(crate) fn shown(value: &Value) -> String {
    text::shown(&value.to_string()).into_owned()
}

/// Understands one CloudEvent in JSON structured mode, or one CDEvent.
///
/// A foreign event without `time` happened `now`, and its digest does not cover the time.
///
/// # Errors
/// Bytes that are too many, too deep, no JSON or no event say what, where, and the remedy.
pub fn parse(bytes: &[u8], now: Time) -> Result<Fact, Misfit> {
    let value = read(bytes)?;
    // Numbers such as `1E15` are longer as Takt writes them.
    if bytes.len() > MAX_BYTES / 4 {
        sized(value.to_string().len())?;
    }
    let Value::Object(event) = value else {
        return Err(Misfit::new(
            format!("`{}` is not an event", shown(&value)),
            "line 1, column 1",
            "send one JSON object per event, a CloudEvent 1.0 or a CDEvent",
        ));
    };
    if event.contains_key("specversion") {
        return cloud_event(&event, now);
    }
    if event.get("context").is_some_and(|context| context.get("type").is_some()) {
        return cdevent::read(event, "", now);
    }
    Err(Misfit::new(
        "the object is neither a CloudEvent nor a CDEvent",
        "specversion",
        "add `specversion` (CloudEvents) or `context.type` (CDEvents)",
    ))
}

/// Refuses an event of too many bytes.
pub(crate) fn sized(bytes: usize) -> Result<(), Misfit> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Misfit::new(
        format!("the event has `{bytes}` bytes, more than `{MAX_BYTES}`"),
        format!("byte {MAX_BYTES}"),
        "send a smaller event, with a link to what is large",
    ))
}

pub(crate) fn too_deep(at: usize) -> Misfit {
    Misfit::new(
        format!("the JSON is nested deeper than `{MAX_DEPTH}`"),
        format!("byte {at}"),
        "send a flatter event",
    )
}

fn read(bytes: &[u8]) -> Result<Value, Misfit> {
    sized(bytes.len())?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let reason = format!("byte `0x{byte:02x}` is not UTF-8");
        Misfit::new(reason, format!("byte {at}"), "send the JSON encoded as UTF-8")
    })?;
    if let Some(at) = nesting::too_deep_at(bytes, MAX_DEPTH) {
        return Err(too_deep(at));
    }
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Misfit::new(format!("the event is not JSON: {error}"), place, "send one JSON object")
    })
}

fn cloud_event(event: &Map<String, Value>, now: Time) -> Result<Fact, Misfit> {
    let version = text(event, "", "specversion")?;
    if version != "1.0" {
        return Err(Misfit::new(
            format!("CloudEvents version `{}` is not understood", text::shown(version)),
            "specversion",
            "send CloudEvents `1.0`",
        ));
    }
    let (id, source, kind) =
        (text(event, "", "id")?, text(event, "", "source")?, text(event, "", "type")?);
    if cdevent::is_type(kind) {
        return wrapped(event, now);
    }
    let subject = optional(event, "subject")?;
    let time = optional(event, "time")?.map(|it| instant(it, "time", now)).transpose()?;
    let data = event.get("data").unwrap_or(&Value::Null);
    let (report, entity) = match kind.strip_prefix(REPORT) {
        Some(rest) => {
            if time.is_none() {
                return Err(missing("time", "add when it happened, in RFC 3339"));
            }
            let typed = report::read(kind, rest, data)?;
            (typed.0, Some(typed.1))
        }
        None if kind.starts_with("dev.takt.") => return Err(report::not_a_fact(kind)),
        None => (foreign(kind, id, foreign_data(event)), None),
    };
    let historical = historical(event)?;
    let digested = event.get("data_base64").filter(|_| data.is_null()).unwrap_or(data);
    Ok(Fact {
        source: source.into(),
        id: id.into(),
        digest: content_digest(
            kind,
            subject.unwrap_or_default(),
            time.unwrap_or(Time::EPOCH),
            digested,
        ),
        subject: subject.map(SmolStr::new).or(entity).unwrap_or_default(),
        time: time.unwrap_or(now),
        sequence: sequence(event)?,
        correlation: optional(event, "correlationid")?.map(SmolStr::new),
        traceparent: optional(event, "traceparent")?.map(SmolStr::new),
        historical,
        cdevent: None,
        report,
    })
}

/// A CDEvent in a CloudEvent: the CDEvent is the fact, whatever the attributes around it say; only
/// what a CDEvent has no room for is taken from them.
fn wrapped(event: &Map<String, Value>, now: Time) -> Result<Fact, Misfit> {
    let Some(Value::Object(data)) = event.get("data") else {
        return Err(Misfit::new(
            "the data of a CDEvent is not a JSON object",
            "data",
            "send the whole CDEvent, with `context` and `subject`, as the data",
        ));
    };
    let fact = cdevent::read(data.clone(), "data.", now)?;
    Ok(Fact {
        sequence: sequence(event)?,
        correlation: optional(event, "correlationid")?.map(SmolStr::new).or(fact.correlation),
        traceparent: optional(event, "traceparent")?.map(SmolStr::new),
        historical: historical(event)?,
        ..fact
    })
}

pub(crate) fn foreign(kind: &str, id: &str, data: Value) -> Report {
    Report::Foreign(ForeignRecorded { kind: kind.into(), fact_id: id.into(), data })
}

fn foreign_data(event: &Map<String, Value>) -> Value {
    match (event.get("data"), event.get("data_base64")) {
        (Some(data), _) => data.clone(),
        (None, Some(bytes)) => serde_json::json!({ "data_base64": bytes }),
        (None, None) => Value::Null,
    }
}

pub(crate) fn missing(place: &str, remedy: &str) -> Misfit {
    Misfit::new(format!("`{place}` is missing"), place, remedy)
}

/// An attribute that must be a text with something in it.
pub(crate) fn text<'a>(
    fields: &'a Map<String, Value>,
    path: &str,
    name: &str,
) -> Result<&'a str, Misfit> {
    let place = format!("{path}{name}");
    match fields.get(name) {
        None | Some(Value::Null) => Err(missing(&place, "add it as a text")),
        Some(value) => filled(value, &place),
    }
}

pub(crate) fn filled<'a>(value: &'a Value, place: &str) -> Result<&'a str, Misfit> {
    match value.as_str() {
        Some("") => Err(Misfit::new(format!("`{place}` is empty"), place, "give it a value")),
        Some(text) => Ok(text),
        None => Err(Misfit::new(
            format!("`{place}` is `{}`, not a text", shown(value)),
            place,
            "send it as a JSON string",
        )),
    }
}

fn optional<'a>(event: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Misfit> {
    event.get(name).filter(|value| !value.is_null()).map(|value| filled(value, name)).transpose()
}

pub(crate) fn instant(value: &str, place: &str, now: Time) -> Result<Time, Misfit> {
    let time: Time = value.parse().map_err(|error: takt_domain::time::TimeError| {
        Misfit::new(error.to_string(), place, "write it like `2026-07-01T12:00:00Z`")
    })?;
    if time < FIRST {
        return Err(Misfit::new(
            format!("`{}` is before the year 1", text::shown(value)),
            place,
            "write it like `2026-07-01T12:00:00Z`",
        ));
    }
    if time.since(now) > MAX_AHEAD {
        return Err(Misfit::new(
            format!("`{}` is more than 24 h in the future", text::shown(value)),
            place,
            "set the clock of the source right",
        ));
    }
    Ok(time)
}

fn sequence(event: &Map<String, Value>) -> Result<Option<SmolStr>, Misfit> {
    match event.get("sequence") {
        Some(Value::Number(number)) if number.is_u64() => {
            Ok(Some(normal_sequence(&number.to_string())))
        }
        _ => Ok(optional(event, "sequence")?.map(normal_sequence)),
    }
}

fn historical(event: &Map<String, Value>) -> Result<bool, Misfit> {
    match event.get("takthistorical") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(false),
        Some(Value::Bool(true)) => Ok(true),
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        Some(other) => Err(Misfit::new(
            format!("`takthistorical` is `{}`", shown(other)),
            "takthistorical",
            "send `true` or leave it out",
        )),
    }
}
