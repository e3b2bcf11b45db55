//! `takt andon`: the alerts of a value stream, and whether its line is stopped.

mod text;

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::{
    AcknowledgeRequest, Alert, CheckRequest, GetAlertRequest, ListAlertsRequest, PullRequest,
    ResolveRequest, SearchAlertsRequest,
};

use super::{Context, stamp, time};
use crate::exit::{Failure, REFUSED};
use crate::output::{Done, many, one, receipt};
use crate::wire::{MAX_MESSAGE, Wire};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Open alerts
    List {
        /// Resolved ones too
        #[arg(long)]
        all: bool,
    },
    /// One alert with all that is known of it
    Show {
        /// The alert
        alert: String,
    },
    /// Pull the cord: something is wrong on the line
    #[command(after_help = "Example:\n  takt andon pull 'the checkout answers 500' --stage verify")]
    Pull {
        /// What people need to know, in a line
        summary: String,
        /// The broken stage, if known
        #[arg(long, default_value = "", hide_default_value = true)]
        stage: String,
    },
    /// Say that you look after an alert
    Ack {
        /// The alert
        alert: String,
        /// How long this holds, such as `4h`; as the policy says if absent
        #[arg(long = "for", value_name = "SPAN")]
        hold: Option<String>,
    },
    /// Say that an alert is over, what it was, and what keeps it from coming back
    #[command(after_help = "Example:\n  takt andon resolve a-1b2c3d4e --category fixed \\\n    \
        --cause 'a port was taken' --countermeasure 'the test takes a free port'")]
    Resolve(Resolve),
    /// Exits with 4 while the line is stopped, for pipelines outside
    Check {
        /// Only alerts about this stage
        #[arg(long, default_value = "", hide_default_value = true)]
        stage: String,
        /// The alert that this work fixes
        #[arg(long, default_value = "", hide_default_value = true)]
        fixes: String,
    },
    /// Past and open alerts whose summary, cause or countermeasure has all these words
    Search {
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Resolve {
    /// The alert
    alert: String,
    /// What kind of end it was
    #[arg(long, value_parser = ["fixed", "reverted", "false_alarm", "flaky", "other"])]
    category: String,
    /// What it was
    #[arg(long, default_value = "", hide_default_value = true)]
    cause: String,
    /// What keeps it from coming back
    #[arg(long, default_value = "", hide_default_value = true)]
    countermeasure: String,
}

/// An alert as programs read it.
#[derive(Serialize)]
struct Row {
    alert: String,
    effect: String,
    summary: String,
    cause_kind: String,
    cause_source: String,
    cause_id: String,
    stage: String,
    column: String,
    triggers: u32,
    escalated: bool,
    cleared: bool,
    pulled_at: Option<String>,
    acknowledged_by: String,
    acknowledged_at: Option<String>,
    acknowledged_until: Option<String>,
    resolved_by: String,
    resolved_at: Option<String>,
    category: String,
    cause: String,
    countermeasure: String,
}

impl From<&Alert> for Row {
    fn from(it: &Alert) -> Self {
        Self {
            alert: it.alert.clone(),
            effect: it.effect.clone(),
            summary: it.summary.clone(),
            cause_kind: it.cause_kind.clone(),
            cause_source: it.cause_source.clone(),
            cause_id: it.cause_id.clone(),
            stage: it.stage.clone(),
            column: it.column.clone(),
            triggers: it.triggers,
            escalated: it.escalated,
            cleared: it.cleared,
            pulled_at: stamp(it.pulled_at.as_ref()),
            acknowledged_by: it.acknowledged_by.clone(),
            acknowledged_at: stamp(it.acknowledged_at.as_ref()),
            acknowledged_until: stamp(it.acknowledged_until.as_ref()),
            resolved_by: it.resolved_by.clone(),
            resolved_at: stamp(it.resolved_at.as_ref()),
            category: it.category.clone(),
            cause: it.cause.clone(),
            countermeasure: it.countermeasure.clone(),
        }
    }
}

#[derive(Serialize)]
struct Named {
    alert: String,
}

#[derive(Serialize)]
struct Checked<'a> {
    stopped: bool,
    alerts: Vec<&'a str>,
}

