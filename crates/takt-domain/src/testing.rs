//! Test results, as suites report them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use crate::deployment::Outcome;
use crate::ids::{EnvironmentId, RunId};
use crate::time::Span;

/// What happened on the `tests` aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `dev.takt.tests.reported.v1`
    Reported(Reported),
    /// `dev.takt.tests.run_reported.v1`
    RunReported(RunReported),
}

/// At which level a test looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One unit.
    Unit,
    /// What the customer asked for.
    Acceptance,
    /// With the real neighbours.
    Integration,
    /// A plugin's stage.
    Custom,
}

impl Level {
    /// Its name, as in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Acceptance => "acceptance",
            Self::Integration => "integration",
            Self::Custom => "custom",
        }
    }
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseOutcome {
    /// It passed.
    Passed,
    /// A definite no.
    Failed,
    /// Could not tell.
    Errored,
    /// It did not run.
    Skipped,
}

impl CaseOutcome {
    /// Whether it pulls the Andon.
    pub const fn is_broken(self) -> bool {
        matches!(self, Self::Failed | Self::Errored)
    }
}

/// One test. Its identity is suite, class and name together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The suite.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub suite: SmolStr,
    /// The class or file.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub class: SmolStr,
    /// The name.
    pub name: SmolStr,
    /// How it ended.
    pub outcome: CaseOutcome,
    /// How long it took, in microseconds.
    #[serde(default)]
    pub duration: Span,
    /// What it said when it did not pass, cut at 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<SmolStr>,
}

/// Results of one run of tests, or a part of them; the data of `dev.takt.report.test.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The run that these results belong to; parts of one run are added up.
    pub run: RunId,
    /// The level.
    pub level: Level,
    /// The commit that was tested.
    pub commit: SmolStr,
    /// The tests.
    #[serde(default)]
    pub cases: Vec<Case>,
}

/// A run of one test suite or test case as its source saw it, without what ran within.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReported {
    /// The run.
    pub run: RunId,
    /// The suite's run that a case's run is a part of, if it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite_run: Option<RunId>,
    /// Who keeps the run, or the suite's run if that is named, where it is not who reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SmolStr>,
    /// The suite; absent where a case's report does not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<SmolStr>,
    /// The case; absent where the whole suite ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<SmolStr>,
    /// The level, if the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it said when it did not pass, cut at 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SmolStr>,
}

impl RunReported {
    /// The run that a failure is the failure of: the suite's, if it is named.
    pub fn root(&self) -> &RunId {
        self.suite_run.as_ref().unwrap_or(&self.run)
    }

    /// What a later success is matched by: the suite, and the case within; of a case whose suite
    /// is not named the case alone.
    pub(crate) fn name_and_part(&self) -> (SmolStr, SmolStr) {
        let suite = || self.suite.as_ref().map(|suite| format_smolstr!("{SUITE}{suite}"));
        let case = self.case.as_ref().map(|case| format_smolstr!("case/{case}"));
        (suite().unwrap_or_default(), case.unwrap_or_default())
    }
}

/// What the name of a suite begins with where successes are matched, so that it is no level's.
pub(crate) const SUITE: &str = "suite/";

impl Reported {
    /// The suites that ended well, and those with a test that failed or errored. A suite in which
    /// nothing passed and nothing broke is neither.
    pub fn suites(&self) -> (BTreeSet<&SmolStr>, BTreeSet<&SmolStr>) {
        let of = |wanted: fn(CaseOutcome) -> bool| -> BTreeSet<&SmolStr> {
            let cases = self.cases.iter().filter(|case| wanted(case.outcome));
            cases.map(|case| &case.suite).collect()
        };
        let broken = of(CaseOutcome::is_broken);
        let passed = of(|outcome| outcome == CaseOutcome::Passed);
        (passed.difference(&broken).copied().collect(), broken)
    }
}
