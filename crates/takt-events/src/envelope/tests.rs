//! What was written once reads back for ever.

use proptest::prelude::*;

use super::*;
use crate::TYPES;

/// One line per type of event, as it stood when the type was released.
const GOLDENS: &str = include_str!("../../goldens/v1.jsonl");

fn reencode(recorded: &Recorded) -> String {
    let bytes = encode(&recorded.stream, &recorded.aggregate, &recorded.meta, &recorded.event);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn every_golden_event_reads_back_and_writes_the_same_bytes() {
    for line in GOLDENS.lines() {
        let recorded = decode(7, line.as_bytes()).unwrap();
        assert!(!matches!(recorded.event, Event::Unknown(_)), "not understood: {line}");
        assert_eq!(reencode(&recorded), line);
    }
}

#[test]
fn every_type_of_the_dictionary_has_a_golden_event() {
    let golden: Vec<String> = GOLDENS
        .lines()
        .map(|line| type_of(&decode(1, line.as_bytes()).unwrap().event).to_owned())
        .collect();
    let missing: Vec<_> =
        TYPES.iter().filter(|kind| !golden.iter().any(|it| it == *kind)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

#[test]
fn an_unknown_type_is_kept_byte_for_byte() {
    let line = GOLDENS.lines().next().unwrap().replace("stream.created.v1", "stream.sung.v9");
    let recorded = decode(1, line.as_bytes()).unwrap();
    assert!(matches!(&recorded.event, Event::Unknown(it) if it.kind == "dev.takt.stream.sung.v9"));
    assert_eq!(reencode(&recorded), line);
}

#[test]
fn an_unknown_field_is_passed_over() {
    let line = GOLDENS.lines().next().unwrap();
    let newer =
        line.replacen('{', r#"{"taktnew":true,"#, 1).replace("\"title\":", "\"hue\":3,\"title\":");
    assert_eq!(decode(1, newer.as_bytes()).unwrap(), decode(1, line.as_bytes()).unwrap());
}

#[test]
fn a_known_type_with_data_that_does_not_fit_is_kept_not_refused() {
    let line = GOLDENS.lines().next().unwrap().replace("\"title\":\"Web shop\"", "\"title\":5");
    assert!(matches!(decode(1, line.as_bytes()).unwrap().event, Event::Unknown(_)));
}

#[test]
fn an_entry_that_does_not_read_names_the_attribute_its_value_and_the_place() {
    let line = GOLDENS.lines().next().unwrap();
    let at = "2026-03-02T09:30:00Z";
    for (entry, expected) in [
        (
            line.replacen(at, "yesterday", 1),
            "attribute `time` is `\"yesterday\"`: `yesterday` is not an RFC",
        ),
        (line.replace("\"1.0\"", "[1]"), "attribute `specversion` is `[1]`: invalid type"),
        (
            line.replacen("\"type\"", "\"sort\"", 1),
            "the entry is not a CloudEvent in JSON: missing",
        ),
        (line[..100].to_owned(), "the entry is not a CloudEvent in JSON: EOF while parsing"),
        (line.replacen(at, &"x".repeat(500), 1), "attribute `time` is `\"xxx"),
    ] {
        let error = decode(1, entry.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains(" at line 1 column "), "{error}");
        assert!(error.len() < 900, "{error}");
    }
}

#[test]
fn data_that_does_not_fit_its_known_type_says_why() {
    let golden = GOLDENS.lines().next().unwrap();
    let line = golden.replace("\"title\":\"Web shop\"", "\"title\":5");
    let why = crate::misfit(&decode(1, line.as_bytes()).unwrap().event).unwrap().to_string();
    assert!(
        why.starts_with("data of type `dev.takt.stream.created.v1` does not read: invalid type:"),
        "{why}"
    );
    assert!(why.contains("integer `5`") && why.ends_with("in `{\"title\":5}`"), "{why}");
    for fine in [golden.to_owned(), line.replace("stream.created.v1", "stream.sung.v9")] {
        assert!(crate::misfit(&decode(1, fine.as_bytes()).unwrap().event).is_none(), "{fine}");
    }
}

#[test]
fn the_digest_of_an_entry_reads_without_the_rest() {
    for line in GOLDENS.lines() {
        assert_eq!(
            recorded_digest(line.as_bytes()),
            decode(1, line.as_bytes()).unwrap().meta.digest
        );
    }
    assert_eq!(recorded_digest(b"not json"), None);
}

proptest! {
    #[test]
    fn decode_is_total_over_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(1, &bytes);
    }

    #[test]
    fn any_text_in_a_title_comes_back(title in ".{0,80}") {
        let line = GOLDENS.lines().next().unwrap();
        let mut recorded = decode(1, line.as_bytes()).unwrap();
        recorded.event = Event::Stream(takt_domain::stream::Event::Created(
            takt_domain::stream::Created { title: title.into() },
        ));
        prop_assert_eq!(decode(1, reencode(&recorded).as_bytes()).unwrap(), recorded);
    }
}
