//! What subscribers are told, read back with the official library of CDEvents.

use proptest::prelude::*;
use takt_domain::{Meta, Recorded, Time, andon};

use super::*;
use crate::parse;

const SAMPLES: &str = include_str!("../../samples/cdevents.jsonl");
const GOLDENS: &str = include_str!("../../../takt-events/goldens/v1.jsonl");
const TAKT: &str = "urn:takt:0190a3c0-0000-7000-8000-000000000000";

fn goldens() -> Vec<Recorded> {
    let decode = |(seq, line): (u64, &str)| takt_events::decode(seq, line.as_bytes()).unwrap();
    (1..).zip(GOLDENS.lines()).map(decode).collect()
}

fn telling(recorded: &Recorded) -> Telling<'_> {
    Telling { recorded, source: TAKT, alert: None }
}

/// An event as the engine records a fact of these bytes.
fn recorded(bytes: &[u8]) -> Recorded {
    let fact = parse(bytes, "2026-07-01T12:00:00Z".parse().unwrap()).unwrap();
    let id = EventId::derive(&fact.source, &fact.id, 0);
    let meta = Meta {
        subject: fact.subject,
        historical: fact.historical,
        cdevent: fact.cdevent,
        ..Meta::new(id, fact.source, fact.time)
    };
    let (aggregate, event) = fact.report.into_event();
    Recorded { seq: 7, stream: "shop".into(), aggregate, meta, event }
}

fn report(kind: &str, data: Value) -> Recorded {
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "urn:ci", "time": "2026-03-02T09:30:00Z",
        "type": format!("dev.takt.report.{kind}.v1"), "data": data,
    });
    recorded(event.to_string().as_bytes())
}

fn json_of(message: &OutMessage) -> Value {
    serde_json::from_slice(&message.bytes).unwrap()
}

/// The message of an event, once the official library has read it.
fn sent(recorded: &Recorded) -> Option<(OutMessage, Value)> {
    let message = cdevent(&telling(recorded))?;
    let event = json_of(&message);
    if !message.subject.contains('-') {
        serde_json::from_value::<cdevents_sdk::CDEvent>(event.clone())
            .unwrap_or_else(|error| panic!("{error}: {event}"));
    }
    Some((message, event))
}

#[test]
fn a_cdevent_goes_out_under_its_own_source_and_id_in_the_words_of_the_newest_version() {
    for line in SAMPLES.lines() {
        let came: Value = serde_json::from_str(line).unwrap();
        let (message, event) = sent(&recorded(line.as_bytes())).unwrap();
        let context = &event["context"];
        assert_eq!(context["specversion"], "0.5.1");
        for same in ["/context/id", "/context/source", "/context/timestamp", "/subject/id"] {
            assert_eq!(event.pointer(same), came.pointer(same));
        }
        let parts: Vec<_> = came["context"]["type"].as_str().unwrap().split('.').collect();
        assert_eq!(message.subject, format!("takt.cdevents.shop.{}.{}", parts[2], parts[3]));
        if came["context"]["specversion"] == "0.5.1" {
            assert_eq!(event, came);
        }
    }
}

#[test]
fn an_event_of_the_older_version_says_what_its_newer_twin_says() {
    let mut told = std::collections::BTreeMap::new();
    for line in SAMPLES.lines() {
        let (_, mut event) = sent(&recorded(line.as_bytes())).unwrap();
        let id = event["context"]["id"].as_str().unwrap().to_owned();
        let (name, _) = id.rsplit_once('-').unwrap();
        let context = event["context"].as_object_mut().unwrap();
        context.remove("chainId");
        context.remove("id");
        let custom = event.as_object_mut().unwrap();
        if let Some(Value::Object(data)) = custom.get_mut("customData") {
            data.remove("takt");
        }
        custom.retain(|_, value| *value != json!({}));
        let twin = told.entry(name.to_owned()).or_insert_with(|| event.clone());
        assert_eq!(*twin, event);
    }
    assert_eq!(told.len(), 46);
}

#[test]
fn what_comes_back_is_known() {
    for line in SAMPLES.lines() {
        let first = recorded(line.as_bytes());
        let (message, event) = sent(&first).unwrap();
        let came: Value = serde_json::from_str(line).unwrap();
        let is_own = takt_events::origin(&message.bytes) == Some((TAKT.into(), first.meta.id));
        assert!(is_own || event == came, "{event}");
    }
    for golden in goldens() {
        let Some((message, _)) = sent(&golden).filter(|_| golden.meta.cdevent.is_none()) else {
            continue;
        };
        assert_eq!(takt_events::origin(&message.bytes), Some((TAKT.into(), golden.meta.id)));
    }
}

