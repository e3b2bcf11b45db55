//! What a value stream's events leave behind for queries, bounded where it would grow for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_domain::andon::{self, Category, Cause, Effect, Line};
use takt_domain::board::Board;
use takt_domain::deployment::{DeploymentReported, EnvironmentClass, Outcome};
use takt_domain::policy::Intent;
use takt_domain::testing::{self, CaseOutcome, Level};
use takt_domain::{
    AlertId, BoardId, CardId, ChangeId, ColumnName, EnvironmentId, Meta, OrderKey, RunId, Time,
    change, stream, text,
};

use crate::intake::Intake;
use crate::notices::Notices;

/// How many test runs are kept.
pub(crate) const TEST_RUNS: usize = 200;
/// How many names of failed tests are kept for one run.
const FAILED_NAMES: usize = 50;
/// How many deployments are kept.
pub(crate) const DEPLOYMENTS: usize = 500;
/// How many changes are kept.
pub(crate) const CHANGES: usize = 200;

/// One value stream, as far as its events have been folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamView {
    /// Title and policy.
    pub state: stream::State,
    /// When it was made.
    pub created_at: Option<Time>,
    /// Its boards; `main` comes with the stream.
    pub boards: BTreeMap<BoardId, Board>,
    /// The open alerts.
    pub line: Arc<Line>,
    /// The last sequence on `line`; 0 if it has none.
    pub line_seq: u64,
    /// How parts of the work have last ended, so that reruns are matched.
    pub reruns: Arc<andon::Reruns>,
    /// Every alert, open and past.
    pub alerts: AlertHistory,
    /// The newest test runs.
    pub tests: BTreeMap<RunId, TestRun>,
    /// The newest deployments, each at its latest report, oldest first.
    pub deployments: BTreeMap<OrderKey, Deployment>,
    /// The newest changes.
    pub changes: BTreeMap<ChangeId, Change>,
    /// How many changes have been reported, kept or not.
    pub changes_count: u64,
    /// Refused commands by column and reason.
    pub refusals: BTreeMap<(Option<ColumnName>, SmolStr), u64>,
    /// How far reactors other than the one on the line have come, by name.
    pub cursors: BTreeMap<SmolStr, u64>,
    /// How far the intake has come.
    pub intake: Intake,
    /// What people outside are told of the line.
    pub notices: Notices,
    /// Intents that no reactor has answered, by the sequence that gave rise to them.
    pub pending: BTreeMap<u64, Vec<Intent>>,
}

/// Every alert of a value stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertHistory {
    /// By id.
    pub all: BTreeMap<AlertId, AlertRecord>,
}

/// An alert's whole life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// What it does to the line.
    pub effect: Effect,
    /// The root.
    pub cause: Cause,
    /// The broken stage, if known.
    pub stage: Option<SmolStr>,
    /// The column it is about, for limits.
    pub column: Option<ColumnName>,
    /// The first trigger's summary.
    pub summary: SmolStr,
    /// How many triggers have pulled or joined.
    pub triggers: u64,
    /// When it was pulled.
    pub pulled_at: Time,
    /// Who pulled, if anyone is named.
    pub pulled_by: Option<SmolStr>,
    /// When it was first acknowledged, and by whom.
    pub acknowledged: Option<(Time, SmolStr)>,
    /// When it last escalated.
    pub escalated_at: Option<Time>,
    /// When the condition behind it ended.
    pub cleared_at: Option<Time>,
    /// How it ended.
    pub resolution: Option<Resolution>,
}

/// How an alert ended, and what was learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// When.
    pub at: Time,
    /// Who resolved it.
    pub by: SmolStr,
    /// The category.
    pub category: Category,
    /// What it was.
    pub cause: SmolStr,
    /// What keeps it from coming back.
    pub countermeasure: SmolStr,
}

impl AlertHistory {
    /// Alerts that nobody has resolved.
    pub fn open(&self) -> impl Iterator<Item = (&AlertId, &AlertRecord)> {
        self.all.iter().filter(|(_, alert)| alert.resolution.is_none())
    }

    /// Alerts that are over.
    pub fn past(&self) -> impl Iterator<Item = (&AlertId, &AlertRecord)> {
        self.all.iter().filter(|(_, alert)| alert.resolution.is_some())
    }

    /// Takes an event in and names the alert it is about.
    pub(crate) fn apply(&mut self, meta: &Meta, event: &andon::Event) -> AlertId {
        use andon::Event as E;
        match event {
            E::Pulled(it) => {
                let record = || AlertRecord {
                    effect: it.effect,
                    cause: it.cause.clone(),
                    stage: it.stage.clone(),
                    column: it.column.clone(),
                    summary: it.trigger.summary.clone(),
                    triggers: 1,
                    pulled_at: it.trigger.at,
                    pulled_by: meta.actor.clone(),
                    acknowledged: None,
                    escalated_at: None,
                    cleared_at: None,
                    resolution: None,
                };
                self.all.entry(it.alert.clone()).or_insert_with(record);
                it.alert.clone()
            }
            E::Joined(it) => self.with(&it.alert, |alert| {
                alert.triggers += 1;
                alert.cleared_at = None;
            }),
            E::Acknowledged(it) => self.with(&it.alert, |alert| {
                alert.acknowledged.get_or_insert((meta.time, it.by.clone()));
            }),
            E::AcknowledgementExpired(it) => self.with(&it.alert, |_| {}),
            E::Escalated(it) => self.with(&it.alert, |alert| alert.escalated_at = Some(it.at)),
            E::ConditionCleared(it) => {
                self.with(&it.alert, |alert| alert.cleared_at = Some(meta.time))
            }
            E::Resolved(it) => self.with(&it.alert, |alert| {
                alert.resolution.get_or_insert(Resolution {
                    at: meta.time,
                    by: it.by.clone(),
                    category: it.category,
                    cause: it.cause.clone(),
                    countermeasure: it.countermeasure.clone(),
                });
            }),
        }
    }

