//! CDEvents 0.4 and 0.5: what becomes a fact of Takt's own, and what stays foreign.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use smol_str::{SmolStr, ToSmolStr};
use takt_domain::deployment::{
    DeploymentReported, EnvironmentReported, IncidentReported, IncidentState, Outcome,
    PipelineReported, ServiceReported, ServiceState,
};
use takt_domain::fact::{Fact, Report};
use takt_domain::ids::{ChangeId, EnvironmentId, IdError, IncidentId, RunId};
use takt_domain::testing::{Level, RunReported};
use takt_domain::{Time, change, text};
use takt_events::content_digest;

use crate::fact::{Misfit, filled, foreign, instant, missing, shown, text as needed};
use crate::report::checked;

/// What the types of the standard begin with.
pub(crate) const STANDARD: &str = "dev.cdevents.";
/// What types of other makers begin with.
pub(crate) const CUSTOM: &str = "dev.cdeventsx.";
/// The versions of the standard that are understood, up to the last number.
const UNDERSTOOD: [&str; 2] = ["0.4.", "0.5."];
/// The longest name and link in a report, in bytes; the whole is in the CDEvent beside it.
const MAX_NAME: usize = 512;
/// The longest reason and description in a report, in bytes.
const MAX_REASON: usize = 4096;

/// Whether a CloudEvent of this type carries a CDEvent.
pub(crate) fn is_type(kind: &str) -> bool {
    kind.starts_with(STANDARD) || kind.starts_with(CUSTOM)
}

/// Understands a CDEvent, which stands in a message at `at`: at its top, or in `data.`.
pub(crate) fn read(event: Map<String, Value>, at: &str, now: Time) -> Result<Fact, Misfit> {
    let none = Map::new();
    let part = |name: &str| event.get(name).and_then(Value::as_object).unwrap_or(&none);
    let (context, subject) = (part("context"), part("subject"));
    let (in_context, in_subject) = (format!("{at}context."), format!("{at}subject."));
    let id: SmolStr = needed(context, &in_context, "id")?.into();
    let source: SmolStr = needed(context, &in_context, "source")?.into();
    let kind: SmolStr = needed(context, &in_context, "type")?.into();
    let place = format!("{in_context}timestamp");
    let time = instant(needed(context, &in_context, "timestamp")?, &place, now)?;
    let subject_id: SmolStr = needed(subject, &in_subject, "id")?.into();
    let chain = context.get("chainId").and_then(Value::as_str).filter(|chain| !chain.is_empty());
    let correlation = chain.map(SmolStr::new);
    let content = subject.get("content").and_then(Value::as_object).unwrap_or(&none);
    let told = Told { context, subject, content, at, source: &source, time };
    let report = told.report(&kind)?;
    let whole = Value::Object(event);
    let digest = content_digest(&kind, &subject_id, time, &whole);
    let (report, cdevent) = match report {
        Some(report) => (report, Some(whole.to_string().into())),
        None => (foreign(&kind, &id, whole), None),
    };
    Ok(Fact {
        source,
        id,
        digest,
        subject: subject_id,
        time,
        sequence: None,
        correlation,
        traceparent: None,
        historical: false,
        cdevent,
        report,
    })
}

/// One CDEvent, while it is read.
struct Told<'a> {
    context: &'a Map<String, Value>,
    subject: &'a Map<String, Value>,
    content: &'a Map<String, Value>,
    at: &'a str,
    source: &'a SmolStr,
    time: Time,
}

impl<'a> Told<'a> {
    /// The report that an event of this type is; `None` for what Takt has no report for.
    fn report(&self, kind: &str) -> Result<Option<Report>, Misfit> {
        let mut parts = kind.strip_prefix(STANDARD).unwrap_or_default().splitn(3, '.');
        let (subject, predicate) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let read: fn(&Self, &str) -> Result<Option<Report>, Misfit> = match (subject, predicate) {
            ("change", "created" | "merged") => Self::change,
            ("testcaserun" | "testsuiterun", "finished") => Self::test_run,
            ("pipelinerun" | "taskrun", "started" | "finished") => Self::pipeline,
            ("service", "deployed" | "upgraded" | "rolledback") => Self::deployment,
            ("service", "published" | "removed") => Self::service,
            ("environment", "created" | "modified" | "deleted") => Self::environment,
            ("incident", "detected" | "reported" | "resolved") => Self::incident,
            _ => return Ok(None),
        };
        if !self.is_understood()? {
            return Ok(None);
        }
        // A name that tells both, such as `taskrun.started`.
        let what = kind.get(STANDARD.len()..).unwrap_or_default();
        let what = what.get(..subject.len() + 1 + predicate.len()).unwrap_or_default();
        read(self, what)
    }

