//! The shell: load, decide, append, project and react.
//!
//! - [`Engine`]: the handle that servers hold; cheap to clone
//! - `fold`: follows the log and keeps the read side up to date
//! - `mailbox`: one per value stream; everything that writes to a stream passes through it in order
//! - `commands`, `facts`, `reactions`: what a mailbox does with what it is handed
//! - `notices`: tells people outside of alerts
//! - `leases`: which streams this node does the work of that only one may do at a time: `intake`,
//!   `strays`, `outlet`, and what `relay` passes on
//! - `shared`: what all tasks share
//! - `save`: writes the read side behind, with its checkpoint

mod ahead;
mod clock;
mod commands;
mod conflicts;
mod dead;
mod engine;
mod error;
mod facts;
mod fold;
mod intake;
mod leases;
mod mailbox;
mod notices;
mod outlet;
mod position;
mod reactions;
mod relay;
mod save;
mod shared;
mod strays;
#[cfg(test)]
mod tests;
mod verify;

pub use clock::{Clock, SystemClock};
pub use commands::{Call, Receipt};
pub use engine::{Engine, Health, Nodes, Outlet, Parts};
pub use error::{Error, StartError};
pub use facts::{Misfit, Parse, Published, TextOf};
pub use leases::shown_lease;
pub use save::PROJECTION_VERSION;
pub use verify::{Digests, Verified};
