//! Facts in: one event, lines of events, or an array of them.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use tokio_stream::StreamExt;

use super::answer::answer;
use super::binary;
use super::problem::Problem;
use crate::grpc::events::MAX_EVENTS;
use crate::grpc::{MAX_MESSAGE, PUBLISH_DEADLINE, Services, stream_name};

/// How a body holds events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// One event in JSON; an array is taken for several.
    One,
    /// One event a line.
    Lines,
    /// An array of events.
    Array,
}

const FORMATS: [(&str, Format); 7] = [
    ("application/cloudevents+json", Format::One),
    ("application/json", Format::One),
    ("application/cloudevents-batch+json", Format::Array),
    ("application/x-ndjson", Format::Lines),
    ("application/ndjson", Format::Lines),
    ("application/jsonl", Format::Lines),
    ("application/json-lines", Format::Lines),
];

/// Records facts in their order; one result for each.
pub(super) async fn publish(
    State(services): State<Services>,
    stream: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(stream) = stream.map_err(|error| super::log::path(&error))?;
    let stream = stream_name(&stream)?;
    let (parts, body) = request.into_parts();
    let kind = kind(&parts.headers)?;
    let facts = if binary::is_binary(&parts.headers) && !kind.starts_with("application/cloudev") {
        vec![binary::structured(&parts.headers, &kind, whole(&parts.headers, body).await?)?]
    } else {
        let format = format(&kind)?;
        split(format, &whole(&parts.headers, body).await?)?
    };
    if facts.len() > MAX_EVENTS {
        let problem = format!("{} events at once, limit {MAX_EVENTS}", facts.len());
        return Err(Problem::invalid("events", &problem, "publish in several requests"));
    }
    Ok(answer(services.record(&stream, facts, None, PUBLISH_DEADLINE).await?))
}

/// The content type without its parameters, in small letters.
fn kind(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(String::new()) };
    let kind = kind.to_str().map_err(|_| {
        Problem::format("the content type is no text", "use `application/cloudevents+json`")
    })?;
    let kind = kind.split(';').next().unwrap_or_default();
    Ok(kind.trim().to_ascii_lowercase())
}

fn format(kind: &str) -> Result<Format, Problem> {
    let found = FORMATS.iter().find(|(name, _)| *name == kind);
    found.map(|(_, format)| *format).ok_or_else(|| {
        let kind: String = kind.chars().take(80).collect();
        Problem::format(
            &format!("the content type `{kind}` is not read here"),
            "send one event as `application/cloudevents+json` or `application/json`, lines as \
             `application/x-ndjson`, or an array as `application/cloudevents-batch+json`",
        )
    })
}

/// The whole body, if it keeps to the limit.
async fn whole(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let large = || Problem::large(&format!("the body is over the limit of {MAX_MESSAGE} bytes"));
    let told = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    if told.is_some_and(|told: u64| told > MAX_MESSAGE as u64) {
        return Err(large());
    }
    let (mut whole, mut chunks) = (BytesMut::new(), body.into_data_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            let message = format!("the body ended early: {error}");
            Problem::invalid("body", &message, "send it again")
        })?;
        if whole.len() + chunk.len() > MAX_MESSAGE {
            return Err(large());
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// The events of a body, each as its bytes.
fn split(format: Format, body: &Bytes) -> Result<Vec<Bytes>, Problem> {
    let is_array = body.trim_ascii_start().starts_with(b"[");
    let facts = match format {
        Format::Lines => lines(body),
        Format::Array => elements(body)?,
        Format::One if is_array => elements(body)?,
        Format::One if body.trim_ascii().is_empty() => Vec::new(),
        Format::One => vec![body.clone()],
    };
    if facts.is_empty() && format != Format::Array {
        return Err(Problem::invalid("body", "the body holds no event", "send at least one"));
    }
    Ok(facts)
}

fn lines(body: &Bytes) -> Vec<Bytes> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).map(|line| body.slice_ref(line)).collect()
}

fn elements(body: &Bytes) -> Result<Vec<Bytes>, Problem> {
    let elements = serde_json::from_slice::<Vec<&RawValue>>(body).map_err(|error| {
        let message = format!("the body is not an array of events: {error}");
        Problem::invalid("body", &message, "nothing of it was recorded; mend it and send it again")
    })?;
    Ok(elements.into_iter().map(|one| body.slice_ref(one.get().as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(format: Format, body: &str) -> Vec<String> {
        let body = Bytes::from(body.to_owned());
        let pieces = split(format, &body).unwrap();
        pieces.iter().map(|it| String::from_utf8(it.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_body_is_cut_into_its_events_byte_for_byte() {
        for (format, body, want) in [
            (Format::One, " {\"a\": 1.0} ", vec![" {\"a\": 1.0} "]),
            (Format::One, "[{\"a\":1}, {}]", vec!["{\"a\":1}", "{}"]),
            (Format::One, "not json", vec!["not json"]),
            (Format::Array, "[ {\"a\": 1.0} , 7 ]", vec!["{\"a\": 1.0}", "7"]),
            (Format::Array, "[]", vec![]),
            (Format::Lines, "{}\r\n\n{\"a\":1}\nbad", vec!["{}", "{\"a\":1}", "bad"]),
        ] {
            assert_eq!(pieces(format, body), want, "{format:?} {body}");
        }
    }

    #[test]
    fn a_body_without_events_or_an_array_cut_short_is_refused() {
        for (format, body) in [
            (Format::One, " "),
            (Format::Lines, "\n\n"),
            (Format::Array, "[{}, "),
            (Format::Array, "{}"),
        ] {
            assert!(split(format, &Bytes::from(body.to_owned())).is_err(), "{format:?} {body}");
        }
    }
}
