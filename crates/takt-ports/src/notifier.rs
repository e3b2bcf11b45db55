//! The notifier: somebody outside who is told of alerts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::SmolStr;
use takt_domain::StreamName;

/// One notice, the same whenever it is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Stands for (alert, step, receiver): what comes twice under one key is one notice.
    pub key: uuid::Uuid,
    /// The value stream.
    pub stream: StreamName,
    /// The media type of the payload.
    pub content_type: SmolStr,
    /// The payload, a CloudEvent in JSON.
    pub bytes: Bytes,
}

/// Why a notice was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotifyError {
    /// Whether it may be taken later.
    pub retry: bool,
    /// The least pause before the next try, where the receiver asked for one.
    pub after: Option<Duration>,
    /// What happened, without anything that is secret; it stands in the log.
    pub reason: Arc<str>,
}

/// Tells one receiver.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The receiver's name, which stays the same when its address or its secret changes.
    fn receiver(&self) -> &str;

    /// Whether it is told of a value stream.
    fn wants(&self, stream: &StreamName) -> bool;

    /// Tells the receiver, and returns when it has taken the notice. Ends within a minute.
    ///
    /// # Errors
    /// When it did not take it, or nobody can know whether it did; then it is told again.
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError>;
}
