//! The ports on NATS JetStream, for many nodes.

mod error;
mod inbox;
mod lease;
mod reading;
mod streams;

pub use error::{Difference, OpenError};
pub use inbox::{MOST_INBOX_BYTES, NatsInbox};
pub use lease::{LEASE_TTL, NatsLease};
