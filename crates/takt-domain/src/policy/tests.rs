//! What follows from what, as sentences.

use super::*;
use crate::event::{Aggregate, Meta};
use crate::ids::EventId;
use crate::testing::{Case, CaseOutcome, Level, Reported};

fn recorded(aggregate: Aggregate, event: Event) -> Recorded {
    let meta = Meta {
        id: EventId::default(),
        source: "urn:ci".into(),
        subject: "".into(),
        time: Time::EPOCH,
        recorded: Time::EPOCH,
        sequence: None,
        actor: None,
        causation: None,
        correlation: None,
        traceparent: None,
        historical: false,
        digest: None,
    };
    Recorded { seq: 1, stream: "shop".into(), aggregate, meta, event }
}

fn tests(outcomes: &[CaseOutcome]) -> Recorded {
    let case = |outcome: &CaseOutcome| Case {
        suite: "s".into(),
        class: "c".into(),
        name: "n".into(),
        outcome: *outcome,
        duration: crate::time::Span::ZERO,
        message: None,
    };
    let cases = outcomes.iter().map(case).collect();
    let report =
        Reported { run: "r".into(), level: Level::Acceptance, commit: "4f2a".into(), cases };
    recorded(Aggregate::Tests, Event::Testing(testing::Event::Reported(report)))
}

fn deployment(event: deployment::Event) -> Recorded {
    recorded(Aggregate::Foreign, Event::Deployment(event))
}

fn run(outcome: Option<Outcome>) -> Recorded {
    deployment(deployment::Event::PipelineReported(deployment::PipelineReported {
        run: "77".into(),
        pipeline: "main".into(),
        stage: None,
        commit: None,
        outcome,
        link: None,
    }))
}

/// The kinds of causes that an event pulls (`+`) and clears (`-`).
fn follows(recorded: &Recorded) -> Vec<String> {
    react(None, None, recorded)
        .into_iter()
        .map(|intent| match intent {
            Intent::Pull { cause, .. } => format!("+{:?} {}", cause.kind, cause.id),
            Intent::Clear { cause, .. } => format!("-{:?} {}", cause.kind, cause.id),
        })
        .collect()
}

#[test]
fn a_red_test_pulls_for_its_level_and_commit_and_a_green_one_clears_it() {
    use CaseOutcome::{Errored, Failed, Passed, Skipped};
    assert_eq!(follows(&tests(&[Passed, Failed])), ["+Test acceptance/4f2a"]);
    assert_eq!(follows(&tests(&[Errored])), ["+Test acceptance/4f2a"]);
    assert_eq!(follows(&tests(&[Passed, Skipped])), ["-Test acceptance/4f2a"]);
}

#[test]
fn a_broken_run_pulls_and_one_that_goes_on_does_nothing() {
    assert_eq!(follows(&run(Some(Outcome::Failure))), ["+Pipeline 77"]);
    assert_eq!(follows(&run(Some(Outcome::Error))), ["+Pipeline 77"]);
    assert_eq!(follows(&run(Some(Outcome::Success))), ["-Pipeline 77"]);
    assert_eq!(follows(&run(Some(Outcome::Cancel))), Vec::<String>::new());
    assert_eq!(follows(&run(None)), Vec::<String>::new());
}

#[test]
fn a_rollback_pulls_whatever_its_outcome() {
    let reported = |rollback, outcome| {
        deployment(deployment::Event::DeploymentReported(deployment::DeploymentReported {
            deployment: "d-5".into(),
            environment: "prod".into(),
            class: None,
            service: None,
            artifact: None,
            commit: None,
            changes: Default::default(),
            outcome,
            rollback,
        }))
    };
    assert_eq!(follows(&reported(true, Some(Outcome::Success))), ["+Rollback d-5"]);
    assert_eq!(follows(&reported(false, Some(Outcome::Failure))), ["+Deployment d-5"]);
    assert_eq!(follows(&reported(false, Some(Outcome::Success))), ["-Deployment d-5"]);
}

#[test]
fn imported_history_is_never_reacted_to() {
    let mut red = tests(&[CaseOutcome::Failed]);
    red.meta.historical = true;
    assert_eq!(follows(&red), Vec::<String>::new());
}
