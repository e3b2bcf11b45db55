//! `takt publish`: facts from a file or from stdin, in batches.

mod documents;

use std::io::{BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use takt_nats::{Publisher, Settings};
use takt_proto::v1::Dead;

use super::Context;
use super::feed::{self, Source};
use super::nats::{self, NatsLogin};
use super::serve;
use crate::exit::{Failure, USAGE, VERDICT};
use crate::output::human::count;
use crate::output::one;
use documents::Documents;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    takt publish facts.jsonl --stream shop\n  \
    curl -s https://ci.local/events | takt publish - --stream shop\n\n\
    Events are CloudEvents or CDEvents: one a line, one document over several lines, or a JSON\n\
    array of them. An event that cannot be understood becomes a dead letter and exits with 1; the\n\
    others are recorded. Publishing the same events again adds nothing.\n\n\
    With `--nats` the events go to the inbox, which any server on the same log takes in: what is\n\
    stored there is not yet recorded, and what becomes of it is told by `takt dead list`.")]
pub(super) struct Args {
    /// The file; `-` is stdin
    file: String,
    /// Publish to the inbox at this nats-server instead, such as `nats://127.0.0.1:4222`
    #[arg(long, value_name = "URL", help_heading = nats::NATS)]
    nats: Option<String>,
    #[command(flatten)]
    login: NatsLogin,
}

#[derive(Serialize)]
struct Stored {
    stored: u64,
}

#[derive(Serialize)]
struct Published {
    recorded: u64,
    duplicate: u64,
    dead: u64,
    sequence: u64,
    letters: Vec<Letter>,
}

#[derive(Serialize)]
struct Letter {
    id: String,
    reason: String,
    place: String,
    remedy: String,
}

impl From<&Dead> for Letter {
    fn from(it: &Dead) -> Self {
        Self {
            id: it.id.clone(),
            reason: it.reason.clone(),
            place: it.place.clone(),
            remedy: it.remedy.clone(),
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let stream = context.stream()?;
    if let Some(nats) = &args.nats {
        return store(context, &stream, &args.file, &args.login.settings(nats)?).await;
    }
    let tally = feed::publish(context, source(&args.file)?).await?;
    let data = Published {
        recorded: tally.recorded,
        duplicate: tally.duplicate,
        dead: tally.dead,
        sequence: tally.sequence,
        letters: tally.letters.iter().map(Letter::from).collect(),
    };
    one(context.output, &data, |_| format!("{}\n", tally.sentence()))?;
    Ok(if tally.dead == 0 { 0 } else { VERDICT })
}

/// Publishes to the inbox.
async fn store(
    context: &Context,
    stream: &str,
    file: &str,
    settings: &Settings,
) -> Result<u8, Failure> {
    let publisher = Publisher::open(settings, stream).await;
    let publisher = publisher.map_err(|error| serve::failure(&error.into()))?;
    let stored = feed::store(&publisher, source(file)?).await?;
    let data = Stored { stored };
    one(context.output, &data, |_| format!("{} stored in the inbox\n", count(stored, "event")))?;
    Ok(0)
}

fn source(file: &str) -> Result<Source, Failure> {
    let unread = |error: std::io::Error| {
        Failure::new(USAGE, format!("cannot read `{file}`: {error}"), "name a file, or `-`")
    };
    let (input, size): (Box<dyn Read + Send>, _) = match file {
        "-" => (Box::new(std::io::stdin()), None),
        _ => {
            let opened = std::fs::File::open(file).map_err(unread)?;
            let found = opened.metadata().map_err(unread)?;
            (Box::new(opened), found.is_file().then_some(found.len()))
        }
    };
    let count = Arc::new(AtomicU64::new(0));
    let input = BufReader::with_capacity(1 << 16, Counted { input, count: Arc::clone(&count) });
    let read = Arc::new(move || count.load(Ordering::Relaxed));
    Ok(Source { items: Box::new(Documents::new(input, file)), read, size })
}

/// A reader that counts what has been read of it.
struct Counted {
    input: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
