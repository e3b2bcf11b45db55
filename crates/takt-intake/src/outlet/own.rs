//! Takt's own events and reports as CDEvents.

use serde_json::{Value, json};
use smol_str::{SmolStr, ToSmolStr, format_smolstr};
use takt_domain::deployment::{self, IncidentState, Outcome};
use takt_domain::{Aggregate, CardId, ColumnName, Event, Time, board, change};
use takt_ports::Telling;

use super::{SPOKEN, mark};
use crate::cdevent::word_of;

/// What an event is as a CDEvent: the type without what all begin with, what it is about, and the
/// content.
struct Said {
    kind: &'static str,
    subject: SmolStr,
    content: Value,
    at: Time,
}

/// The CDEvent of an event for which there is a standard predicate, and of a card's move.
pub(super) fn cdevent(telling: &Telling<'_>) -> Option<Value> {
    let recorded = telling.recorded;
    let meta = &recorded.meta;
    let said = match &recorded.event {
        Event::Board(event) => moved(&recorded.aggregate, event, meta.time),
        Event::Change(change::Event::Reported(it)) => Some(changed(it, meta.time)),
        Event::Deployment(event) => reported(event, meta.time),
        Event::Stream(_)
        | Event::Andon(_)
        | Event::Testing(_)
        | Event::System(_)
        | Event::Unknown(_) => None,
    }?;
    let mut subject = json!({ "id": said.subject, "content": said.content });
    if meta.source != telling.source && is_reference(&meta.source) {
        put(&mut subject, "source", Some(&meta.source));
    }
    Some(json!({
        "context": {
            "specversion": SPOKEN,
            "id": meta.id,
            "source": telling.source,
            "type": format!("dev.{}", said.kind),
            "timestamp": said.at,
        },
        "subject": subject,
        "customData": { "takt": mark(telling) },
        "customDataContentType": "application/json",
    }))
}

fn moved(aggregate: &Aggregate, event: &board::Event, at: Time) -> Option<Said> {
    use board::Event as E;
    let Aggregate::Board(board) = aggregate else { return None };
    let (card, from, to): (&CardId, Option<&ColumnName>, &ColumnName) = match event {
        E::CardAdded(it) => (&it.card, None, &it.column),
        E::CardMoved(it) => (&it.card, Some(&it.from), &it.column),
        E::CardReported(it) if !it.deleted => (&it.card, None, it.column.as_ref()?),
        E::CardReported(_)
        | E::ColumnSet(_)
        | E::ColumnReported(_)
        | E::CardBlocked(_)
        | E::CardUnblocked(_)
        | E::CardDeleted(_)
        | E::CardOverdue(_)
        | E::GatePassed(_)
        | E::ImportClosed(_) => return None,
    };
    let mut content = json!({ "board": board, "to": to });
    put(&mut content, "from", from.map(ColumnName::as_str));
    Some(Said { kind: "cdeventsx.takt-card.moved.0.1.0", subject: card.to_smolstr(), content, at })
}

fn changed(it: &change::Reported, at: Time) -> Said {
    let (kind, at) = match it.merged_at {
        Some(merged) => ("cdevents.change.merged.0.3.0", merged),
        None => ("cdevents.change.updated.0.3.0", at),
    };
    Said { kind, subject: it.change.to_smolstr(), content: json!({}), at }
}

fn reported(event: &deployment::Event, at: Time) -> Option<Said> {
    use deployment::Event as E;
    match event {
        E::PipelineReported(it) => ran(it, at),
        E::DeploymentReported(it) => deployed(it, at),
        E::EnvironmentReported(it) => {
            let kind = if it.deleted {
                "cdevents.environment.deleted.0.3.0"
            } else {
                "cdevents.environment.modified.0.3.0"
            };
            Some(Said { kind, subject: it.environment.to_smolstr(), content: json!({}), at })
        }
        E::IncidentReported(it) => {
            let kind = match it.state {
                IncidentState::Detected => "cdevents.incident.detected.0.3.0",
                IncidentState::Resolved => "cdevents.incident.resolved.0.3.0",
            };
            let mut content = json!({ "environment": { "id": it.environment.as_ref()? } });
            put(&mut content, "description", it.description.as_deref());
            Some(Said { kind, subject: it.incident.to_smolstr(), content, at })
        }
        E::ServiceReported(it) => {
            let kind = match it.state {
                deployment::ServiceState::Published => "cdevents.service.published.0.3.0",
                deployment::ServiceState::Removed => "cdevents.service.removed.0.3.0",
            };
            let content = json!({ "environment": { "id": it.environment } });
            Some(Said { kind, subject: it.service.clone(), content, at })
        }
    }
}

/// A run, or one stage of it. A run that has begun is told of only where people find out more:
/// the standard wants a link.
fn ran(it: &deployment::PipelineReported, at: Time) -> Option<Said> {
    let link = it.link.as_deref().filter(|link| is_link(link));
    let outcome = it.outcome.map(word_of);
    let mut content = json!({});
    put(&mut content, "uri", link);
    put(&mut content, "outcome", outcome);
    let pipeline = Some(it.pipeline.as_str()).filter(|name| !name.is_empty());
    let kind = match (&it.stage, outcome) {
        (Some(stage), outcome) => {
            put(&mut content, "taskName", Some(stage));
            if let Some(content) = content.as_object_mut() {
                content.insert("pipelineRun".to_owned(), json!({ "id": it.run }));
            }
            match outcome {
                Some(_) => "cdevents.taskrun.finished.0.3.0",
                None => "cdevents.taskrun.started.0.3.0",
            }
        }
        (None, outcome) => {
            put(&mut content, "pipelineName", pipeline);
            if outcome.is_none() && (link.is_none() || pipeline.is_none()) {
                return None;
            }
            match outcome {
                Some(_) => "cdevents.pipelinerun.finished.0.3.0",
                None => "cdevents.pipelinerun.started.0.3.0",
            }
        }
    };
    let subject = match &it.stage {
        Some(stage) => format_smolstr!("{}/{stage}", it.run),
        None => it.run.to_smolstr(),
    };
    Some(Said { kind, subject, content, at })
}

/// A deployment that is done. The standard knows none that failed or goes on.
fn deployed(it: &deployment::DeploymentReported, at: Time) -> Option<Said> {
    if it.outcome != Some(Outcome::Success) {
        return None;
    }
    let artifact = it.artifact.as_ref().filter(|artifact| !artifact.is_empty())?;
    let content = json!({ "environment": { "id": it.environment }, "artifactId": artifact });
    let kind = if it.rollback {
        "cdevents.service.rolledback.0.3.0"
    } else {
        "cdevents.service.deployed.0.3.0"
    };
    let service = it.service.as_ref().filter(|service| !service.is_empty());
    Some(Said { kind, subject: service.unwrap_or(&it.deployment).clone(), content, at })
}

/// Puts a text where there is one.
fn put(object: &mut Value, name: &str, value: Option<impl AsRef<str>>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(name.to_owned(), value.as_ref().into());
    }
}

/// Whether a text can stand where the standard wants a reference, so that readers take the event.
fn is_reference(text: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

fn is_link(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://")) && is_reference(text)
}
