//! `takt explain`: what keeps a card from going on.

use serde_json::{Value, json};
use takt_proto::v1::GetCardRequest;
use takt_proto::v1::board_service_client::BoardServiceClient;

use super::Context;
use crate::exit::Failure;
use crate::output::show;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The card.
    card: String,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let request = GetCardRequest {
        stream: context.stream.clone(),
        board: context.board.clone(),
        card: args.card,
        min_sequence: 0,
    };
    let mut client = BoardServiceClient::new(context.channel.clone());
    let it = client.explain(request).await?.into_inner();
    let unmet = it.unmet.iter().map(|one| {
        json!({"code": one.code, "field": one.field, "message": one.message, "remedy": one.remedy})
    });
    let data = json!({
        "card": it.card, "column": it.column, "next": it.next,
        "unmet": unmet.collect::<Value>(), "sequence": it.sequence,
    });
    show(context.output, &data).map(|()| 0)
}
