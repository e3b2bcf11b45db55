//! The ports on files, for one machine: the segment log and the dead letters.

mod dead_letters;
mod disk;
mod error;
mod frame;
mod index;
mod log;
mod recovery;
mod segment;
mod sidecar;
mod writer;

pub use dead_letters::EmbeddedDeadLetters;
pub use error::OpenError;
pub use log::{EmbeddedLog, Settings};
