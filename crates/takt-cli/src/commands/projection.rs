//! `takt projection`: the state that queries see.

use clap::Subcommand;
use serde_json::json;
use takt_proto::v1::admin_service_client::AdminServiceClient;
use takt_proto::v1::{ProjectionStatusRequest, VerifyProjectionRequest};

use super::Context;
use crate::exit::{Failure, VERDICT};
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// How far it has come, and its hash.
    Status,
    /// Whether it is the one that a rebuild gives; exits with 1 if not.
    Verify,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = AdminServiceClient::new(context.channel.clone());
    match verb {
        Verb::Status => {
            let it =
                client.projection_status(ProjectionStatusRequest::default()).await?.into_inner();
            let data = json!({"head": it.head, "applied": it.applied,
                "checkpoint": it.checkpoint, "hash": it.hash});
            show(context.output, &data).map(|()| 0)
        }
        Verb::Verify => {
            let it =
                client.verify_projection(VerifyProjectionRequest::default()).await?.into_inner();
            let data = json!({"ok": it.ok, "sequence": it.sequence, "live_hash": it.live_hash,
                "rebuild_hash": it.rebuild_hash});
            show(context.output, &data)?;
            Ok(if it.ok { 0 } else { VERDICT })
        }
    }
}
