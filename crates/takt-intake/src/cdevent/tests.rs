//! CDEvents of both versions, as they become facts.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::parse;

/// One CDEvent of every standard type and a custom one, in both versions; written for Takt.
const SAMPLES: &str = include_str!("../../samples/cdevents.jsonl");

fn now() -> Time {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

fn samples() -> Vec<Value> {
    SAMPLES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sample(id: &str) -> Value {
    samples().into_iter().find(|it| it["context"]["id"] == id).unwrap()
}

fn try_parse(event: &Value) -> Result<Fact, Misfit> {
    parse(event.to_string().as_bytes(), now())
}

fn fact(event: &Value) -> Fact {
    try_parse(event).unwrap_or_else(|misfit| panic!("{event}: {misfit}"))
}

/// The data of the event that a fact becomes, and its aggregate.
fn recorded(event: &Value) -> (String, Value) {
    let fact = fact(event);
    let (aggregate, event) = fact.report.into_event();
    let meta = takt_domain::Meta { cdevent: fact.cdevent, ..meta() };
    let bytes = takt_events::encode(&"shop".into(), &aggregate, &meta, &event);
    let mut entry: Value = serde_json::from_slice(&bytes).unwrap();
    (aggregate.to_string(), entry["data"].take())
}

fn meta() -> takt_domain::Meta {
    takt_domain::Meta::new(takt_domain::EventId::default(), "urn:test".into(), Time::EPOCH)
}

fn changed(id: &str, path: &str, value: Value) -> Value {
    let mut event = sample(id);
    *event.pointer_mut(path).unwrap() = value;
    event
}

#[test]
fn nineteen_types_of_both_versions_become_reports_and_the_others_stay_foreign() {
    let mut of_takt: Vec<String> = vec![];
    let mut others = 0;
    for event in samples() {
        let kind = event["context"]["type"].as_str().unwrap();
        let fact = fact(&event);
        if let Report::Foreign(foreign) = &fact.report {
            assert_eq!((foreign.kind.as_str(), &foreign.data), (kind, &event));
            assert_eq!(fact.cdevent, None);
            others += 1;
            continue;
        }
        assert_eq!(serde_json::from_str::<Value>(&fact.cdevent.unwrap()).unwrap(), event);
        of_takt.push(kind.split('.').skip(2).take(2).collect::<Vec<_>>().join("."));
    }
    of_takt.dedup();
    assert_eq!((samples().len(), others), (92, 54));
    assert_eq!(
        of_takt.join(" "),
        "change.created change.merged environment.created environment.modified \
         environment.deleted incident.detected incident.reported incident.resolved \
         pipelinerun.started pipelinerun.finished taskrun.started taskrun.finished \
         service.deployed service.upgraded service.rolledback service.removed \
         service.published testcaserun.finished testsuiterun.finished"
    );
}

#[test]
fn both_versions_of_an_event_say_the_same() {
    for old in samples().iter().filter(|it| it["context"]["version"] == "0.4.1") {
        let new = sample(&old["context"]["id"].as_str().unwrap().replace("0.4.1", "0.5.1"));
        let (old, mut new) = (fact(old), fact(&new));
        assert_ne!(old.digest, new.digest);
        if let (Report::Deployment(old), Report::Deployment(new)) = (&old.report, &mut new.report) {
            assert_ne!(old.deployment, new.deployment);
            new.deployment = old.deployment.clone();
        }
        if !matches!(old.report, Report::Foreign(_)) {
            assert_eq!(old.report, new.report);
        }
        assert_eq!((old.subject, old.time), (new.subject, new.time));
    }
}

#[test]
fn a_report_says_what_the_event_said_and_keeps_it_whole() {
    for (id, aggregate, mut data) in [
        (
            "change.merged",
            "change.PR-9",
            json!({"change": "PR-9", "merged_at": "2026-03-02T09:13:00Z"}),
        ),
        ("environment.deleted", "env.staging", json!({"environment": "staging", "deleted": true})),
        (
            "incident.reported",
            "incident.i-3",
            json!({"incident": "i-3", "state": "detected",
            "environment": "prod", "description": "Checkout answers 500"}),
        ),
        (
            "pipelinerun.finished",
            "run.run-77",
            json!({"run": "run-77", "pipeline": "main",
            "outcome": "failure", "link": "https://ci.example.com/77"}),
        ),
        (
            "taskrun.finished",
            "run.run-77",
            json!({"run": "run-77", "pipeline": "",
            "stage": "acceptance", "outcome": "failure", "link": "https://ci.example.com/77/3"}),
        ),
        (
            "service.rolledback",
            "env.prod",
            json!({"deployment": "service.rolledback-0.5.1",
            "environment": "prod", "service": "shop", "artifact": "pkg:oci/shop@sha256%3A9d6f",
            "outcome": "success", "rollback": true}),
        ),
        (
            "service.removed",
            "env.staging",
            json!({"service": "shop", "environment": "staging",
            "state": "removed"}),
        ),
        (
            "testcaserun.finished",
            "tests",
            json!({"run": "tcr-1", "suite_run": "tsr-1",
            "case": "Pays by invoice", "level": "acceptance", "environment": "staging",
            "outcome": "failure", "reason": "Total was 1.00"}),
        ),
        (
            "testsuiterun.finished",
            "tests",
            json!({"run": "tsr-1", "suite": "Checkout",
            "environment": "staging", "outcome": "failure", "reason": "1 of 40 failed"}),
        ),
    ] {
        let event = sample(&format!("{id}-0.5.1"));
        data["cdevent"] = event.clone();
        assert_eq!(recorded(&event), (aggregate.to_owned(), data));
    }
}

#[test]
fn what_is_kept_elsewhere_names_its_keeper() {
    let mut case = sample("testcaserun.finished-0.5.1");
    case["subject"]["content"]["testSuiteRun"]["source"] = json!("/testkube");
    let mut task = sample("taskrun.finished-0.5.1");
    task["subject"]["content"]["pipelineRun"]["source"] = json!("/tekton");
    let incident = changed("incident.detected-0.5.1", "/subject/source", json!("/pager"));
    for (event, keeper) in [(case, "/testkube"), (task, "/tekton"), (incident, "/pager")] {
        assert_eq!(recorded(&event).1["source"], keeper);
    }
}

#[test]
fn a_cdevent_in_a_cloud_event_is_the_same_fact() {
    for id in ["pipelinerun.finished-0.5.1", "build.queued-0.4.1", "custom-0.5.1"] {
        let event = sample(id);
        let bare = fact(&event);
        let mut around = json!({
            "specversion": "1.0", "id": "other", "source": "/broker", "subject": "x",
            "type": event["context"]["type"], "time": "2026-03-03T00:00:00Z", "data": event,
        });
        assert_eq!(fact(&around), bare);
        around["sequence"] = json!("7");
        around["takthistorical"] = json!(true);
        let numbered = fact(&around);
        assert_eq!((numbered.historical, numbered.sequence.is_some()), (true, true));
        assert_eq!(numbered.digest, bare.digest);
        around["data"] = json!("not a CDEvent");
        assert_eq!(try_parse(&around).unwrap_err().place, "data");
        around["data"] = json!({"context": {"id": "1"}});
        assert_eq!(try_parse(&around).unwrap_err().place, "data.context.source");
    }
}

#[test]
fn what_is_missing_or_wrong_is_named_with_its_place() {
    let run = "pipelinerun.finished-0.5.1";
    let mut unversioned = sample(run);
    unversioned["context"].as_object_mut().unwrap().remove("specversion");
    let deployed = "service.deployed-0.4.1";
    for (event, place, reason) in [
        (unversioned, "context.specversion", "is missing"),
        (changed(run, "/context/specversion", json!(5)), "context.specversion", "`5`, not a text"),
        (changed(run, "/subject/id", json!("\n")), "subject.id", "control character"),
        (changed(run, "/subject/id", json!("")), "subject.id", "is empty"),
        (
            changed(run, "/subject/content/outcome", json!("maybe")),
            "subject.content.outcome",
            "`maybe` is not understood",
        ),
        (changed(run, "/subject/content/outcome", json!(1)), "subject.content.outcome", "`1`"),
        (
            changed(deployed, "/subject/content/environment", json!("prod")),
            "subject.content.environment",
            "not an object",
        ),
        (
            changed(deployed, "/subject/content/environment/id", Value::Null),
            "subject.content.environment.id",
            "is missing",
        ),
        (
            changed("testsuiterun.finished-0.5.1", "/subject/content/outcome", Value::Null),
            "subject.content.outcome",
            "is missing",
        ),
        (
            changed(
                "taskrun.started-0.5.1",
                "/subject/content/pipelineRun/id",
                json!("x".repeat(513)),
            ),
            "subject.content.pipelineRun.id",
            "longer than 512",
        ),
    ] {
        let misfit = try_parse(&event).unwrap_err();
        assert_eq!(misfit.place, place);
        assert!(misfit.reason.contains(reason), "{misfit}");
        assert!(!misfit.remedy.is_empty());
    }
}

#[test]
fn the_words_of_makers_for_an_outcome_are_understood() {
    for (word, outcome) in [
        ("Succeeded", "success"),
        ("FAILED", "failure"),
        ("errored", "error"),
        ("canceled", "cancel"),
    ] {
        let event = changed("taskrun.finished-0.4.1", "/subject/content/outcome", json!(word));
        assert_eq!(recorded(&event).1["outcome"], outcome);
    }
}

#[test]
fn what_cannot_be_known_stays_foreign() {
    for event in [
        changed("pipelinerun.finished-0.5.1", "/context/specversion", json!("0.6.0-draft")),
        changed("pipelinerun.finished-0.5.1", "/subject/content/outcome", Value::Null),
        changed(
            "taskrun.finished-0.4.1",
            "/context/type",
            json!("dev.cdevents.approval.closed.0.1.0"),
        ),
        changed("taskrun.finished-0.4.1", "/context/type", json!("dev.cdevents.")),
        changed(
            "taskrun.finished-0.4.1",
            "/context/type",
            json!("dev.cdeventsx.a-taskrun.finished.0.1.0"),
        ),
    ] {
        assert!(matches!(fact(&event).report, Report::Foreign(_)), "{event}");
    }
}

#[test]
fn long_texts_are_cut_in_the_report_and_whole_in_the_event() {
    let long = "ü".repeat(400_000);
    let event = changed("incident.detected-0.5.1", "/subject/content/description", json!(long));
    let (_, data) = recorded(&event);
    assert!(data["description"].as_str().unwrap().len() <= MAX_REASON);
    assert_eq!(data["cdevent"], event);
}

#[test]
fn numbers_that_grow_are_counted_as_they_are_written() {
    let numbers = "1E15,".repeat(100_000) + "0";
    let event = sample("build.queued-0.5.1").to_string();
    let grown = event.replace(r#""content":{}"#, &format!(r#""content":{{"n":[{numbers}]}}"#));
    assert!(grown.len() < 600_000);
    assert!(parse(grown.as_bytes(), now()).unwrap_err().reason.contains("more than `1048576`"));
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}|id|source|outcome", inner, 0..4)
                .prop_map(Value::from_iter),
        ]
    })
}

/// Puts a value in the place of one of an event's values, counted from its top.
fn mutate(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|inner| mutate(inner, at, with)),
        Value::Array(values) => values.iter_mut().for_each(|inner| mutate(inner, at, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn an_event_with_anything_in_it_is_a_fact_or_a_reason(
        which in 0..92_usize,
        mut at in 1..40_usize,
        with in anything(),
    ) {
        let mut event = samples().swap_remove(which);
        mutate(&mut event, &mut at, &with);
        match try_parse(&event) {
            Ok(fact) => drop(fact.report.into_event()),
            Err(misfit) => prop_assert!(!misfit.place.is_empty() && !misfit.remedy.is_empty()),
        }
    }
}
