//! `takt log`: the log itself.

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::VerifyLogRequest;
use takt_proto::v1::admin_service_client::AdminServiceClient;

use super::Context;
use crate::exit::{Failure, VERDICT};
use crate::output::page::Mark;
use crate::output::{one, plain};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Whether every entry is whole; exits with 1 if not
    Verify,
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    entries: u64,
    damaged: Option<u64>,
    message: String,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let Verb::Verify = verb;
    let mut client = AdminServiceClient::new(context.wire.clone());
    let it = client.verify_log(VerifyLogRequest::default()).await?.into_inner();
    let data = Verdict { ok: it.ok, entries: it.entries, damaged: it.damaged, message: it.message };
    one(context.output, &data, |_| data.text())?;
    Ok(if it.ok { 0 } else { VERDICT })
}

impl Verdict {
    fn text(&self) -> String {
        let (entries, message) = (self.entries, plain(&self.message));
        match self.damaged {
            None => format!(
                "{}\n  {message}\n",
                Mark::Good.on(format!("all {entries} entries are whole"))
            ),
            Some(damaged) => {
                let bad = Mark::Bad.on(format!("entry {damaged} is DAMAGED"));
                format!("{bad}: {message}\n  the {entries} entries before it are whole\n")
            }
        }
    }
}
