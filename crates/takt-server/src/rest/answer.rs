//! What became of published facts, as JSON: one result for each, in their order.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use takt_engine::Published;

/// What became of one fact.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Result {
    Recorded { sequence: u64 },
    Duplicate { sequence: u64 },
    Dead { id: String, reason: String, place: String, remedy: String },
}

/// What became of all.
#[derive(Debug, Serialize)]
struct Answer {
    results: Vec<Result>,
    /// The highest sequence among the results.
    sequence: u64,
}

/// 200 when all are in the log, 207 when some are dead letters: those are kept, and not recorded.
pub(super) fn answer(published: Vec<Published>) -> Response {
    let (mut sequence, mut dead) = (0, false);
    let results = published.into_iter().map(|one| match one {
        Published::Recorded { sequence: at } => {
            sequence = at.max(sequence);
            Result::Recorded { sequence: at }
        }
        Published::Duplicate { sequence: at } => {
            sequence = at.max(sequence);
            Result::Duplicate { sequence: at }
        }
        Published::Dead { id, reason, place, remedy } => {
            dead = true;
            Result::Dead { id: id.to_string(), reason, place, remedy }
        }
    });
    let results = results.collect();
    let status = if dead { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    (status, Json(Answer { results, sequence })).into_response()
}
