//! The board page over HTTP: the page, its assets, and the events that keep it fresh.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use takt_domain::{BoardId, StreamName};
use takt_projections::{Window, World, board_view, lead_time};
use tokio::sync::broadcast::error::RecvError;

use crate::grpc::Services;
use crate::web::{Current, Page, SCRIPT, STYLE, page};

/// The page and what it loads; nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";
/// How long the page waits for the read side.
const WAIT: Duration = Duration::from_secs(5);

type Asked = Query<HashMap<String, String>>;

/// The routes of the web board.
pub(crate) fn routes(services: Services) -> Router {
    let asset = |kind: &'static str, text: &'static str| {
        get(move || async move {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text)
        })
    };
    Router::new()
        .route("/", get(board))
        .route("/sse", get(changes))
        .route("/assets/style.css", asset("text/css; charset=utf-8", STYLE))
        .route("/assets/board.js", asset("text/javascript; charset=utf-8", SCRIPT))
        .with_state(services)
}

/// The stream that is asked for, or the first.
fn wanted(world: &World, asked: &HashMap<String, String>) -> Option<StreamName> {
    match asked.get("stream") {
        Some(name) => world.streams.get_key_value(name.as_str()).map(|(name, _)| name.clone()),
        None => world.streams.keys().next().cloned(),
    }
}

async fn board(State(services): State<Services>, Query(asked): Asked) -> Response {
    let now = services.engine.now();
    let rendered = services.engine.view(0, WAIT, |world| {
        let name = wanted(world, &asked);
        let missing = name.is_none() && asked.contains_key("stream");
        (render(world, name, now), missing)
    });
    match rendered.await {
        Ok((html, missing)) => {
            let status = if missing { StatusCode::NOT_FOUND } else { StatusCode::OK };
            let headers = [
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (status, headers, Html(html)).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn render(world: &World, name: Option<StreamName>, now: takt_domain::Time) -> String {
    let streams = world.streams.iter().map(|(name, view)| {
        (name.clone(), view.state.title.as_deref().unwrap_or_default().to_owned())
    });
    let current = name.and_then(|name| {
        let view = world.streams.get(&name)?;
        let board = view.boards.get(&BoardId::main())?;
        Some(Current {
            title: view.state.title.as_deref().unwrap_or_default().to_owned(),
            board: board_view(board, now),
            lead_time: lead_time(board, Window::default()),
            alerts: view.alerts.open().map(|(id, alert)| (id.clone(), alert)).collect(),
            now,
            name,
        })
    });
    page(&Page { streams: streams.collect(), current }).into_string()
}

/// Tells that a stream has changed, with the log's sequence as the event's id.
async fn changes(State(services): State<Services>, Query(asked): Asked) -> impl IntoResponse {
    let stream = asked.get("stream").cloned().unwrap_or_default();
    let mut changes = services.engine.changes();
    let stopping = services.stopping;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Event, Infallible>>(16);
    tokio::spawn(stopping.run_until_cancelled_owned(async move {
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = sender.closed() => return,
            };
            let id = match change {
                Ok(change) if change.stream.as_str() != stream => continue,
                Ok(change) => change.seq.to_string(),
                // A page that was too slow has missed changes, so it needs to look again.
                Err(RecvError::Lagged(_)) => String::new(),
                Err(RecvError::Closed) => return,
            };
            if sender
                .send(Ok(Event::default().event("changed").id(id).data("board")))
                .await
                .is_err()
            {
                return;
            }
        }
    }));
    let events = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
