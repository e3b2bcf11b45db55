//! `takt andon`: whether the line is stopped.

use clap::Subcommand;
use serde_json::json;
use takt_proto::v1::CheckRequest;
use takt_proto::v1::andon_service_client::AndonServiceClient;

use super::Context;
use crate::exit::{Failure, REFUSED};
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Exits with 4 while the line is stopped.
    Check {
        /// Only alerts about this stage.
        #[arg(long, default_value = "")]
        stage: String,
        /// The alert that this work fixes.
        #[arg(long, default_value = "")]
        fixes: String,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::Check { stage, fixes } = verb;
    let request = CheckRequest { stream: context.stream.clone(), stage, fixes, min_sequence: 0 };
    let mut client = AndonServiceClient::new(context.channel.clone());
    let answer = client.check(request).await?.into_inner();
    let alerts: Vec<_> = answer.alerts.iter().map(|one| &one.alert).collect();
    show(context.output, &json!({"stopped": answer.stopped, "alerts": alerts}))?;
    Ok(if answer.stopped { REFUSED } else { 0 })
}
