//! The shell: load, decide, append, project and react.
//!
//! - [`Engine`]: the handle that servers hold; cheap to clone
//! - `fold`: follows the log and keeps the read side up to date
//! - `mailbox`: one per value stream; everything that writes to a stream passes through it in order
//! - `commands`, `facts`, `reactions`: what a mailbox does with what it is handed
//! - `notices`: tells people outside of alerts
//! - `save`: writes the read side behind, with its checkpoint

mod clock;
mod commands;
mod engine;
mod error;
mod facts;
mod fold;
mod mailbox;
mod notices;
mod reactions;
mod save;
#[cfg(test)]
mod tests;

pub use clock::{Clock, SystemClock};
pub use commands::{Call, Receipt};
pub use engine::{Engine, Health, Nodes, Outlet, Parts};
pub use error::{Error, StartError};
pub use facts::{Misfit, Parse, ParseMessage, Published};
pub use save::PROJECTION_VERSION;
