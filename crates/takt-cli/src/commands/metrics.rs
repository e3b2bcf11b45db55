//! `takt metrics`: flow metrics.

use clap::Subcommand;
use serde_json::json;
use takt_proto::v1::GetLeadTimeRequest;
use takt_proto::v1::metrics_service_client::MetricsServiceClient;

use super::{Context, time};
use crate::exit::Failure;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// From a card's first appearance to its entry into done.
    LeadTime {
        /// Only cards done at or after this time.
        #[arg(long)]
        since: Option<String>,
        /// Only cards done before this time.
        #[arg(long)]
        until: Option<String>,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::LeadTime { since, until } = verb;
    let request = GetLeadTimeRequest {
        stream: context.stream.clone(),
        board: context.board.clone(),
        since: since.as_deref().map(time::time).transpose()?,
        until: until.as_deref().map(time::time).transpose()?,
        min_sequence: 0,
    };
    let mut client = MetricsServiceClient::new(context.channel.clone());
    let it = client.get_lead_time(request).await?.into_inner();
    let quality: std::collections::BTreeMap<_, _> = it.quality.into_iter().collect();
    let data = json!({
        "stream": it.stream, "completed": it.completed, "reopened": it.reopened,
        "reopened_open": it.reopened_open, "open": it.open, "unit": "seconds",
        "p50": it.p50, "p85": it.p85, "p95": it.p95, "mean": it.mean, "quality": quality,
    });
    show(context.output, &data).map(|()| 0)
}
