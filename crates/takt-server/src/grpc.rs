//! The gRPC services: parse, call the engine, answer.

mod admin;
mod andon;
mod board;
mod checks;
mod dead_letters;
pub(crate) mod events;
mod metrics;
mod policy;
mod reports;
pub(crate) mod status;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use takt_domain::ids::IdError;
use takt_domain::text::shown;
use takt_domain::{BoardId, StreamName};
use takt_embedded::EmbeddedLeases;
use takt_engine::{Call, Engine, Error, Nodes, Receipt};
use takt_nats::Link;
use takt_projections::{StreamView, World};
use takt_proto::v1;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::{Request, Status};

use crate::backend::Kind;
use crate::ops::telemetry::Telemetry;
use status::{invalid, status};

/// How long a call may take when the caller gives no deadline.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// How long a publish may take when the caller gives no deadline.
pub(crate) const PUBLISH_DEADLINE: Duration = Duration::from_secs(60);
/// The longest message either way.
pub(crate) const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// What every service holds.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) engine: Engine,
    pub(crate) kind: Kind,
    /// What many nodes share, where there may be more than this one.
    pub(crate) nodes: Option<Nodes>,
    /// Whether the nats-server is reached, where there is one.
    pub(crate) link: Option<watch::Receiver<Link>>,
    /// In what the nats-server is not set as Takt advises.
    pub(crate) advice: Arc<[String]>,
    /// Keeps the folder of this node's id for as long as anything serves.
    pub(crate) _node: Option<Arc<EmbeddedLeases>>,
    pub(crate) data: Arc<str>,
    pub(crate) started: takt_domain::Time,
    /// Cancelled when the server stops, so that watches end.
    pub(crate) stopping: tokio_util::sync::CancellationToken,
    /// The tasks behind answers without an end; they end once the server stops.
    pub(crate) tasks: TaskTracker,
    pub(crate) telemetry: Arc<Telemetry>,
}

macro_rules! routes {
    ($routes:expr, $services:expr, $($server:path),* $(,)?) => {{
        let mut routes = $routes;
        $(routes = routes.add_service(
            <$server>::new($services.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        );)*
        routes
    }};
}

/// All services of `takt.v1` beside those that are there already.
pub(crate) fn routes(routes: Routes, services: &Services) -> Routes {
    type S = Services;
    routes!(
        routes,
        services,
        v1::stream_service_server::StreamServiceServer<S>,
        v1::board_service_server::BoardServiceServer<S>,
        v1::event_service_server::EventServiceServer<S>,
        v1::andon_service_server::AndonServiceServer<S>,
        v1::metrics_service_server::MetricsServiceServer<S>,
        v1::test_service_server::TestServiceServer<S>,
        v1::change_service_server::ChangeServiceServer<S>,
        v1::deployment_service_server::DeploymentServiceServer<S>,
        v1::dead_letter_service_server::DeadLetterServiceServer<S>,
        v1::admin_service_server::AdminServiceServer<S>,
    )
}

/// The caller's deadline from the header `grpc-timeout`, at most a minute.
fn deadline<T>(request: &Request<T>) -> Duration {
    deadline_or(request, DEADLINE)
}

fn deadline_or<T>(request: &Request<T>, default: Duration) -> Duration {
    let header = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
    header.and_then(timeout).unwrap_or(default).min(Duration::from_secs(60))
}

fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn call(
    deadline: Duration,
    actor: &str,
    key: &str,
    expected_version: Option<u64>,
) -> Result<Call, Status> {
    checks::short("actor", actor)?;
    checks::short("idempotency_key", key)?;
    let actor = if actor.is_empty() { "anonymous" } else { actor };
    let key = (!key.is_empty()).then(|| SmolStr::new(key));
    Ok(Call { actor: SmolStr::new(actor), key, expected_version, deadline })
}

fn parsed<T>(field: &'static str, parsed: Result<T, IdError>) -> Result<T, Status> {
    parsed.map_err(|error| {
        let remedy = "give 1 to 512 bytes of text without control characters or outer blanks";
        invalid(field, &error.to_string(), remedy)
    })
}

pub(crate) fn stream_name(text: &str) -> Result<StreamName, Status> {
    parsed("stream", StreamName::parse(text))
}

fn board_id(text: &str) -> Result<BoardId, Status> {
    if text.is_empty() { Ok(BoardId::main()) } else { parsed("board", BoardId::parse(text)) }
}

/// An id that a key names, with 48 bits of its hash so that a million of them stay apart.
fn short_id(kind: &str, source: &str, key: &str) -> String {
    let id = takt_domain::EventId::derive(source, key, 0).to_string().replace('-', "");
    format!("{kind}-{}", id.get(..12).unwrap_or(&id))
}

fn receipt(receipt: takt_engine::Receipt) -> v1::Receipt {
    v1::Receipt {
        sequence: receipt.sequence,
        event_ids: receipt.ids.iter().map(ToString::to_string).collect(),
        duplicate: receipt.duplicate,
        warnings: details(receipt.warnings),
    }
}

/// Unmet conditions on the wire.
fn details(unmet: Vec<takt_domain::rejection::Unmet>) -> Vec<v1::ErrorDetail> {
    let each = unmet.into_iter().map(|one| v1::ErrorDetail {
        code: one.code.to_owned(),
        field: String::new(),
        message: one.message,
        remedy: one.remedy,
    });
    each.collect()
}

/// A word of the wire for a value whose name in JSON is the word.
fn word<T: serde::Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// The value of a word of the wire.
fn from_word<T: serde::de::DeserializeOwned>(
    field: &'static str,
    text: &str,
    words: &str,
) -> Result<T, Status> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| {
        invalid(field, &format!("`{}` is not known", shown(text)), &format!("use {words}"))
    })
}

impl Services {
    /// The outcome of a command, counted.
    fn done(&self, result: Result<Receipt, Error>) -> Result<Receipt, Status> {
        self.telemetry.commanded(&result);
        result.map_err(status)
    }

    /// The sequence that the read side has come to, at least `min_sequence`.
    async fn sequence(&self, min_sequence: u64, deadline: Duration) -> Result<u64, Status> {
        let answer = self.engine.view(min_sequence, deadline, |world| world.seq);
        answer.await.map_err(status)
    }

    /// Reads one stream's view once the read side has come to `min_sequence`.
    async fn view<R>(
        &self,
        stream: &str,
        min_sequence: u64,
        deadline: Duration,
        read: impl FnOnce(&StreamView, &World) -> Result<R, Status>,
    ) -> Result<(R, u64), Status> {
        let name = stream_name(stream)?;
        let answer = self.engine.view(min_sequence, deadline, |world| {
            let view = world.streams.get(&name);
            let view =
                view.ok_or_else(|| status(takt_engine::Error::UnknownStream(name.clone())))?;
            Ok((read(view, world)?, world.seq))
        });
        answer.await.map_err(status)?
    }
}
