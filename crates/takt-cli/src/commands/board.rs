//! `takt board`: the board as a whole.

use clap::Subcommand;
use serde_json::{Value, json};
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{Column, GetBoardRequest};

use super::{Context, card};
use crate::exit::Failure;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Its columns with their limits, and its cards.
    Show,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::Show = verb;
    let request = GetBoardRequest {
        stream: context.stream.clone(),
        board: context.board.clone(),
        min_sequence: 0,
    };
    let client = BoardServiceClient::new(context.channel.clone());
    let mut client = client.max_decoding_message_size(usize::MAX);
    let it = client.get_board(request).await?.into_inner();
    let data = json!({
        "stream": it.stream, "board": it.board, "sequence": it.sequence,
        "columns": it.columns.iter().map(column).collect::<Value>(),
        "cards": it.cards.iter().map(card::row).collect::<Value>(),
        "open_omitted": it.open_omitted, "done_omitted": it.done_omitted,
    });
    show(context.output, &data).map(|()| 0)
}

fn column(it: &Column) -> Value {
    let limit = it.wip_limit.as_ref();
    json!({
        "column": it.column, "kind": it.kind, "count": it.count, "over_limit": it.over_limit,
        "wip_limit": limit.map(|limit| limit.cards), "wip_policy": limit.map(|limit| &limit.policy),
        "time_limit": it.time_limit.as_ref().map(ToString::to_string), "stage": it.stage,
        "unplanned": it.unplanned,
    })
}
