//! The read side, held to its promises.

mod helpdesk;
mod metrics;
mod world;
