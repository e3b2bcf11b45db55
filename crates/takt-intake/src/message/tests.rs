//! Messages as clients send them, and as nobody should.

use proptest::prelude::*;
use serde_json::json;
use takt_domain::fact::Report;

use super::*;
use crate::fact::MAX_BYTES;

fn now() -> Time {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(SmolStr, SmolStr)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

type Pairs = &'static [(&'static str, &'static str)];
type Parts<'a> = &'a [&'a [(&'a str, &'a str)]];

const CARD: Pairs = &[
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "/tracker"),
    ("ce-type", "dev.takt.report.card.v1"),
    ("ce-time", "2026-07-01T11:00:00Z"),
];
const CARD_DATA: &[u8] = br#"{"card":"T-1","column":"Doing"}"#;

const SUNG: Pairs = &[
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "/choir"),
    ("ce-type", "com.example.sung"),
];

fn message(parts: Parts<'_>, bytes: &[u8]) -> Result<Fact, Misfit> {
    parse_message(&headers(&parts.concat()), bytes, now())
}

fn sung(extra: &[(&str, &str)], bytes: &[u8]) -> Result<Value, Misfit> {
    let fact = message(&[SUNG, extra], bytes)?;
    let Report::Foreign(foreign) = fact.report else { panic!("{fact:?}") };
    Ok(foreign.data)
}

#[test]
fn binary_and_structured_mode_and_bare_json_are_the_same_fact() {
    let whole = json!({
        "specversion": "1.0", "id": "1", "source": "/tracker", "time": "2026-07-01T11:00:00Z",
        "type": "dev.takt.report.card.v1", "data": {"card": "T-1", "column": "Doing"},
    })
    .to_string();
    let said = [("Content-Type", "application/cloudevents+json; charset=UTF-8")];
    let structured = message(&[&said], whole.as_bytes()).unwrap();
    let odd = message(&[&[("content-type", "text/plain")]], whole.as_bytes()).unwrap();
    let json = [("content-type", "application/json")];
    assert_eq!(message(&[CARD, &json], CARD_DATA).unwrap(), structured);
    assert_eq!(message(&[CARD], CARD_DATA).unwrap(), structured);
    assert_eq!(message(&[], whole.as_bytes()).unwrap(), structured);
    assert_eq!(odd, structured);
}

#[test]
fn headers_may_be_written_in_any_case_and_carry_extensions() {
    let extra = [("CE-Sequence", "7"), ("Ce-TaktHistorical", "true"), ("Nats-Msg-Id", "x")];
    let upper: Vec<(String, &str)> =
        CARD.iter().map(|(name, value)| (name.to_uppercase(), *value)).collect();
    let upper: Vec<(&str, &str)> = upper.iter().map(|(name, value)| (&**name, *value)).collect();
    let fact = message(&[&upper, &extra], CARD_DATA).unwrap();
    assert_eq!(fact.sequence.as_deref(), Some("00000000000000000007"));
    assert!(fact.historical);
}

#[test]
fn data_is_what_its_content_type_says() {
    let of = |media: &str, bytes: &[u8]| sung(&[("ce-datacontenttype", media)], bytes).unwrap();
    assert_eq!(of("application/vnd.song+json", b"[1]"), json!([1]));
    assert_eq!(of("text/plain; charset=utf-8", b"la la"), json!("la la"));
    assert_eq!(of("text/plain", b"l\xe0"), json!({"data_base64": "bOA="}));
    assert_eq!(of("application/octet-stream", b"abc"), json!({"data_base64": "YWJj"}));
    assert_eq!(of("application/octet-stream", b"abcd"), json!({"data_base64": "YWJjZA=="}));
    let both = [("ce-datacontenttype", "application/json"), ("content-type", "text/plain")];
    assert_eq!(sung(&both, b"1").unwrap(), json!(1));
    assert_eq!(sung(&[("content-type", "text/plain")], b"1").unwrap(), json!("1"));
    assert_eq!(sung(&[], b"").unwrap(), Value::Null);
}

