//! `takt card`: cards on the board.

use clap::Subcommand;
use serde_json::{Value, json};
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{
    AddCardRequest, BlockCardRequest, Card, CardRequest, GetCardRequest, ListCardsRequest,
    MoveCardRequest,
};
use tonic::transport::Channel;

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
        /// The open alert that this work is the fix of; it does not hold the card.
        #[arg(long, default_value = "", value_name = "ALERT")]
        fixes: String,
        /// What it is about.
        title: String,
    },
    /// Move a card.
    Move {
        /// The card.
        card: String,
        /// Where to.
        column: String,
        /// The open alert that this work is the fix of; it does not hold the card.
        #[arg(long, default_value = "", value_name = "ALERT")]
        fixes: String,
    },
    /// Say that a card cannot go on.
    Block {
        /// The card.
        card: String,
        /// Why.
        reason: String,
    },
    /// Say that a card can go on.
    Unblock {
        /// The card.
        card: String,
    },
    /// Take a card off the board.
    Delete {
        /// The card.
        card: String,
    },
    /// One card with its history.
    Show {
        /// The card.
        card: String,
    },
    /// Cards on the board.
    List {
        /// Only cards in this column.
        #[arg(long, default_value = "")]
        column: String,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let client = BoardServiceClient::new(context.channel.clone());
    let mut client = client.max_decoding_message_size(usize::MAX);
    let request = |card: &str| CardRequest {
        stream: context.stream.clone(),
        board: context.board.clone(),
        card: card.to_owned(),
        expected_version: None,
        idempotency_key: context.key.clone(),
        actor: context.actor.clone(),
    };
    let data = match verb {
        Verb::Add { id, column, fixes, title } => {
            let card = AddCardRequest { column, title, fixes, ..AddCardRequest::default() };
            add(&mut client, request(&id), card).await?
        }
        Verb::Move { card, column, fixes } => {
            go(&mut client, request(&card), column, fixes).await?
        }
        Verb::Block { card, reason } => block(&mut client, request(&card), reason).await?,
        Verb::Unblock { card } => {
            let receipt = client.unblock_card(request(&card)).await?.into_inner();
            json!({"card": card, "blocked": false, "sequence": receipt.sequence})
        }
        Verb::Delete { card } => {
            let receipt = client.delete_card(request(&card)).await?.into_inner();
            json!({"card": card, "deleted": true, "sequence": receipt.sequence})
        }
        Verb::Show { card } => one(&mut client, request(&card)).await?,
        Verb::List { column } => {
            let (stream, board) = (context.stream.clone(), context.board.clone());
            let request = ListCardsRequest { stream, board, column, ..ListCardsRequest::default() };
            list(&mut client, request).await?
        }
    };
    show(context.output, &data).map(|()| 0)
}

/// All cards, page by page.
async fn list(
    client: &mut BoardServiceClient<Channel>,
    mut request: ListCardsRequest,
) -> Result<Value, Failure> {
    let mut rows = Vec::new();
    loop {
        let answer = client.list_cards(request.clone()).await?.into_inner();
        rows.extend(answer.cards.iter().map(row));
        if answer.next_page_token.is_empty() {
            return Ok(Value::Array(rows));
        }
        request.page_token = answer.next_page_token;
    }
}

async fn add(
    client: &mut BoardServiceClient<Channel>,
    it: CardRequest,
    card: AddCardRequest,
) -> Result<Value, Failure> {
    let request = AddCardRequest {
        stream: it.stream,
        board: it.board,
        card: it.card,
        idempotency_key: it.idempotency_key,
        actor: it.actor,
        ..card
    };
    let answer = client.add_card(request).await?.into_inner();
    Ok(json!({"card": answer.card, "sequence": answer.sequence}))
}

async fn go(
    client: &mut BoardServiceClient<Channel>,
    it: CardRequest,
    column: String,
    fixes: String,
) -> Result<Value, Failure> {
    let card = it.card.clone();
    let request = MoveCardRequest {
        stream: it.stream,
        board: it.board,
        card: it.card,
        column: column.clone(),
        fixes,
        expected_version: None,
        idempotency_key: it.idempotency_key,
        actor: it.actor,
    };
    let receipt = client.move_card(request).await?.into_inner();
    Ok(json!({"card": card, "column": column, "sequence": receipt.sequence}))
}

async fn block(
    client: &mut BoardServiceClient<Channel>,
    it: CardRequest,
    reason: String,
) -> Result<Value, Failure> {
    let card = it.card.clone();
    let request = BlockCardRequest {
        stream: it.stream,
        board: it.board,
        card: it.card,
        reason,
        expected_version: None,
        idempotency_key: it.idempotency_key,
        actor: it.actor,
    };
    let receipt = client.block_card(request).await?.into_inner();
    Ok(json!({"card": card, "blocked": true, "sequence": receipt.sequence}))
}

async fn one(client: &mut BoardServiceClient<Channel>, it: CardRequest) -> Result<Value, Failure> {
    let request =
        GetCardRequest { stream: it.stream, board: it.board, card: it.card, min_sequence: 0 };
    let answer = client.get_card(request).await?.into_inner();
    let card = answer.card.unwrap_or_default();
    let history = answer.history.iter().map(|step| {
        json!({"time": step.time.as_ref().map(ToString::to_string), "column": step.column,
            "historical": step.historical})
    });
    Ok(json!({
        "card": card.card, "title": card.title, "type": card.r#type, "class": card.class,
        "size": card.size, "column": card.column, "blocked": card.blocked,
        "blocked_reason": card.blocked_reason, "deleted": card.deleted, "done": card.done,
        "reopened": card.reopened,
        "first_seen": card.first_seen.as_ref().map(ToString::to_string),
        "entered": card.entered.as_ref().map(ToString::to_string),
        "history": history.collect::<Value>(),
    }))
}

/// A card as a row of a list.
pub(super) fn row(it: &Card) -> Value {
    json!({"card": it.card, "column": it.column, "title": it.title, "blocked": it.blocked,
        "done": it.done})
}