    /// Whether the event is of a version whose fields are known.
    fn is_understood(&self) -> Result<bool, Misfit> {
        let version = self.context.get("specversion").or_else(|| self.context.get("version"));
        let place = format!("{}context.specversion", self.at);
        let Some(version) = version else {
            return Err(missing(&place, "add it, such as `0.5.1`"));
        };
        let version = filled(version, &place)?;
        Ok(UNDERSTOOD.iter().any(|known| version.starts_with(known)))
    }

    fn change(&self, what: &str) -> Result<Option<Report>, Misfit> {
        Ok(Some(Report::Change(change::Reported {
            change: self.subject_id(ChangeId::parse)?,
            commits: vec![],
            authored_at: None,
            merged_at: (what == "change.merged").then_some(self.time),
            files: None,
            lines: None,
            cards: Default::default(),
        })))
    }

    fn test_run(&self, what: &str) -> Result<Option<Report>, Misfit> {
        let run = self.subject_id(RunId::parse)?;
        let is_case = what.starts_with("testcaserun");
        let named = |part: &str| {
            let name = self.either(&[part, "name"], &[part, "id"])?;
            Ok::<SmolStr, Misfit>(name.unwrap_or_else(|| run.to_smolstr()))
        };
        let outcome = self.outcome()?;
        let outcome = outcome.ok_or_else(|| missing(&self.place(&["outcome"]), OUTCOMES))?;
        let suite_run =
            if is_case { self.id(&["testSuiteRun", "id"], RunId::parse)? } else { None };
        let source = self.keeper(suite_run.as_ref().map(|_| "testSuiteRun"))?;
        Ok(Some(Report::TestRun(RunReported {
            suite: if is_case { None } else { Some(named("testSuite")?) },
            case: if is_case { Some(named("testCase")?) } else { None },
            level: self.text(&["testCase", "type"])?.map(level),
            environment: self.id(&["environment", "id"], EnvironmentId::parse)?,
            reason: self.text(&["reason"])?.map(|it| text::cut(it, MAX_REASON).into()),
            suite_run,
            source,
            outcome,
            run,
        })))
    }

    fn pipeline(&self, what: &str) -> Result<Option<Report>, Misfit> {
        let own: RunId = self.subject_id(RunId::parse)?;
        let is_task = what.starts_with("taskrun");
        let outcome = match self.outcome()? {
            // It has ended, and nobody says how.
            None if what.ends_with("finished") => return Ok(None),
            outcome => outcome.filter(|_| what.ends_with("finished")),
        };
        let whole = if is_task { self.id(&["pipelineRun", "id"], RunId::parse)? } else { None };
        let source = self.keeper(whole.as_ref().map(|_| "pipelineRun"))?;
        let name = self.name(&[if is_task { "taskName" } else { "pipelineName" }])?;
        let name = name.unwrap_or_else(|| own.to_smolstr());
        let link = self.either(&["uri"], &["url"])?;
        let (pipeline, stage) =
            if is_task { (SmolStr::default(), Some(name)) } else { (name, None) };
        let run = whole.unwrap_or(own);
        let commit = None;
        let run = PipelineReported { run, source, pipeline, stage, commit, outcome, link };
        Ok(Some(Report::Pipeline(run)))
    }

    fn deployment(&self, what: &str) -> Result<Option<Report>, Misfit> {
        Ok(Some(Report::Deployment(DeploymentReported {
            // A service is deployed many times; its event's id is the deployment's.
            deployment: needed(self.context, "context.", "id")?.into(),
            environment: self.environment_id()?,
            class: None,
            service: Some(self.service_name()?),
            artifact: self.name(&["artifactId"])?,
            commit: None,
            changes: Default::default(),
            outcome: Some(Outcome::Success),
            rollback: what == "service.rolledback",
        })))
    }

    fn service(&self, what: &str) -> Result<Option<Report>, Misfit> {
        let is_gone = what == "service.removed";
        Ok(Some(Report::Service(ServiceReported {
            service: self.service_name()?,
            environment: self.environment_id()?,
            state: if is_gone { ServiceState::Removed } else { ServiceState::Published },
        })))
    }

    fn environment(&self, what: &str) -> Result<Option<Report>, Misfit> {
        Ok(Some(Report::Environment(EnvironmentReported {
            environment: self.subject_id(EnvironmentId::parse)?,
            class: None,
            deleted: what == "environment.deleted",
        })))
    }

