//! Data folders with a history in them, made without waiting for a server to take it in.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use takt_domain::event::normal_sequence;
use takt_domain::{Aggregate, BoardId, EventId, Meta, StreamName, Time};
use takt_embedded::{EmbeddedLog, Settings};
use takt_ports::{Append, Condition, EventLog, NewEntry, Subject};
use takt_proto::v1::CreateStreamRequest;
use takt_proto::v1::stream_service_client::StreamServiceClient;

use crate::Place;
use crate::child::Server;

/// The value stream of every benchmark.
pub(crate) const STREAM: &str = "bench";
/// How many events one batch holds.
pub(crate) const BATCH: usize = 1000;
/// When the log says that everything was recorded: 2026-01-01.
const RECORDED: Time = Time::from_micros(1_767_225_600_000_000);

/// Makes the value stream on a running server.
pub(crate) async fn create_stream(server: &Server) -> anyhow::Result<()> {
    let request = CreateStreamRequest { stream: STREAM.into(), ..CreateStreamRequest::default() };
    StreamServiceClient::new(server.channel().await?).create_stream(request).await?;
    Ok(())
}

/// Makes a data folder with a value stream and nothing else, as a server leaves it.
pub(crate) async fn make(place: &Place, data: &Path, on: &[&str]) -> anyhow::Result<()> {
    let server = Server::start_with(place, "serve", data, on).await?;
    create_stream(&server).await?;
    server.stop().await
}

/// Opens the log of a data folder that no server holds.
pub(crate) fn open(data: &Path) -> anyhow::Result<EmbeddedLog> {
    Ok(EmbeddedLog::open(&data.join("log"), Settings::default())?)
}

/// Appends facts to a log as the engine records them; gives how many, and their bytes.
pub(crate) async fn record(
    log: &dyn EventLog,
    facts: impl Iterator<Item = anyhow::Result<Bytes>>,
    size: usize,
) -> anyhow::Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    let mut batch = Vec::with_capacity(BATCH);
    for fact in facts {
        let entry = entry(&fact?, size)?;
        bytes += entry.bytes.len() as u64;
        count += 1;
        batch.push(entry);
        if batch.len() == BATCH {
            append(log, std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        append(log, batch).await?;
    }
    Ok((count, bytes))
}

/// Appends one batch of the board's entries on the condition that nobody else has written.
pub(crate) async fn append(log: &dyn EventLog, entries: Vec<NewEntry>) -> anyhow::Result<()> {
    let subject = board();
    let (last_seq, _) = log.subject_head(&subject).await?;
    let conditions = vec![Condition { subject, last_seq }];
    log.append(Append { conditions, entries }).await?;
    // Lets an interrupt be noticed between batches.
    tokio::task::yield_now().await;
    Ok(())
}

/// The subject of the benchmark's board.
pub(crate) fn board() -> Subject {
    Subject::of(&STREAM.into(), &Aggregate::Board(BoardId::main()))
}

/// The entry that records a fact, with at least so many bytes.
fn entry(fact: &[u8], size: usize) -> anyhow::Result<NewEntry> {
    let fact = takt_intake::parse(fact, RECORDED)?;
    let id = EventId::derive(&fact.source, &fact.id, 0);
    let meta = Meta {
        subject: fact.subject,
        recorded: RECORDED,
        sequence: fact.sequence.as_deref().map(normal_sequence),
        historical: fact.historical,
        digest: Some(fact.digest),
        cdevent: fact.cdevent,
        ..Meta::new(id, fact.source, fact.time)
    };
    let stream = StreamName::new(STREAM);
    let (aggregate, event) = fact.report.into_event();
    let bytes = takt_events::encode(&stream, &aggregate, &meta, &event);
    Ok(NewEntry {
        subject: Subject::of(&stream, &aggregate),
        id,
        bytes: padded(bytes, size)?.into(),
    })
}

/// Adds a field that readers pass over, up to a length.
fn padded(mut bytes: Vec<u8>, size: usize) -> anyhow::Result<Vec<u8>> {
    const FIELD: &str = ",\"note\":\"\"";
    if bytes.len() >= size {
        return Ok(bytes);
    }
    let end = bytes.len().checked_sub(2).filter(|at| bytes.get(*at..) == Some(b"}}".as_slice()));
    let note = "x".repeat(size.saturating_sub(bytes.len() + FIELD.len()));
    bytes.truncate(end.context("an entry does not end with its data")?);
    bytes.extend(format!(",\"note\":\"{note}\"}}}}").bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Size, facts};

    #[test]
    fn a_padded_entry_has_its_length_and_reads_as_the_bare_one() {
        let fact = facts(Size::usual(10)).unwrap().last().unwrap().unwrap().to_json();
        let (bare, padded) = (entry(&fact, 0).unwrap(), entry(&fact, 900).unwrap());
        assert_eq!(padded.bytes.len(), 900);
        let read = |entry: NewEntry| takt_events::decode(1, &entry.bytes).unwrap();
        assert_eq!(read(bare), read(padded));
    }
}
