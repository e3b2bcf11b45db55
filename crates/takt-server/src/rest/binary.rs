//! CloudEvents in binary mode: the attributes are headers, the body is the data.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::problem::Problem;

/// How the headers of attributes begin.
const PREFIX: &str = "ce-";

/// Whether a request carries its event's attributes in headers.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// The same event in structured mode, or the body as it is when it is not what it says: then it is
/// kept as a dead letter like any other.
pub(super) fn structured(headers: &HeaderMap, kind: &str, body: Bytes) -> Result<Bytes, Problem> {
    let mut event = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
        let value = value.to_str().ok().and_then(decoded).ok_or_else(|| {
            let message = format!("the header `ce-{name}` is not percent-encoded text");
            Problem::invalid(name, &message, "encode it as the HTTP binding of CloudEvents says")
        })?;
        event.insert(name.to_owned(), Value::String(value));
    }
    let mut text = serde_json::to_string(&event).unwrap_or_default();
    if body.is_empty() {
        return Ok(text.into());
    }
    let data = match is_json(kind) {
        true => serde_json::from_slice::<&RawValue>(&body).map(ToOwned::to_owned),
        false => to_raw_value(&String::from_utf8_lossy(&body)),
    };
    let Ok(data) = data else { return Ok(body) };
    // The map holds at least the version, so that there is a member to go on from.
    text.pop();
    let kind = Value::from(kind);
    text.push_str(&format!(",\"datacontenttype\":{kind},\"data\":{data}}}"));
    Ok(text.into())
}

fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind.ends_with("+json") || kind.is_empty()
}

/// A header's text without its percent-encoding, if that is well-formed.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn attributes_and_body_become_one_event() {
        let headers = headers(&[("ce-specversion", "1.0"), ("ce-id", "a%20%C3%BC"), ("x", "y")]);
        let event = structured(&headers, "application/json", r#"{"n": 1.0}"#.into()).unwrap();
        let event: Value = serde_json::from_slice(&event).unwrap();
        let want = serde_json::json!({
            "specversion": "1.0", "id": "a ü", "datacontenttype": "application/json",
            "data": { "n": 1.0 },
        });
        assert_eq!(event, want);
    }

    #[test]
    fn a_body_that_is_not_the_json_it_says_is_left_as_it_is() {
        let headers = headers(&[("ce-specversion", "1.0")]);
        let body = Bytes::from_static(b"{\"n\": ");
        assert_eq!(structured(&headers, "application/json", body.clone()).unwrap(), body);
    }

    #[test]
    fn a_header_that_is_half_encoded_is_refused_by_its_name() {
        let headers = headers(&[("ce-specversion", "1.0"), ("ce-subject", "100%")]);
        let problem = structured(&headers, "application/json", Bytes::new()).unwrap_err();
        assert!(problem.text().contains("`ce-subject`"), "{}", problem.text());
    }
}
