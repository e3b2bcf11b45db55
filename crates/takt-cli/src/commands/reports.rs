//! `takt change` and `takt deploy`: what services have reported, the latest first.

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::change_service_client::ChangeServiceClient;
use takt_proto::v1::deployment_service_client::DeploymentServiceClient;
use takt_proto::v1::{Change, Deployment, ListChangesRequest, ListDeploymentsRequest};

use super::{Context, stamp};
use crate::exit::Failure;
use crate::output::human::{ago, span};
use crate::output::many;
use crate::output::page::{Mark, Page};
use crate::output::table::{Cell, Table};
use crate::wire::MAX_MESSAGE;

#[derive(Debug, Subcommand)]
pub(super) enum ChangeVerb {
    /// Changes that were integrated, with their size; the latest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DeployVerb {
    /// Deployments, as services report them; the latest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

#[derive(Serialize)]
struct ChangeRow {
    change: String,
    commits: Vec<String>,
    authored_at: Option<String>,
    merged_at: Option<String>,
    files: Option<u32>,
    lines: Option<u32>,
    cards: Vec<String>,
}

impl From<&Change> for ChangeRow {
    fn from(it: &Change) -> Self {
        Self {
            change: it.change.clone(),
            commits: it.commits.clone(),
            authored_at: stamp(it.authored_at.as_ref()),
            merged_at: stamp(it.merged_at.as_ref()),
            files: it.files,
            lines: it.lines,
            cards: it.cards.clone(),
        }
    }
}

#[derive(Serialize)]
struct DeploymentRow {
    deployment: String,
    environment: String,
    class: String,
    service: String,
    artifact: String,
    commit: String,
    changes: Vec<String>,
    outcome: String,
    rollback: bool,
    time: Option<String>,
}

impl From<&Deployment> for DeploymentRow {
    fn from(it: &Deployment) -> Self {
        Self {
            deployment: it.deployment.clone(),
            environment: it.environment.clone(),
            class: it.class.clone(),
            service: it.service.clone(),
            artifact: it.artifact.clone(),
            commit: it.commit.clone(),
            changes: it.changes.clone(),
            outcome: it.outcome.clone(),
            rollback: it.rollback,
            time: stamp(it.time.as_ref()),
        }
    }
}

pub(super) async fn changes(context: &Context, verb: ChangeVerb) -> Result<u8, Failure> {
    let ChangeVerb::List { limit } = verb;
    let request = ListChangesRequest { stream: context.stream()?, limit, min_sequence: 0 };
    let client = ChangeServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let changes = client.list_changes(request).await?.into_inner().changes;
    let rows: Vec<ChangeRow> = changes.iter().map(ChangeRow::from).collect();
    let nothing = "no changes yet; report one with `takt publish FILE` \
                   (`dev.takt.report.change.v1`)";
    many(context.output, &rows, nothing, |page| change_table(&changes, page)).map(|()| 0)
}

fn change_table(changes: &[Change], page: &Page) -> String {
    let heads = ["change", "merged", "took", "files", "lines", "commits", "cards"];
    let mut table = Table::new(&heads);
    for it in changes {
        let (from, to) = (it.authored_at.as_ref(), it.merged_at.as_ref());
        let took = from.zip(to).map(|(from, to)| span(to.seconds.saturating_sub(from.seconds)));
        let number = |value: Option<u32>| match value {
            Some(value) => Cell::number(u64::from(value)),
            None => Cell::default(),
        };
        table.row([
            (&it.change).into(),
            to.map(|at| ago(page.now.saturating_sub(at.seconds))).unwrap_or_default().into(),
            took.unwrap_or_default().into(),
            number(it.files),
            number(it.lines),
            Cell::number(u64::try_from(it.commits.len()).unwrap_or(u64::MAX)),
            it.cards.join(", ").into(),
        ]);
    }
    table.text(page)
}

pub(super) async fn deployments(context: &Context, verb: DeployVerb) -> Result<u8, Failure> {
    let DeployVerb::List { limit } = verb;
    let request = ListDeploymentsRequest { stream: context.stream()?, limit, min_sequence: 0 };
    let client = DeploymentServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let deployments = client.list_deployments(request).await?.into_inner().deployments;
    let rows: Vec<DeploymentRow> = deployments.iter().map(DeploymentRow::from).collect();
    let nothing = "no deployments yet; report one with `takt publish FILE` \
                   (`dev.takt.report.deployment.v1`)";
    many(context.output, &rows, nothing, |page| deployment_table(&deployments, page)).map(|()| 0)
}

fn deployment_table(deployments: &[Deployment], page: &Page) -> String {
    let heads = ["when", "environment", "claims", "outcome", "service", "artifact", "deployment"];
    let mut table = Table::new(&heads);
    for it in deployments {
        let when = it.time.as_ref().map(|at| ago(page.now.saturating_sub(at.seconds)));
        let (mark, outcome) = match it.outcome.as_str() {
            "" => (Mark::Dim, "running"),
            "success" => (Mark::Good, "success"),
            other => (Mark::Bad, other),
        };
        let kind = if it.rollback { ", rollback" } else { "" };
        table.row([
            when.unwrap_or_default().into(),
            (&it.environment).into(),
            // An environment that is only reported claims its class.
            (&it.class).into(),
            Cell::marked(mark, format!("{outcome}{kind}")),
            (&it.service).into(),
            (if it.artifact.is_empty() { &it.commit } else { &it.artifact }).into(),
            (&it.deployment).into(),
        ]);
    }
    table.text(page)
}
