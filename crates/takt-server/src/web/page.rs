//! The whole page: head, navigation between value streams, and the board of the current one.

use maud::{DOCTYPE, Markup, html};
use takt_domain::board::ColumnKind;
use takt_domain::{AlertId, ColumnName, StreamName, Time};
use takt_projections::{AlertRecord, BoardView, CardView, ColumnView, LeadTime, UsualStay};

use super::andon::{andon, quoted};
use super::card::Sign;
use super::column::column;
use super::span::human_seconds;

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub struct Page<'a> {
    /// Every value stream, with its title; the title may be empty.
    pub streams: Vec<(StreamName, String)>,
    /// The one whose board is shown, if one is chosen.
    pub current: Option<Current<'a>>,
    /// A stream that was asked for and is not there.
    pub missing: Option<String>,
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
    pub figures: Figures,
    /// How long cards usually stay in each column.
    pub usual: &'a std::collections::BTreeMap<ColumnName, UsualStay>,
    /// Its open alerts.
    pub alerts: Vec<(AlertId, &'a AlertRecord)>,
    /// The instant the page is about.
    pub now: Time,
    /// The log's sequence that the page is about; live updates go on from there.
    pub seq: u64,
}

/// The figures above the board.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Cards in columns that are not done.
    pub open: u64,
    /// How long finished work took.
    pub lead_time: LeadTime,
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
                title { (heading(view)) " · Takt" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/board.js" defer {}
            }
            body {
                a.skip href="#board" { "Skip to the board" }
                header.top {
                    a.brand href="/" {
                        img src="/assets/icon.svg" alt="" width="24" height="24";
                        "Takt"
                    }
                    (streams(view))
                    div.live hidden {
                        span #status.status {}
                        button #pause type="button" { "Pause" }
                    }
                }
                p #live.unseen role="status" aria-live="polite" {}
                main #board tabindex="-1" data-stream=[current.map(|it| it.name.as_str())]
                    data-seq=[current.map(|it| it.seq)]
                    data-now=[current.map(|it| it.now.micros() / 1_000)] {
                    @match current {
                        Some(it) => (stream(it)),
                        None => (choose(view)),
                    }
                }
            }
        }
    }
}

fn heading<'a>(view: &'a Page<'_>) -> &'a str {
    match (&view.current, &view.missing) {
        (Some(it), _) => label(&it.name, &it.title),
        (None, Some(_)) => "Not found",
        (None, None) => "Value streams",
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
        h1 { (heading(view)) }
        @if let Some(name) = &view.missing {
            (empty(
                &format!("There is no value stream `{name}`."),
                &format!("takt stream create {}", quoted(name)),
            ))
        }
        @if view.streams.is_empty() && view.missing.is_none() {
            (empty("There is no value stream yet.", "takt stream create NAME"))
        }
        @if !view.streams.is_empty() { p { "Choose a value stream above." } }
    }
}

/// A place with nothing in it, and the command that puts something there.
fn empty(what: &str, command: &str) -> Markup {
    html! {
        div #empty.empty {
            p { (super::prose(what)) }
            p { "Make it with " code { (command) } "; this page shows it by itself." }
        }
    }
}

fn stream(current: &Current<'_>) -> Markup {
    let board = &current.board;
    let name = quoted(current.name.as_str());
    let sign = |column: &ColumnView, card: &CardView| {
        if column.kind == Some(ColumnKind::Done) {
            return Sign::Usual;
        }
        Sign::of(card.age, column.time_limit, current.usual.get(&column.name))
    };
    html! {
        div.title {
            h1 { (label(&current.name, &current.title)) }
            dl #figures { (figures(&current.figures)) }
        }
        section #andon aria-label="Andon" {
            (andon(&current.name, &current.alerts, current.now))
        }
        @if board.columns.is_empty() {
            (empty(
                "This board has no columns yet.",
                &format!("takt column set --stream {name} COLUMN"),
            ))
        } @else {
            @if board.columns.iter().all(|column| column.count == 0) {
                (empty(
                    "This board has no cards yet.",
                    &format!("takt card add --stream {name} TITLE"),
                ))
            }
            div.columns role="region" aria-label="Columns" tabindex="0" {
                @for it in &board.columns { (column(it, sign, current.now)) }
            }
        }
    }
}

/// How much is on its way and how long finished work took.
pub fn figures(figures: &Figures) -> Markup {
    let lead = &figures.lead_time;
    html! {
        div { dt { "In work" } dd { strong { (figures.open) } " cards" } }
        @match (lead.p50, lead.p85) {
            (Some(p50), Some(p85)) => {
                div { dt { "Lead time p50" } dd { strong { (human_seconds(p50)) } } }
                div { dt { "Lead time p85" } dd { strong { (human_seconds(p85)) } } }
                div { dt { "Finished" } dd { strong { (lead.completed) } " cards" } }
            }
            _ => div { dt { "Lead time" } dd { "no finished cards yet" } },
        }
    }
}
