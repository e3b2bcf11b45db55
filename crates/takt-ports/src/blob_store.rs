//! The blob store: bytes by their sha256, such as compiled plugins and attachments.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::token::from_hex;

/// The name of a blob: the sha256 of its bytes, in 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that names no blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not 64 hex digits")]
pub struct NoBlobId(String);

impl FromStr for BlobId {
    type Err = NoBlobId;

    fn from_str(text: &str) -> Result<Self, NoBlobId> {
        from_hex(text).map(Self).ok_or_else(|| NoBlobId(text.chars().take(80).collect()))
    }
}

/// Why a blob cannot be kept or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlobError {
    /// It is over the limit.
    #[error("the blob has {length} bytes, more than {most}")]
    TooLarge {
        /// How long it is.
        length: u64,
        /// The limit.
        most: u64,
    },
    /// What is kept is not what was put; it is not served.
    #[error("blob {id} is damaged: {reason}")]
    Damaged {
        /// Which.
        id: BlobId,
        /// Where and what.
        reason: Arc<str>,
    },
    /// It cannot be reached or written now.
    #[error("the blob store is not available: {reason}")]
    Unavailable {
        /// What the file system or the network said.
        reason: Arc<str>,
    },
}

/// The most bytes that one blob may have.
pub const MOST_BLOB_BYTES: u64 = 64 * 1024 * 1024;

/// Keeps bytes under their own hash: the same bytes are kept once, and none can be changed.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Keeps bytes durably.
    ///
    /// # Errors
    /// `TooLarge`, `Unavailable`.
    async fn put(&self, bytes: Bytes) -> Result<BlobId, BlobError>;

    /// The bytes, checked against their name; `None` when they are not kept.
    ///
    /// # Errors
    /// `Damaged`, `Unavailable`.
    async fn get(&self, id: BlobId) -> Result<Option<Bytes>, BlobError>;

    /// How long a blob is; `None` when it is not kept.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn length(&self, id: BlobId) -> Result<Option<u64>, BlobError>;

    /// Forgets a blob; `false` when it was not kept.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn remove(&self, id: BlobId) -> Result<bool, BlobError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_named_by_64_hex_digits_and_nothing_else() {
        let id = BlobId([0xAB; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "ab", &"+f".repeat(32), &"ä".repeat(32), &"ab".repeat(33)] {
            assert!(text.parse::<BlobId>().is_err(), "{text}");
        }
    }
}
