//! Answers without an end, such as watches: each holds a seat, and the seats are counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::telemetry::Telemetry;

/// How many answers without an end may be open at once.
pub(crate) const SEATS: usize = 1024;

/// The seats of a server.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    free: Arc<Semaphore>,
}

/// A seat that is taken until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    taken: Gauge,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.dec();
    }
}

impl Default for Seats {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(SEATS)) }
    }
}

impl Seats {
    /// A seat for a subscriber of a kind, if one is free.
    pub(crate) fn take(&self, kind: &'static str, telemetry: &Telemetry) -> Option<Seat> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let taken = telemetry.subscribers(kind);
        taken.inc();
        Some(Seat { _permit: permit, taken })
    }
}

/// Why a subscriber gets no seat.
pub(crate) fn refusal() -> String {
    format!("{SEATS} watches, reads and open pages are served already")
}

/// An answer that holds its seat until it ends.
pub(crate) fn seated(response: Response, seat: Seat) -> Response {
    response.map(|body| Body::new(Seated { body, _seat: seat }))
}

/// A body that holds its seat until it ends.
struct Seated {
    body: Body,
    _seat: Seat,
}

impl HttpBody for Seated {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Gives every open page a seat.
pub(crate) async fn seat_pages(
    State((seats, telemetry)): State<(Seats, Arc<Telemetry>)>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path() != "/sse" {
        return next.run(request).await;
    }
    let Some(seat) = seats.take("sse", &telemetry) else {
        let message = format!("{}; close some and load the page again\n", refusal());
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    seated(next.run(request).await, seat)
}
