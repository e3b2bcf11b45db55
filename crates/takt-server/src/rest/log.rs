//! The log out: read to its present end as JSON lines, or watched for ever as server-sent events.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use takt_domain::text::shown;
use takt_proto::v1::ReadRequest;
use tokio_stream::StreamExt;

use super::SEQUENCE;
use super::problem::Problem;
use crate::grpc::{DEADLINE, Services};

/// How often a quiet watch says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(1);

type Name = Result<Path<String>, PathRejection>;
type Asked = Result<Query<HashMap<String, String>>, QueryRejection>;

/// A path whose stream is no text.
pub(super) fn path(error: &PathRejection) -> Problem {
    Problem::invalid("stream", &error.to_string(), "give the stream's name as UTF-8")
}

pub(super) async fn read_all(
    State(services): State<Services>,
    asked: Asked,
) -> Result<Response, Problem> {
    read(&services, request(String::new(), asked, &["from", "limit"])?).await
}

pub(super) async fn read_stream(
    State(services): State<Services>,
    stream: Name,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(stream) = stream.map_err(|error| path(&error))?;
    read(&services, request(named(stream)?, asked, &["from", "limit"])?).await
}

pub(super) async fn watch_all(
    State(services): State<Services>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Problem> {
    watch(&services, &headers, request(String::new(), asked, &["from"])?).await
}

pub(super) async fn watch_stream(
    State(services): State<Services>,
    stream: Name,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(stream) = stream.map_err(|error| path(&error))?;
    watch(&services, &headers, request(named(stream)?, asked, &["from"])?).await
}

/// A stream that has a name: without one, all of them would be meant.
fn named(stream: String) -> Result<String, Problem> {
    if stream.is_empty() {
        let remedy = "name a stream, or use `/v1/events` for all of them";
        return Err(Problem::invalid("stream", "the stream has no name", remedy));
    }
    Ok(stream)
}

fn request(stream: String, asked: Asked, known: &[&str]) -> Result<ReadRequest, Problem> {
    let Query(asked) = asked.map_err(|error| {
        Problem::invalid("query", &error.to_string(), "encode it as a form, in UTF-8")
    })?;
    if let Some(other) = asked.keys().find(|key| !known.contains(&key.as_str())) {
        let message = format!("`{}` is not known here", shown(other));
        return Err(Problem::invalid("query", &message, &format!("use `{}`", known.join("`, `"))));
    }
    let of = |field: &str| number(field, asked.get(field).map_or("0", String::as_str));
    Ok(ReadRequest { stream, from: of("from")?, limit: of("limit")? })
}

fn number(field: &str, text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| {
        let message = format!("{field} is `{}`", shown(text));
        Problem::invalid(field, &message, "give a whole number, 0 or more")
    })
}

async fn read(services: &Services, asked: ReadRequest) -> Result<Response, Problem> {
    let (events, head) = services.read_events(&asked, DEADLINE).await?;
    // An error breaks the answer off, so that nobody takes its beginning for all of it.
    let lines = events.map(|event| event.map(|event| event.numbered() + "\n"));
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (SEQUENCE, head.to_string()),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// Who comes again names the last sequence that it has seen, which tells more than its first wish.
fn resumed(headers: &HeaderMap, from: u64) -> Result<u64, Problem> {
    let Some(last) = headers.get("last-event-id") else { return Ok(from) };
    let last = number("Last-Event-ID", last.to_str().unwrap_or("?"))?;
    Ok(last.saturating_add(1))
}

async fn watch(
    services: &Services,
    headers: &HeaderMap,
    asked: ReadRequest,
) -> Result<Response, Problem> {
    let asked = ReadRequest { from: resumed(headers, asked.from)?, ..asked };
    let events = services.watch_events(&asked, DEADLINE).await?;
    let hello = tokio_stream::once(Event::default().retry(RETRY));
    let events = events.map(|event| match event {
        Ok(event) => Event::default().id(event.sequence.to_string()).data(event.numbered()),
        // The last word of a watch that ends; the client comes again where it was.
        Err(status) => Event::default().event("problem").data(Problem::from(status).text()),
    });
    let events = Sse::new(hello.chain(events).map(Ok::<_, Infallible>));
    let headers = [("x-accel-buffering", "no"), ("cache-control", "no-store")];
    Ok((headers, events.keep_alive(KeepAlive::new().interval(HEARTBEAT))).into_response())
}
