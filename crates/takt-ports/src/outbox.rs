//! The outbox: what subscribers outside are told, at least once.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::SmolStr;
use takt_domain::Recorded;
use takt_events::About;

/// A message for subscribers outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutMessage {
    /// The whole subject, such as `takt.cdevents.shop.service.deployed` or `takt.andon.shop`.
    pub subject: SmolStr,
    /// What tells it from others; the same message has the same key whenever it is sent.
    pub key: SmolStr,
    /// The sequence of the log's entry that it tells of.
    pub seq: u64,
    /// The media type of the payload.
    pub content_type: SmolStr,
    /// The payload.
    pub bytes: Bytes,
}

/// An event of the log for subscribers, with what it cannot say by itself.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// The event.
    pub recorded: &'a Recorded,
    /// The source of this Takt's own events.
    pub source: &'a str,
    /// How the alert was pulled, where the event is about one that is known.
    pub alert: Option<About<'a>>,
}

/// Why messages could not be sent; they are sent again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the outbox is not available: {reason}")]
pub struct OutboxError {
    /// What the file system or the network said.
    pub reason: Arc<str>,
}

/// Keeps messages for subscribers for seven days.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Stores messages durably, in order. One that was stored a moment ago under the same key may
    /// be left out.
    ///
    /// # Errors
    /// When not all are stored; some may be, and all are sent again.
    async fn send(&self, messages: Vec<OutMessage>) -> Result<(), OutboxError>;
}
