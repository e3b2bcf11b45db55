//! The ports on NATS JetStream, for many nodes.

mod append;
mod connection;
mod entry;
mod error;
mod get;
mod heads;
mod inbox;
mod lease;
mod log;
mod reading;
mod recent;
mod settings;
mod streams;
mod tail;

pub use connection::{ConnectError, Connection, Link};
pub use error::{Difference, OpenError};
pub use inbox::{MOST_INBOX_BYTES, NatsInbox};
pub use lease::{LEASE_TTL, NatsLease};
pub use log::NatsLog;
pub use settings::{Login, Secret, Settings, Tls};
