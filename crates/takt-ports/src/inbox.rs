//! The inbox: what services publish, in the order in which it came, until it has been taken in.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::SmolStr;
use takt_domain::{StreamName, Time};

/// A message as its publisher sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place in the whole inbox, from 1; with gaps where other streams' messages are.
    pub seq: u64,
    /// The whole subject, such as `takt.in.shop.ci.run-7`.
    pub subject: SmolStr,
    /// Headers in the order in which they came; a name may come twice.
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// The payload.
    pub bytes: Bytes,
    /// When the inbox stored it.
    pub at: Time,
    /// Why its headers do not read; it has none then, and is no fact.
    pub unreadable: Option<SmolStr>,
}

/// Why the inbox cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the inbox is not available: {reason}")]
pub struct InboxError {
    /// What the file system or the network said.
    pub reason: Arc<str>,
}

/// Follows the messages of one value stream in order; see [`Inbox::follow`].
#[async_trait]
pub trait Incoming: Send {
    /// The next messages in order, at least one, at most `max` and about `max_bytes` bytes; waits
    /// until there is one. Dropping the future loses no message.
    ///
    /// # Errors
    /// When the inbox cannot be read now; follow it anew from what was taken in.
    async fn next(&mut self, max: usize, max_bytes: usize) -> Result<Vec<Message>, InboxError>;
}

/// What services publish to `takt.in.<stream>.>`, in one order, bounded, read without acks.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Made with the inbox, never changed: a position counts only in the inbox it was read from.
    fn creation(&self) -> uuid::Uuid;

    /// Follows the messages of one value stream after sequence `after`.
    fn follow(&self, stream: &StreamName, after: u64) -> Box<dyn Incoming>;

    /// The first token after `takt.in.` of every message that is still kept, each once; the token
    /// of a value stream is [`stream_token`](crate::stream_token). An inbox of very many subjects
    /// may leave some out, which are told when others are taken in.
    ///
    /// # Errors
    /// When the inbox cannot be read now.
    async fn tokens(&self) -> Result<Vec<SmolStr>, InboxError>;

    /// How many messages are kept, of all tokens: those that are not taken in yet, and for a moment
    /// those that are.
    ///
    /// # Errors
    /// When the inbox cannot be read now.
    async fn count(&self) -> Result<u64, InboxError>;

    /// Messages under one token after sequence `after`, oldest first, at most `max` and about
    /// `max_bytes` bytes; empty when there is none now.
    ///
    /// # Errors
    /// When the inbox cannot be read now.
    async fn read(
        &self,
        token: &str,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, InboxError>;

    /// Forgets the messages under one token up to and with sequence `through`.
    ///
    /// # Errors
    /// When they cannot be removed now; it is no loss, and is asked for again later.
    async fn purge(&self, token: &str, through: u64) -> Result<(), InboxError>;
}
