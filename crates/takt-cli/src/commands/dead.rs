//! `takt dead`: what could not be understood.

use clap::Subcommand;
use serde_json::{Value, json};
use takt_proto::v1::dead_letter_service_client::DeadLetterServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::{DeadLetter, DeadLetterRequest, ListDeadLettersRequest};

use super::Context;
use crate::exit::{Failure, INTERNAL, VERDICT};
use crate::output::{show, talk};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Dead letters; of all value streams without `--stream`.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// One with its bytes.
    Show {
        /// Its id.
        id: String,
    },
    /// Publish one again; exits with 1 if it is still dead.
    Replay {
        /// Its id.
        id: String,
    },
    /// Throw one away.
    Drop {
        /// Its id.
        id: String,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let client = DeadLetterServiceClient::new(context.channel.clone());
    let mut client = client.max_decoding_message_size(usize::MAX);
    let request = |id: &str| DeadLetterRequest {
        id: id.to_owned(),
        actor: context.actor.clone(),
        ..Default::default()
    };
    let data = match verb {
        Verb::List { limit } => {
            let request = ListDeadLettersRequest {
                stream: context.stream.clone(),
                limit,
                ..Default::default()
            };
            client.list(request).await?.into_inner().letters.iter().map(row).collect()
        }
        Verb::Show { id } => {
            let letter = client.get(request(&id)).await?.into_inner();
            let mut data = row(&letter);
            if let Some(fields) = data.as_object_mut() {
                let content = String::from_utf8_lossy(&letter.content).into_owned();
                fields.insert("content".to_owned(), Value::String(content));
                fields.insert("sha256".to_owned(), Value::String(letter.sha256));
            }
            data
        }
        Verb::Replay { id } => {
            let outcome = client.replay(request(&id)).await?.into_inner().result;
            return replayed(context, &id, outcome);
        }
        Verb::Drop { id } => {
            client.drop(request(&id)).await?;
            json!({"id": id, "dropped": true})
        }
    };
    show(context.output, &data).map(|()| 0)
}

fn replayed(context: &Context, id: &str, outcome: Option<Outcome>) -> Result<u8, Failure> {
    let (result, sequence) = match outcome {
        Some(Outcome::Recorded(it)) => ("recorded", it.sequence),
        Some(Outcome::Duplicate(it)) => ("duplicate", it.sequence),
        Some(Outcome::Dead(it)) => {
            talk(&format!("dead: {} at {} ({})", it.reason, it.place, it.id));
            talk(&format!("hint: {}", it.remedy));
            show(context.output, &json!({"id": it.id, "result": "dead"}))?;
            return Ok(VERDICT);
        }
        None => return Err(Failure::new(INTERNAL, "the server gave no result", "")),
    };
    let data = json!({"id": id, "result": result, "sequence": sequence});
    show(context.output, &data).map(|()| 0)
}

fn row(it: &DeadLetter) -> Value {
    json!({
        "id": it.id, "stream": it.stream, "reason": it.reason, "place": it.place,
        "remedy": it.remedy, "time": it.time.as_ref().map(ToString::to_string),
        "length": it.length,
    })
}
