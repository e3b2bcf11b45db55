//! The policy as people write it: TOML with lengths of time such as `4h`, and no unknown rules.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use takt_domain::Span;
use takt_domain::stream::{Policy, Strictness};

/// The file. Events pass over rules that they do not know; a file that holds one has a slip of the
/// pen, and is refused.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    line: Strictness,
    acknowledge_for: Length,
    escalate_after: Length,
}

/// Whole microseconds, or a text such as `4h` or `1h 30m`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Length {
    Micros(i64),
    Text(#[serde(with = "friendly")] SignedDuration),
}

mod friendly {
    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(it: &SignedDuration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{it:#}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        of: D,
    ) -> Result<SignedDuration, D::Error> {
        let text = String::deserialize(of)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<Span> for Length {
    fn from(span: Span) -> Self {
        Self::Text(SignedDuration::from_micros(span.micros()))
    }
}

impl From<Length> for Span {
    fn from(length: Length) -> Self {
        match length {
            Length::Micros(micros) => Self::from_micros(micros),
            Length::Text(text) => {
                Self::from_micros(i64::try_from(text.as_micros()).unwrap_or(i64::MAX))
            }
        }
    }
}

impl Default for File {
    fn default() -> Self {
        Policy::default().into()
    }
}

impl From<Policy> for File {
    fn from(policy: Policy) -> Self {
        Self {
            line: policy.line,
            acknowledge_for: policy.acknowledge_for.into(),
            escalate_after: policy.escalate_after.into(),
        }
    }
}

/// Reads a policy file; what it leaves out is as it is by default.
///
/// # Errors
/// What is wrong, with its line where there is one.
pub(super) fn read(text: &str) -> Result<Policy, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text.get(..span.start).unwrap_or("").lines().count());
        let line = line.map(|line| format!("line {}: ", line.max(1)));
        format!("{}{}", line.unwrap_or_default(), error.message())
    })?;
    Ok(Policy {
        line: file.line,
        acknowledge_for: file.acknowledge_for.into(),
        escalate_after: file.escalate_after.into(),
    })
}

/// Writes a policy as its file.
///
/// # Errors
/// When a value has no form in TOML.
pub(super) fn write(policy: &Policy) -> Result<String, String> {
    toml::to_string(&File::from(policy.clone())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_back_as_it_was_written_and_is_pleasant_to_read() {
        let text = write(&Policy::default()).unwrap();
        assert_eq!(
            text,
            "line = \"require\"\nacknowledge_for = \"4h\"\nescalate_after = \"30m\"\n"
        );
        assert_eq!(read(&text), Ok(Policy::default()));
    }

    #[test]
    fn microseconds_and_texts_say_the_same_and_what_is_left_out_is_the_default() {
        let policy = Policy { escalate_after: Span::from_secs(5400), ..Policy::default() };
        assert_eq!(read("escalate_after = 5400000000"), Ok(policy.clone()));
        assert_eq!(read("escalate_after = '1h 30m'"), Ok(policy));
        assert_eq!(read(""), Ok(Policy::default()));
    }

    #[test]
    fn an_unknown_rule_and_a_wrong_value_are_refused_with_their_names() {
        for (text, named) in [
            ("lime = 'off'", "lime"),
            ("line = 'sometimes'", "sometimes"),
            ("\n\nescalate_after = 'soon'", "line 3"),
            ("line = ", "line 1"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