    fn incident(&self, what: &str) -> Result<Option<Report>, Misfit> {
        let is_over = what == "incident.resolved";
        Ok(Some(Report::Incident(IncidentReported {
            incident: self.subject_id(IncidentId::parse)?,
            source: self.keeper(None)?,
            state: if is_over { IncidentState::Resolved } else { IncidentState::Detected },
            environment: self.id(&["environment", "id"], EnvironmentId::parse)?,
            description: self.text(&["description"])?.map(|it| text::cut(it, MAX_REASON).into()),
        })))
    }

    fn subject_id<T>(&self, parse: fn(&str) -> Result<T, IdError>) -> Result<T, Misfit> {
        let id = self.subject.get("id").unwrap_or(&Value::Null);
        checked(id, &format!("{}subject.id", self.at), parse)
    }

    /// The service's name: its id, which is checked as an id of Takt's is.
    fn service_name(&self) -> Result<SmolStr, Misfit> {
        self.subject_id(RunId::parse).map(|id| id.to_smolstr())
    }

    fn environment_id(&self) -> Result<EnvironmentId, Misfit> {
        let path = ["environment", "id"];
        let id = self.id(&path, EnvironmentId::parse)?;
        id.ok_or_else(|| missing(&self.place(&path), "say in which environment"))
    }

    /// Who keeps what the event is about, or what it is a part of, where it is not who reports.
    fn keeper(&self, part: Option<&str>) -> Result<Option<SmolStr>, Misfit> {
        let source = match part {
            Some(part) => self.text(&[part, "source"])?,
            None => self.subject.get("source").and_then(Value::as_str).filter(|it| !it.is_empty()),
        };
        Ok(source.filter(|source| *source != self.source).map(SmolStr::new))
    }

    fn outcome(&self) -> Result<Option<Outcome>, Misfit> {
        let Some(outcome) = self.text(&["outcome"])? else { return Ok(None) };
        outcome_of(outcome).map(Some).ok_or_else(|| {
            Misfit::new(
                format!("outcome `{}` is not understood", text::shown(outcome)),
                self.place(&["outcome"]),
                OUTCOMES,
            )
        })
    }

    fn name(&self, path: &[&str]) -> Result<Option<SmolStr>, Misfit> {
        Ok(self.text(path)?.map(|name| text::cut(name, MAX_NAME).into()))
    }

    fn either(&self, one: &[&str], other: &[&str]) -> Result<Option<SmolStr>, Misfit> {
        let one = self.name(one)?;
        if one.is_some() { Ok(one) } else { self.name(other) }
    }

    fn id<T>(
        &self,
        path: &[&str],
        parse: fn(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, Misfit> {
        let Some(id) = self.text(path)? else { return Ok(None) };
        checked(&Value::from(id), &self.place(path), parse).map(Some)
    }

    /// A text of the content; one that is absent, null or empty is not given.
    fn text(&self, path: &[&str]) -> Result<Option<&'a str>, Misfit> {
        let Some((last, parts)) = path.split_last() else { return Ok(None) };
        let mut fields = self.content;
        for (depth, part) in parts.iter().enumerate() {
            fields = match fields.get(*part) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::Object(inner)) => inner,
                Some(other) => {
                    let place = self.place(path.get(..=depth).unwrap_or_default());
                    return Err(Misfit::new(
                        format!("`{place}` is `{}`, not an object", shown(other)),
                        place,
                        "send it as a JSON object",
                    ));
                }
            };
        }
        match fields.get(*last) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(value) => filled(value, &self.place(path)).map(Some),
        }
    }

    fn place(&self, path: &[&str]) -> String {
        format!("{}subject.content.{}", self.at, path.join("."))
    }
}

const OUTCOMES: &str = "send `success`, `failure`, `error` or `cancel`";

/// An outcome by the words of both versions. For runs of pipelines and tasks the standard has long
/// left the word to the maker, so what makers say is understood too.
pub(crate) fn outcome_of(word: &str) -> Option<Outcome> {
    match word.to_ascii_lowercase().as_str() {
        "success" | "succeeded" | "successful" | "pass" | "passed" => Some(Outcome::Success),
        "failure" | "failed" | "fail" => Some(Outcome::Failure),
        "error" | "errored" => Some(Outcome::Error),
        "cancel" | "cancelled" | "canceled" | "aborted" => Some(Outcome::Cancel),
        _ => None,
    }
}

/// The word of version 0.5.1 for an outcome.
pub(crate) const fn word_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Error => "error",
        Outcome::Cancel => "cancel",
    }
}

/// The level at which a test of a type of CDEvents looks.
fn level(kind: &str) -> Level {
    match kind {
        "unit" => Level::Unit,
        "functional" | "e2e" => Level::Acceptance,
        "integration" => Level::Integration,
        _ => Level::Custom,
    }
}
