//! What the texts, times and sizes of a request must keep to before the rules see them, and how
//! much an answer may hold.

use takt_domain::{Span, Time, text};
use takt_proto::convert::{self, Duration, OutOfRange, Timestamp};
use takt_proto::methods::{Message, encoded_len};
use tonic::Status;

use super::status::invalid;

/// The longest text, in bytes.
const TEXT: usize = text::LONGEST;
/// The longest name, such as an actor's or a key.
const NAME: usize = 512;
/// The longest policy.
const POLICY: usize = 64 * 1024;
/// How many bytes of rows an answer holds: below the 4 MiB that clients take by default.
const ANSWER: usize = 3 * 1024 * 1024;

/// Texts of at most 4 KiB, each with its field.
pub(super) fn texts(fields: &[(&'static str, &str)]) -> Result<(), Status> {
    fields.iter().try_for_each(|(field, value)| within(field, value, TEXT))
}

/// A text as an answer shows it: facts are not held to what a request may hold.
pub(super) fn shown(value: &str) -> String {
    text::cut(value, TEXT).into_owned()
}

/// A name of at most 512 bytes.
pub(super) fn short(field: &'static str, value: &str) -> Result<(), Status> {
    within(field, value, NAME)
}

/// A policy of at most 64 KiB.
pub(super) fn policy(value: &str) -> Result<(), Status> {
    within("policy", value, POLICY)
}

fn within(field: &'static str, value: &str, limit: usize) -> Result<(), Status> {
    let control = value.chars().find(|it| it.is_control() && *it != '\n');
    let problem = match control {
        _ if value.len() > limit => format!("is {} bytes long, limit {limit}", value.len()),
        // A policy is a file, in which tabs and carriage returns are usual.
        Some('\t' | '\r') if limit == POLICY => return Ok(()),
        Some(bad) => format!("holds the control character `{}`", bad.escape_unicode()),
        None => return Ok(()),
    };
    let cut: String = value.chars().take(40).flat_map(char::escape_debug).collect();
    let remedy = format!("give at most {limit} bytes of text without control characters");
    Err(invalid(field, &format!("{field} `{cut}` {problem}"), &remedy))
}

/// A time that a calendar holds.
pub(super) fn time(field: &'static str, stamp: Option<&Timestamp>) -> Result<Option<Time>, Status> {
    let told = stamp.map(convert::time).transpose();
    told.map_err(|error| out_of_range(field, &error))
}

/// A span that is one.
pub(super) fn span(
    field: &'static str,
    duration: Option<&Duration>,
) -> Result<Option<Span>, Status> {
    let told = duration.map(convert::span).transpose();
    told.map_err(|error| out_of_range(field, &error))
}

fn out_of_range(field: &'static str, error: &OutOfRange) -> Status {
    invalid(field, &format!("{field} {error}"), "give one that a calendar holds")
}

/// Rows until there are `most` of them or their bytes fill an answer, and whether some are left.
/// There is always at least one, so that a reader who pages gets on.
pub(super) fn fill<M: Message>(rows: impl Iterator<Item = M>, most: usize) -> (Vec<M>, bool) {
    let (mut filled, mut bytes) = (Vec::new(), 0);
    for row in rows {
        bytes += encoded_len(&row);
        if filled.len() >= most || (bytes > ANSWER && !filled.is_empty()) {
            return (filled, true);
        }
        filled.push(row);
    }
    (filled, false)
}

/// How many rows a request asks for: 0 and too many are the most there may be.
pub(super) fn rows(limit: u32, most: usize) -> usize {
    match usize::try_from(limit) {
        Ok(0) | Err(_) => most,
        Ok(limit) => limit.min(most),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_text_that_is_too_long_or_holds_control_characters_is_refused_with_its_value() {
        let long = "x".repeat(TEXT + 1);
        for (value, part) in [
            (long.as_str(), "`xxxx"),
            ("a\u{0}b", "`\\u{0}`"),
            ("bell\u{7}", "`bell\\u{7}`"),
            ("a\tb", "`a\\tb`"),
        ] {
            let refused = texts(&[("title", value)]).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert!(refused.message().contains(part), "{}", refused.message());
            assert_eq!(takt_proto::error::details(&refused)[0].field, "title");
        }
        assert!(texts(&[("title", "two\nlines, ünd more"), ("reason", "")]).is_ok());
        assert!(policy("a = 1\r\n\tb = 2").is_ok());
    }

    #[test]
    fn an_answer_ends_at_its_rows_or_at_its_bytes_but_never_at_nothing() {
        let card = |size: usize| takt_proto::v1::Card {
            title: "x".repeat(size),
            ..takt_proto::v1::Card::default()
        };
        assert_eq!(fill((0..5).map(|_| card(1)), 3).0.len(), 3);
        assert!(!fill((0..3).map(|_| card(1)), 3).1);
        let (filled, more) = fill((0..5).map(|_| card(1024 * 1024)), 5);
        assert_eq!((filled.len(), more), (2, true));
        assert_eq!(fill((0..2).map(|_| card(ANSWER + 1)), 5).0.len(), 1);
    }
}
