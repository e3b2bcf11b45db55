//! The traits through which the engine meets the world.
//!
//! Ports are walls: adapters implement them, the engine calls them, and neither sees the other.
//! They are object-safe (`async_trait`), because the server picks the adapter at run time.

mod dead_letters;
mod event_log;
mod read_store;

pub use dead_letters::{DeadLetter, DeadLetters, DeadLettersError, Fate, NewDeadLetter};
pub use event_log::{
    Append, AppendError, Condition, Entry, EventLog, Hash, LogError, LogIdentity, NewEntry,
    Subject, Tail, chain_hash,
};
pub use read_store::{Checkpoint, ReadStore, StoreError, Write};
