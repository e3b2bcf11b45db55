//! Facts: what was reported from outside, before it becomes events.

use smol_str::SmolStr;

use crate::event::{Aggregate, Event};
use crate::ids::BoardId;
use crate::time::Time;
use crate::{board, change, deployment, system, testing};

/// A report that has been understood and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Who reports.
    pub source: SmolStr,
    /// The report's id; with the source, its identity.
    pub id: SmolStr,
    /// Digest over type, subject, time and data; the same identity must have the same digest.
    pub digest: SmolStr,
    /// The CloudEvents subject.
    pub subject: SmolStr,
    /// When it happened.
    pub time: Time,
    /// The source's own order, normalised.
    pub sequence: Option<SmolStr>,
    /// What belongs together across events.
    pub correlation: Option<SmolStr>,
    /// W3C trace context.
    pub traceparent: Option<SmolStr>,
    /// Imported history.
    pub historical: bool,
    /// The JSON text of the CDEvent that the report was made of, if it was.
    pub cdevent: Option<Box<str>>,
    /// What is reported.
    pub report: Report,
}

/// What a fact reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A card was seen.
    Card(BoardId, board::CardReported),
    /// A column is known.
    Column(BoardId, board::ColumnReported),
    /// A change.
    Change(change::Reported),
    /// Test results.
    Test(testing::Reported),
    /// A run of a test suite or a test case.
    TestRun(testing::RunReported),
    /// A pipeline run.
    Pipeline(deployment::PipelineReported),
    /// A deployment.
    Deployment(deployment::DeploymentReported),
    /// What became of a service.
    Service(deployment::ServiceReported),
    /// An environment.
    Environment(deployment::EnvironmentReported),
    /// An incident.
    Incident(deployment::IncidentReported),
    /// A type that Takt does not understand.
    Foreign(system::ForeignRecorded),
}

impl Report {
    /// The event that records the report, and the aggregate it belongs to.
    pub fn into_event(self) -> (Aggregate, Event) {
        use deployment::Event as D;
        match self {
            Self::Card(board, card) => {
                (Aggregate::Board(board), Event::Board(board::Event::CardReported(card)))
            }
            Self::Column(board, column) => {
                (Aggregate::Board(board), Event::Board(board::Event::ColumnReported(column)))
            }
            Self::Change(change) => (
                Aggregate::Change(change.change.clone()),
                Event::Change(change::Event::Reported(change)),
            ),
            Self::Test(test) => (Aggregate::Tests, Event::Testing(testing::Event::Reported(test))),
            Self::TestRun(run) => {
                (Aggregate::Tests, Event::Testing(testing::Event::RunReported(run)))
            }
            Self::Service(it) => {
                (Aggregate::Env(it.environment.clone()), Event::Deployment(D::ServiceReported(it)))
            }
            Self::Pipeline(run) => {
                (Aggregate::Run(run.run.clone()), Event::Deployment(D::PipelineReported(run)))
            }
            Self::Deployment(it) => (
                Aggregate::Env(it.environment.clone()),
                Event::Deployment(D::DeploymentReported(it)),
            ),
            Self::Environment(it) => (
                Aggregate::Env(it.environment.clone()),
                Event::Deployment(D::EnvironmentReported(it)),
            ),
            Self::Incident(it) => (
                Aggregate::Incident(it.incident.clone()),
                Event::Deployment(D::IncidentReported(it)),
            ),
            Self::Foreign(foreign) => {
                (Aggregate::Foreign, Event::System(system::Event::ForeignRecorded(foreign)))
            }
        }
    }
}
