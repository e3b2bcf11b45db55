//! Entries by sequence, many in one request: the direct get of ADR-31 in its batched form.

use std::time::Duration;

use async_nats::header::{NATS_SEQUENCE, NATS_SUBJECT};
use async_nats::{Client, Message, StatusCode};
use serde::Serialize;
use takt_ports::{Entry, LogError, Subject};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

use crate::entry::entry;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much one answer may hold, in bytes; the first entry comes whatever its size.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What is asked of `$JS.API.DIRECT.GET.<stream>`.
#[derive(Serialize)]
struct Ask<'a> {
    seq: u64,
    batch: usize,
    max_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
}

/// Entries from a sequence on, of one subject if given, in order; none when there is none there.
pub(crate) async fn entries(
    client: &Client,
    stream: &str,
    (from, max): (u64, usize),
    subject: Option<&Subject>,
) -> Result<Vec<Entry>, LogError> {
    if max == 0 {
        return Ok(vec![]);
    }
    let seq = from.max(1);
    let next_by_subj = subject.map(Subject::as_str);
    let ask = Ask { seq, batch: max, max_bytes: MOST_BYTES, next_by_subj };
    let ask = serde_json::to_vec(&ask).map_err(|error| unavailable(&error))?;
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| unavailable(&error))?;
    let api = format!("$JS.API.DIRECT.GET.{stream}");
    let asked = client.publish_with_reply(api, inbox, ask.into()).await;
    asked.map_err(|error| unavailable(&error))?;
    let mut entries = Vec::new();
    loop {
        let next = timeout(PATIENCE, answers.next()).await;
        let message = next.map_err(|_| unavailable(&"the server did not answer in time"))?;
        let message = message.ok_or_else(|| unavailable(&"the connection was closed"))?;
        match message.status.map(|status| status.as_u16()) {
            None | Some(200) => entries.push(read(message)?),
            // The end of the batch, and nothing found.
            Some(204 | 404) => return Ok(entries),
            Some(status) => return Err(refused(status, &message)),
        }
    }
}

fn read(message: Message) -> Result<Entry, LogError> {
    let headers = message.headers.as_ref();
    let header = |name| headers.and_then(|it| it.get_last(name)).map(|value| value.as_str());
    let seq = header(NATS_SEQUENCE).and_then(|seq| seq.parse().ok());
    let (Some(seq), Some(subject)) = (seq, header(NATS_SUBJECT)) else {
        return Err(unavailable(&"an answer has no sequence"));
    };
    entry(seq, subject, headers, message.payload.clone())
}

fn refused(status: u16, message: &Message) -> LogError {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return unavailable(&"nobody serves the log's stream now");
    }
    let said = message.description.as_deref().unwrap_or("no reason");
    unavailable(&format!("the server answers {status}: {said}"))
}

pub(crate) fn unavailable(reason: &dyn std::fmt::Display) -> LogError {
    LogError::Unavailable { reason: reason.to_string().into() }
}
