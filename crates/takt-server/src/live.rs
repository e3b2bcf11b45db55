//! The board page over HTTP: the page, its assets, and the events that keep it fresh.

mod feed;
mod patch;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use takt_domain::{BoardId, Event as LogEvent, StreamName};
use takt_projections::{World, board_newest};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::grpc::Services;
use crate::web::{Current, DONE_SHOWN, Figures, ICON, Page, SCRIPT, STYLE, page};
use feed::{Feeds, Update};

/// The page and what it loads; nothing from elsewhere, nothing inline.
const POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// How long the page waits for the read side.
const WAIT: Duration = Duration::from_secs(5);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a quiet connection says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

type Asked = Query<HashMap<String, String>>;
type Sender = mpsc::Sender<Result<Event, Infallible>>;

/// What the routes share.
#[derive(Clone)]
struct Web {
    services: Services,
    feeds: Feeds,
}

/// The routes of the web board.
pub(crate) fn routes(services: Services) -> Router {
    let asset = |kind: &'static str, text: &'static str| {
        get(move || async move {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text)
        })
    };
    let feeds = Feeds::new(&services);
    Router::new()
        .route("/", get(board))
        .route("/sse", get(updates))
        .route("/assets/style.css", asset("text/css; charset=utf-8", STYLE))
        .route("/assets/board.js", asset("text/javascript; charset=utf-8", SCRIPT))
        .route("/assets/icon.svg", asset("image/svg+xml", ICON))
        .with_state(Web { services, feeds })
}

/// The stream that is asked for, or the first.
fn wanted(world: &World, asked: &HashMap<String, String>) -> Option<StreamName> {
    match asked.get("stream") {
        Some(name) => world.streams.get_key_value(name.as_str()).map(|(name, _)| name.clone()),
        None => world.streams.keys().next().cloned(),
    }
}

async fn board(State(web): State<Web>, Query(asked): Asked) -> Response {
    let now = web.services.engine.now();
    let rendered = web.services.engine.view(0, WAIT, |world| {
        let name = wanted(world, &asked);
        let missing = asked.get("stream").filter(|_| name.is_none()).cloned();
        let status = if missing.is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        (status, render(&web.feeds, world, name, missing, now))
    });
    match rendered.await {
        Ok((status, html)) => {
            let headers = [
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::REFERRER_POLICY, "no-referrer"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (status, headers, Html(html)).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn render(
    feeds: &Feeds,
    world: &World,
    name: Option<StreamName>,
    missing: Option<String>,
    now: takt_domain::Time,
) -> String {
    let streams = world.streams.iter().map(|(name, view)| {
        (name.clone(), view.state.title.as_deref().unwrap_or_default().to_owned())
    });
    let streams = streams.collect();
    let board = |name: &StreamName| world.streams.get(name)?.boards.get(&BoardId::main());
    let Some((name, board)) = name.and_then(|name| Some((name.clone(), board(&name)?))) else {
        return page(&Page { streams, current: None, missing }).into_string();
    };
    let view = world.streams.get(&name);
    let feed = feeds.of(&name);
    let mut known = feed.known();
    known.refresh(world, &name, board);
    let current = Current {
        title: view.and_then(|it| it.state.title.as_deref()).unwrap_or_default().to_owned(),
        board: board_newest(board, now, DONE_SHOWN),
        figures: Figures { open: patch::open(board), lead_time: known.lead_time.clone() },
        usual: &known.usual,
        alerts: view
            .into_iter()
            .flat_map(|it| it.alerts.open())
            .map(|(id, it)| (id.clone(), it))
            .collect(),
        now,
        seq: world.seq,
        name,
    };
    page(&Page { streams, current: Some(current), missing }).into_string()
}

/// What has changed on a board since the sequence that the browser names.
async fn updates(
    State(web): State<Web>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> impl IntoResponse {
    let (sender, receiver) = mpsc::channel(16);
    let known = web.services.engine.view(0, WAIT, |world| wanted(world, &asked)).await;
    let (stopping, tasks) = (web.services.stopping.clone(), &web.services.tasks);
    match (asked.get("stream"), known) {
        (Some(_), Ok(Some(name))) => {
            let last = headers.get("last-event-id").and_then(|it| it.to_str().ok()?.parse().ok());
            let from = last.or_else(|| asked.get("from").and_then(|it| it.parse().ok()));
            let head = web.services.engine.progress().0;
            let feed = web.feeds.of(&name);
            let (missed, updates) = feed.subscribe(from, head);
            tasks.spawn(stopping.run_until_cancelled_owned(forward(missed, updates, sender)));
        }
        // There is no board to follow yet, so the page waits for one.
        (Some(_) | None, _) => {
            let changes = web.services.engine.changes();
            tasks.spawn(stopping.run_until_cancelled_owned(first_stream(changes, sender)));
        }
    }
    let events = Sse::new(ReceiverStream::new(receiver));
    ([("x-accel-buffering", "no")], events.keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn event(update: &Update) -> Event {
    let event = Event::default().id(update.seq.to_string());
    match &update.patch {
        Some(json) => event.event("patch").data(json),
        None => event.event("reset").data("board"),
    }
}

async fn forward(
    missed: Vec<Arc<Update>>,
    mut updates: tokio::sync::broadcast::Receiver<Arc<Update>>,
    sender: Sender,
) {
    if sender.send(Ok(Event::default().retry(RETRY))).await.is_err() {
        return;
    }
    for update in missed {
        if sender.send(Ok(event(&update))).await.is_err() {
            return;
        }
    }
    loop {
        let update = tokio::select! {
            update = updates.recv() => update,
            () = sender.closed() => return,
        };
        let event = match update {
            Ok(update) => event(&update),
            // A page that was too slow has missed updates, so it needs to look again.
            Err(RecvError::Lagged(_)) => Event::default().event("reset").data("board"),
            Err(RecvError::Closed) => return,
        };
        if sender.send(Ok(event)).await.is_err() {
            return;
        }
    }
}

/// Tells a page without a board that a value stream has been made.
async fn first_stream(
    mut changes: tokio::sync::broadcast::Receiver<Arc<takt_domain::Recorded>>,
    sender: Sender,
) {
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = sender.closed() => return,
        };
        let is_news = match change {
            Ok(change) => matches!(change.event, LogEvent::Stream(_)),
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) => return,
        };
        let news = Event::default().event("reset").data("streams");
        if is_news && sender.send(Ok(news)).await.is_err() {
            return;
        }
    }
}
