//! `takt stream policy`: the rules of a value stream, kept as a TOML file in git.

use std::collections::BTreeMap;
use std::io::Read;

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::stream_service_client::StreamServiceClient;
use takt_proto::v1::{GetPolicyRequest, SetPolicyRequest};

use crate::commands::Context;
use crate::exit::{Failure, INTERNAL, USAGE, VERDICT};
use crate::output::one;
use crate::output::page::Mark;

/// The longest policy that is read.
const LONGEST: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  takt stream policy show > policy.toml\n  \
    takt stream policy diff policy.toml || takt stream policy set policy.toml")]
pub(in crate::commands) enum Verb {
    /// The policy in force, as TOML
    Show,
    /// Put the policy of a file in force; what it does not say takes its default
    Set {
        /// The file; `-` is stdin
        file: String,
    },
    /// How a file differs from the policy in force; exits with 1 if it does
    Diff {
        /// The file; `-` is stdin
        file: String,
    },
}

#[derive(Serialize)]
struct Shown {
    stream: String,
    policy: toml::Table,
    sequence: u64,
}

#[derive(Serialize)]
struct Named {
    stream: String,
}

#[derive(Serialize)]
struct Difference {
    key: String,
    in_force: Option<toml::Value>,
    in_file: Option<toml::Value>,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = StreamServiceClient::new(context.wire.clone());
    let stream = context.stream()?;
    let in_force = async |stream: String| -> Result<_, Failure> {
        let mut client = StreamServiceClient::new(context.wire.clone());
        let request = GetPolicyRequest { stream, min_sequence: 0 };
        Ok(client.get_policy(request).await?.into_inner())
    };
    match verb {
        Verb::Show => {
            let found = in_force(stream.clone()).await?;
            let policy = table(&found.policy).map_err(|error| {
                Failure::new(INTERNAL, format!("the policy in force is no TOML: {error}"), "")
            })?;
            let data = Shown { stream, policy, sequence: found.sequence };
            one(context.output, &data, |_| found.policy).map(|()| 0)
        }
        Verb::Set { file } => {
            let policy = content(&file)?;
            let request = SetPolicyRequest {
                stream: stream.clone(),
                policy,
                idempotency_key: context.key.clone(),
                actor: context.actor.clone(),
            };
            let done = client.set_policy(request).await?.into_inner();
            let sentence = format!("the policy of `{file}` is in force for `{stream}`");
            context.did(Named { stream }, &done, &sentence).map(|()| 0)
        }
        Verb::Diff { file } => {
            let wanted = table(&content(&file)?).map_err(|error| {
                let hint = "`takt stream policy show` prints one that is good";
                Failure::new(USAGE, format!("`{file}` is no TOML: {error}"), hint)
            })?;
            let found = table(&in_force(stream).await?.policy).unwrap_or_default();
            let data = differences(&found, &wanted);
            one(context.output, &data, |_| text(&data))?;
            Ok(if data.is_empty() { 0 } else { VERDICT })
        }
    }
}

fn content(file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(LONGEST).read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|it| it.take(LONGEST).read_to_string(&mut text)),
    };
    read.map_err(|error| {
        Failure::new(USAGE, format!("cannot read `{file}`: {error}"), "name a file, or `-`")
    })?;
    Ok(text)
}

fn table(text: &str) -> Result<toml::Table, String> {
    text.parse::<toml::Table>().map_err(|error| error.message().to_owned())
}

/// All values by their dotted keys.
fn flat(table: &toml::Table, lead: &str, found: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let key = format!("{lead}{key}");
        match value.as_table() {
            Some(inner) => flat(inner, &format!("{key}."), found),
            None => {
                found.insert(key, value.clone());
            }
        }
    }
}

fn differences(in_force: &toml::Table, wanted: &toml::Table) -> Vec<Difference> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flat(in_force, "", &mut old);
    flat(wanted, "", &mut new);
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    changed
        .map(|key| Difference {
            key: key.clone(),
            in_force: old.get(key).cloned(),
            in_file: new.get(key).cloned(),
        })
        .collect()
}

fn text(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "the file is the policy in force\n".to_owned();
    }
    let mut text = String::new();
    for it in differences {
        if let Some(value) = &it.in_force {
            text.push_str(&format!("{}\n", Mark::Bad.on(format!("- {} = {value}", it.key))));
        }
        let new = match &it.in_file {
            Some(value) => format!("+ {} = {value}", it.key),
            None => format!("+ {} takes its default", it.key),
        };
        text.push_str(&format!("{}\n", Mark::Good.on(new)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_key_and_both_values() {
        let old = "line = 'require'\nx = 1\n[deep]\nsame = 2".parse().unwrap();
        let new = "line = 'warn'\n[deep]\nsame = 2\nmore = 3".parse().unwrap();
        let found = text(&differences(&old, &new));
        assert_eq!(
            anstream::adapter::strip_str(&found).to_string(),
            "+ deep.more = 3\n- line = \"require\"\n+ line = \"warn\"\n- x = 1\n+ x takes its default\n"
        );
        assert!(differences(&old, &old).is_empty());
    }
}
