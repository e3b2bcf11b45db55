//! Reads messages as JSON, one by one, whatever their headers are: slower, and nothing can stop it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_domain::{Time, text};
use takt_ports::Message;
use tokio::time::timeout;

/// How long the server may take for one message.
const PATIENCE: Duration = Duration::from_secs(5);
const PREFIX: &str = "NATS/1.0";

#[derive(Serialize)]
struct Ask<'a> {
    seq: u64,
    next_by_subj: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    message: Stored,
}

#[derive(Deserialize)]
struct Stored {
    seq: u64,
    subject: SmolStr,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: Time,
}

/// The next messages after a sequence, up to and with the first whose headers do not read.
pub(crate) async fn read(
    client: &Client,
    stream: &str,
    filter: &str,
    after: u64,
    (max, max_bytes): (usize, usize),
) -> Result<Vec<Message>, String> {
    let (mut messages, mut bytes, mut seq) = (Vec::new(), 0, after);
    while messages.len() < max && bytes < max_bytes {
        let ask = Ask { seq: seq.saturating_add(1), next_by_subj: filter };
        let Some(message) = one(client, stream, &ask).await? else { break };
        seq = message.seq;
        bytes += message.bytes.len();
        let is_last = message.unreadable.is_some();
        messages.push(message);
        if is_last {
            break;
        }
    }
    Ok(messages)
}

async fn one(client: &Client, stream: &str, ask: &Ask<'_>) -> Result<Option<Message>, String> {
    let ask = serde_json::to_vec(ask).map_err(|error| error.to_string())?;
    let asked = client.request(format!("$JS.API.STREAM.MSG.GET.{stream}"), ask.into());
    let answer = timeout(PATIENCE, asked).await.map_err(|_| "the server did not answer in time")?;
    let answer = answer.map_err(|error| error.to_string())?;
    match serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())? {
        Response::Ok(Answer { message: stored }) => message(stored).map(Some),
        Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
        Response::Err { error } => Err(error.to_string()),
    }
}

fn message(stored: Stored) -> Result<Message, String> {
    let damaged = |error| format!("message {} came as no base64: {error}", stored.seq);
    let bytes = STANDARD.decode(&stored.data).map_err(damaged)?;
    let raw = STANDARD.decode(&stored.hdrs).map_err(damaged)?;
    let (headers, unreadable) = match headers(&raw) {
        Ok(headers) => (headers, None),
        Err(reason) => (vec![], Some(reason.into())),
    };
    let Stored { seq, subject, time, .. } = stored;
    Ok(Message { seq, subject, headers, bytes: Bytes::from(bytes), at: time, unreadable })
}

/// The headers by name, as the client gives them where it can read them.
fn headers(raw: &[u8]) -> Result<Vec<(SmolStr, SmolStr)>, String> {
    if raw.is_empty() {
        return Ok(vec![]);
    }
    let raw = std::str::from_utf8(raw).map_err(|_| "they are not UTF-8".to_owned())?;
    let mut lines = raw.lines();
    let first = lines.next().unwrap_or_default();
    if first.trim() != PREFIX {
        return Err(format!("they begin with `{}`, not with `{PREFIX}`", text::shown(first)));
    }
    let mut read: Vec<(&str, String)> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        match read.last_mut() {
            Some((_, value)) if line.starts_with(char::is_whitespace) => value.push_str(line),
            _ => read.push(header(line)?),
        }
    }
    // As with the client, the order of one header's values is kept and that between headers is not.
    let mut named: BTreeMap<&str, Vec<SmolStr>> = BTreeMap::new();
    for (name, value) in &read {
        if value.contains('\r') {
            let name = text::shown(name);
            return Err(format!("the value of `{name}` has a carriage return in it"));
        }
        named.entry(name).or_default().push(value.trim().into());
    }
    let flat = |(name, values): (&str, Vec<SmolStr>)| {
        let name = SmolStr::new(name);
        values.into_iter().map(move |value| (name.clone(), value)).collect::<Vec<_>>()
    };
    Ok(named.into_iter().flat_map(flat).collect())
}

fn header(line: &str) -> Result<(&str, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("the line `{}` has no colon", text::shown(line).escape_debug()))?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        let name = text::shown(name).escape_debug().to_string();
        return Err(format!("`{name}` is no name of a header"));
    }
    Ok((name, value.trim_start().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_as_a_client_reads_them_or_say_why_not() {
        let read = headers(b"NATS/1.0\r\nb: 2\r\na: x \r\n y\r\nb: 1\r\n\r\n").unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(read, [("a", "x  y"), ("b", "2"), ("b", "1")]);
        for (raw, why) in [
            (&b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n"[..], "they are not UTF-8"),
            (b"NATS/1.0\r\nno colon\r\n\r\n", "the line `no colon` has no colon"),
            (b"NATS/1.0\r\nX\x01y: a\r\n\r\n", "`X\\u{1}y` is no name of a header"),
            (b"NATS/1.0\r\n: a\r\n\r\n", "`` is no name of a header"),
            (b"NATS/1.0\r\nX: a\rb\r\n\r\n", "the value of `X` has a carriage return in it"),
            (b"NATS/1.0 404\r\n\r\n", "they begin with `NATS/1.0 404`, not with `NATS/1.0`"),
        ] {
            assert_eq!(headers(raw).unwrap_err(), why);
        }
    }
}