type Client = AndonServiceClient<Wire>;

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let client = AndonServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let stream = context.stream()?;
    match verb {
        Verb::List { all: include_resolved } => {
            let request = ListAlertsRequest { stream, include_resolved, ..Default::default() };
            let alerts = listed(&mut client, request).await?;
            list(context, &alerts, "no open alerts; `takt andon list --all` shows past ones")?;
        }
        Verb::Show { alert } => {
            let request = GetAlertRequest { stream, alert, min_sequence: 0 };
            let alert = client.get_alert(request).await?.into_inner().alert.unwrap_or_default();
            one(context.output, &Row::from(&alert), |page| text::sheet(&alert, page))?;
        }
        Verb::Pull { summary, stage } => pull(context, &mut client, summary, stage).await?,
        Verb::Ack { alert, hold } => ack(context, &mut client, alert, hold).await?,
        Verb::Resolve(args) => resolve(context, &mut client, args).await?,
        Verb::Check { stage, fixes } => return check(context, &mut client, stage, fixes).await,
        Verb::Search { words } => {
            let query = words.join(" ");
            let request = SearchAlertsRequest { stream, query, ..Default::default() };
            let alerts = found(&mut client, request).await?;
            list(context, &alerts, "no alert has all these words; try fewer of them")?;
        }
    }
    Ok(0)
}

/// All alerts of a list, page by page.
async fn listed(
    client: &mut Client,
    mut request: ListAlertsRequest,
) -> Result<Vec<Alert>, Failure> {
    let mut alerts = vec![];
    loop {
        let answer = client.list_alerts(request.clone()).await?.into_inner();
        alerts.extend(answer.alerts);
        if answer.next_page_token.is_empty() {
            return Ok(alerts);
        }
        request.page_token = answer.next_page_token;
    }
}

/// All alerts that have some words, page by page.
async fn found(
    client: &mut Client,
    mut request: SearchAlertsRequest,
) -> Result<Vec<Alert>, Failure> {
    let mut alerts = vec![];
    loop {
        let answer = client.search_alerts(request.clone()).await?.into_inner();
        alerts.extend(answer.alerts);
        if answer.next_page_token.is_empty() {
            return Ok(alerts);
        }
        request.page_token = answer.next_page_token;
    }
}

fn list(context: &Context, alerts: &[Alert], nothing: &str) -> Result<(), Failure> {
    let rows: Vec<Row> = alerts.iter().map(Row::from).collect();
    many(context.output, &rows, nothing, |page| text::table(alerts, page))
}

async fn pull(
    context: &Context,
    client: &mut Client,
    summary: String,
    stage: String,
) -> Result<(), Failure> {
    let request = PullRequest {
        stream: context.stream()?,
        summary,
        stage,
        idempotency_key: context.key.clone(),
        actor: context.actor.clone(),
    };
    let done = client.pull(request).await?.into_inner();
    let sentence = format!("alert `{}` is open and the line is stopped", done.alert);
    let (sequence, duplicate) = (done.sequence, done.duplicate);
    let done = Done { what: Named { alert: done.alert }, sequence, duplicate };
    receipt(context.output, &done, &sentence)
}

async fn ack(
    context: &Context,
    client: &mut Client,
    alert: String,
    hold: Option<String>,
) -> Result<(), Failure> {
    let request = AcknowledgeRequest {
        stream: context.stream()?,
        alert: alert.clone(),
        hold: hold.as_deref().map(time::span).transpose()?,
        idempotency_key: context.key.clone(),
        actor: context.actor.clone(),
    };
    let done = client.acknowledge(request).await?.into_inner();
    let sentence = format!("`{}` looks after alert `{alert}`", context.actor);
    context.did(Named { alert }, &done, &sentence)
}

async fn resolve(context: &Context, client: &mut Client, args: Resolve) -> Result<(), Failure> {
    let what = Named { alert: args.alert.clone() };
    let sentence = format!("alert `{}` is resolved as {}", args.alert, args.category);
    let request = ResolveRequest {
        stream: context.stream()?,
        alert: args.alert,
        category: args.category,
        cause: args.cause,
        countermeasure: args.countermeasure,
        idempotency_key: context.key.clone(),
        actor: context.actor.clone(),
    };
    let done = client.resolve(request).await?.into_inner();
    context.did(what, &done, &sentence)
}

async fn check(
    context: &Context,
    client: &mut Client,
    stage: String,
    fixes: String,
) -> Result<u8, Failure> {
    let request = CheckRequest { stream: context.stream()?, stage, fixes, min_sequence: 0 };
    let answer = client.check(request).await?.into_inner();
    let alerts = answer.alerts.iter().map(|one| one.alert.as_str()).collect();
    let data = Checked { stopped: answer.stopped, alerts };
    one(context.output, &data, |page| text::check(&answer.alerts, page))?;
    Ok(if answer.stopped { REFUSED } else { 0 })
}
