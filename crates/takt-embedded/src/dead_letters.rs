//! Dead letters: a small log of its own, in which letters are kept and dropped.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_domain::{EventId, StreamName, Time};
use takt_ports::{
    Append, DeadLetter, DeadLetters, DeadLettersError, Entry, EventLog, Fate, NewDeadLetter,
    NewEntry, Subject,
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::error::OpenError;
use crate::log::{EmbeddedLog, Settings};

const KEEP: &str = "keep";
const DROP: &str = "drop";
const STEP: usize = 256;

/// Dead letters on files, held by one process.
pub struct EmbeddedDeadLetters {
    log: EmbeddedLog,
    kept: Mutex<Kept>,
}

/// The letters that are kept: by sequence for lists, by id so that each is kept once.
#[derive(Default)]
struct Kept {
    by_seq: BTreeMap<u64, StreamName>,
    by_id: BTreeMap<Uuid, u64>,
    /// What became of those that are kept no longer.
    gone: BTreeMap<Uuid, Fate>,
}

impl Kept {
    fn add(&mut self, id: Uuid, seq: u64, stream: StreamName) {
        self.by_seq.insert(seq, stream);
        self.by_id.insert(id, seq);
        self.gone.remove(&id);
    }

    fn remove(&mut self, id: Uuid, fate: Fate) {
        self.by_id.remove(&id).and_then(|seq| self.by_seq.remove(&seq));
        self.gone.insert(id, fate);
    }
}

/// The bytes of an entry that removes a letter: nothing, or the sequence where it is recorded.
fn fate_bytes(fate: Fate) -> Bytes {
    match fate {
        Fate::Dropped => Bytes::new(),
        Fate::Recorded { sequence } => Bytes::copy_from_slice(&sequence.to_le_bytes()),
    }
}

fn fate_of(mut bytes: Bytes) -> Fate {
    bytes.try_get_u64_le().map_or(Fate::Dropped, |sequence| Fate::Recorded { sequence })
}

/// What stands before the bytes of a letter; the id is the entry's own.
#[derive(Serialize, Deserialize)]
struct Envelope {
    stream: StreamName,
    reason: SmolStr,
    place: SmolStr,
    remedy: SmolStr,
    at: Time,
    length: u64,
    sha256: SmolStr,
}

impl EmbeddedDeadLetters {
    /// Opens the dead letters in a folder of their own, which is made if it is missing.
    ///
    /// # Errors
    /// As [`EmbeddedLog::open`].
    pub async fn open(folder: &Path) -> Result<Self, OpenError> {
        let log = EmbeddedLog::open(folder, Settings::default())?;
        let path = folder.to_path_buf();
        let kept = load(&log)
            .await
            .map_err(|error| OpenError::Io { path, source: std::io::Error::other(error) })?;
        Ok(Self { log, kept: Mutex::new(kept) })
    }

    async fn write(&self, kind: &str, id: Uuid, bytes: Bytes) -> Result<u64, DeadLettersError> {
        let entry = NewEntry { subject: Subject::from_log(kind), id: EventId(id), bytes };
        let append = Append { conditions: vec![], entries: vec![entry] };
        self.log.append(append).await.map_err(|error| failed(&error))
    }

    async fn letter(&self, seq: u64) -> Result<Option<DeadLetter>, DeadLettersError> {
        let entries = self.log.read(seq, 1).await.map_err(|error| failed(&error))?;
        entries.into_iter().next().map(decode).transpose()
    }
}

#[async_trait]
impl DeadLetters for EmbeddedDeadLetters {
    async fn keep(&self, letter: NewDeadLetter) -> Result<u64, DeadLettersError> {
        let mut kept = self.kept.lock().await;
        if let Some(seq) = kept.by_id.get(&letter.id) {
            return Ok(*seq);
        }
        let (id, stream) = (letter.id, letter.stream.clone());
        let seq = self.write(KEEP, id, encode(letter)?).await?;
        kept.add(id, seq, stream);
        Ok(seq)
    }

    async fn list(
        &self,
        stream: Option<&StreamName>,
        after: u64,
        max: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let kept = self.kept.lock().await;
        let mut letters = Vec::new();
        for (seq, of) in kept.by_seq.range(after.saturating_add(1)..) {
            if letters.len() >= max {
                break;
            }
            if stream.is_none_or(|stream| stream == of) {
                letters.extend(self.letter(*seq).await?);
            }
        }
        Ok(letters)
    }

    async fn count(&self) -> Result<u64, DeadLettersError> {
        Ok(self.kept.lock().await.by_seq.len() as u64)
    }

    async fn get(&self, id: Uuid) -> Result<Option<DeadLetter>, DeadLettersError> {
        let kept = self.kept.lock().await;
        let Some(seq) = kept.by_id.get(&id) else { return Ok(None) };
        self.letter(*seq).await
    }

    async fn remove(&self, id: Uuid, fate: Fate) -> Result<bool, DeadLettersError> {
        let mut kept = self.kept.lock().await;
        if !kept.by_id.contains_key(&id) {
            return Ok(false);
        }
        self.write(DROP, id, fate_bytes(fate)).await?;
        kept.remove(id, fate);
        Ok(true)
    }

    async fn fate(&self, id: Uuid) -> Result<Option<Fate>, DeadLettersError> {
        Ok(self.kept.lock().await.gone.get(&id).copied())
    }
}

async fn load(log: &EmbeddedLog) -> Result<Kept, DeadLettersError> {
    let mut kept = Kept::default();
    let mut next = 1;
    loop {
        let entries = log.read(next, STEP).await.map_err(|error| failed(&error))?;
        let Some(last) = entries.last() else { return Ok(kept) };
        next = last.seq + 1;
        for entry in entries {
            let id = entry.id.0;
            if entry.subject.as_str() == DROP {
                kept.remove(id, fate_of(entry.bytes));
                continue;
            }
            let letter = decode(entry)?;
            kept.add(id, letter.seq, letter.letter.stream);
        }
    }
}

fn encode(letter: NewDeadLetter) -> Result<Bytes, DeadLettersError> {
    let envelope = Envelope {
        stream: letter.stream,
        reason: letter.reason,
        place: letter.place,
        remedy: letter.remedy,
        at: letter.at,
        length: letter.length,
        sha256: letter.sha256,
    };
    let envelope = serde_json::to_vec(&envelope).map_err(|error| failed(&error))?;
    let mut bytes = Vec::with_capacity(8 + envelope.len() + letter.bytes.len());
    bytes.put_u64_le(envelope.len() as u64);
    bytes.put_slice(&envelope);
    bytes.put_slice(&letter.bytes);
    Ok(bytes.into())
}

fn decode(entry: Entry) -> Result<DeadLetter, DeadLettersError> {
    let short = || failed(&format!("letter {} is cut off", entry.seq));
    let mut bytes = entry.bytes.clone();
    let length = bytes.try_get_u64_le().map_err(|_| short())?;
    let length = usize::try_from(length).map_err(|_| short())?;
    if bytes.len() < length {
        return Err(short());
    }
    let envelope = bytes.split_to(length);
    let envelope: Envelope = serde_json::from_slice(&envelope).map_err(|error| failed(&error))?;
    let letter = NewDeadLetter {
        id: entry.id.0,
        stream: envelope.stream,
        reason: envelope.reason,
        place: envelope.place,
        remedy: envelope.remedy,
        at: envelope.at,
        bytes,
        length: envelope.length,
        sha256: envelope.sha256,
    };
    Ok(DeadLetter { seq: entry.seq, letter })
}

fn failed(reason: &impl ToString) -> DeadLettersError {
    DeadLettersError { reason: reason.to_string().into() }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use takt_testkit::letter;

    use super::*;

    #[tokio::test]
    async fn dead_letters_on_files_keep_the_contract() {
        let folders = RefCell::new(Vec::new());
        let make = async || {
            let folder = tempfile::tempdir().unwrap();
            let letters = EmbeddedDeadLetters::open(folder.path()).await.unwrap();
            folders.borrow_mut().push(folder);
            Arc::new(letters) as Arc<dyn DeadLetters>
        };
        takt_testkit::dead_letters_contract(make).await;
    }

    #[tokio::test]
    async fn kept_letters_are_there_after_opening_again_and_dropped_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let letters = EmbeddedDeadLetters::open(folder.path()).await.unwrap();
        letters.keep(letter("shop", "a")).await.unwrap();
        letters.keep(letter("shop", "b")).await.unwrap();
        letters.keep(letter("shop", "c")).await.unwrap();
        let recorded = Fate::Recorded { sequence: 7 };
        letters.remove(letter("shop", "a").id, Fate::Dropped).await.unwrap();
        letters.remove(letter("shop", "c").id, recorded).await.unwrap();
        let before = letters.list(None, 0, 10).await.unwrap();
        drop(letters);
        let letters = EmbeddedDeadLetters::open(folder.path()).await.unwrap();
        assert_eq!(letters.list(None, 0, 10).await.unwrap(), before);
        assert_eq!(before.len(), 1);
        assert_eq!(letters.fate(letter("shop", "a").id).await.unwrap(), Some(Fate::Dropped));
        assert_eq!(letters.fate(letter("shop", "c").id).await.unwrap(), Some(recorded));
        assert_eq!(letters.keep(letter("shop", "b")).await.unwrap(), before[0].seq);
    }
}
