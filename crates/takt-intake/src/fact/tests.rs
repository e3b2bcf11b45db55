//! Hostile and honest bytes.

use proptest::prelude::*;
use serde_json::json;
use takt_domain::ids::BoardId;

use super::*;

fn now() -> Time {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

fn card() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "/tracker", "time": "2026-07-01T11:00:00Z",
        "type": "dev.takt.report.card.v1", "data": {"card": "T-1", "column": "Doing"},
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut event = card();
    *event.pointer_mut(path).unwrap() = value;
    event
}

fn without(name: &str) -> Value {
    let mut event = card();
    event.as_object_mut().unwrap().remove(name);
    event
}

fn try_parse(event: &Value) -> Result<Fact, Misfit> {
    parse(event.to_string().as_bytes(), now())
}

#[test]
fn a_card_report_becomes_a_fact_on_the_main_board() {
    let mut event = card();
    event["sequence"] = json!("7");
    event["takthistorical"] = json!("true");
    event["correlationid"] = json!("c");
    event["recordedtime"] = json!("whatever");
    let fact = try_parse(&event).unwrap();
    assert_eq!(fact.sequence.as_deref(), Some("00000000000000000007"));
    assert_eq!((fact.subject.as_str(), fact.historical), ("T-1", true));
    assert_eq!(fact.correlation.as_deref(), Some("c"));
    let Report::Card(board, card) = fact.report else { panic!("no card report") };
    assert_eq!(board, BoardId::main());
    assert_eq!(card.column.unwrap().as_str(), "Doing");
}

#[test]
fn extensions_do_not_change_the_digest_but_data_does() {
    let digest = |event: &Value| try_parse(event).unwrap().digest;
    let mut numbered = card();
    numbered["sequence"] = json!(9);
    assert_eq!(digest(&card()), digest(&numbered));
    assert_eq!(digest(&card()), digest(&with("/time", json!("2026-07-01T13:00:00+02:00"))));
    assert_ne!(digest(&card()), digest(&with("/data/column", json!("Done"))));
}

#[test]
fn every_report_type_is_understood() {
    for (kind, data, subject) in [
        ("column", json!({"column": "Doing", "kind": "active", "order": 2}), "Doing"),
        ("change", json!({"change": "c1", "cards": ["T-1"]}), "c1"),
        ("test", json!({"run": "r", "level": "unit", "commit": "c"}), "r"),
        ("pipeline", json!({"run": "r", "pipeline": "p", "outcome": "failure"}), "r"),
        ("deployment", json!({"deployment": "d", "environment": "prod"}), "prod"),
        ("environment", json!({"environment": "prod", "class": "prod"}), "prod"),
        ("incident", json!({"incident": "i", "state": "detected"}), "i"),
    ] {
        let mut event = with("/data", data);
        event["type"] = json!(format!("dev.takt.report.{kind}.v1"));
        let fact = try_parse(&event).unwrap_or_else(|misfit| panic!("{kind}: {misfit}"));
        assert_eq!(fact.subject, subject);
        assert!(!matches!(fact.report, Report::Foreign(_)), "{kind}");
    }
}

#[test]
fn unknown_types_and_cdevents_are_foreign() {
    let mut event = with("/type", json!("com.example.thing"));
    event.as_object_mut().unwrap().remove("time");
    let fact = try_parse(&event).unwrap();
    assert_eq!(fact.time, now());
    assert!(matches!(fact.report, Report::Foreign(_)));
    let cd = json!({
        "context": {"version": "0.4.1", "id": "i", "source": "/s", "type": "dev.cdevents.x",
            "timestamp": "2026-07-01T00:00:00Z"},
        "subject": {"id": "pkg", "content": {}},
    });
    let fact = try_parse(&cd).unwrap();
    assert_eq!((fact.subject.as_str(), fact.id.as_str()), ("pkg", "i"));
    let Report::Foreign(foreign) = fact.report else { panic!("not foreign") };
    assert_eq!(foreign.data, cd);
}

