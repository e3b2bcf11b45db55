//! From a log on files to one on JetStream: the same entries at the same sequences.

use std::path::Path;

use anyhow::{Context, ensure};
use takt_nats::{Connection, NatsDeadLetters, NatsLog, Settings};
use takt_ports::{Append, DeadLetters, Entry, EventLog, NewEntry, verify_log};

use crate::backend;

/// How many entries one batch holds, and how many bytes.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How many dead letters are read at once.
const LETTERS: usize = 16;

/// Copies the log and the dead letters of a data folder that no server holds to JetStream. `tell`
/// hears how many entries are there, and of how many.
///
/// # Errors
/// When the folder is held or damaged, JetStream cannot be reached, or it holds something else.
pub async fn copy_log(
    data: &Path,
    settings: &Settings,
    tell: impl Fn(u64, u64),
) -> anyhow::Result<Copied> {
    ensure!(data.join("log").is_dir(), "`{}` holds no log on files", data.display());
    let source = backend::files(data).await?;
    let connection = Connection::open(settings, "takt log copy").await?;
    let replicas = settings.replicas;
    let target = NatsLog::open_as(connection.clone(), replicas, &source.log.identity()).await?;
    let (own, other) = (source.log.identity().creation_id, target.identity().creation_id);
    ensure!(
        own == other,
        "the log on JetStream is another one, `{other}`, not `{own}`; copy into a nats-server \
         without a stream `TAKT_LOG`"
    );
    let mut copied = log(source.log.as_ref(), &target, tell).await?;
    let dead = NatsDeadLetters::open(connection.context(), replicas).await?;
    copied.letters = letters(source.dead.as_ref(), &dead).await?;
    Ok(copied)
}

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many entries the log has.
    pub entries: u64,
    /// How many of them were there already, from a copy that was cut short.
    pub before: u64,
    /// How many dead letters were copied with them.
    pub letters: u64,
    /// The digest of both logs; see [`takt_ports::Verified`].
    pub digest: [u8; 32],
}

/// Copies a whole log into one that is empty, or that holds the beginning of it, and then holds both
/// to the same digest. `tell` hears how many entries are there, and of how many.
///
/// # Errors
/// When the source is damaged, the target holds something else, or either cannot be reached.
async fn log(
    from: &dyn EventLog,
    to: &dyn EventLog,
    tell: impl Fn(u64, u64),
) -> anyhow::Result<Copied> {
    let whole = verify_log(from).await.context("the log on files is not whole")?;
    let before = to.head().await?;
    ensure!(
        before <= whole.count,
        "the log on JetStream has {before} entries, more than the {} on files",
        whole.count
    );
    holds_the_beginning(from, to, before).await?;
    let mut at = before;
    while at < whole.count {
        tell(at, whole.count);
        let entries = from.read(at + 1, BATCH).await?;
        ensure!(!entries.is_empty(), "entry {} on files cannot be read", at + 1);
        for batch in pieces(entries) {
            let count = batch.len() as u64;
            let first = to.append(Append { conditions: vec![], entries: batch }).await?;
            ensure!(
                first == at + 1,
                "entry {} was stored at sequence {first}: somebody else writes to the log on \
                 JetStream; delete its stream and copy again",
                at + 1
            );
            at += count;
        }
    }
    tell(at, whole.count);
    let copied = verify_log(to).await.context("the copy is not whole")?;
    ensure!(copied == whole, "the copy has another digest than the log on files");
    Ok(Copied { entries: whole.count, before, letters: 0, digest: whole.digest })
}

/// A target that is not empty must end with the very entry that stands there in the source.
async fn holds_the_beginning(
    from: &dyn EventLog,
    to: &dyn EventLog,
    before: u64,
) -> anyhow::Result<()> {
    if before == 0 {
        return Ok(());
    }
    let (one, other) = (from.read(before, 1).await?, to.read(before, 1).await?);
    ensure!(
        one == other,
        "the log on JetStream is not empty, and entry {before} of it is not the one on files; copy \
         into a nats-server without a stream `TAKT_LOG`"
    );
    Ok(())
}

fn pieces(entries: Vec<Entry>) -> Vec<Vec<NewEntry>> {
    let mut pieces: Vec<Vec<NewEntry>> = vec![];
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.bytes.len();
        let entry = NewEntry { subject: entry.subject, id: entry.id, bytes: entry.bytes };
        match pieces.last_mut() {
            Some(last) if bytes <= BATCH_BYTES => last.push(entry),
            Some(_) | None => {
                bytes = entry.bytes.len();
                pieces.push(vec![entry]);
            }
        }
    }
    pieces
}

/// Copies the dead letters; one that is there already is kept once.
///
/// # Errors
/// When either side cannot be reached.
async fn letters(from: &dyn DeadLetters, to: &dyn DeadLetters) -> anyhow::Result<u64> {
    let (mut after, mut count) = (0, 0);
    loop {
        let letters = from.list(None, after, LETTERS).await?;
        let Some(last) = letters.last() else { return Ok(count) };
        after = last.seq;
        for letter in letters {
            to.keep(letter.letter).await?;
            count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use takt_domain::EventId;
    use takt_testkit::{MemoryLog, board, entry};

    use super::*;

    async fn fill(log: &MemoryLog, from: u32, to: u32) {
        for number in from..to {
            let subject = board(&format!("b-{}", number % 3));
            let entries = vec![entry(&subject, &number.to_string())];
            log.append(Append { conditions: vec![], entries }).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_copy_has_the_same_entries_at_the_same_sequences() {
        let (from, to) = (MemoryLog::default(), MemoryLog::default());
        fill(&from, 0, 2500).await;
        let told = Mutex::new(vec![]);
        let copied = log(&from, &to, |at, of| told.lock().unwrap().push((at, of))).await.unwrap();
        assert_eq!((copied.entries, copied.before), (2500, 0));
        assert_eq!(to.read(1, 3000).await.unwrap(), from.read(1, 3000).await.unwrap());
        assert_eq!(told.into_inner().unwrap().last(), Some(&(2500, 2500)));
    }

    #[tokio::test]
    async fn a_copy_that_was_cut_short_goes_on() {
        let (from, to) = (MemoryLog::default(), MemoryLog::default());
        fill(&to, 0, 7).await;
        fill(&from, 0, 20).await;
        let copied = log(&from, &to, |_, _| {}).await.unwrap();
        assert_eq!((copied.entries, copied.before), (20, 7));
        assert_eq!(log(&from, &to, |_, _| {}).await.unwrap().before, 20);
    }

    #[tokio::test]
    async fn a_log_that_holds_something_else_is_not_touched() {
        let (from, to) = (MemoryLog::default(), MemoryLog::default());
        fill(&from, 0, 20).await;
        fill(&to, 5, 9).await;
        let refused = log(&from, &to, |_, _| {}).await.unwrap_err().to_string();
        assert!(refused.contains("entry 4"), "{refused}");
        assert_eq!(to.head().await.unwrap(), 4);
        let longer = log(&to, &MemoryLog::default(), |_, _| {}).await;
        assert!(longer.is_ok());
        assert!(log(&MemoryLog::default(), &to, |_, _| {}).await.is_err());
    }

    #[test]
    fn a_batch_keeps_both_limits() {
        let large = |number: u64| Entry {
            seq: number,
            subject: board("b"),
            id: EventId::derive("urn:test", &number.to_string(), 0),
            prev: takt_ports::Hash::default(),
            bytes: vec![b'x'; BATCH_BYTES / 2].into(),
        };
        let pieces = pieces((0..5).map(large).collect());
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
