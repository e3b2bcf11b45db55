//! `takt andon`: the alerts of a value stream, and whether its line is stopped.

use clap::Subcommand;
use serde_json::{Value, json};
use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::{
    AcknowledgeRequest, Alert, CheckRequest, GetAlertRequest, ListAlertsRequest, PullRequest,
    ResolveRequest,
};

use super::{Context, time};
use crate::exit::{Failure, REFUSED};
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Open alerts.
    List {
        /// Resolved ones too.
        #[arg(long)]
        all: bool,
    },
    /// One alert with all that is known of it.
    Show {
        /// The alert.
        alert: String,
    },
    /// Pull the cord: something is wrong on the line.
    Pull {
        /// What people need to know, in a line.
        summary: String,
        /// The broken stage, if known.
        #[arg(long, default_value = "")]
        stage: String,
    },
    /// Say that you look after an alert.
    Ack {
        /// The alert.
        alert: String,
        /// How long this holds, such as `4h`; as the policy says if absent.
        #[arg(long = "for")]
        hold: Option<String>,
    },
    /// Say that an alert is over, what it was, and what keeps it from coming back.
    Resolve {
        /// The alert.
        alert: String,
        /// What kind of end it was.
        #[arg(long, value_parser = ["fixed", "reverted", "false_alarm", "flaky", "other"])]
        category: String,
        /// What it was.
        #[arg(long, default_value = "")]
        cause: String,
        /// What keeps it from coming back.
        #[arg(long, default_value = "")]
        countermeasure: String,
    },
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
    let mut client = AndonServiceClient::new(context.channel.clone());
    let stream = context.stream.clone();
    let (actor, idempotency_key) = (context.actor.clone(), context.key.clone());
    let data = match verb {
        Verb::List { all: include_resolved } => {
            let request = ListAlertsRequest { stream, include_resolved, ..Default::default() };
            let answer = client.list_alerts(request).await?.into_inner();
            answer.alerts.iter().map(row).collect()
        }
        Verb::Show { alert } => {
            let request = GetAlertRequest { stream, alert, min_sequence: 0 };
            whole(&client.get_alert(request).await?.into_inner().alert.unwrap_or_default())
        }
        Verb::Pull { summary, stage } => {
            let request = PullRequest { stream, summary, stage, idempotency_key, actor };
            let answer = client.pull(request).await?.into_inner();
            json!({"alert": answer.alert, "sequence": answer.sequence})
        }
        Verb::Ack { alert, hold } => {
            let hold = hold.as_deref().map(time::span).transpose()?;
            let id = alert.clone();
            let request = AcknowledgeRequest { stream, alert, hold, idempotency_key, actor };
            let receipt = client.acknowledge(request).await?.into_inner();
            json!({"alert": id, "sequence": receipt.sequence})
        }
        Verb::Resolve { alert, category, cause, countermeasure } => {
            let id = alert.clone();
            let request = ResolveRequest {
                stream,
                alert,
                category,
                cause,
                countermeasure,
                idempotency_key,
                actor,
            };
            let receipt = client.resolve(request).await?.into_inner();
            json!({"alert": id, "sequence": receipt.sequence})
        }
        Verb::Check { stage, fixes } => return check(context, stage, fixes).await,
    };
    show(context.output, &data).map(|()| 0)
}

async fn check(context: &Context, stage: String, fixes: String) -> Result<u8, Failure> {
    let request = CheckRequest { stream: context.stream.clone(), stage, fixes, min_sequence: 0 };
    let mut client = AndonServiceClient::new(context.channel.clone());
    let answer = client.check(request).await?.into_inner();
    let alerts: Vec<_> = answer.alerts.iter().map(|one| &one.alert).collect();
    show(context.output, &json!({"stopped": answer.stopped, "alerts": alerts}))?;
    Ok(if answer.stopped { REFUSED } else { 0 })
}

fn row(it: &Alert) -> Value {
    json!({
        "alert": it.alert, "effect": it.effect, "cause_kind": it.cause_kind, "stage": it.stage,
        "summary": it.summary, "acknowledged_by": it.acknowledged_by,
        "pulled_at": it.pulled_at.as_ref().map(ToString::to_string),
        "resolved_at": it.resolved_at.as_ref().map(ToString::to_string),
    })
}

fn whole(it: &Alert) -> Value {
    json!({
        "alert": it.alert, "effect": it.effect, "cause_kind": it.cause_kind,
        "cause_source": it.cause_source, "cause_id": it.cause_id, "stage": it.stage,
        "column": it.column, "summary": it.summary, "escalated": it.escalated,
        "cleared": it.cleared, "triggers": it.triggers, "category": it.category,
        "cause": it.cause, "countermeasure": it.countermeasure, "resolved_by": it.resolved_by,
        "acknowledged_by": it.acknowledged_by,
        "acknowledged_at": it.acknowledged_at.as_ref().map(ToString::to_string),
        "acknowledged_until": it.acknowledged_until.as_ref().map(ToString::to_string),
        "pulled_at": it.pulled_at.as_ref().map(ToString::to_string),
        "resolved_at": it.resolved_at.as_ref().map(ToString::to_string),
    })
}
