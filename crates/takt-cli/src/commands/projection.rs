//! `takt projection`: the state that queries see.

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::admin_service_client::AdminServiceClient;
use takt_proto::v1::{
    NodeProjection, ProjectionStatusRequest, ProjectionStatusResponse, RebuildProjectionRequest,
    VerifyProjectionRequest,
};

use super::Context;
use crate::exit::{Failure, VERDICT};
use crate::output::page::Mark;
use crate::output::table::Sheet;
use crate::output::{one, plain};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// How far it has come, and its hash
    Status,
    /// Fold the whole log anew
    Rebuild,
    /// Whether it is the one that a rebuild gives; exits with 1 if not
    Verify,
}

#[derive(Serialize)]
struct State {
    head: u64,
    applied: u64,
    checkpoint: u64,
    hash: String,
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    sequence: u64,
    live_hash: String,
    rebuild_hash: String,
    /// Every node on the log that answered, each at its own sequence, and those that should have.
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    node: String,
    ok: bool,
    sequence: u64,
    live_hash: String,
    rebuild_hash: String,
}

impl From<NodeProjection> for Node {
    fn from(it: NodeProjection) -> Self {
        Self {
            ok: !it.live_hash.is_empty() && it.live_hash == it.rebuild_hash,
            node: it.node,
            sequence: it.sequence,
            live_hash: it.live_hash,
            rebuild_hash: it.rebuild_hash,
        }
    }
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = AdminServiceClient::new(context.wire.clone());
    match verb {
        Verb::Status => {
            let it =
                client.projection_status(ProjectionStatusRequest::default()).await?.into_inner();
            show(context, "projection", it)
        }
        Verb::Rebuild => {
            let request = RebuildProjectionRequest { actor: context.actor.clone() };
            let it = client.rebuild_projection(request).await?.into_inner();
            show(context, "projection, folded anew", it)
        }
        Verb::Verify => {
            let it =
                client.verify_projection(VerifyProjectionRequest::default()).await?.into_inner();
            let data = Verdict {
                ok: it.ok,
                sequence: it.sequence,
                live_hash: it.live_hash,
                rebuild_hash: it.rebuild_hash,
                nodes: it.nodes.into_iter().map(Node::from).collect(),
            };
            one(context.output, &data, |_| data.text())?;
            Ok(if it.ok { 0 } else { VERDICT })
        }
    }
}

fn show(context: &Context, title: &str, it: ProjectionStatusResponse) -> Result<u8, Failure> {
    let data =
        State { head: it.head, applied: it.applied, checkpoint: it.checkpoint, hash: it.hash };
    one(context.output, &data, |_| data.text(title)).map(|()| 0)
}

impl State {
    fn text(&self, title: &str) -> String {
        let mut sheet = Sheet::new(title);
        sheet.line("log", format!("{} events", self.head));
        let behind = |at: u64| match self.head.saturating_sub(at) {
            0 => format!("{at}, up to date"),
            behind => format!("{at}, {behind} behind"),
        };
        sheet.line("seen", behind(self.applied));
        sheet.line("saved", behind(self.checkpoint));
        sheet.line("hash", &self.hash);
        sheet.text()
    }
}

impl Verdict {
    fn text(&self) -> String {
        let own = Judged {
            ok: self.live_hash == self.rebuild_hash,
            sequence: self.sequence,
            live: &self.live_hash,
            rebuilt: &self.rebuild_hash,
        };
        if self.nodes.is_empty() {
            return own.text("the projection");
        }
        let judged = |it: &Node| {
            if it.live_hash.is_empty() {
                return unanswered(&it.node);
            }
            let (live, rebuilt) = (it.live_hash.as_str(), it.rebuild_hash.as_str());
            let judged = Judged { ok: it.ok, sequence: it.sequence, live, rebuilt };
            judged.text(&format!("the projection of node {}", plain(&it.node)))
        };
        self.nodes.iter().map(judged).collect()
    }
}

fn unanswered(node: &str) -> String {
    let bad = Mark::Bad.on(format!("node {} did not answer", plain(node)));
    format!("{bad}\n  do: look whether it runs; its leases end by themselves if not\n")
}

struct Judged<'a> {
    ok: bool,
    sequence: u64,
    live: &'a str,
    rebuilt: &'a str,
}

impl Judged<'_> {
    fn text(&self, what: &str) -> String {
        let Self { ok, sequence, live, rebuilt } = self;
        if *ok {
            let good = Mark::Good.on(format!("{what} is what the log gives"));
            return format!("{good}, up to sequence {sequence}\n");
        }
        let bad = Mark::Bad.on(format!("{what} is NOT what the log gives"));
        format!("{bad}\n  live     {live}\n  rebuilt  {rebuilt}\n  do: takt projection rebuild\n")
    }
}
