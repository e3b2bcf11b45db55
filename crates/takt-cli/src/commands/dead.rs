//! `takt dead`: what could not be understood.

use clap::Subcommand;
use serde::Serialize;
use takt_proto::v1::dead_letter_service_client::DeadLetterServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::{DeadLetter, DeadLetterRequest, ListDeadLettersRequest};

use super::{Context, stamp};
use crate::exit::{Failure, INTERNAL, VERDICT};
use crate::output::human::{ago, when};
use crate::output::page::Page;
use crate::output::table::{Sheet, Table};
use crate::output::{many, one, talk};
use crate::wire::{MAX_MESSAGE, Wire};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Dead letters; of all value streams without `--stream`
    List {
        /// At most so many; 0 shows all
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// One with its bytes
    Show {
        /// Its id
        id: String,
    },
    /// Publish one again; exits with 1 if it is still dead
    Replay {
        /// Its id
        id: String,
    },
    /// Throw one away
    Drop {
        /// Its id
        id: String,
    },
}

#[derive(Serialize)]
struct Row {
    id: String,
    stream: String,
    reason: String,
    place: String,
    remedy: String,
    time: Option<String>,
    length: u64,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    row: Row,
    sha256: String,
    content: String,
}

#[derive(Serialize)]
struct Dropped {
    id: String,
    dropped: bool,
}

#[derive(Serialize)]
struct Replayed {
    id: String,
    result: &'static str,
    sequence: Option<u64>,
}

impl From<&DeadLetter> for Row {
    fn from(it: &DeadLetter) -> Self {
        Self {
            id: it.id.clone(),
            stream: it.stream.clone(),
            reason: it.reason.clone(),
            place: it.place.clone(),
            remedy: it.remedy.clone(),
            time: stamp(it.time.as_ref()),
            length: it.length,
        }
    }
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let client = DeadLetterServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let request = |id: &str| DeadLetterRequest {
        id: id.to_owned(),
        actor: context.actor.clone(),
        ..DeadLetterRequest::default()
    };
    match verb {
        Verb::List { limit } => {
            let letters = listed(&mut client, &context.stream, limit).await?;
            let rows: Vec<Row> = letters.iter().map(Row::from).collect();
            let nothing = "no dead letters: everything that came was understood";
            many(context.output, &rows, nothing, |page| table(&letters, page))?;
        }
        Verb::Show { id } => {
            let letter = client.get(request(&id)).await?.into_inner();
            let data = Whole {
                row: Row::from(&letter),
                sha256: letter.sha256.clone(),
                content: String::from_utf8_lossy(&letter.content).into_owned(),
            };
            one(context.output, &data, |page| sheet(&letter, &data.content, page))?;
        }
        Verb::Replay { id } => {
            let outcome = client.replay(request(&id)).await?.into_inner().result;
            return replayed(context, id, outcome);
        }
        Verb::Drop { id } => {
            client.drop(request(&id)).await?;
            let text = format!("dead letter `{id}` is thrown away\n");
            one(context.output, &Dropped { id, dropped: true }, |_| text)?;
        }
    }
    Ok(0)
}

/// As many letters as are wanted, page by page; 0 wants all.
async fn listed(
    client: &mut DeadLetterServiceClient<Wire>,
    stream: &str,
    limit: u32,
) -> Result<Vec<DeadLetter>, Failure> {
    let wanted = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut letters: Vec<DeadLetter> = vec![];
    let mut page_token = String::new();
    loop {
        let rest = u32::try_from(wanted - letters.len()).unwrap_or(u32::MAX);
        let stream = stream.to_owned();
        let request =
            ListDeadLettersRequest { stream, limit: rest, page_token, ..Default::default() };
        let answer = client.list(request).await?.into_inner();
        letters.extend(answer.letters);
        page_token = answer.next_page_token;
        if page_token.is_empty() || letters.len() >= wanted {
            letters.truncate(wanted);
            return Ok(letters);
        }
    }
}

fn replayed(context: &Context, id: String, outcome: Option<Outcome>) -> Result<u8, Failure> {
    let (result, sequence) = match outcome {
        Some(Outcome::Recorded(it)) => ("recorded", it.sequence),
        Some(Outcome::Duplicate(it)) => ("duplicate", it.sequence),
        Some(Outcome::Dead(it)) => {
            talk(&format!("dead: {} at {} ({})", it.reason, it.place, it.id));
            talk(&format!("hint: {}", it.remedy));
            let text = format!("`{id}` is still dead, as `{}`\n", it.id);
            let data = Replayed { id: it.id, result: "dead", sequence: None };
            one(context.output, &data, |_| text)?;
            return Ok(VERDICT);
        }
        None => return Err(Failure::new(INTERNAL, "the server gave no result", "")),
    };
    let text = match result {
        "recorded" => format!("`{id}` is recorded as event {sequence} and no longer dead\n"),
        _ => format!("`{id}` was event {sequence} already and is no longer dead\n"),
    };
    one(context.output, &Replayed { id, result, sequence: Some(sequence) }, |_| text).map(|()| 0)
}

fn table(letters: &[DeadLetter], page: &Page) -> String {
    let mut table = Table::new(&["id", "stream", "came", "place", "reason"]);
    for it in letters {
        let came = it.time.as_ref().map(|at| ago(page.now.saturating_sub(at.seconds)));
        table.row([
            (&it.id).into(),
            (&it.stream).into(),
            came.unwrap_or_default().into(),
            (&it.place).into(),
            (&it.reason).into(),
        ]);
    }
    table.text(page)
}

fn sheet(it: &DeadLetter, content: &str, page: &Page) -> String {
    let mut sheet = Sheet::new(format!("dead letter {}", it.id));
    sheet.line("stream", &it.stream);
    sheet.line("came", it.time.as_ref().map(|at| when(at.seconds, page.now)).unwrap_or_default());
    sheet.line("reason", &it.reason);
    sheet.line("place", &it.place);
    sheet.line("remedy", &it.remedy);
    sheet.line("length", format!("{} bytes", it.length));
    sheet.line("sha256", &it.sha256);
    // What came may be anything, so each of its lines is made harmless.
    let lines = content.lines().map(crate::output::plain).collect::<Vec<_>>().join("\n");
    format!("{}\n{lines}\n", sheet.text())
}
