//! The ports on NATS JetStream, for many nodes.

mod apart;
mod append;
mod batch;
mod blobs;
mod careful;
mod connection;
mod dead_letters;
mod entry;
mod error;
mod get;
mod heads;
mod inbox;
mod jobs;
mod lease;
mod log;
mod outbox;
mod publisher;
mod reading;
mod recent;
mod relay;
mod settings;
mod streams;
mod tail;
mod text;

pub use blobs::NatsBlobs;
pub use connection::{ConnectError, Connection, Link};
pub use dead_letters::NatsDeadLetters;
pub use error::{Difference, OpenError};
pub use inbox::{MOST_INBOX_BYTES, NatsInbox};
pub use jobs::NatsJobQueue;
pub use lease::{LEASE_TTL, NatsLease};
pub use log::NatsLog;
pub use outbox::{NatsOutbox, SEQUENCE_HEADER};
pub use publisher::{PublishError, Publisher};
pub use relay::NatsRelay;
pub use settings::{Login, Secret, Settings, Tls};
