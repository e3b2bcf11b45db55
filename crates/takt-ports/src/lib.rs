//! The traits through which the engine meets the world.
//!
//! Ports are walls: adapters implement them, the engine calls them, and neither sees the other.
//! They are object-safe (`async_trait`), because the server picks the adapter at run time.

mod blob_store;
mod dead_letters;
mod event_log;
mod inbox;
mod job_queue;
mod lease;
mod notifier;
mod outbox;
mod read_store;
mod relay;
mod token;
mod verify;

pub use blob_store::{BlobError, BlobId, BlobStore, MOST_BLOB_BYTES, NoBlobId};
pub use dead_letters::{DeadLetter, DeadLetters, DeadLettersError, Fate, NewDeadLetter};
pub use event_log::{
    Append, AppendError, Condition, Entry, EventLog, Hash, LogError, LogIdentity, NewEntry, NoHash,
    Subject, Tail, chain_hash,
};
pub use inbox::{Inbox, InboxError, Incoming, Message};
pub use job_queue::{Job, JobError, JobQueue};
pub use lease::{Lease, LeaseError};
pub use notifier::{Notice, Notifier, NotifyError};
pub use outbox::{OutMessage, Outbox, OutboxError, Telling};
pub use read_store::{Checkpoint, ReadStore, StoreError, Write};
pub use relay::{Called, MOST_RELAYED_BYTES, Relay, RelayError, Serving};
pub use token::{escaped, stream_token, token, unescaped};
pub use verify::{Verified, verify_log};
