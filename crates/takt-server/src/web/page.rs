//! The whole page: head, navigation between value streams, and the board of the current one.

use maud::{DOCTYPE, Markup, html};
use takt_domain::{AlertId, StreamName, Time};
use takt_projections::{AlertRecord, BoardView, LeadTime};

use super::parts;
use super::span::human_seconds;

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub struct Page<'a> {
    /// Every value stream, with its title; the title may be empty.
    pub streams: Vec<(StreamName, String)>,
    /// The one whose board is shown, if one is chosen.
    pub current: Option<Current<'a>>,
}

/// The value stream whose board is shown.
#[derive(Clone, Debug)]
pub struct Current<'a> {
    /// Its name.
    pub name: StreamName,
    /// Its title; may be empty.
    pub title: String,
    /// Its board as of `now`.
    pub board: BoardView,
    /// How long its work takes.
    pub lead_time: LeadTime,
    /// Its open alerts.
    pub alerts: Vec<(AlertId, &'a AlertRecord)>,
    /// The instant the page is about.
    pub now: Time,
}

/// The page as HTML: the same for the same view, and useful without its script.
pub fn page(view: &Page<'_>) -> Markup {
    let current = view.current.as_ref();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { @if let Some(it) = current { (label(&it.name, &it.title)) " · " } "Takt" }
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/board.js" defer {}
            }
            body {
                a.skip href="#board" { "Skip to the board" }
                header.top {
                    a.brand href="/" { "Takt" }
                    (streams(view))
                }
                p #live.quiet role="status" aria-live="polite" {}
                main #board data-stream=[current.map(|it| it.name.as_str())] tabindex="-1" {
                    @match current {
                        Some(it) => (stream(it)),
                        None => (choose(view)),
                    }
                }
            }
        }
    }
}

fn label<'t>(name: &'t StreamName, title: &'t str) -> &'t str {
    if title.is_empty() { name.as_str() } else { title }
}

/// The address of a stream's board; every byte that means something in a query is escaped.
fn address(name: &StreamName) -> String {
    let mut address = "/?stream=".to_owned();
    for byte in name.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address
}

fn streams(view: &Page<'_>) -> Markup {
    let current = view.current.as_ref().map(|it| &it.name);
    html! {
        @if !view.streams.is_empty() {
            nav aria-label="Value streams" {
                ul {
                    @for (name, title) in &view.streams {
                        @let here = (current == Some(name)).then_some("page");
                        li { a href=(address(name)) aria-current=[here] { (label(name, title)) } }
                    }
                }
            }
        }
    }
}

fn choose(view: &Page<'_>) -> Markup {
    html! {
        @if view.streams.is_empty() {
            (parts::empty("There is no value stream yet.", "takt stream create NAME"))
        } @else {
            p.empty { "Choose a value stream above." }
        }
    }
}

fn stream(current: &Current<'_>) -> Markup {
    html! {
        div.title {
            h1 {
                (label(&current.name, &current.title))
                @if !current.title.is_empty() { " " small { (current.name) } }
            }
            (lead_time(&current.lead_time))
        }
        (parts::andon(&current.alerts, current.now))
        (parts::board(&current.board))
    }
}

fn lead_time(lead_time: &LeadTime) -> Markup {
    html! {
        dl.lead aria-label="Lead time" {
            dt { "Lead time" }
            @match (lead_time.p50, lead_time.p85) {
                (Some(p50), Some(p85)) => {
                    dd { "p50 " strong { (human_seconds(p50)) } }
                    dd { "p85 " strong { (human_seconds(p85)) } }
                }
                _ => dd { "no finished cards yet" },
            }
        }
    }
}
