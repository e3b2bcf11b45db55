//! The manual and the digests, as a stranger meets them.

use serde_json::Value;
use takt_domain::Time;
use takt_events::{TYPES, content_digest, decode, text_digest, type_of};

const GOLDENS: &str = include_str!("../goldens/v1.jsonl");
const MANUAL: &str = include_str!("../../../docs/events.md");

#[test]
fn the_manual_has_a_section_for_every_type_of_the_dictionary() {
    for kind in TYPES {
        assert!(MANUAL.contains(&format!("\n### `{kind}`\n")), "`{kind}` is not in docs/events.md");
    }
}

#[test]
fn the_manual_names_no_type_that_is_not_in_the_dictionary() {
    for heading in MANUAL.lines().filter_map(|line| line.strip_prefix("### `dev.takt.")) {
        let kind = format!("dev.takt.{}", heading.trim_end_matches('`'));
        assert!(TYPES.contains(&kind.as_str()), "`{kind}` is in docs/events.md only");
    }
}

#[test]
fn the_manual_explains_every_attribute_that_the_golden_events_carry() {
    for line in GOLDENS.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        for name in event.as_object().unwrap().keys() {
            assert!(MANUAL.contains(&format!("\n| `{name}` |")), "`{name}` is not explained");
        }
    }
}

#[test]
fn golden_lines_are_read_as_the_type_they_name() {
    for line in GOLDENS.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let recorded = decode(1, line.as_bytes()).unwrap();
        assert_eq!(type_of(&recorded.event), event["type"]);
    }
}

#[test]
fn an_offset_and_an_escape_are_spellings_and_not_content() {
    let digest = |text: &str, time: &str| {
        let data: Value = serde_json::from_str(text).unwrap();
        content_digest("t", "s", time.parse::<Time>().unwrap(), &data)
    };
    assert_eq!(
        digest(r#"{"a":1,"b":"ü"}"#, "2026-07-01T12:00:00Z"),
        digest(r#"{ "b":"\u00fc", "a":1 }"#, "2026-07-01T14:00:00+02:00"),
    );
}

#[test]
fn the_digest_of_a_text_is_the_start_of_its_sha_256() {
    assert_eq!(text_digest("abc"), "ba7816bf8f01cfea414140de5dae2223");
}
