//! The Andon: alerts pulled, acknowledged and resolved on the `line` aggregate.

mod decide;
mod evolve;
mod rerun;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use decide::{decide, due};
pub use evolve::evolve;
pub use rerun::{ClearedBy, End, Ended, Ends, Part, Reruns};

use crate::ids::{AlertId, ColumnName};
use crate::rejection::Asked;
use crate::time::{Span, Time};

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// A test suite or case.
    Test,
    /// A pipeline or task run.
    Pipeline,
    /// A deployment.
    Deployment,
    /// A service was rolled back.
    Rollback,
    /// An incident.
    Incident,
    /// A person pulled the cord.
    Person,
    /// A column holds more cards than its limit.
    WipLimit,
    /// A card stayed longer than its column's limit.
    TimeLimit,
    /// An environment differs from its spec.
    Drift,
}

impl CauseKind {
    /// Whether it stops the line or only warns.
    pub const fn effect(self) -> Effect {
        match self {
            Self::WipLimit | Self::TimeLimit | Self::Drift => Effect::Warn,
            Self::Test
            | Self::Pipeline
            | Self::Deployment
            | Self::Rollback
            | Self::Incident
            | Self::Person => Effect::Stop,
        }
    }
}

/// What an alert does to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The line stands until the alert is resolved.
    Stop,
    /// The line goes on; Takt resolves the alert when its condition ends.
    Warn,
}

/// The root of an alert: what the same trouble has in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// What broke.
    pub kind: CauseKind,
    /// Who reported it.
    pub source: SmolStr,
    /// Its id at the source, such as a run, or (level, commit) of a test report.
    pub id: SmolStr,
}

/// One thing that pulls the Andon, or joins an open alert of the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The event behind it; empty for a person.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub event: SmolStr,
    /// When it happened.
    pub at: Time,
    /// What people need to know, in a line.
    pub summary: SmolStr,
}

/// Why the trouble was, by category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The fault was mended.
    Fixed,
    /// The change was taken back.
    Reverted,
    /// There was no fault.
    FalseAlarm,
    /// The test is flaky.
    Flaky,
    /// The condition ended by itself; only Takt says so.
    Cleared,
    /// None of these.
    Other,
}

/// What is asked of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// When and by whom.
    pub asked: Asked,
    /// What.
    pub order: Order,
}

/// The orders that the line understands.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Pull the Andon, or join the open alert of the same cause.
    Pull {
        /// The id for the alert, if a new one opens.
        alert: AlertId,
        /// The root.
        cause: Cause,
        /// The pipeline stage that is broken, if known.
        stage: Option<SmolStr>,
        /// The column it is about, for limits.
        column: Option<ColumnName>,
        /// What a later success is matched by, where one clears the condition.
        cleared_by: Option<ClearedBy>,
        /// What pulled.
        trigger: Trigger,
    },
    /// Someone looks after it.
    Acknowledge {
        /// The alert.
        alert: AlertId,
        /// How long the acknowledgement holds.
        hold: Span,
    },
    /// It is over, and this is what was learned.
    Resolve {
        /// The alert.
        alert: AlertId,
        /// The category.
        category: Category,
        /// What it was.
        cause: SmolStr,
        /// What keeps it from coming back.
        countermeasure: SmolStr,
    },
    /// The condition behind a `warn` ended: resolves it.
    Clear {
        /// The root.
        cause: Cause,
        /// When it ended.
        at: Time,
    },
    /// Something ended well: marks every `stop` of which nothing is left that has not.
    Rerun {
        /// The root that a failure of it would have.
        cause: Cause,
        /// The level, pipeline, environment or incident.
        name: SmolStr,
        /// When.
        at: Time,
    },
    /// The clock has reached an instant: tell what is due by it.
    Wake {
        /// How long an alert may stay unacknowledged; zero = for ever.
        escalate_after: Span,
    },
}

/// What happened on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `dev.takt.andon.pulled.v1`
    Pulled(Pulled),
    /// `dev.takt.andon.joined.v1`
    Joined(Joined),
    /// `dev.takt.andon.acknowledged.v1`
    Acknowledged(Acknowledged),
    /// `dev.takt.andon.acknowledgement_expired.v1`
    AcknowledgementExpired(AcknowledgementExpired),
    /// `dev.takt.andon.escalated.v1`
    Escalated(Escalated),
    /// `dev.takt.andon.condition_cleared.v1`
    ConditionCleared(ConditionCleared),
    /// `dev.takt.andon.resolved.v1`
    Resolved(Resolved),
}

/// An alert opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// The alert.
    pub alert: AlertId,
    /// What it does to the line.
    pub effect: Effect,
    /// The root.
    pub cause: Cause,
    /// The broken stage, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<SmolStr>,
    /// The column it is about, for limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<ColumnName>,
    /// What a later success is matched by, where one clears the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_by: Option<ClearedBy>,
    /// What pulled.
    pub trigger: Trigger,
}

/// The same trouble was seen again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The alert.
    pub alert: AlertId,
    /// What broke this time, where a later success clears the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_by: Option<ClearedBy>,
    /// What was seen.
    pub trigger: Trigger,
}

/// Someone looks after an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The alert.
    pub alert: AlertId,
    /// Who.
    pub by: SmolStr,
    /// Until when it holds.
    pub until: Time,
}

/// Nobody looks after it any more; the event's time is the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgementExpired {
    /// The alert.
    pub alert: AlertId,
    /// The deadline that passed; also the event's time.
    pub at: Time,
}

/// It has been unacknowledged for too long; the event's time is the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalated {
    /// The alert.
    pub alert: AlertId,
    /// The deadline that passed; also the event's time.
    pub at: Time,
}

/// The condition behind a `stop` ended; the line stands until it is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionCleared {
    /// The alert.
    pub alert: AlertId,
}

/// An alert is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The alert.
    pub alert: AlertId,
    /// The category.
    pub category: Category,
    /// What it was.
    pub cause: SmolStr,
    /// What keeps it from coming back.
    pub countermeasure: SmolStr,
    /// Who resolved it.
    pub by: SmolStr,
}

/// An alert that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it does to the line.
    pub effect: Effect,
    /// The root.
    pub cause: Cause,
    /// The broken stage, if known.
    pub stage: Option<SmolStr>,
    /// The column it is about, for limits.
    pub column: Option<ColumnName>,
    /// The level, pipeline, environment or incident that a later success is matched by.
    pub name: SmolStr,
    /// What broke of it, and when last.
    pub parts: BTreeMap<SmolStr, Time>,
    /// When it was pulled.
    pub pulled_at: Time,
    /// When it was last seen.
    pub seen_at: Time,
    /// The first trigger's summary.
    pub summary: SmolStr,
    /// The newest events that have joined, at most 100, so that each joins once.
    pub events: Vec<SmolStr>,
    /// Who looks after it, and until when.
    pub acknowledged: Option<(SmolStr, Time)>,
    /// When it last became unacknowledged.
    pub unattended_since: Time,
    /// Whether it has escalated since then.
    pub escalated: bool,
    /// Whether the condition behind it has ended.
    pub cleared: bool,
}

/// The state of the line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Open alerts.
    pub open: BTreeMap<AlertId, Alert>,
    /// When stops of a root were last resolved, for triggers that come late.
    pub resolved: BTreeMap<Cause, Time>,
}

impl Line {
    /// Whether the line stands: at least one open alert has the effect `stop`.
    pub fn is_stopped(&self) -> bool {
        self.open.values().any(|alert| alert.effect == Effect::Stop)
    }
}