#[test]
fn hostile_events_say_place_reason_and_remedy() {
    for (event, place, reason) in [
        (json!([1]), "line 1, column 1", "not an event"),
        (json!({"a": 1}), "specversion", "neither"),
        (with("/specversion", json!("0.3")), "specversion", "`0.3`"),
        (with("/specversion", json!(1.0)), "specversion", "not a text"),
        (without("id"), "id", "missing"),
        (without("source"), "source", "missing"),
        (without("type"), "type", "missing"),
        (without("time"), "time", "missing"),
        (without("data"), "data", "not an object"),
        (with("/id", json!("")), "id", "empty"),
        (with("/id", json!(7)), "id", "not a text"),
        (with("/time", json!("yesterday")), "time", "`yesterday`"),
        (with("/time", json!("+275760-09-13T00:00:00Z")), "time", "275760"),
        (with("/time", json!("2026-07-02T12:00:01Z")), "time", "24 h"),
        (with("/type", json!("dev.takt.board.card_moved.v1")), "type", "not a fact"),
        (with("/type", json!("dev.takt.report.card.v2")), "type", "not a fact"),
        (with("/data", json!({"column": "A"})), "data.card", "missing field"),
        (with("/data/card", json!("a\u{0}b")), "data.card", "control"),
        (with("/data/card", json!("x".repeat(513))), "data.card", "512"),
        (with("/data/column", json!("")), "data.column", "empty"),
        (with("/data/column", json!(["A"])), "data.column", "not a text"),
        (with("/data", json!({"card": "1", "kind": "done"})), "data.kind", "kind"),
        (with("/data", json!({"card": "1", "size": "big"})), "data.size", "big"),
    ] {
        let misfit = try_parse(&event).unwrap_err();
        assert_eq!(misfit.place, place, "{misfit}");
        assert!(misfit.reason.contains(reason) && !misfit.remedy.is_empty(), "{misfit}");
    }
}

#[test]
fn hostile_bytes_say_where() {
    let deep = "[".repeat(65);
    let large = vec![b' '; MAX_BYTES + 1];
    for (bytes, place) in [
        (&b""[..], "line 1, column 0"),
        (b"{\n]", "line 2, column 1"),
        (b"{\"a\xff", "byte 3"),
        (deep.as_bytes(), "byte 64"),
        (&large, "byte 1048576"),
    ] {
        assert_eq!(parse(bytes, now()).unwrap_err().place, place);
    }
}

#[test]
fn a_key_given_twice_is_tolerated() {
    let text = card().to_string().replacen('{', r#"{"id":"0","#, 1);
    assert_eq!(parse(text.as_bytes(), now()).unwrap().id, "1");
}

#[test]
fn a_cdevent_without_an_attribute_says_which() {
    let mut event = json!({
        "context": {"id": "i", "source": "/s", "type": "dev.cdevents.x",
            "timestamp": "2026-07-01T00:00:00Z"},
        "subject": {"id": "pkg"},
    });
    assert!(try_parse(&event).is_ok());
    event["subject"] = json!("pkg");
    assert_eq!(try_parse(&event).unwrap_err().place, "subject.id");
    event["context"].as_object_mut().unwrap().remove("timestamp");
    assert_eq!(try_parse(&event).unwrap_err().place, "context.timestamp");
}

#[test]
fn the_cdevents_conformance_files_are_facts_with_three_identities() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/cdevents/");
    let mut facts = Vec::new();
    for version in ["v0.4.1", "v0.5.1"] {
        let Ok(files) = std::fs::read_dir(format!("{folder}{version}")) else {
            println!("SKIPPED: {folder} is not there");
            return;
        };
        for path in files.map(|file| file.unwrap().path()) {
            let fact = parse(&std::fs::read(&path).unwrap(), now());
            facts.push(fact.unwrap_or_else(|misfit| panic!("{path:?}: {misfit}")));
        }
    }
    let identities: std::collections::BTreeSet<_> =
        facts.iter().map(|fact| (&fact.source, &fact.id)).collect();
    assert_eq!((facts.len(), identities.len()), (92, 3));
}

proptest! {
    #[test]
    fn parse_never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes, now());
    }

    #[test]
    fn parse_never_panics_on_a_damaged_event(at in 0_usize..200, byte in any::<u8>()) {
        let mut bytes = card().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = parse(&bytes, now());
    }
}

#[test]
fn a_time_before_the_year_1_is_refused_at_its_place() {
    for time in ["0000-12-31T23:59:59Z", "-000044-03-15T12:00:00Z", "0001-01-01T00:00:00+01:00"] {
        let misfit = try_parse(&with("/time", json!(time))).unwrap_err();
        assert_eq!(misfit.place, "time", "{misfit}");
        assert!(misfit.reason.contains(time), "{misfit}");
    }
    assert!(try_parse(&with("/time", json!("0001-01-01T00:00:00Z"))).is_ok());
}

#[test]
fn a_reason_is_short_however_long_the_value() {
    let long = "x".repeat(100_000);
    let mut kind = card();
    kind["type"] = json!(format!("dev.takt.{long}"));
    let mut blocked = card();
    blocked["data"]["blocked"] = json!(long);
    for event in [kind, blocked, with("/time", json!(long)), with("/specversion", json!(long))] {
        let misfit = try_parse(&event).unwrap_err();
        assert!(misfit.to_string().len() < 3 * 1024 + 16, "{} bytes", misfit.to_string().len());
    }
}
