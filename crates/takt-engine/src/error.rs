//! Why the engine says no, classed by who can help.

use smol_str::SmolStr;
use takt_domain::{Rejection, StreamName};
use takt_ports::{AppendError, LogError, StoreError};

/// Why a call was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The rules say no; the caller can read why.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The caller gave an expected version, and it is another.
    #[error("the aggregate is at sequence {actual}, expected {expected}")]
    Aborted {
        /// What the caller expected.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// The idempotency key was used for another command.
    #[error("idempotency key `{key}` was used for another command")]
    KeyReused {
        /// The key.
        key: SmolStr,
    },
    /// The value stream is not made.
    #[error("stream `{0}` does not exist")]
    UnknownStream(StreamName),
    /// A size or rate is over its limit.
    #[error("{0}")]
    TooLarge(String),
    /// The log cannot be reached or written now; nothing acknowledged is lost.
    #[error("{0}")]
    Unavailable(String),
    /// The log is not what it was: something that was acknowledged may be lost, and this node serves
    /// nothing until somebody has looked.
    #[error("{0}")]
    Damaged(String),
    /// The caller's deadline passed first.
    #[error("the deadline passed before the answer")]
    DeadlineExceeded,
}

impl Error {
    /// What a port says when it cannot be reached or has no room.
    pub(crate) fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { expected, actual, .. } => Self::Aborted { expected, actual },
            AppendError::TooLarge { problem } => Self::TooLarge(format!("the batch {problem}")),
            AppendError::Log(error) => error.into(),
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            LogError::Damaged { .. } => Self::Damaged(error.to_string()),
        }
    }
}

/// Why the engine cannot start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be read.
    #[error("could not read the log")]
    Log(#[from] LogError),
    /// The projection store cannot be emptied for a rebuild.
    #[error("could not prepare the projection store")]
    Store(#[from] StoreError),
}