    fn with(&mut self, id: &AlertId, change: impl FnOnce(&mut AlertRecord)) -> AlertId {
        if let Some(alert) = self.all.get_mut(id) {
            change(alert);
        }
        id.clone()
    }
}

/// A run of tests, its parts added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    /// The latest part's key.
    pub order: OrderKey,
    /// The level.
    pub level: Level,
    /// The commit.
    pub commit: SmolStr,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that could not tell.
    pub errored: u64,
    /// Tests that did not run.
    pub skipped: u64,
    /// Names of tests that failed or errored, at most 50.
    pub broken: Vec<SmolStr>,
}

impl TestRun {
    pub(crate) fn new(order: OrderKey, reported: &testing::Reported) -> Self {
        Self {
            order,
            level: reported.level,
            commit: reported.commit.clone(),
            passed: 0,
            failed: 0,
            errored: 0,
            skipped: 0,
            broken: vec![],
        }
    }

    /// When its latest part was reported.
    pub const fn at(&self) -> Time {
        self.order.time
    }

    pub(crate) fn add(&mut self, order: OrderKey, reported: &testing::Reported) {
        self.order = order.max(self.order.clone());
        for case in &reported.cases {
            match case.outcome {
                CaseOutcome::Passed => self.passed += 1,
                CaseOutcome::Failed => self.failed += 1,
                CaseOutcome::Errored => self.errored += 1,
                CaseOutcome::Skipped => self.skipped += 1,
            }
            let broken = matches!(case.outcome, CaseOutcome::Failed | CaseOutcome::Errored);
            if broken && self.broken.len() < FAILED_NAMES {
                self.broken.push(text::cut(&case.name, text::LONGEST).into());
            }
        }
    }
}

/// A deployment as its latest report has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id at its source.
    pub deployment: SmolStr,
    /// Where to.
    pub environment: EnvironmentId,
    /// What the environment claims to be for.
    pub class: Option<EnvironmentClass>,
    /// The service.
    pub service: Option<SmolStr>,
    /// The artifact.
    pub artifact: Option<SmolStr>,
    /// The commit.
    pub commit: Option<SmolStr>,
    /// The changes that came with it.
    pub changes: Vec<ChangeId>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// Whether it put an older artifact back.
    pub rollback: bool,
}

impl From<&DeploymentReported> for Deployment {
    fn from(it: &DeploymentReported) -> Self {
        Self {
            deployment: it.deployment.clone(),
            environment: it.environment.clone(),
            class: it.class,
            service: it.service.clone(),
            artifact: it.artifact.clone(),
            commit: it.commit.clone(),
            changes: it.changes.iter().cloned().collect(),
            outcome: it.outcome,
            rollback: it.rollback,
        }
    }
}

/// A change as its reports have it. Some say all that is known, some only that it was merged: what
/// is not given takes nothing away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The key of the latest report.
    pub order: OrderKey,
    /// The key of the report that the rest is from, beside the merge.
    details: Option<OrderKey>,
    /// The key of the report that the merge is from.
    merged: Option<OrderKey>,
    /// Its commits' hashes.
    pub commits: Vec<SmolStr>,
    /// When the first commit was authored.
    pub authored_at: Option<Time>,
    /// When it was merged.
    pub merged_at: Option<Time>,
    /// Files touched.
    pub files: Option<u32>,
    /// Lines added and removed.
    pub lines: Option<u32>,
    /// The cards it is for.
    pub cards: Vec<CardId>,
}

impl Change {
    pub(crate) fn new(order: OrderKey, it: &change::Reported) -> Self {
        let mut change = Self {
            order: order.clone(),
            details: None,
            merged: None,
            commits: vec![],
            authored_at: None,
            merged_at: None,
            files: None,
            lines: None,
            cards: vec![],
        };
        change.add(order, it);
        change
    }

    /// Takes a report in; what comes of several does not depend on their order.
    pub(crate) fn add(&mut self, order: OrderKey, it: &change::Reported) {
        let sized = it.files.is_some() || it.lines.is_some();
        let listed = !it.commits.is_empty() || !it.cards.is_empty();
        let has_details = sized || listed || it.authored_at.is_some();
        let is_newer = |known: &Option<OrderKey>| known.as_ref().is_none_or(|known| *known < order);
        if has_details && is_newer(&self.details) {
            self.details = Some(order.clone());
            self.commits = it.commits.clone();
            self.authored_at = it.authored_at;
            self.files = it.files;
            self.lines = it.lines;
            self.cards = it.cards.iter().cloned().collect();
        }
        if it.merged_at.is_some() && is_newer(&self.merged) {
            self.merged = Some(order.clone());
            self.merged_at = it.merged_at;
        }
        if self.order < order {
            self.order = order;
        }
    }
}
