//! Every call of `takt.v1` passes here: refused while the server stops, bounded in time, given a
//! seat if its answer has no end, counted and timed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tokio::time::timeout;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::{Code, Status};

use super::port::Closing;
use super::seats::{Seat, Seats, refusal};
use super::telemetry::{Rpc, Telemetry};
use crate::grpc::status::{stopped, too_large, too_much, unanswered};

/// How long a call may take to answer, whatever its deadline says: so that a body that is sent
/// byte by byte holds nothing for ever.
pub(crate) const LONGEST: Duration = Duration::from_secs(90);
/// The same for a call that reads the whole log.
const LONGEST_OF_ALL: Duration = Duration::from_secs(3600);

/// What the calls share.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) seats: Seats,
    pub(crate) closing: Closing,
}

/// Answers what is no call in plain words: a page that is not there, or a call in another format.
pub(crate) async fn only_calls(
    State(telemetry): State<Arc<Telemetry>>,
    request: Request,
    next: Next,
) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/grpc")) {
        return next.run(request).await;
    }
    if telemetry.rpc(request.uri().path()).is_some() {
        let text = "this is a gRPC call; send it as `application/grpc` or `application/grpc-web`\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    (StatusCode::NOT_FOUND, "there is no such page; the board is at `/`\n").into_response()
}

/// Serves one call.
pub(crate) async fn serve(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    let Some(rpc) = calls.telemetry.rpc(request.uri().path()) else {
        return next.run(request).await;
    };
    let begun = rpc.subscriber().is_none().then(|| calls.closing.calls.token());
    let (telemetry, started) = (calls.telemetry, Instant::now());
    let mut finish = Finish { telemetry, rpc, started, told: false, _begun: begun };
    if calls.closing.stopping.is_cancelled() {
        return finish.refuse(stopped());
    }
    let mut seat = None;
    if let Some(kind) = finish.rpc.subscriber() {
        seat = calls.seats.take(kind, &finish.telemetry);
        if seat.is_none() {
            let remedy = "end some of them, or try again later";
            return finish.refuse(too_much(&refusal(), remedy));
        }
    }
    let longest = if finish.rpc.is_long { LONGEST_OF_ALL } else { LONGEST };
    let Ok(response) = timeout(longest, next.run(request)).await else {
        return finish.refuse(unanswered(longest));
    };
    if let Some(code) = code_of(response.headers()) {
        if let Some(status) = Status::from_header_map(response.headers()).and_then(too_large) {
            return finish.refuse(status);
        }
        finish.tell(code);
        return response;
    }
    response.map(|body| Body::new(Counted { body, finish, _seat: seat }))
}

fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

/// Tells the outcome of a call, once.
struct Finish {
    telemetry: Arc<Telemetry>,
    rpc: Rpc,
    started: Instant,
    told: bool,
    /// Whoever stops the server waits until it is dropped.
    _begun: Option<TaskTrackerToken>,
}

impl Finish {
    fn refuse(&mut self, status: Status) -> Response {
        self.tell(status.code());
        status.into_http()
    }

    fn tell(&mut self, code: Code) {
        if !std::mem::replace(&mut self.told, true) {
            self.telemetry.answered(&self.rpc, code, self.started.elapsed());
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        // Whoever asked has gone before the end.
        self.tell(Code::Cancelled);
    }
}

/// An answer that tells its outcome when it ends.
struct Counted {
    body: Body,
    finish: Finish,
    _seat: Option<Seat>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) = frame.trailers_ref().and_then(code_of) {
                    self.finish.tell(code);
                }
            }
            Poll::Ready(Some(Err(_))) => self.finish.tell(Code::Internal),
            // Without a word about the outcome, as some error of HTTP itself.
            Poll::Ready(None) => self.finish.tell(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
