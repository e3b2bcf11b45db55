//! `takt log`: the log itself.

use clap::Subcommand;
use serde_json::json;
use takt_proto::v1::VerifyLogRequest;
use takt_proto::v1::admin_service_client::AdminServiceClient;

use super::Context;
use crate::exit::{Failure, VERDICT};
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Whether every entry is whole; exits with 1 if not.
    Verify,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::Verify = verb;
    let mut client = AdminServiceClient::new(context.channel.clone());
    let it = client.verify_log(VerifyLogRequest::default()).await?.into_inner();
    let data = json!({"ok": it.ok, "entries": it.entries, "damaged": it.damaged,
        "message": it.message});
    show(context.output, &data)?;
    Ok(if it.ok { 0 } else { VERDICT })
}
