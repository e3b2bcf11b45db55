//! Messages of NATS: headers and bytes become the one JSON event that they stand for.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};
use smol_str::SmolStr;
use takt_domain::fact::Fact;
use takt_domain::{Time, text};

use crate::fact::{MAX_DEPTH, Misfit, parse, sized, too_deep};
use crate::nesting;

/// What a CloudEvents attribute's header begins with in binary mode.
const PREFIX: &str = "ce-";
const BATCH: &str = "application/cloudevents-batch";

/// Understands one message as its publisher sent it; see [`structured`] and [`parse`].
///
/// # Errors
/// As both of them.
pub fn parse_message(
    headers: &[(SmolStr, SmolStr)],
    bytes: &[u8],
    now: Time,
) -> Result<Fact, Misfit> {
    parse(&structured(headers, bytes)?, now)
}

/// A message as one JSON text that says all by itself, so that it can be kept, passed on and tried
/// again without its headers. A CloudEvent in binary mode (attributes in headers `ce-<name>`) is
/// written in structured mode; every other message is its payload, whatever its content type.
///
/// # Errors
/// Batches, headers that contradict each other or are not UTF-8, and a payload that is not what its
/// content type says, with what, where, and the remedy.
pub fn structured<'a>(
    headers: &[(SmolStr, SmolStr)],
    bytes: &'a [u8],
) -> Result<Cow<'a, [u8]>, Misfit> {
    let named: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    sized(bytes.len().saturating_add(named))?;
    let content_type = header(headers, "content-type")?.unwrap_or_default();
    let media = media_type(content_type);
    if media.starts_with(BATCH) {
        return Err(Misfit::new(
            format!("a batch of events, `{}`, is not understood", text::shown(content_type)),
            "header content-type",
            "send one event in each message",
        ));
    }
    let is_structured = media.starts_with("application/cloudevents");
    if is_structured || header(headers, "ce-specversion")?.is_none() {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut event = attributes(headers)?;
    let said = event.get("datacontenttype").and_then(Value::as_str).map(media_type);
    if let Some((name, data)) = data(&said.unwrap_or(media), bytes)? {
        event.insert(name.to_owned(), data);
    }
    Ok(Cow::Owned(Value::Object(event).to_string().into_bytes()))
}

/// The one value of a header, whose name may be written in any case.
fn header<'a>(headers: &'a [(SmolStr, SmolStr)], wanted: &str) -> Result<Option<&'a str>, Misfit> {
    let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let Some((_, first)) = found.next() else { return Ok(None) };
    match found.find(|(_, other)| other != first) {
        None => Ok(Some(first)),
        Some((_, other)) => Err(Misfit::new(
            format!(
                "header `{wanted}` comes twice, as `{}` and as `{}`",
                text::shown(first),
                text::shown(other)
            ),
            format!("header {wanted}"),
            "send each header once",
        )),
    }
}

/// The media type without its parameters, in lowercase.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The attributes of a CloudEvent in binary mode.
fn attributes(headers: &[(SmolStr, SmolStr)]) -> Result<Map<String, Value>, Misfit> {
    let mut event = Map::new();
    for (name, _) in headers {
        let name = name.to_ascii_lowercase();
        let Some(attribute) = name.strip_prefix(PREFIX) else { continue };
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if attribute.is_empty() || attribute == "data" || !attribute.bytes().all(legal) {
            continue;
        }
        let Some(value) = header(headers, &name)? else { continue };
        event.insert(attribute.to_owned(), Value::String(decoded(value, &name)?));
    }
    Ok(event)
}

/// A header's value without quotation marks and percent-encoding. A `%` that begins no encoding
/// stands for itself: not every client encodes.
fn decoded(value: &str, name: &str) -> Result<String, Misfit> {
    let plain = unquoted(value);
    let mut bytes = Vec::with_capacity(plain.len());
    let mut rest = plain.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high * 16 + low
                }
                _ => *first,
            },
            _ => *first,
        });
    }
    String::from_utf8(bytes).map_err(|_| {
        Misfit::new(
            format!("`{}` does not decode to UTF-8", text::shown(value)),
            format!("header {name}"),
            "percent-encode the UTF-8 of the value",
        )
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The text within quotation marks, with what a backslash protects.
fn unquoted(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return Cow::Borrowed(value) };
    let mut chars = inner.chars();
    let mut plain = String::with_capacity(inner.len());
    while let Some(char) = chars.next() {
        plain.push(if char == '\\' { chars.next().unwrap_or(char) } else { char });
    }
    Cow::Owned(plain)
}

/// The member that a payload becomes, by its media type; JSON where it has none, as in structured
/// mode.
fn data(media: &str, bytes: &[u8]) -> Result<Option<(&'static str, Value)>, Misfit> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if media.is_empty() || media.ends_with("/json") || media.ends_with("+json") {
        return json(media, bytes).map(|data| Some(("data", data)));
    }
    let text = std::str::from_utf8(bytes).ok().filter(|_| media.starts_with("text/"));
    Ok(Some(match text {
        Some(text) => ("data", Value::from(text)),
        None => ("data_base64", Value::from(base64(bytes))),
    }))
}

fn json(media: &str, bytes: &[u8]) -> Result<Value, Misfit> {
    if let Some(at) = nesting::too_deep_at(bytes, MAX_DEPTH) {
        return Err(too_deep(at));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let said = match media {
            "" => "there is no content type".to_owned(),
            media => format!("its content type is `{}`", text::shown(media)),
        };
        let place = format!("line {}, column {} of the payload", error.line(), error.column());
        let remedy = "send JSON, or say in `ce-datacontenttype` what it is";
        Misfit::new(format!("the payload is not JSON and {said}: {error}"), place, remedy)
    })
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| three.get(at).map_or(0, |byte| u32::from(*byte));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let six = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or_default();
            let char = ALPHABET.get(six).copied().map_or('=', char::from);
            text.push(if at > three.len() { '=' } else { char });
        }
    }
    text
}
