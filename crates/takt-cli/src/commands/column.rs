//! `takt column`: columns and their limits.

use clap::{Args, Subcommand};
use serde_json::json;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{SetColumnRequest, WipLimit};

use super::{Context, time};
use crate::exit::Failure;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a column, or change what is given of it.
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The column.
    name: String,
    /// What work in it is.
    #[arg(long, value_parser = ["queue", "active", "done"])]
    kind: Option<String>,
    /// Its place on the board.
    #[arg(long, allow_negative_numbers = true)]
    order: Option<i32>,
    /// How many cards it has room for.
    #[arg(long)]
    wip_limit: Option<u32>,
    /// What happens at the limit.
    #[arg(long, value_parser = ["off", "soft", "hard"], requires = "wip_limit")]
    wip_policy: Option<String>,
    /// How long a card may stay, such as `2d` or `1h30m`; `0s` takes the limit away.
    #[arg(long)]
    time_limit: Option<String>,
    /// The stage of the line that it stands for; empty takes it away.
    #[arg(long)]
    stage: Option<String>,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::Set(set) = verb;
    let wip_limit = set
        .wip_limit
        .map(|cards| WipLimit { cards, policy: set.wip_policy.clone().unwrap_or_default() });
    let request = SetColumnRequest {
        stream: context.stream.clone(),
        board: context.board.clone(),
        column: set.name.clone(),
        kind: set.kind,
        order: set.order,
        wip_limit,
        time_limit: set.time_limit.as_deref().map(time::span).transpose()?,
        stage: set.stage,
        expected_version: None,
        idempotency_key: context.key.clone(),
        actor: context.actor.clone(),
    };
    let mut client = BoardServiceClient::new(context.channel.clone());
    let receipt = client.set_column(request).await?.into_inner();
    show(context.output, &json!({"column": set.name, "sequence": receipt.sequence})).map(|()| 0)
}
