//! The ports on files, for one machine.
//!
//! - the segment log, and the dead letters on one of their own
//! - blobs, jobs, the inbox, the outbox and the leases: folders of small files

mod blobs;
mod dead_letters;
mod disk;
mod error;
mod files;
mod frame;
mod inbox;
mod index;
mod jobs;
mod leases;
mod log;
mod outbox;
mod recovery;
mod segment;
mod sidecar;
mod writer;

pub use blobs::EmbeddedBlobs;
pub use dead_letters::EmbeddedDeadLetters;
pub use error::OpenError;
pub use inbox::EmbeddedInbox;
pub use jobs::EmbeddedJobQueue;
pub use leases::EmbeddedLeases;
pub use log::{EmbeddedLog, Settings};
pub use outbox::EmbeddedOutbox;
