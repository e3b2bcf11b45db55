//! Green reruns, as sentences: what clears the condition behind a stop, whatever comes first.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::andon::{self, Line, Order, Reruns};
use crate::deployment::{DeploymentReported, IncidentReported, IncidentState, PipelineReported};
use crate::event::{Aggregate, Meta};
use crate::ids::EventId;
use crate::rejection::Asked;
use crate::testing::{Case, CaseOutcome, Level, Reported, RunReported};

fn at(second: i64) -> Time {
    Time::EPOCH + Span::from_secs(second)
}

/// A report at a second.
type Told = (i64, Event);

fn suites(run: &str, commit: &str, suites: &[(&str, bool)]) -> Event {
    let case = |(suite, green): &(&str, bool)| Case {
        suite: (*suite).into(),
        class: "c".into(),
        name: "n".into(),
        outcome: if *green { CaseOutcome::Passed } else { CaseOutcome::Failed },
        duration: Span::ZERO,
        message: None,
    };
    let cases = suites.iter().map(case).collect();
    let (run, commit) = (run.into(), commit.into());
    let reported = Reported { run, level: Level::Acceptance, commit, cases };
    Event::Testing(testing::Event::Reported(reported))
}

fn pipeline(run: &str, stage: Option<&str>, outcome: Outcome) -> Event {
    Event::Deployment(deployment::Event::PipelineReported(PipelineReported {
        run: run.into(),
        source: None,
        pipeline: "main".into(),
        stage: stage.map(Into::into),
        commit: None,
        outcome: Some(outcome),
        link: None,
    }))
}

/// A task of a run, of which it does not tell the pipeline.
fn task(run: &str, name: &str, outcome: Outcome) -> Event {
    Event::Deployment(deployment::Event::PipelineReported(PipelineReported {
        run: run.into(),
        source: None,
        pipeline: SmolStr::default(),
        stage: Some(name.into()),
        commit: None,
        outcome: Some(outcome),
        link: None,
    }))
}

fn one_run(run: RunReported) -> Event {
    Event::Testing(testing::Event::RunReported(run))
}

fn suite_run(run: &str, suite: &str, outcome: Outcome) -> RunReported {
    RunReported {
        run: run.into(),
        suite_run: None,
        source: None,
        suite: Some(suite.into()),
        case: None,
        level: None,
        environment: None,
        outcome,
        reason: None,
    }
}

fn case_run(run: &str, suite_run_: Option<&str>, case: &str, outcome: Outcome) -> RunReported {
    RunReported {
        suite_run: suite_run_.map(Into::into),
        suite: None,
        case: Some(case.into()),
        level: Some(Level::Unit),
        ..suite_run(run, "", outcome)
    }
}

fn deployed(id: &str, environment: &str, service: &str, outcome: Outcome) -> Event {
    Event::Deployment(deployment::Event::DeploymentReported(DeploymentReported {
        deployment: id.into(),
        environment: environment.into(),
        class: None,
        service: Some(service.into()),
        artifact: None,
        commit: None,
        changes: Default::default(),
        outcome: Some(outcome),
        rollback: false,
    }))
}

fn incident(state: IncidentState) -> Event {
    Event::Deployment(deployment::Event::IncidentReported(IncidentReported {
        incident: "i-3".into(),
        source: None,
        state,
        environment: None,
        description: None,
    }))
}

/// Reacts to reports in the order given, as the engine does.
fn line(reports: &[Told]) -> Line {
    let (mut line, mut reruns) = (Line::default(), Reruns::default());
    for (seq, (second, event)) in (1..).zip(reports) {
        let id = EventId(uuid::Uuid::from_u128(u128::from(seq)));
        let meta = Meta::new(id, "urn:ci".into(), at(*second));
        let (aggregate, event) = (Aggregate::Tests, event.clone());
        let recorded = Recorded { seq, stream: "shop".into(), aggregate, meta, event };
        for ended in ends(&recorded) {
            reruns.take(ended);
        }
        for intent in react(None, None, &recorded) {
            let order = match intent {
                Intent::Pull { cause, stage, column, cleared_by, trigger } => {
                    let alert = format!("a-{seq}").as_str().into();
                    Order::Pull { alert, cause, stage, column, cleared_by, trigger }
                }
                Intent::Clear { cause, at, .. } => Order::Clear { cause, at },
                Intent::Rerun { cause, name, at, .. } => Order::Rerun { cause, name, at },
            };
            let asked = Asked { at: recorded.meta.time, actor: "takt".into() };
            let events = andon::decide(&line, &reruns, andon::Command { asked, order }).unwrap();
            for event in events {
                line = andon::evolve(line, &recorded.meta, &event);
            }
        }
    }
    line
}

