//! From the words of CDEvents 0.4 to those of 0.5.1.

use serde_json::{Map, Value};

use super::SPOKEN;
use crate::cdevent::{STANDARD, outcome_of, word_of};

/// What calls `uri` what was `url`.
const WITH_URI: [&str; 4] = ["environment", "pipelinerun", "repository", "taskrun"];

/// A CDEvent in the words of 0.5.1, with a mark of who put it into them, if it came in those of 0.4;
/// any other as it came. Every type of the standard was raised by one minor version in between.
pub(super) fn upgraded(mut event: Value, mark: impl FnOnce() -> Value) -> Value {
    let of =
        |event: &Value, path: &str| event.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let is_old = of(&event, "/context/version").is_some_and(|version| version.starts_with("0.4."));
    let Some(kind) = of(&event, "/context/type").filter(|_| is_old) else { return event };
    let mut parts = kind.strip_prefix(STANDARD).unwrap_or_default().splitn(3, '.');
    let (subject, _, version) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let raised = version.and_then(|version| {
        let minor: u32 = version.strip_prefix("0.")?.strip_suffix(".0")?.parse().ok()?;
        let raised = minor.checked_add(1).filter(|raised| *raised <= 4)?;
        Some(format!("{}0.{raised}.0", kind.strip_suffix(version)?))
    });
    if let Some(context) = fields(&mut event, "/context") {
        context.remove("version");
        context.insert("specversion".to_owned(), SPOKEN.into());
        context.insert("type".to_owned(), raised.unwrap_or(kind.clone()).into());
    }
    if let Some(subject) = fields(&mut event, "/subject") {
        subject.remove("type");
    }
    if let Some(content) = fields(&mut event, "/subject/content") {
        if WITH_URI.contains(&subject)
            && let Some(url) = content.remove("url")
        {
            content.entry("uri").or_insert(url);
        }
        if let Some(outcome) = content.get_mut("outcome").filter(|_| subject.ends_with("run"))
            && let Some(known) = outcome.as_str().and_then(outcome_of)
        {
            *outcome = word_of(known).into();
        }
    }
    if let Some(event) = event.as_object_mut() {
        event.entry("customData").or_insert_with(|| Value::Object(Map::new()));
    }
    // Data of another kind than an object stays as it is.
    if let Some(custom) = fields(&mut event, "/customData") {
        custom.insert("takt".to_owned(), mark());
    }
    event
}

fn fields<'a>(event: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    event.pointer_mut(path).and_then(Value::as_object_mut)
}
