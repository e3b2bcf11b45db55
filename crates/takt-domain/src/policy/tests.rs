//! What follows from what, as sentences.

use super::*;
use crate::event::{Aggregate, Meta};
use crate::ids::EventId;
use crate::testing::{Case, CaseOutcome, Level, Reported};

fn recorded(aggregate: Aggregate, event: Event) -> Recorded {
    let meta = Meta::new(EventId::default(), "urn:ci".into(), Time::EPOCH);
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
        source: None,
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
            Intent::Rerun { cause, name, .. } => format!("~{:?} {name}", cause.kind),
        })
        .collect()
}

#[test]
fn a_red_test_pulls_for_its_level_and_commit_and_a_green_one_clears_it() {
    use CaseOutcome::{Errored, Failed, Passed, Skipped};
    assert_eq!(follows(&tests(&[Passed, Failed])), ["+Test acceptance/4f2a"]);
    assert_eq!(follows(&tests(&[Errored])), ["+Test acceptance/4f2a"]);
    assert_eq!(follows(&tests(&[Passed, Skipped])), ["~Test acceptance"]);
}

#[test]
fn a_broken_run_pulls_and_one_that_goes_on_does_nothing() {
    assert_eq!(follows(&run(Some(Outcome::Failure))), ["+Pipeline 77"]);
    assert_eq!(follows(&run(Some(Outcome::Error))), ["+Pipeline 77"]);
    assert_eq!(follows(&run(Some(Outcome::Success))), ["~Pipeline main"]);
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
    for (outcome, summary) in [
        (None, "deployment `d-5` to `prod` is being rolled back"),
        (Some(Outcome::Success), "deployment `d-5` to `prod` was rolled back"),
        (Some(Outcome::Error), "deployment `d-5` to `prod` could not be rolled back"),
    ] {
        assert_eq!(follows(&reported(true, outcome)), ["+Rollback d-5"]);
        let told = react(None, None, &reported(true, outcome));
        let [Intent::Pull { trigger, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(trigger.summary, summary);
    }
    assert_eq!(follows(&reported(false, Some(Outcome::Failure))), ["+Deployment d-5"]);
    assert_eq!(follows(&reported(false, Some(Outcome::Success))), ["~Deployment prod"]);
}

#[test]
fn a_service_that_is_rolled_back_again_is_the_same_trouble() {
    let rolled_back = |deployment: &str| {
        let told = deployment::DeploymentReported {
            deployment: deployment.into(),
            environment: "prod".into(),
            class: None,
            service: Some("shop".into()),
            artifact: None,
            commit: None,
            changes: Default::default(),
            outcome: Some(Outcome::Success),
            rollback: true,
        };
        self::deployment(deployment::Event::DeploymentReported(told))
    };
    for deployment in ["d-5", "d-6"] {
        assert_eq!(follows(&rolled_back(deployment)), ["+Rollback shop@prod"]);
        let told = react(None, None, &rolled_back(deployment));
        let [Intent::Pull { trigger, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(trigger.summary, "service `shop` in `prod` was rolled back");
    }
}

#[test]
fn what_pulled_is_told_in_a_summary_that_a_notice_has_room_for() {
    let incident = deployment(deployment::Event::IncidentReported(deployment::IncidentReported {
        incident: "i-3".into(),
        source: None,
        state: deployment::IncidentState::Detected,
        environment: None,
        description: Some("ü".repeat(500_000).into()),
    }));
    let told = react(None, None, &incident);
    let [Intent::Pull { trigger, .. }] = &told[..] else { panic!("{told:?}") };
    assert!(trigger.summary.len() <= text::LONGEST && trigger.summary.ends_with('…'));
}

#[test]
fn imported_history_is_never_reacted_to() {
    let mut red = tests(&[CaseOutcome::Failed]);
    red.meta.historical = true;
    assert_eq!(follows(&red), Vec::<String>::new());
}

#[test]
fn a_report_in_which_nothing_passed_clears_nothing() {
    assert_eq!(follows(&tests(&[])), Vec::<String>::new());
    assert_eq!(follows(&tests(&[CaseOutcome::Skipped])), Vec::<String>::new());
}

/// A board with `doing` (limit 1, cards a and b) and `todo` without a limit.
fn full_board() -> Board {
    let set = |column: &str, cards| board::ColumnSet {
        column: column.into(),
        kind: None,
        order: None,
        wip_limit: Some(board::WipLimit { cards, policy: board::WipPolicy::Soft }),
        time_limit: None,
        stage: None,
    };
    let added = |card: &str| board::CardAdded {
        card: card.into(),
        column: "doing".into(),
        details: board::Details::default(),
    };
    let events = [
        board::Event::ColumnSet(set("doing", 1)),
        board::Event::ColumnSet(set("todo", 9)),
        board::Event::CardAdded(added("a")),
        board::Event::CardAdded(added("b")),
        board::Event::CardAdded(added("c")),
    ];
    events.iter().zip(1..).fold(Board::default(), |board, (event, n)| {
        let mut meta = tests(&[]).meta;
        meta.id = EventId(uuid::Uuid::from_u128(n));
        board::evolve(board, &meta, event)
    })
}

#[test]
fn a_card_that_leaves_a_column_still_over_its_limit_pulls_nothing() {
    let moved = board::CardMoved { card: "a".into(), from: "doing".into(), column: "todo".into() };
    let event = recorded(
        Aggregate::Board("main".into()),
        Event::Board(board::Event::CardMoved(moved.clone())),
    );
    let mut meta = event.meta.clone();
    meta.time = Time::from_micros(1);
    let board = board::evolve(full_board(), &meta, &board::Event::CardMoved(moved));
    let before: ColumnName = "doing".into();
    let pulls = react(Some(&board), Some(&before), &event);
    let pulls = pulls.iter().filter(|intent| matches!(intent, Intent::Pull { .. })).count();
    assert!(board.is_over(&before));
    assert_eq!(pulls, 0);
}

#[test]
fn a_time_limit_that_is_taken_away_clears_what_it_told() {
    let overdue = board::CardOverdue {
        card: "a".into(),
        column: "doing".into(),
        since: Time::EPOCH,
        limit: Span::from_secs(1),
    };
    let meta = tests(&[]).meta;
    let board = board::evolve(full_board(), &meta, &board::Event::CardOverdue(overdue));
    let lifted = board::ColumnSet {
        column: "doing".into(),
        kind: None,
        order: None,
        wip_limit: None,
        time_limit: Some(Span::ZERO),
        stage: None,
    };
    let event =
        recorded(Aggregate::Board("main".into()), Event::Board(board::Event::ColumnSet(lifted)));
    let cleared = react(Some(&board), None, &event).into_iter().any(|intent| {
        matches!(intent, Intent::Clear { cause, .. } if cause.kind == CauseKind::TimeLimit)
    });
    assert!(cleared);
}
