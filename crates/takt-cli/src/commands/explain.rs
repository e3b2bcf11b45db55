//! `takt explain`: what keeps a card from going on.

use serde::Serialize;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::{ErrorDetail, ExplainResponse, GetCardRequest};

use super::Context;
use crate::exit::Failure;
use crate::output::page::Mark;
use crate::output::{one, plain};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  takt explain A-7")]
pub(super) struct Args {
    /// The card
    card: String,
}

#[derive(Serialize)]
struct Answer {
    card: String,
    column: String,
    next: String,
    unmet: Vec<Unmet>,
    warnings: Vec<Unmet>,
    sequence: u64,
}

#[derive(Serialize)]
struct Unmet {
    code: String,
    field: String,
    message: String,
    remedy: String,
}

impl From<&ErrorDetail> for Unmet {
    fn from(it: &ErrorDetail) -> Self {
        Self {
            code: it.code.clone(),
            field: it.field.clone(),
            message: it.message.clone(),
            remedy: it.remedy.clone(),
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let request = GetCardRequest {
        stream: context.stream()?,
        board: context.board.clone(),
        card: args.card,
        min_sequence: 0,
    };
    let mut client = BoardServiceClient::new(context.wire.clone());
    let it = client.explain(request).await?.into_inner();
    let data = Answer {
        card: it.card.clone(),
        column: it.column.clone(),
        next: it.next.clone(),
        unmet: it.unmet.iter().map(Unmet::from).collect(),
        warnings: it.warnings.iter().map(Unmet::from).collect(),
        sequence: it.sequence,
    };
    one(context.output, &data, |_| text(&it)).map(|()| 0)
}

fn text(it: &ExplainResponse) -> String {
    let place = format!("card `{}` is in `{}`", plain(&it.card), plain(&it.column));
    if it.next.is_empty() {
        return format!("{place}, the end of the board\n");
    }
    let next = format!("{place}; next is `{}`", plain(&it.next));
    let told = |mark: Mark, word: &'static str| {
        move |one: &ErrorDetail| {
            let (what, remedy) = (plain(&one.message), plain(&one.remedy));
            format!("  {}  {what}\n         {} {remedy}\n", mark.on(word), Mark::Dim.on("do:"))
        }
    };
    let warnings: String = it.warnings.iter().map(told(Mark::Warn, "warns")).collect();
    if it.unmet.is_empty() {
        let free = Mark::Good.on("nothing stands in the way");
        return format!("{next}\n{free}\n{warnings}");
    }
    let ways: String = it.unmet.iter().map(told(Mark::Bad, "unmet")).collect();
    format!("{next}\n{ways}{warnings}")
}
