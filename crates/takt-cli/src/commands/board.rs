//! `takt board`: the board as a whole.

mod text;

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{CheckRequest, Column, GetBoardRequest};

use super::{Context, card, stamp};
use crate::exit::Failure;
use crate::output::{Format, one};
use crate::wire::MAX_MESSAGE;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Its columns with their limits, and the cards in them
    #[command(after_help = "Examples:\n  \
        takt board show --stream shop\n  \
        takt board show -o json | jq '.columns[] | {column, count}'")]
    Show {
        /// How many cards of each column a terminal is shown; 0 shows all
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
}

/// The board as programs read it.
#[derive(Serialize)]
struct Whole {
    stream: String,
    board: String,
    columns: Vec<Row>,
    cards: Vec<card::Row>,
    open_omitted: u64,
    done_omitted: u64,
    sequence: u64,
}

#[derive(Serialize)]
struct Row {
    column: String,
    kind: String,
    count: u32,
    wip_limit: Option<u32>,
    wip_policy: Option<String>,
    over_limit: bool,
    time_limit: Option<String>,
    stage: String,
    unplanned: bool,
}

impl From<&Column> for Row {
    fn from(it: &Column) -> Self {
        let limit = it.wip_limit.as_ref();
        Self {
            column: it.column.clone(),
            kind: it.kind.clone(),
            count: it.count,
            wip_limit: limit.map(|limit| limit.cards),
            wip_policy: limit.map(|limit| limit.policy.clone()),
            over_limit: it.over_limit,
            time_limit: stamp(it.time_limit.as_ref()),
            stage: it.stage.clone(),
            unplanned: it.unplanned,
        }
    }
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::Show { limit } = verb;
    let stream = context.stream()?;
    let request =
        GetBoardRequest { stream: stream.clone(), board: context.board.clone(), min_sequence: 0 };
    let client = BoardServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let it = client.get_board(request).await?.into_inner();
    let data = Whole {
        stream: it.stream.clone(),
        board: it.board.clone(),
        columns: it.columns.iter().map(Row::from).collect(),
        cards: it.cards.iter().map(card::Row::from).collect(),
        open_omitted: it.open_omitted,
        done_omitted: it.done_omitted,
        sequence: it.sequence,
    };
    let stops = if context.output == Format::Table { stops(context, stream).await? } else { 0 };
    one(context.output, &data, |page| text::board(&it, stops, limit, page)).map(|()| 0)
}

/// How many alerts stop the line.
async fn stops(context: &Context, stream: String) -> Result<usize, Failure> {
    let request = CheckRequest { stream, ..CheckRequest::default() };
    let mut client = AndonServiceClient::new(context.wire.clone());
    Ok(client.check(request).await?.into_inner().alerts.len())
}
