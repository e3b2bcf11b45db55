//! Pipeline runs, deployments, environments and incidents, as services report them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::ids::{ChangeId, EnvironmentId, IncidentId, RunId};

/// What was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `dev.takt.pipeline.reported.v1`, on `run.<id>`
    PipelineReported(PipelineReported),
    /// `dev.takt.deployment.reported.v1`, on `env.<id>`
    DeploymentReported(DeploymentReported),
    /// `dev.takt.service.reported.v1`, on `env.<id>`
    ServiceReported(ServiceReported),
    /// `dev.takt.environment.reported.v1`, on `env.<id>`
    EnvironmentReported(EnvironmentReported),
    /// `dev.takt.incident.reported.v1`, on `incident.<id>`
    IncidentReported(IncidentReported),
}

/// How a run or a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it should.
    Success,
    /// A definite no.
    Failure,
    /// Could not tell.
    Error,
    /// Ended by a person.
    Cancel,
}

impl Outcome {
    /// Whether it pulls the Andon.
    pub const fn is_broken(self) -> bool {
        matches!(self, Self::Failure | Self::Error)
    }
}

/// A pipeline run as its source saw it; the data of `dev.takt.report.pipeline.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineReported {
    /// The run.
    pub run: RunId,
    /// Who keeps the run, where it is not who reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SmolStr>,
    /// The pipeline's name; empty where a report of one stage does not tell it.
    pub pipeline: SmolStr,
    /// The stage, if the report is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<SmolStr>,
    /// The commit it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<SmolStr>,
    /// How it ended; `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Where people find out more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<SmolStr>,
}

/// What an environment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentClass {
    /// A developer's.
    Dev,
    /// For tests.
    Test,
    /// Production.
    Prod,
}

/// A deployment as its source saw it; the data of `dev.takt.report.deployment.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentReported {
    /// The deployment's id at its source.
    pub deployment: SmolStr,
    /// Where to.
    pub environment: EnvironmentId,
    /// What the environment is for, if the source says so; shown as claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<EnvironmentClass>,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<SmolStr>,
    /// The artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<SmolStr>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<SmolStr>,
    /// The changes that came with it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub changes: BTreeSet<ChangeId>,
    /// How it ended; `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether it put an older artifact back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
}

/// What became of a service, beside its deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Its users can reach it.
    Published,
    /// It is gone from the environment.
    Removed,
}

/// A service in an environment as its source saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReported {
    /// The service.
    pub service: SmolStr,
    /// Where.
    pub environment: EnvironmentId,
    /// What became of it.
    pub state: ServiceState,
}

/// An environment as its source saw it; the data of `dev.takt.report.environment.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentReported {
    /// The environment.
    pub environment: EnvironmentId,
    /// What it is for; shown as claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<EnvironmentClass>,
    /// Whether it is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// What a source says of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// It is there.
    Detected,
    /// It is over.
    Resolved,
}

/// An incident as its source saw it; the data of `dev.takt.report.incident.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentReported {
    /// The incident.
    pub incident: IncidentId,
    /// Who keeps the incident, where it is not who reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SmolStr>,
    /// Whether it is there or over.
    pub state: IncidentState,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// What people need to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<SmolStr>,
}
