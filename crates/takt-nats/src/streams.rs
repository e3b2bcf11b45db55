//! Streams are made once and checked ever after: one with other settings is refused, not changed.

use std::collections::BTreeSet;
use std::str::FromStr;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use serde_json::{Map, Value};

use crate::error::{Difference, OpenError};

/// What an operator may choose without harm; everything else must be as Takt needs it.
const FREE: &[&str] =
    &["metadata", "description", "placement", "compression", "consumer_limits", "first_seq"];

/// A stream on files that keeps everything and refuses what it has no room for.
///
/// Every number is what the server answers later, as it fills in what is left out.
pub(crate) fn keeping(name: &str, subjects: &[&str], replicas: usize) -> Config {
    Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window: std::time::Duration::from_millis(100),
        allow_direct: true,
        ..Config::default()
    }
}

/// Makes a stream, or checks the one that is there.
pub(crate) async fn made_or_checked(
    context: &Context,
    wanted: Config,
) -> Result<Stream, OpenError> {
    let found = match context.get_stream(&wanted.name).await {
        Ok(found) => found,
        Err(error) if is_missing(&error.kind()) => made(context, &wanted).await?,
        Err(error) => return Err(unavailable(&wanted, &error)),
    };
    let is = &found.cached_info().config;
    let mut differences = differences(is, &wanted);
    let missing = wanted.metadata.keys().filter(|key| !is.metadata.contains_key(*key));
    differences.extend(missing.map(|key| Difference {
        setting: format!("metadata.{key}"),
        is: "null".to_owned(),
        must_be: "a UUID made with the stream".to_owned(),
    }));
    if differences.is_empty() {
        return Ok(found);
    }
    Err(OpenError::Differs { stream: wanted.name, differences })
}

/// What a stream's metadata says under a key that was made with it.
pub(crate) fn made_with<T: FromStr>(
    stream: &Stream,
    key: &str,
    must_be: &str,
) -> Result<T, OpenError> {
    let config = &stream.cached_info().config;
    let text = config.metadata.get(key).map_or("", String::as_str);
    text.parse().map_err(|_| OpenError::Differs {
        stream: config.name.clone(),
        differences: vec![Difference {
            setting: format!("metadata.{key}"),
            is: text.chars().take(80).collect(),
            must_be: must_be.to_owned(),
        }],
    })
}

pub(crate) fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn made(context: &Context, wanted: &Config) -> Result<Stream, OpenError> {
    let error = match context.create_stream(wanted.clone()).await {
        Ok(made) => return Ok(made),
        Err(error) => error,
    };
    let by_another = matches!(error.kind(), CreateStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::STREAM_NAME_EXIST);
    if !by_another {
        return Err(unavailable(wanted, &error));
    }
    context.get_stream(&wanted.name).await.map_err(|error| unavailable(wanted, &error))
}

fn unavailable(wanted: &Config, error: &dyn std::error::Error) -> OpenError {
    let reason = error.to_string();
    let remedy = if reason.contains("resources") || reason.contains("storage") {
        let less = if wanted.subjects.iter().any(|it| it == "takt.in.>") {
            "; `--nats-inbox-mib` asks for less"
        } else {
            ""
        };
        format!(
            "give JetStream room for it (`max_file` of the server, `max_store` of the account): \
             it asks for {} bytes{less}",
            wanted.max_bytes
        )
    } else {
        "look whether JetStream runs there, and whether this user may publish to `$JS.API.>`"
            .to_owned()
    };
    OpenError::Unavailable { stream: wanted.name.clone(), reason, remedy }
}

fn differences(is: &Config, wanted: &Config) -> Vec<Difference> {
    let (is, wanted) = (settings(is), settings(wanted));
    let names: BTreeSet<&String> = is.keys().chain(wanted.keys()).collect();
    let value = |of: &Map<String, Value>, name: &str| of.get(name).cloned().unwrap_or(Value::Null);
    names
        .into_iter()
        .filter(|name| !FREE.contains(&name.as_str()))
        .map(|name| (name, value(&is, name), value(&wanted, name)))
        .filter(|(_, is, wanted)| is != wanted)
        .map(|(name, is, wanted)| Difference {
            setting: name.clone(),
            is: is.to_string(),
            must_be: wanted.to_string(),
        })
        .collect()
}

/// The settings by the names of the server's JSON, without those that say the default aloud.
fn settings(config: &Config) -> Map<String, Value> {
    let Ok(Value::Object(mut settings)) = serde_json::to_value(config) else { return Map::new() };
    settings.retain(|name, value| {
        let is_default = name == "persist_mode" && value.as_str() == Some("default");
        !is_default && !value.is_null() && *value != Value::Bool(false)
    });
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_name_and_free_settings_are_free() {
        let wanted = keeping("TAKT_X", &["takt.x.>"], 1);
        let mut is = wanted.clone();
        is.description = Some("ours".to_owned());
        is.metadata.insert("_nats.req.level".to_owned(), "0".to_owned());
        assert_eq!(differences(&is, &wanted), []);
        is.discard = DiscardPolicy::Old;
        is.num_replicas = 3;
        let told: Vec<_> = differences(&is, &wanted).iter().map(Difference::to_string).collect();
        let discard = "`discard` is `\"old\"` and must be `\"new\"`";
        assert_eq!(told, [discard, "`num_replicas` is `3` and must be `1`"]);
    }
}
