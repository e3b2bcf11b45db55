//! The relay: calls from one node to another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Why a call was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RelayError {
    /// No node serves that name now.
    #[error("no node serves `{0}` now")]
    Nobody(Arc<str>),
    /// It cannot be known whether the call was done.
    #[error("the call was not answered: {0}")]
    Unanswered(Arc<str>),
}

/// A call from another node.
#[async_trait]
pub trait Called: Send {
    /// What is asked.
    fn request(&self) -> &Bytes;

    /// Answers it; an answer that cannot be sent is lost, and the caller asks again.
    async fn answer(self: Box<Self>, answer: Bytes);
}

/// The calls that come in under a name, until it is dropped.
#[async_trait]
pub trait Serving: Send {
    /// The next call; `None` when there can be no more.
    async fn next(&mut self) -> Option<Box<dyn Called>>;
}

/// Calls between the nodes on one log. Requests and answers of any length up to
/// [`MOST_RELAYED_BYTES`] pass.
#[async_trait]
pub trait Relay: Send + Sync {
    /// Asks the one node that serves `name`.
    ///
    /// # Errors
    /// `Nobody` at once when none does; `Unanswered` when `wait` has passed or the network is gone.
    async fn ask(&self, name: &str, request: Bytes, wait: Duration) -> Result<Bytes, RelayError>;

    /// Asks every node that serves `name`, this one with them, and returns what was answered
    /// within `wait`.
    ///
    /// # Errors
    /// `Unanswered` when the network is gone.
    async fn ask_all(
        &self,
        name: &str,
        request: Bytes,
        wait: Duration,
    ) -> Result<Vec<Bytes>, RelayError>;

    /// Serves a name from when it returns; the name holds letters, digits, `-`, `_`, `=`, `~`
    /// and dots.
    ///
    /// # Errors
    /// `Unanswered` when the network is gone.
    async fn serve(&self, name: &str) -> Result<Box<dyn Serving>, RelayError>;
}

/// The longest request or answer that passes a relay, in bytes.
pub const MOST_RELAYED_BYTES: usize = 3 * 1024 * 1024;