/// Whether the condition of each open alert is cleared, by the alert's root.
fn cleared(reports: &[Told]) -> BTreeMap<String, bool> {
    line(reports).open.values().map(|it| (it.cause.id.to_string(), it.cleared)).collect()
}

fn check(reports: &[Told], expected: &[(&str, bool)]) {
    let expected: BTreeMap<String, bool> =
        expected.iter().map(|(id, cleared)| ((*id).to_owned(), *cleared)).collect();
    assert_eq!(cleared(reports), expected);
    let backwards: Vec<Told> = reports.iter().rev().cloned().collect();
    assert_eq!(cleared(&backwards), expected, "backwards");
}

#[test]
fn a_green_run_of_the_same_suites_on_another_commit_clears_and_resolves_nothing() {
    let red = (10, suites("r1", "c1", &[("invoice", false), ("search", true)]));
    check(std::slice::from_ref(&red), &[("acceptance/c1", false)]);
    let green = (20, suites("r2", "c2", &[("invoice", true)]));
    check(&[red.clone(), green], &[("acceptance/c1", true)]);
    let other = (20, suites("r2", "c2", &[("search", true)]));
    check(&[red.clone(), other], &[("acceptance/c1", false)]);
    let older = (9, suites("r2", "c2", &[("invoice", true)]));
    check(&[red, older], &[("acceptance/c1", false)]);
}

#[test]
fn a_task_joins_the_run_it_is_a_part_of_and_a_green_run_ends_both() {
    let red_task = (10, task("r-1", "unit", Outcome::Failure));
    let red_run = (11, pipeline("r-1", None, Outcome::Failure));
    let both = [red_task.clone(), red_run.clone()];
    check(&both, &[("r-1", false)]);
    let green = (20, pipeline("r-2", None, Outcome::Success));
    check(&[red_task.clone(), red_run, green.clone()], &[("r-1", true)]);
    // A task of which no pipeline is known is only matched by itself.
    check(&[red_task.clone(), green], &[("r-1", false)]);
    check(&[red_task.clone(), (20, task("r-2", "unit", Outcome::Success))], &[("r-1", true)]);
    check(&[red_task, (20, task("r-2", "lint", Outcome::Success))], &[("r-1", false)]);
}

#[test]
fn a_case_joins_its_suite_and_a_green_suite_ends_both() {
    use Outcome::{Cancel, Error, Failure, Success};
    let red_case = (10, one_run(case_run("c-1", Some("s-1"), "pays", Failure)));
    let red_suite = (11, one_run(suite_run("s-1", "checkout", Error)));
    let both = [red_case.clone(), red_suite.clone()];
    check(&both, &[("s-1", false)]);
    let green = (20, one_run(suite_run("s-2", "checkout", Success)));
    check(&[red_case.clone(), red_suite.clone(), green], &[("s-1", true)]);
    let other = (20, one_run(suite_run("s-2", "search", Success)));
    check(&[red_case.clone(), red_suite.clone(), other], &[("s-1", false)]);
    let cancelled = (20, one_run(suite_run("s-2", "checkout", Cancel)));
    check(&[red_case.clone(), red_suite, cancelled], &[("s-1", false)]);
    let green_case = (20, one_run(case_run("c-2", Some("s-2"), "pays", Success)));
    check(&[red_case, green_case], &[("s-1", true)]);
    let alone = (10, one_run(case_run("c-1", None, "pays", Failure)));
    let other_case = (20, one_run(case_run("c-2", None, "searches", Success)));
    check(&[alone, other_case], &[("c-1", false)]);
}

#[test]
fn a_suite_named_as_a_level_is_not_that_level() {
    let red = (10, one_run(suite_run("s-1", "acceptance", Outcome::Failure)));
    let green = (20, suites("r2", "c2", &[("", true)]));
    check(&[red, green], &[("s-1", false)]);
}

