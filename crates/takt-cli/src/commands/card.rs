//! `takt card`: cards on the board.

mod text;

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{
    AddCardRequest, BlockCardRequest, Card, CardMove, CardRequest, GetCardRequest,
    ListCardsRequest, MoveCardRequest,
};

pub(super) use text::signs;

use super::{Context, stamp};
use crate::exit::Failure;
use crate::output::{Done, many, one, receipt};
use crate::wire::{MAX_MESSAGE, Wire};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Put a new card on the board
    #[command(after_help = "Examples:\n  \
        takt card add 'Pay by invoice'\n  \
        takt card add --id A-7 --column Doing --type bug --class expedite 'Checkout is down'")]
    Add(Add),
    /// Move a card to a column
    #[command(after_help = "Example:\n  takt card move A-7 Review")]
    Move {
        /// The card
        card: String,
        /// Where to
        column: String,
        /// The open alert that this work is the fix of; it does not hold the card
        #[arg(long, default_value = "", hide_default_value = true, value_name = "ALERT")]
        fixes: String,
    },
    /// Say that a card cannot go on
    Block {
        /// The card
        card: String,
        /// Why
        reason: String,
    },
    /// Say that a card can go on
    Unblock {
        /// The card
        card: String,
    },
    /// Take a card off the board; its history stays
    Delete {
        /// The card
        card: String,
    },
    /// One card with its history
    Show {
        /// The card
        card: String,
    },
    /// Cards on the board
    List {
        /// Only cards in this column
        #[arg(long, default_value = "")]
        column: String,
        /// Deleted ones too
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Its id; the server gives one if absent
    #[arg(long, default_value = "")]
    id: String,
    /// Where; the first column if absent
    #[arg(long, default_value = "")]
    column: String,
    /// Its type of work, such as `feature` or `bug`
    #[arg(long = "type", value_name = "TYPE", default_value = "")]
    kind: String,
    /// Its class of service
    #[arg(long, value_parser = ["standard", "expedite", "fixed_date", "intangible"])]
    class: Option<String>,
    /// How much work it is, in the team's own unit
    #[arg(long)]
    size: Option<u32>,
    /// The open alert that this work is the fix of; it does not hold the card
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ALERT")]
    fixes: String,
    /// What it is about
    title: String,
}

/// A card as programs read it.
#[derive(Serialize)]
pub(super) struct Row {
    card: String,
    title: String,
    r#type: String,
    class: String,
    size: Option<u32>,
    column: String,
    blocked: bool,
    blocked_reason: String,
    done: bool,
    reopened: bool,
    deleted: bool,
    first_seen: Option<String>,
    entered: Option<String>,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    card: Row,
    history: Vec<Step>,
    history_omitted: u64,
}

#[derive(Serialize)]
struct Step {
    time: Option<String>,
    column: String,
    historical: bool,
}

#[derive(Serialize)]
struct Named {
    card: String,
}

#[derive(Serialize)]
struct Placed {
    card: String,
    column: String,
}

#[derive(Serialize)]
struct Blocked {
    card: String,
    blocked: bool,
}

#[derive(Serialize)]
struct Deleted {
    card: String,
    deleted: bool,
}

impl From<&Card> for Row {
    fn from(it: &Card) -> Self {
        Self {
            card: it.card.clone(),
            title: it.title.clone(),
            r#type: it.r#type.clone(),
            class: it.class.clone(),
            size: it.size,
            column: it.column.clone(),
            blocked: it.blocked,
            blocked_reason: it.blocked_reason.clone(),
            done: it.done,
            reopened: it.reopened,
            deleted: it.deleted,
            first_seen: stamp(it.first_seen.as_ref()),
            entered: stamp(it.entered.as_ref()),
        }
    }
}

impl From<&CardMove> for Step {
    fn from(it: &CardMove) -> Self {
        let time = stamp(it.time.as_ref());
        Self { time, column: it.column.clone(), historical: it.historical }
    }
}