#[test]
fn values_are_unquoted_and_percent_decoded_once() {
    for (written, meant) in [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("100% of %2525", "100% of %25"),
        (r#""a \"b\" %41""#, r#"a "b" A"#),
        ("\"", "\""),
        ("%4", "%4"),
        ("ü", "ü"),
    ] {
        let fact = message(&[SUNG, &[("ce-subject", written)]], b"1").unwrap();
        assert_eq!(fact.subject, meant);
    }
}

#[test]
fn what_is_no_message_says_what_and_where() {
    let whole = |length: usize| vec![b' '; length];
    let cases: &[(Parts<'_>, &[u8], &str, &str)] = &[
        (&[CARD], br#"{"card":"T-1","col"#, "the payload is not JSON", "line 1, column 18"),
        (&[CARD], b"", "`data` is `null`", "data"),
        (&[&[("content-type", "application/json")]], b"", "the event is not JSON", "line 1"),
        (&[&[("content-type", "application/cloudevents-batch+json")]], b"[]", "a batch", "header"),
        (&[], b"[{}]", "is not an event", "line 1"),
        (&[CARD, &[("ce-id", "2")]], CARD_DATA, "header `ce-id` comes twice", "header ce-id"),
        (&[CARD, &[("Ce-Id", "2")]], CARD_DATA, "comes twice, as `1` and as `2`", "header ce-id"),
        (&[SUNG, &[("ce-subject", "%C0%AF")]], b"1", "`%C0%AF` does not decode", "ce-subject"),
        (&[SUNG, &[("ce-subject", "%ff")]], b"1", "does not decode", "header ce-subject"),
        (&[SUNG, &[("ce-subject", "")]], b"1", "`subject` is empty", "subject"),
        (&[CARD], &whole(MAX_BYTES), "more than `1048576`", "byte 1048576"),
        (&[], &whole(2 << 20), "`2097152` bytes", "byte 1048576"),
        (&[&CARD[1..]], CARD_DATA, "neither a CloudEvent nor a CDEvent", "specversion"),
        (&[&[("ce-specversion", "0.3")]], b"1", "version `0.3`", "specversion"),
    ];
    for (parts, bytes, reason, place) in cases {
        let misfit = message(parts, bytes).unwrap_err();
        assert!(misfit.reason.contains(reason), "{reason}: {misfit}");
        assert!(misfit.place.contains(place), "{place}: {misfit}");
    }
    let deep = "[".repeat(65) + &"]".repeat(65);
    assert!(message(&[SUNG], deep.as_bytes()).unwrap_err().reason.contains("deeper than `64`"));
}

#[test]
fn a_header_that_says_the_same_twice_says_it_once() {
    let once = message(&[CARD], CARD_DATA).unwrap();
    assert_eq!(message(&[CARD, &[("CE-ID", "1")]], CARD_DATA).unwrap(), once);
}

#[test]
fn only_attributes_that_a_cloud_event_can_have_are_taken_from_headers() {
    let extra = [("ce-", "x"), ("ce-data", "x"), ("ce-a_b", "x"), ("ce-ü", "x"), ("ce-hue", "3")];
    let bytes = structured(&headers(&[SUNG, &extra].concat()), b"1").unwrap();
    let event: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        event,
        json!({"specversion": "1.0", "id": "1", "source": "/choir", "type": "com.example.sung",
               "hue": "3", "data": 1})
    );
}

#[test]
fn any_other_payload_stays_as_it_is() {
    for bytes in [b"".as_slice(), b"{", b"\xff", b"{\"a\": 1}"] {
        let said = headers(&[("content-type", "application/json"), ("ce-id", "1")]);
        assert_eq!(structured(&said, bytes).unwrap(), bytes);
    }
}

proptest! {
    #[test]
    fn no_message_is_a_panic(
        pairs in prop::collection::vec(("(?i)(ce-)?[a-z-]{0,12}|(?i)ce-(id|type|time|source|specversion|datacontenttype)|content-type", ".{0,40}"), 0..8),
        is_binary in any::<bool>(),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[{}\\[\\]\":,a-z0-9. ]{0,80}".prop_map(String::into_bytes),
        ],
    ) {
        let mut headers: Vec<(SmolStr, SmolStr)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        if is_binary {
            headers.push(("ce-specversion".into(), "1.0".into()));
        }
        let _ = parse_message(&headers, &bytes, now());
    }

    #[test]
    fn whatever_is_in_a_header_comes_out_of_its_encoding(value in "[^\u{0}]{1,40}") {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert_eq!(decoded(&encoded, "ce-x").unwrap(), value);
    }
}