#[test]
fn a_root_is_its_keepers_whoever_reports_it() {
    let run = pipeline("r-1", None, Outcome::Failure);
    let Event::Deployment(deployment::Event::PipelineReported(run)) = run else { panic!() };
    let kept = PipelineReported { source: Some("urn:tekton".into()), ..run };
    let kept = Event::Deployment(deployment::Event::PipelineReported(kept));
    let open = line(&[(10, kept), (11, pipeline("r-1", None, Outcome::Failure))]).open;
    let sources: Vec<_> = open.values().map(|alert| alert.cause.source.as_str()).collect();
    assert_eq!(sources, ["urn:tekton", "urn:ci"]);
}

#[test]
fn every_suite_that_broke_must_have_run_green_since_in_whatever_runs() {
    let red = (10, suites("r1", "c1", &[("invoice", false), ("search", false)]));
    let invoice = (20, suites("r2", "c2", &[("invoice", true), ("search", false)]));
    let search = (30, suites("r3", "c2", &[("search", true)]));
    let first = [("acceptance/c1", false), ("acceptance/c2", false)];
    check(&[red.clone(), invoice.clone()], &first);
    check(&[red, invoice, search], &[("acceptance/c1", true), ("acceptance/c2", true)]);
}

#[test]
fn a_part_of_a_run_that_broke_is_no_rerun_of_it() {
    let red = (10, suites("r1", "c1", &[("invoice", false)]));
    let part = (11, suites("r1", "c1", &[("invoice", true)]));
    check(&[red, part], &[("acceptance/c1", false)]);
}

#[test]
fn what_breaks_again_is_not_clear_any_more() {
    let red = |second, run: &str| (second, suites(run, "c1", &[("invoice", false)]));
    let green = (20, suites("r2", "c2", &[("invoice", true)]));
    check(&[red(10, "r1"), green.clone(), red(30, "r3")], &[("acceptance/c1", false)]);
    check(&[red(10, "r1"), green, red(15, "r3")], &[("acceptance/c1", true)]);
}

#[test]
fn a_pipeline_is_cleared_by_its_own_stage_or_by_its_whole_run() {
    let red = (10, pipeline("1", Some("unit"), Outcome::Failure));
    let then = |event| [red.clone(), (20, event)];
    check(&then(pipeline("2", Some("unit"), Outcome::Success)), &[("1", true)]);
    check(&then(pipeline("2", None, Outcome::Success)), &[("1", true)]);
    check(&then(pipeline("2", Some("deploy"), Outcome::Success)), &[("1", false)]);
    check(&then(pipeline("1", Some("deploy"), Outcome::Success)), &[("1", false)]);
    check(&then(pipeline("2", None, Outcome::Cancel)), &[("1", false)]);
    let whole = [(10, pipeline("1", None, Outcome::Error)), (20, red.1.clone())];
    let stage = (30, pipeline("2", Some("unit"), Outcome::Success));
    check(&[&whole[..], &[stage]].concat(), &[("1", false)]);
}

#[test]
fn a_deployment_is_cleared_by_one_of_its_service_to_its_environment() {
    let red = (10, deployed("d-1", "prod", "shop", Outcome::Failure));
    for (environment, service, expected) in
        [("prod", "shop", true), ("test", "shop", false), ("prod", "search", false)]
    {
        let green = (20, deployed("d-2", environment, service, Outcome::Success));
        check(&[red.clone(), green], &[("d-1", expected)]);
    }
}

#[test]
fn an_incident_that_was_resolved_before_it_was_told_is_clear() {
    let (detected, resolved) =
        (incident(IncidentState::Detected), incident(IncidentState::Resolved));
    check(&[(10, detected.clone()), (20, resolved.clone())], &[("i-3", true)]);
    check(&[(20, detected), (10, resolved)], &[("i-3", false)]);
}

fn reports() -> impl Strategy<Value = Vec<Told>> {
    let names = ["a", "b", "c"];
    let suite = (0..3_usize, any::<bool>()).prop_map(move |(name, green)| (names[name], green));
    let report = (0..3_u8, prop::collection::vec(suite, 1..4), 0_i64..30);
    prop::collection::vec(report, 1..20).prop_map(|rows| {
        let numbered = rows.into_iter().enumerate();
        let told = numbered.map(|(n, (commit, of, second))| {
            (second, suites(&format!("r{n}"), &format!("c{commit}"), &of))
        });
        told.collect()
    })
}

proptest! {
    #[test]
    fn the_same_reports_in_any_order_leave_the_same_conditions(
        (straight, shuffled) in reports().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle()))
    ) {
        prop_assert_eq!(cleared(&straight), cleared(&shuffled));
    }
}