type Client = BoardServiceClient<Wire>;

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = BoardServiceClient::new(context.wire.clone());
    let stream = context.stream()?;
    let request = |card: &str| CardRequest {
        stream: stream.clone(),
        board: context.board.clone(),
        card: card.to_owned(),
        expected_version: None,
        idempotency_key: context.key.clone(),
        actor: context.actor.clone(),
    };
    match verb {
        Verb::Add(args) => add(context, &mut client, request(&args.id), args).await,
        Verb::Move { card, column, fixes } => {
            go(context, &mut client, request(&card), column, fixes).await
        }
        Verb::Block { card, reason } => block(context, &mut client, request(&card), reason).await,
        Verb::Unblock { card } => {
            let done = client.unblock_card(request(&card)).await?.into_inner();
            let sentence = format!("card `{card}` can go on");
            context.did(Blocked { card, blocked: false }, &done, &sentence)
        }
        Verb::Delete { card } => {
            let done = client.delete_card(request(&card)).await?.into_inner();
            let sentence = format!("card `{card}` is off the board; its history stays");
            context.did(Deleted { card, deleted: true }, &done, &sentence)
        }
        Verb::Show { card } => show(context, client, request(&card)).await,
        Verb::List { column, all } => list(context, client, column, all).await,
    }
    .map(|()| 0)
}

async fn add(
    context: &Context,
    client: &mut Client,
    it: CardRequest,
    args: Add,
) -> Result<(), Failure> {
    let request = AddCardRequest {
        stream: it.stream,
        board: it.board,
        card: it.card,
        column: args.column.clone(),
        title: args.title,
        r#type: args.kind,
        class: args.class.unwrap_or_default(),
        size: args.size,
        idempotency_key: it.idempotency_key,
        actor: it.actor,
        fixes: args.fixes,
        expected_version: None,
    };
    let done = client.add_card(request).await?.into_inner();
    let place = match args.column.as_str() {
        "" => "the first column".to_owned(),
        column => format!("`{column}`"),
    };
    let sentence = format!("card `{}` is on the board, in {place}", done.card);
    super::warn(&done.warnings);
    let (sequence, duplicate) = (done.sequence, done.duplicate);
    let done = Done { what: Named { card: done.card }, sequence, duplicate };
    receipt(context.output, &done, &sentence)
}

async fn go(
    context: &Context,
    client: &mut Client,
    it: CardRequest,
    column: String,
    fixes: String,
) -> Result<(), Failure> {
    let what = Placed { card: it.card.clone(), column: column.clone() };
    let request = MoveCardRequest {
        stream: it.stream,
        board: it.board,
        card: it.card,
        column,
        fixes,
        expected_version: None,
        idempotency_key: it.idempotency_key,
        actor: it.actor,
    };
    let done = client.move_card(request).await?.into_inner();
    let sentence = format!("card `{}` is in `{}`", what.card, what.column);
    context.did(what, &done, &sentence)
}

async fn block(
    context: &Context,
    client: &mut Client,
    it: CardRequest,
    reason: String,
) -> Result<(), Failure> {
    let what = Blocked { card: it.card.clone(), blocked: true };
    let sentence = format!("card `{}` is blocked: {reason}", it.card);
    let request = BlockCardRequest {
        stream: it.stream,
        board: it.board,
        card: it.card,
        reason,
        expected_version: None,
        idempotency_key: it.idempotency_key,
        actor: it.actor,
    };
    let done = client.block_card(request).await?.into_inner();
    context.did(what, &done, &sentence)
}

async fn show(context: &Context, client: Client, it: CardRequest) -> Result<(), Failure> {
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let request =
        GetCardRequest { stream: it.stream, board: it.board, card: it.card, min_sequence: 0 };
    let answer = client.get_card(request).await?.into_inner();
    let card = answer.card.unwrap_or_default();
    let history = answer.history.iter().map(Step::from).collect();
    let omitted = answer.history_omitted;
    let data = Whole { card: Row::from(&card), history, history_omitted: omitted };
    one(context.output, &data, |page| text::sheet(&card, &answer.history, omitted, page))
}

async fn list(
    context: &Context,
    client: Client,
    column: String,
    include_deleted: bool,
) -> Result<(), Failure> {
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let nothing = match column.as_str() {
        "" => "no cards yet; put one on the board with `takt card add TITLE`".to_owned(),
        column => format!("no cards in `{column}`; `takt board show` shows the columns"),
    };
    let request = ListCardsRequest {
        stream: context.stream()?,
        board: context.board.clone(),
        column,
        include_deleted,
        ..ListCardsRequest::default()
    };
    let cards = pages(&mut client, request).await?;
    let rows: Vec<Row> = cards.iter().map(Row::from).collect();
    many(context.output, &rows, &nothing, |page| text::table(&cards, page))
}

/// All cards of a list, page by page.
async fn pages(client: &mut Client, mut request: ListCardsRequest) -> Result<Vec<Card>, Failure> {
    let mut cards = vec![];
    loop {
        let answer = client.list_cards(request.clone()).await?.into_inner();
        cards.extend(answer.cards);
        if answer.next_page_token.is_empty() {
            return Ok(cards);
        }
        request.page_token = answer.next_page_token;
    }
}
