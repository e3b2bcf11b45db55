//! The port: connections are bounded in number and in patience, and let go in order.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::socket::{PATIENCE, Socket};

/// How many connections are served at once; more wait in the system's queue.
const CONNECTIONS: usize = 4096;
/// How long a client may take to say what it wants.
const HEADER_WAIT: Duration = Duration::from_secs(20);
/// The most bytes of headers.
const HEADER_BYTES: u32 = 32 * 1024;
/// How many calls one HTTP/2 connection may have open.
const CALLS: u32 = 256;
/// How long an HTTP/2 connection may be silent before it is asked whether it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(30);
/// How long the connections have to end once the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// How much of that goes to the calls that have begun.
const CALLS_GRACE: Duration = Duration::from_secs(5);
/// How long those who call once more are told that the server stops, before connections close: a
/// call that meets a closing connection gets no answer, and its client cannot tell what became
/// of it.
const LAST_CALLS: Duration = Duration::from_millis(200);
/// The first bytes of HTTP/2; as long as it takes to know which protocol is spoken.
const PREFACE: usize = 24;

/// When the port closes.
#[derive(Clone)]
pub(crate) struct Closing {
    /// The server stops: calls that have begun are finished, and new ones are refused.
    pub(crate) stopping: CancellationToken,
    /// The calls that have begun, but for those whose answer has no end.
    pub(crate) calls: TaskTracker,
    /// The connections are asked to close.
    farewell: CancellationToken,
}

impl Closing {
    /// It closes when `stopping` is cancelled.
    pub(crate) fn after(stopping: CancellationToken) -> Self {
        Self { stopping, calls: TaskTracker::new(), farewell: CancellationToken::new() }
    }
}

/// Serves connections until the server stops, then lets those that are there finish what they
/// began.
pub(crate) async fn serve(listener: TcpListener, router: Router, closing: Closing) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let (before, after) = (TaskTracker::new(), TaskTracker::new());
    let cut = CancellationToken::new();
    let mut drained = pin!(drain(&closing, &before));
    loop {
        let accepted = tokio::select! {
            () = drained.as_mut() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        // Who comes while the server stops is told so, and holds nothing up.
        let late = closing.stopping.is_cancelled();
        let asked = if late { CancellationToken::new() } else { closing.farewell.clone() };
        let (router, cut) = (router.clone(), cut.clone());
        (if late { &after } else { &before }).spawn(async move {
            connection(stream, router, asked, cut).await;
            drop(permit);
        });
    }
    drop(listener);
    cut.cancel();
    for tracker in [&before, &after] {
        tracker.close();
        tracker.wait().await;
    }
}

/// Completes when the server stops and its connections have ended, or have had their time.
async fn drain(closing: &Closing, connections: &TaskTracker) {
    closing.stopping.cancelled().await;
    connections.close();
    closing.calls.close();
    let ended = timeout(GRACE, async {
        if !connections.is_empty() {
            // What is not answered by then is answered before its connection closes, or cut.
            let _ = timeout(CALLS_GRACE, closing.calls.wait()).await;
            sleep(LAST_CALLS).await;
        }
        closing.farewell.cancel();
        connections.wait().await;
    });
    if ended.await.is_err() {
        tracing::warn!(open = connections.len(), "connections that did not end are cut");
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Such as no free file handles: trying at once would only burn time.
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    farewell: CancellationToken,
    cut: CancellationToken,
) {
    // An answer goes out at once: Nagle's algorithm would hold its end back until the client's
    // delayed acknowledgement, 40 ms later. A socket that refuses is only slower.
    drop(stream.set_nodelay(true));
    let heard = Arc::new(AtomicUsize::new(0));
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&heard), PATIENCE));
    let builder = builder();
    let mut served = pin!(builder.serve_connection(io, TowerToHyperService::new(router)));
    let mut greeting = pin!(sleep(HEADER_WAIT));
    let (mut greeted, mut asked) = (false, false);
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = farewell.cancelled(), if !asked => {
                asked = true;
                served.as_mut().graceful_shutdown();
            }
            () = greeting.as_mut(), if !greeted => {
                greeted = true;
                if heard.load(Ordering::Relaxed) < PREFACE {
                    return;
                }
            }
            () = cut.cancelled() => return,
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .max_buf_size(HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(ALIVE_EVERY)
        .keep_alive_timeout(HEADER_WAIT);
    builder
}
