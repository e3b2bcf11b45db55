//! REST: facts in, events out, for callers that speak HTTP and JSON alone.
//!
//! `openapi.json` describes every route; a test holds the two together.

mod answer;
mod binary;
mod facts;
mod log;
mod problem;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use tokio::time::timeout;

use crate::grpc::Services;
use crate::grpc::status::{not_found, stopped, unanswered};
use crate::ops::rpc::{Calls, LONGEST};
use crate::ops::seats::{refusal, seated};
pub(crate) use problem::Problem;

/// The description of all routes, as it is served.
const OPENAPI: &str = include_str!("rest/openapi.json");
/// The sequence that an answer stands at.
const SEQUENCE: HeaderName = HeaderName::from_static("takt-sequence");

/// How an answer of a route ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With its last byte, which is waited for when the server stops.
    Soon,
    /// When all is read, or never: it holds a seat of this kind.
    Late(&'static str),
}

/// A route: its method and path as in `openapi.json`, how it ends, and who answers.
struct Route {
    name: &'static str,
    ends: Ends,
    handler: fn() -> MethodRouter<Services>,
}

const ROUTES: [Route; 6] = [
    Route { name: "GET /openapi.json", ends: Ends::Soon, handler: || get(openapi) },
    Route {
        name: "POST /v1/streams/{stream}/events",
        ends: Ends::Soon,
        handler: || post(facts::publish),
    },
    Route {
        name: "GET /v1/streams/{stream}/events",
        ends: Ends::Late("read"),
        handler: || get(log::read_stream),
    },
    Route {
        name: "GET /v1/streams/{stream}/events/watch",
        ends: Ends::Late("watch"),
        handler: || get(log::watch_stream),
    },
    Route { name: "GET /v1/events", ends: Ends::Late("read"), handler: || get(log::read_all) },
    Route {
        name: "GET /v1/events/watch",
        ends: Ends::Late("watch"),
        handler: || get(log::watch_all),
    },
];

impl Route {
    fn path(&self) -> &'static str {
        self.name.split_once(' ').map_or("/", |(_, path)| path)
    }
}

/// What stands at the door of a route.
#[derive(Clone)]
struct Door {
    calls: Calls,
    route: &'static str,
    ends: Ends,
}

/// The routes of REST.
pub(crate) fn routes(services: &Services, calls: &Calls) -> Router {
    let mut router = Router::new();
    for Route { name, ends, handler } in &ROUTES {
        let door = Door { calls: calls.clone(), route: name, ends: *ends };
        let route = Route { name, ends: *ends, handler: *handler };
        let served = handler().layer(from_fn_with_state(door, pass));
        router = router.route(route.path(), served);
    }
    router
        .route("/v1/{*path}", any(missing))
        .method_not_allowed_fallback(|| async { Problem::method() })
        .with_state(services.clone())
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn missing(request: Request) -> Problem {
    Problem::from(not_found("path", request.uri().path(), "`/openapi.json` lists what there is"))
}

/// Lets a request in: refused while the server stops, bounded in time, given a seat if its answer
/// has no end, counted.
async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let telemetry = Arc::clone(&door.calls.telemetry);
    let response = admit(&door, request, next).await;
    telemetry.requested(door.route, response.status().as_u16());
    response
}

async fn admit(door: &Door, request: Request, next: Next) -> Response {
    let closing = &door.calls.closing;
    let _begun = (door.ends == Ends::Soon).then(|| closing.calls.token());
    if closing.stopping.is_cancelled() {
        return Problem::from(stopped()).into_response();
    }
    let seat = match door.ends {
        Ends::Soon => None,
        Ends::Late(kind) => match door.calls.seats.take(kind, &door.calls.telemetry) {
            Some(seat) => Some(seat),
            None => return Problem::full(&refusal()).into_response(),
        },
    };
    let Ok(response) = timeout(LONGEST, next.run(request)).await else {
        return Problem::from(unanswered(LONGEST)).into_response();
    };
    match seat {
        Some(seat) => seated(response, seat),
        None => response,
    }
}