#[test]
fn each_type_of_the_log_that_has_a_predicate_goes_out_under_it() {
    let told: Vec<String> = goldens()
        .iter()
        .filter(|golden| golden.meta.cdevent.is_none())
        .filter_map(|golden| Some((golden, sent(golden)?.0.subject)))
        .map(|(golden, subject)| {
            let kind = takt_events::type_of(&golden.event);
            let subject = subject.strip_prefix("takt.cdevents.web.").unwrap();
            format!("{} {subject}", kind.strip_prefix("dev.takt.").unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            "board.card_added.v1 takt-card.moved",
            "board.card_moved.v1 takt-card.moved",
            "board.card_reported.v1 takt-card.moved",
            "change.reported.v1 change.merged",
            "pipeline.reported.v1 taskrun.finished",
            "deployment.reported.v1 service.deployed",
            "environment.reported.v1 environment.modified",
            "incident.reported.v1 incident.detected",
        ]
    );
}

#[test]
fn a_move_says_from_where_to_where() {
    let moved =
        goldens().into_iter().find(|it| takt_events::type_of(&it.event).contains("card_moved"));
    let (message, event) = sent(&moved.unwrap()).unwrap();
    assert_eq!(event["context"]["type"], "dev.cdeventsx.takt-card.moved.0.1.0");
    assert_eq!(
        event["subject"],
        json!({"id": "C-1", "content": {"board": "main", "from": "Todo", "to": "Doing"}})
    );
    assert_eq!(event["customData"]["takt"]["sequence"], message.seq);
    assert_eq!(message.content_type, "application/json");
}

#[test]
fn reports_go_out_where_the_standard_has_room_for_them() {
    let deployed = |outcome: &str, rollback: bool| {
        json!({"deployment": "d-5", "environment": "prod", "artifact": "pkg:oci/shop@1",
               "outcome": outcome, "rollback": rollback})
    };
    let link = "https://ci.example.com/77";
    for (kind, data, said) in [
        ("deployment", deployed("success", false), "service.deployed d-5"),
        ("deployment", deployed("success", true), "service.rolledback d-5"),
        ("deployment", deployed("failure", false), ""),
        (
            "deployment",
            json!({"deployment": "d-5", "environment": "prod", "outcome": "success"}),
            "",
        ),
        ("pipeline", json!({"run": "r", "pipeline": "p", "link": link}), "pipelinerun.started r"),
        ("pipeline", json!({"run": "r", "pipeline": "p"}), ""),
        ("pipeline", json!({"run": "r", "pipeline": "p", "link": "see the wiki"}), ""),
        (
            "pipeline",
            json!({"run": "r", "pipeline": "p", "outcome": "cancel"}),
            "pipelinerun.finished r",
        ),
        (
            "pipeline",
            json!({"run": "r", "pipeline": "p", "stage": "unit"}),
            "taskrun.started r/unit",
        ),
        ("environment", json!({"environment": "e", "deleted": true}), "environment.deleted e"),
        (
            "incident",
            json!({"incident": "i", "state": "resolved", "environment": "e"}),
            "incident.resolved i",
        ),
        ("incident", json!({"incident": "i", "state": "resolved"}), ""),
        ("change", json!({"change": "c"}), "change.updated c"),
        ("card", json!({"card": "c", "deleted": true}), ""),
        ("card", json!({"card": "c", "title": "t"}), ""),
        ("column", json!({"column": "c"}), ""),
    ] {
        let told = sent(&report(kind, data.clone())).map(|(message, event)| {
            assert_eq!(event["subject"]["source"], "urn:ci");
            let subject = message.subject.strip_prefix("takt.cdevents.shop.").unwrap().to_owned();
            format!("{subject} {}", event["subject"]["id"].as_str().unwrap())
        });
        assert_eq!(told.unwrap_or_default(), said, "{data}");
    }
}

#[test]
fn of_history_nobody_is_told() {
    let lines = SAMPLES.lines().map(|line| recorded(line.as_bytes()));
    for mut one in lines.chain(goldens()) {
        one.meta.historical = true;
        assert_eq!(tell(&telling(&one)), []);
    }
}

#[test]
fn a_notice_says_what_a_person_needs() {
    let golden = |kind: &str| {
        let is_it =
            |it: &Recorded| takt_events::type_of(&it.event) == format!("dev.takt.andon.{kind}.v1");
        goldens().into_iter().rfind(is_it).unwrap()
    };
    let pulled = golden("pulled");
    let Event::Andon(andon::Event::Pulled(it)) = &pulled.event else { panic!() };
    let about = takt_events::About {
        effect: it.effect,
        cause: &it.cause,
        summary: &it.trigger.summary,
        stage: it.stage.as_deref(),
        column: it.column.as_ref(),
        pulled_at: it.trigger.at,
        pulled_by: Some("bob"),
    };
    for (kind, by, until) in [
        ("pulled", Some("ann"), None),
        ("acknowledged", Some("ann"), Some("2026-03-02T13:30:00Z")),
        ("acknowledgement_expired", None, Some("2026-03-02T13:30:00Z")),
        ("escalated", None, Some("2026-03-02T14:00:00Z")),
        ("condition_cleared", None, None),
        ("resolved", Some("ann"), None),
    ] {
        let mut step = golden(kind);
        step.meta.actor = by.map(Into::into);
        let telling = Telling { recorded: &step, source: TAKT, alert: Some(about) };
        let [message] = &tell(&telling)[..] else { panic!("{kind}") };
        assert_eq!(message.subject, "takt.andon.web");
        let notice = json_of(message);
        assert_eq!(
            (&notice["type"], &notice["source"]),
            (&json!("dev.takt.andon.notice.v1"), &json!(TAKT))
        );
        let data = &notice["data"];
        assert_eq!(data["step"], kind);
        assert_eq!((data["alert"].as_str(), data["effect"].as_str()), (Some("a-1"), Some("stop")));
        assert_eq!(data["summary"], "2 of 40 acceptance tests failed");
        assert_eq!(data["cause"]["id"], "acceptance/4f2a");
        assert_eq!(data["pulled_by"], "bob");
        assert_eq!((data["by"].as_str(), data["until"].as_str()), (by, until), "{kind}");
        assert_eq!(andon_notice(&telling).as_ref(), Some(message));
        // Of an alert that is not known any more, the rest is told.
        assert!(andon_notice(&Telling { alert: None, ..telling }).is_some());
    }
    assert_eq!(andon_notice(&telling(&golden("joined"))), None);
}

#[test]
fn a_subject_has_as_many_tokens_as_it_should() {
    let kind = "dev.cdeventsx.a b*-c.>.0.1.0";
    let event = json!({"context": {"id": "1", "source": "s", "type": kind,
        "timestamp": "2026-03-02T09:30:00Z"}, "subject": {"id": "1"}});
    let mut one = recorded(event.to_string().as_bytes());
    one.stream = "web shop".into();
    let message = cdevent(&telling(&one)).unwrap();
    assert_eq!(message.subject, "takt.cdevents.web=20shop.a=20b=2A-c.=3E");
    let short = event.to_string().replace(kind, "dev.cdevents.a");
    assert_eq!(cdevent(&telling(&recorded(short.as_bytes()))), None);
}

proptest! {
    #[test]
    fn whatever_a_foreign_cdevent_holds_is_told_or_not_and_never_a_panic(
        kind in "dev\\.cdeventsx?\\.[a-z.0-9]{0,30}",
        version in prop_oneof![Just("0.4.1".to_owned()), ".{0,6}"],
        content in prop_oneof![Just(json!({"url": 5, "outcome": {}})), Just(json!([])), Just(json!("x"))],
        custom in prop_oneof![Just(json!("e30=")), Just(Value::Null), Just(json!({"takt": 1}))],
    ) {
        let data = json!({"context": {"id": "1", "source": "s", "type": kind, "version": version},
            "subject": {"id": "1", "content": content}, "customData": custom});
        let foreign = system::ForeignRecorded { kind: kind.as_str().into(), fact_id: "1".into(), data };
        let event = Event::System(system::Event::ForeignRecorded(foreign));
        let aggregate = takt_domain::Aggregate::Foreign;
        let meta = Meta::new(EventId::default(), "s".into(), Time::EPOCH);
        let recorded = Recorded { seq: 1, stream: "shop".into(), aggregate, meta, event };
        let _ = tell(&telling(&recorded));
    }
}
