//! Digests of content, so that a reused identity is found.

use serde_json::Value;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use takt_domain::Time;

/// Bytes as lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The digest of a text: the first 16 bytes of its sha256, in hex.
pub fn text_digest(text: &str) -> SmolStr {
    let hex = hex(&Sha256::digest(text.as_bytes()));
    hex.get(..32).unwrap_or_default().into()
}

/// The digest over a fact's type, subject, time (as an instant) and data (as canonical JSON:
/// keys in order, no blanks). Other attributes are not covered.
pub fn content_digest(kind: &str, subject: &str, time: Time, data: &Value) -> SmolStr {
    let mut text = String::with_capacity(256);
    for part in [kind, subject, &time.to_string()] {
        text.push_str(&format!("{}:{part};", part.len()));
    }
    canonical(data, &mut text);
    text_digest(&text)
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in fields {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for value in values {
                canonical(value, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(data: &str) -> SmolStr {
        content_digest("t", "s", Time::EPOCH, &serde_json::from_str(data).unwrap())
    }

    #[test]
    fn the_order_of_keys_and_blanks_do_not_matter() {
        assert_eq!(digest(r#"{"a":1,"b":[2]}"#), digest(r#"{ "b" : [ 2 ], "a" : 1 }"#));
    }

    #[test]
    fn every_part_of_the_content_matters() {
        let base = content_digest("t", "s", Time::EPOCH, &json!({"a": 1}));
        for other in [
            content_digest("u", "s", Time::EPOCH, &json!({"a": 1})),
            content_digest("t", "", Time::EPOCH, &json!({"a": 1})),
            content_digest("t", "s", Time::from_micros(1), &json!({"a": 1})),
            content_digest("t", "s", Time::EPOCH, &json!({"a": "1"})),
            content_digest("ts", "", Time::EPOCH, &json!({"a": 1})),
        ] {
            assert_ne!(base, other);
        }
    }
}
