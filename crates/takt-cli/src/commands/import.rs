//! `takt import`: a board's history from an event log, recorded once however often it is sent.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use takt_intake::{Csv, CsvOptions, ImportError, Options, Progress, ReportEvent, Xes};
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::{CloseImportRequest, PublishRequest};

use super::Context;
use crate::exit::{Failure, USAGE, VERDICT};
use crate::output::{show, talk};

/// How many events are published at once.
const EVENTS: usize = 1000;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// An XES event log (IEEE 1849), plain or gzip.
    Xes {
        /// The file.
        file: PathBuf,
        /// The attribute of an event that names the column.
        #[arg(long, default_value = "concept:name")]
        column_attribute: String,
        #[command(flatten)]
        common: Common,
    },
    /// A CSV event log with a header, plain or gzip.
    Csv {
        /// The file.
        file: PathBuf,
        /// The header of the case; found by common names if absent.
        #[arg(long)]
        case: Option<String>,
        /// The header of the column a card was seen in; found by common names if absent.
        #[arg(long)]
        activity: Option<String>,
        /// The header of the time; found by common names if absent.
        #[arg(long)]
        timestamp: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// A column where finished work is; may be given more than once.
    #[arg(long)]
    done: Vec<String>,
    /// Write the facts to stdout, one a line, and publish nothing.
    #[arg(long, value_parser = ["-"])]
    emit: Option<String>,
}

type Events = Box<dyn Iterator<Item = Result<ReportEvent, ImportError>>>;

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let (file, common) = match &verb {
        Verb::Xes { file, common, .. } | Verb::Csv { file, common, .. } => (file, common),
    };
    let size = std::fs::metadata(file).map(|found| found.len()).unwrap_or(0);
    let emit = common.emit.is_some();
    let (events, progress) = open(&verb)?;
    if emit { emit_all(events) } else { publish_all(context, events, &progress, size).await }
}

fn open(verb: &Verb) -> Result<(Events, Progress), Failure> {
    let done = |common: &Common| common.done.iter().map(Into::into).collect();
    match verb {
        Verb::Xes { file, column_attribute, common } => {
            let options = Options { column: column_attribute.into(), done: done(common) };
            let found = Xes::new(reader(file)?, options).map_err(|error| failure(file, &error))?;
            let progress = found.progress();
            Ok((Box::new(found), progress))
        }
        Verb::Csv { file, case, activity, timestamp, common } => {
            let text = |text: &Option<String>| text.as_ref().map(Into::into);
            let options = CsvOptions {
                case: text(case),
                activity: text(activity),
                timestamp: text(timestamp),
                done: done(common),
            };
            let found = Csv::new(reader(file)?, options).map_err(|error| failure(file, &error))?;
            let progress = found.progress();
            Ok((Box::new(found), progress))
        }
    }
}

fn reader(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", file.display());
        Failure::new(USAGE, message, "name a file that is there")
    })
}

fn failure(file: &Path, error: &ImportError) -> Failure {
    let message = format!("`{}`, {}: {}", file.display(), error.place, error.reason);
    Failure::new(USAGE, message, &error.remedy)
}

fn misread(error: &ImportError, recorded: u64) -> Failure {
    let mut failure =
        Failure::new(USAGE, format!("{}: {}", error.place, error.reason), &error.remedy);
    failure.hints.push(format!("{recorded} events before this place were recorded and stay so"));
    failure
}

fn emit_all(events: Events) -> Result<u8, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for event in events {
        let mut line = event.map_err(|error| misread(&error, 0))?.to_json();
        line.push(b'\n');
        // A reader that has gone has had enough.
        if out.write_all(&line).is_err() {
            return Ok(0);
        }
    }
    // As above.
    let _ = out.flush();
    Ok(0)
}

#[derive(Default)]
struct Tally {
    recorded: u64,
    duplicate: u64,
    dead: u64,
    sequence: u64,
}

async fn publish_all(
    context: &Context,
    events: Events,
    progress: &Progress,
    size: u64,
) -> Result<u8, Failure> {
    let mut client = EventServiceClient::new(context.channel.clone());
    let mut tally = Tally::default();
    let mut told = Instant::now();
    let mut batch = Vec::with_capacity(EVENTS);
    for event in events {
        match event {
            Ok(event) => batch.push(event.to_json().into()),
            Err(error) => {
                publish(context, &mut client, std::mem::take(&mut batch), &mut tally).await?;
                return Err(misread(&error, tally.recorded));
            }
        }
        if batch.len() == EVENTS {
            publish(context, &mut client, std::mem::take(&mut batch), &mut tally).await?;
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let percent = progress.bytes().saturating_mul(100) / size.max(1);
            talk(&format!("{percent} % read, {} events recorded", tally.recorded));
        }
    }
    publish(context, &mut client, batch, &mut tally).await?;
    let close = CloseImportRequest {
        stream: context.stream.clone(),
        board: context.board.clone(),
        idempotency_key: context.key.clone(),
        actor: context.actor.clone(),
    };
    // A repeat that recorded nothing has nothing to close.
    if tally.recorded > 0 {
        let closed = BoardServiceClient::new(context.channel.clone()).close_import(close).await?;
        tally.sequence = tally.sequence.max(closed.into_inner().sequence);
    }
    let Tally { recorded, duplicate, dead, sequence } = tally;
    let data = json!({
        "recorded": recorded, "duplicate": duplicate, "dead": dead, "sequence": sequence,
    });
    show(context.output, &data)?;
    Ok(if dead == 0 { 0 } else { VERDICT })
}

async fn publish(
    context: &Context,
    client: &mut EventServiceClient<tonic::transport::Channel>,
    events: Vec<tonic::codegen::Bytes>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    let (stream, actor) = (context.stream.clone(), context.actor.clone());
    let answer =
        client.publish(PublishRequest { stream, events, actor }).await.map_err(|status| {
            let mut failure = Failure::from(status);
            failure
                .hints
                .push("import the file again; what is recorded stays recorded once".into());
            failure
        })?;
    let answer = answer.into_inner();
    tally.sequence = tally.sequence.max(answer.sequence);
    for outcome in answer.results.into_iter().filter_map(|one| one.result) {
        match outcome {
            Outcome::Recorded(_) => tally.recorded += 1,
            Outcome::Duplicate(_) => tally.duplicate += 1,
            Outcome::Dead(dead) => {
                tally.dead += 1;
                talk(&format!("dead: {} at {} ({})", dead.reason, dead.place, dead.id));
            }
        }
    }
    Ok(())
}
