//! `takt import`: a board's history from an event log, recorded once however often it is sent.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use takt_intake::{Csv, CsvOptions, ImportError, Options, Progress, ReportEvent, Xes};
use takt_proto::v1::CloseImportRequest;
use takt_proto::v1::board_service_client::BoardServiceClient;

use super::Context;
use super::feed::{self, Source};
use crate::exit::{Failure, INTERNAL, USAGE, VERDICT};
use crate::output::one;

#[derive(Debug, clap::Subcommand)]
#[command(
    after_help = "An import may be interrupted and repeated: an event is known by its case, \
    activity and time, and is recorded once."
)]
pub(super) enum Verb {
    /// An XES event log (IEEE 1849), plain or gzip
    #[command(after_help = "Examples:\n  \
        takt import xes tickets.xes.gz --stream shop --done Closed\n  \
        takt import xes tickets.xes --column-attribute org:group --emit - > facts.jsonl")]
    Xes {
        /// The file
        file: PathBuf,
        /// The attribute of an event that names the column
        #[arg(long, default_value = "concept:name", value_name = "KEY")]
        column_attribute: String,
        #[command(flatten)]
        common: Common,
    },
    /// A CSV event log with a header, plain or gzip
    #[command(after_help = "Example:\n  \
        takt import csv tickets.csv --card-attribute Ticket --column-attribute Status \\\n    \
        --time-attribute Changed --done Closed --done Rejected")]
    Csv {
        /// The file
        file: PathBuf,
        /// The header of the card; found by common names if absent
        #[arg(long, visible_alias = "case", value_name = "HEADER")]
        card_attribute: Option<String>,
        /// The header of the column a card was seen in; found by common names if absent
        #[arg(long, visible_alias = "activity", value_name = "HEADER")]
        column_attribute: Option<String>,
        /// The header of the time; found by common names if absent
        #[arg(long, visible_alias = "timestamp", value_name = "HEADER")]
        time_attribute: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// A column where finished work is; may be given more than once
    #[arg(long, value_name = "COLUMN")]
    done: Vec<String>,
    /// Write the facts to stdout, one a line, and publish nothing
    #[arg(long, value_parser = ["-"])]
    emit: Option<String>,
}

type Events = Box<dyn Iterator<Item = Result<ReportEvent, ImportError>> + Send>;

#[derive(Serialize)]
struct Imported {
    recorded: u64,
    duplicate: u64,
    dead: u64,
    sequence: u64,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let (file, common) = match &verb {
        Verb::Xes { file, common, .. } | Verb::Csv { file, common, .. } => (file, common),
    };
    let emit = common.emit.is_some();
    let size = std::fs::metadata(file).ok().map(|found| found.len());
    let file = file.clone();
    let (events, progress) = open(verb)?;
    let place = file.clone();
    let items =
        events.map(move |event| event.map(|it| it.to_json()).map_err(|it| failure(&place, &it)));
    if emit {
        return emit_all(items);
    }
    context.stream()?;
    let read = Arc::new(move || progress.bytes());
    publish_all(context, &file, Source { items: Box::new(items), read, size }).await
}

fn open(verb: Verb) -> Result<(Events, Progress), Failure> {
    let done = |common: Common| common.done.into_iter().map(Into::into).collect();
    match verb {
        Verb::Xes { file, column_attribute, common } => {
            let options = Options { column: column_attribute.into(), done: done(common) };
            let found =
                Xes::new(reader(&file)?, options).map_err(|error| failure(&file, &error))?;
            let progress = found.progress();
            Ok((Box::new(found), progress))
        }
        Verb::Csv { file, card_attribute, column_attribute, time_attribute, common } => {
            let options = CsvOptions {
                case: card_attribute.map(Into::into),
                activity: column_attribute.map(Into::into),
                timestamp: time_attribute.map(Into::into),
                done: done(common),
            };
            let found =
                Csv::new(reader(&file)?, options).map_err(|error| failure(&file, &error))?;
            let progress = found.progress();
            Ok((Box::new(found), progress))
        }
    }
}

fn reader(file: &Path) -> Result<File, Failure> {
    let opened = File::open(file).and_then(|opened| match opened.metadata()?.is_dir() {
        true => Err(ErrorKind::IsADirectory.into()),
        false => Ok(opened),
    });
    opened.map_err(|error| {
        let message = format!("cannot read `{}`: {error}", file.display());
        Failure::new(USAGE, message, "name a file that is there")
    })
}

fn failure(file: &Path, error: &ImportError) -> Failure {
    let message = format!("`{}`, {}: {}", file.display(), error.place, error.reason);
    Failure::new(USAGE, message, &error.remedy)
}

fn emit_all(items: impl Iterator<Item = Result<Vec<u8>, Failure>>) -> Result<u8, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = |result: std::io::Result<()>| match result {
        Ok(()) => Ok(true),
        // A reader that has gone has had enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(INTERNAL, format!("cannot write to stdout: {error}"), "")),
    };
    for item in items {
        let mut line = item?;
        line.push(b'\n');
        if !written(out.write_all(&line))? {
            return Ok(0);
        }
    }
    written(out.flush()).map(|_| 0)
}

async fn publish_all(context: &Context, file: &Path, source: Source) -> Result<u8, Failure> {
    let mut tally = feed::publish(context, source).await?;
    // A repeat that recorded nothing has nothing to close.
    if tally.recorded > 0 {
        let close = CloseImportRequest {
            stream: context.stream()?,
            board: context.board.clone(),
            idempotency_key: context.key.clone(),
            actor: context.actor.clone(),
        };
        let closed = BoardServiceClient::new(context.wire.clone()).close_import(close).await?;
        tally.sequence = tally.sequence.max(closed.into_inner().sequence);
    }
    let data = Imported {
        recorded: tally.recorded,
        duplicate: tally.duplicate,
        dead: tally.dead,
        sequence: tally.sequence,
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    one(context.output, &data, |_| format!("{name}: {}\n", tally.sentence()))?;
    Ok(if tally.dead == 0 { 0 } else { VERDICT })
}
