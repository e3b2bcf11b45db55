//! `takt stream`: value streams and their policy.

mod policy;

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::stream_service_client::StreamServiceClient;
use takt_proto::v1::{CreateStreamRequest, GetStreamRequest, ListStreamsRequest, Stream};

use super::Context;
use crate::exit::Failure;
use crate::output::page::{Mark, Page};
use crate::output::table::{Cell, Sheet, Table};
use crate::output::{many, one};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a value stream with its board `main`
    #[command(after_help = "Example:\n  takt stream create shop --title 'The web shop'")]
    Create {
        /// Its name
        name: String,
        /// What people call it
        #[arg(long, default_value = "", hide_default_value = true)]
        title: String,
    },
    /// One value stream
    Show {
        /// Its name; `--stream` if absent
        name: Option<String>,
    },
    /// All value streams
    List,
    /// The rules that a value stream works by
    #[command(subcommand)]
    Policy(policy::Verb),
}

#[derive(Serialize)]
struct Row {
    stream: String,
    title: String,
    boards: Vec<String>,
    open_cards: u64,
    open_alerts: u64,
    stopped: bool,
}

impl From<&Stream> for Row {
    fn from(it: &Stream) -> Self {
        Self {
            stream: it.stream.clone(),
            title: it.title.clone(),
            boards: it.boards.clone(),
            open_cards: it.open_cards,
            open_alerts: it.open_alerts,
            stopped: it.stopped,
        }
    }
}

#[derive(Serialize)]
struct Named {
    stream: String,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = StreamServiceClient::new(context.wire.clone());
    match verb {
        Verb::Create { name, title } => {
            let request = CreateStreamRequest {
                stream: name.clone(),
                title,
                idempotency_key: context.key.clone(),
                actor: context.actor.clone(),
            };
            let done = client.create_stream(request).await?.into_inner();
            let sentence = format!("value stream `{name}` is there, with its board `main`");
            context.did(Named { stream: name }, &done, &sentence)?;
        }
        Verb::Show { name } => {
            let stream = name.map_or_else(|| context.stream(), Ok)?;
            let request = GetStreamRequest { stream, min_sequence: 0 };
            let stream = client.get_stream(request).await?.into_inner().stream.unwrap_or_default();
            one(context.output, &Row::from(&stream), |_| sheet(&stream))?;
        }
        Verb::List => {
            let answer = client.list_streams(ListStreamsRequest::default()).await?.into_inner();
            let rows: Vec<Row> = answer.streams.iter().map(Row::from).collect();
            let nothing = "no value streams yet; make one with `takt stream create NAME`";
            many(context.output, &rows, nothing, |page| table(&answer.streams, page))?;
        }
        Verb::Policy(verb) => return policy::run(context, verb).await,
    }
    Ok(0)
}

fn line(it: &Stream) -> (Mark, &'static str) {
    if it.stopped { (Mark::Bad, "STOPPED") } else { (Mark::Good, "runs") }
}

fn sheet(it: &Stream) -> String {
    let mut sheet = Sheet::new(&it.stream);
    sheet.line("title", &it.title);
    sheet.line("boards", it.boards.join(", "));
    let (mark, state) = line(it);
    sheet.marked("line", mark, state);
    sheet.line("open cards", it.open_cards.to_string());
    sheet.line("open alerts", it.open_alerts.to_string());
    sheet.text()
}

fn table(streams: &[Stream], page: &Page) -> String {
    let mut table = Table::new(&["stream", "line", "open cards", "open alerts", "title"]);
    for it in streams {
        let (mark, state) = line(it);
        table.row([
            (&it.stream).into(),
            Cell::marked(mark, state),
            Cell::number(it.open_cards),
            Cell::number(it.open_alerts),
            (&it.title).into(),
        ]);
    }
    table.text(page)
}
