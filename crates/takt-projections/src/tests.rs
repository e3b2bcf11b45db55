//! The read side, held to its promises.

mod aging;
mod helpdesk;
mod metrics;
mod notices;
mod world;
