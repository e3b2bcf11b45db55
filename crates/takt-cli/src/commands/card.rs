//! `takt card`: cards on the board.

use clap::Subcommand;
use serde_json::json;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{AddCardRequest, ListCardsRequest, MoveCardRequest};

use super::Context;
use crate::exit::Failure;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Put a new card on the board.
    Add {
        /// Its id; the server gives one if absent.
        #[arg(long, default_value = "")]
        id: String,
        /// Where; the first column if absent.
        #[arg(long, default_value = "")]
        column: String,
        /// What it is about.
        title: String,
    },
    /// Move a card.
    Move {
        /// The card.
        card: String,
        /// Where to.
        column: String,
    },
    /// Cards on the board.
    List,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = BoardServiceClient::new(context.channel.clone());
    let stream = context.stream.clone();
    let (actor, idempotency_key) = (context.actor.clone(), context.key.clone());
    let data = match verb {
        Verb::Add { id: card, column, title } => {
            let request = AddCardRequest {
                stream,
                card,
                column,
                title,
                idempotency_key,
                actor,
                ..AddCardRequest::default()
            };
            let answer = client.add_card(request).await?.into_inner();
            json!({"card": answer.card, "sequence": answer.sequence})
        }
        Verb::Move { card, column } => {
            let request = MoveCardRequest {
                stream,
                card: card.clone(),
                column: column.clone(),
                idempotency_key,
                actor,
                ..MoveCardRequest::default()
            };
            let receipt = client.move_card(request).await?.into_inner();
            json!({"card": card, "column": column, "sequence": receipt.sequence})
        }
        Verb::List => {
            let request = ListCardsRequest { stream, ..ListCardsRequest::default() };
            let answer = client.list_cards(request).await?.into_inner();
            let rows = answer.cards.iter().map(|one| {
                json!({"card": one.card, "column": one.column, "title": one.title,
                    "blocked": one.blocked, "done": one.done})
            });
            rows.collect()
        }
    };
    show(context.output, &data).map(|()| 0)
}
