//! What could not be understood: kept whole with its reason, visible and replayable.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::SmolStr;
use takt_domain::{StreamName, Time};

/// A dead letter to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// Derived from what came, so that it is written once.
    pub id: uuid::Uuid,
    /// The value stream it was meant for.
    pub stream: StreamName,
    /// Why it could not be recorded; lowercase, no full stop.
    pub reason: SmolStr,
    /// Where in the bytes, such as `line 3 column 7` or `data.time`.
    pub place: SmolStr,
    /// What would make it right.
    pub remedy: SmolStr,
    /// When it came.
    pub at: Time,
    /// What came; past 1 MiB only its first 64 KiB.
    pub bytes: Bytes,
    /// How long it was, in bytes.
    pub length: u64,
    /// The sha256 of all of it, in hex.
    pub sha256: SmolStr,
}

/// A dead letter as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its place among dead letters, from 1.
    pub seq: u64,
    /// What was kept.
    pub letter: NewDeadLetter,
}

/// What became of a letter that is kept no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Somebody threw it away.
    Dropped,
    /// It was replayed, and is in the log.
    Recorded {
        /// Where.
        sequence: u64,
    },
}

/// Why dead letters cannot be kept or read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the dead letters are not available: {reason}")]
pub struct DeadLettersError {
    /// What the file system or the network said.
    pub reason: Arc<str>,
}

/// Keeps dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps a letter durably; one with a known id is kept once. Returns its sequence.
    ///
    /// # Errors
    /// When it cannot be stored.
    async fn keep(&self, letter: NewDeadLetter) -> Result<u64, DeadLettersError>;

    /// Letters after sequence `after`, oldest first, at most `max`; of one stream if given.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn list(
        &self,
        stream: Option<&StreamName>,
        after: u64,
        max: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError>;

    /// How many letters are kept.
    ///
    /// # Errors
    /// When they cannot be counted.
    async fn count(&self) -> Result<u64, DeadLettersError>;

    /// One letter by id.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn get(&self, id: uuid::Uuid) -> Result<Option<DeadLetter>, DeadLettersError>;

    /// Removes a letter and remembers what became of it; `false` when it was not kept.
    ///
    /// # Errors
    /// When the removal cannot be stored.
    async fn remove(&self, id: uuid::Uuid, fate: Fate) -> Result<bool, DeadLettersError>;

    /// What became of a letter that was removed and has not come again since.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn fate(&self, id: uuid::Uuid) -> Result<Option<Fate>, DeadLettersError>;
}
