//! `takt stream`: value streams.

use clap::Subcommand;
use serde_json::json;
use takt_proto::v1::stream_service_client::StreamServiceClient;
use takt_proto::v1::{CreateStreamRequest, GetStreamRequest, ListStreamsRequest};

use super::Context;
use crate::exit::Failure;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a value stream with its board `main`.
    Create {
        /// Its name.
        name: String,
        /// What people call it.
        #[arg(long, default_value = "")]
        title: String,
    },
    /// One value stream.
    Show {
        /// Its name; `--stream` if absent.
        name: Option<String>,
    },
    /// All value streams.
    List,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = StreamServiceClient::new(context.channel.clone());
    let data = match verb {
        Verb::Create { name, title } => {
            let request = CreateStreamRequest {
                stream: name.clone(),
                title,
                idempotency_key: context.key.clone(),
                actor: context.actor.clone(),
            };
            let receipt = client.create_stream(request).await?.into_inner();
            json!({"stream": name, "sequence": receipt.sequence})
        }
        Verb::Show { name } => {
            let stream = name.unwrap_or_else(|| context.stream.clone());
            let request = GetStreamRequest { stream, min_sequence: 0 };
            let one = client.get_stream(request).await?.into_inner().stream.unwrap_or_default();
            json!({"stream": one.stream, "title": one.title, "boards": one.boards,
                "open_cards": one.open_cards, "open_alerts": one.open_alerts,
                "stopped": one.stopped})
        }
        Verb::List => {
            let answer = client.list_streams(ListStreamsRequest::default()).await?.into_inner();
            let rows = answer.streams.iter().map(|one| {
                json!({"stream": one.stream, "title": one.title, "open_cards": one.open_cards,
                    "open_alerts": one.open_alerts, "stopped": one.stopped})
            });
            rows.collect()
        }
    };
    show(context.output, &data).map(|()| 0)
}
