//! `takt column`: columns and their limits.

use clap::{Args, Subcommand};
use serde::Serialize;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{SetColumnRequest, WipLimit};

use super::{Context, time};
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a column, or change what is given of it
    #[command(after_help = "Examples:\n  \
        takt column set Doing --kind active --wip-limit 3\n  \
        takt column set Review --wip-limit 2 --wip-policy soft --time-limit 2d\n  \
        takt column set Done --kind done\n\n\
        `takt board show` shows the columns with their limits.")]
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The column
    name: String,
    /// What work in it is
    #[arg(long, value_parser = ["queue", "active", "done"])]
    kind: Option<String>,
    /// Its place on the board
    #[arg(long, allow_negative_numbers = true)]
    order: Option<i32>,
    /// How many cards it has room for
    #[arg(long, value_name = "CARDS")]
    wip_limit: Option<u32>,
    /// What happens at the limit: `hard` refuses, `soft` warns, `off` does nothing; `hard` if
    /// absent
    #[arg(long, value_parser = ["off", "soft", "hard"], requires = "wip_limit")]
    wip_policy: Option<String>,
    /// How long a card may stay, such as `2d` or `1h30m`; `0s` takes the limit away
    #[arg(long, value_name = "SPAN")]
    time_limit: Option<String>,
    /// The stage of the line that it stands for; empty takes it away
    #[arg(long)]
    stage: Option<String>,
}

#[derive(Serialize)]
struct Named {
    column: String,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::Set(set) = verb;
    let wip_limit = set
        .wip_limit
        .map(|cards| WipLimit { cards, policy: set.wip_policy.clone().unwrap_or_default() });
    let request = SetColumnRequest {
        stream: context.stream()?,
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
    let mut client = BoardServiceClient::new(context.wire.clone());
    let done = client.set_column(request).await?.into_inner();
    let sentence = format!("column `{}` is set", set.name);
    context.did(Named { column: set.name }, &done, &sentence).map(|()| 0)
}
