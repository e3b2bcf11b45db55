//! Whether bytes are an event that a Takt has made, without understanding the rest of them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use smol_str::SmolStr;
use takt_domain::EventId;

/// The source and the id of an event.
#[derive(Deserialize)]
struct Origin<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    id: EventId,
}

/// The parts of a CloudEvent or a CDEvent that may tell where it is from.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "customData")]
    custom: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Marked<'a> {
    #[serde(borrow)]
    takt: Origin<'a>,
}

/// The source and the id of an event whose id is one that Takt makes: of the mark that a CDEvent
/// carries which Takt has sent out, else of the CloudEvent, else of the CDEvent.
pub fn origin(bytes: &[u8]) -> Option<(SmolStr, EventId)> {
    let parts: Parts<'_> = serde_json::from_slice(bytes).ok()?;
    let inner: Option<Parts<'_>> = parts.data.and_then(read);
    let mark = |parts: &Parts<'_>| parts.custom.and_then(marked);
    let marked = mark(&parts).or_else(|| inner.as_ref().and_then(mark));
    let of_cloud_event = || serde_json::from_slice::<Origin<'_>>(bytes).ok().map(named);
    let of_cdevent = || parts.context.and_then(read).map(named);
    marked.or_else(of_cloud_event).or_else(of_cdevent)
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

fn marked(custom: &RawValue) -> Option<(SmolStr, EventId)> {
    read::<Marked<'_>>(custom).map(|custom| named(custom.takt))
}

fn named(origin: Origin<'_>) -> (SmolStr, EventId) {
    (SmolStr::new(origin.source), origin.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a3c0-0000-7000-8000-000000000001";

    fn told(text: &str) -> Option<(String, String)> {
        let text = text.replace("ID", ID);
        origin(text.as_bytes()).map(|(source, id)| (source.to_string(), id.to_string()))
    }

    #[test]
    fn an_event_of_takt_is_known_in_every_form_in_which_it_may_come_back() {
        for text in [
            r#"{"specversion":"1.0","id":"ID","source":"urn:takt:1","type":"t"}"#,
            r#"{"context":{"id":"ID","source":"urn:takt:1","type":"t"},"subject":{}}"#,
            r#"{"context":{"id":"7","source":"urn:ci"},"customData":{"a":1,"takt":{"source":"urn:takt:1","id":"ID"}}}"#,
            r#"{"specversion":"1.0","id":"7","source":"urn:ci","data":{"customData":{"takt":{"source":"urn:takt:1","id":"ID"}}}}"#,
            r#"{"id":"ID","source":"urn\u003atakt:1"}"#,
        ] {
            assert_eq!(told(text), Some(("urn:takt:1".to_owned(), ID.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_no_takt_made_has_no_such_origin() {
        for text in [
            "",
            "[]",
            "7",
            r#"{"id":"7","source":"urn:ci"}"#,
            r#"{"id":"ID"}"#,
            r#"{"context":5,"customData":"e30="}"#,
            r#"{"context":{"id":"7","source":"urn:ci"},"customData":{"takt":5},"data":"x"}"#,
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
