//! The keeper of projections: rows with a checkpoint in the same batch; disposable.

use std::path::PathBuf;
use std::sync::Arc;

/// How far the rows have come, and of which log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The creation id of the log.
    pub log: uuid::Uuid,
    /// The version of the rows' meaning; another version is rebuilt.
    pub version: u32,
    /// The last sequence folded into the rows.
    pub seq: u64,
    /// The id of the entry at `seq`.
    pub id: uuid::Uuid,
    /// The running digest over (sequence, payload hash) up to `seq`.
    pub digest: [u8; 32],
}

/// One row to put (`Some`) or to take away (`None`).
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// Why the store cannot answer; the remedy is always a rebuild from the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the projection store failed: {reason}")]
pub struct StoreError {
    /// What it said.
    pub reason: Arc<str>,
}

/// Keeps rows. Calls block: the engine makes them on a thread of their own.
pub trait ReadStore: Send + Sync {
    /// The checkpoint of the last batch; `None` when empty.
    ///
    /// # Errors
    /// When the store cannot be read or its checkpoint is damaged.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError>;

    /// Stores rows and checkpoint as one atomic batch and makes it durable.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn commit(&self, writes: Vec<Write>, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// Calls `row` with the key and value of every row, in key order.
    ///
    /// # Errors
    /// When a row cannot be read or does not verify, or rows of the last batch are missing.
    fn load(&self, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError>;

    /// Takes every row and the checkpoint away. What is `damaged` is kept aside, so that people can
    /// look at it; tells where.
    ///
    /// # Errors
    /// When they cannot be removed.
    fn reset(&self, damaged: bool) -> Result<Option<PathBuf>, StoreError>;
}
