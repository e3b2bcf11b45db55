//! `takt metrics`: flow metrics.

use clap::Subcommand;
use serde_json::json;
use takt_proto::v1::GetLeadTimeRequest;
use takt_proto::v1::metrics_service_client::MetricsServiceClient;

use super::Context;
use crate::exit::Failure;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// From a card's first appearance to its entry into done.
    LeadTime,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::LeadTime = verb;
    let request =
        GetLeadTimeRequest { stream: context.stream.clone(), ..GetLeadTimeRequest::default() };
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
