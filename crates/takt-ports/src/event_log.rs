//! The log: one total order of entries, with exact expectations per subject.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use takt_domain::{Aggregate, EventId, StreamName, Time};

use crate::token::{from_hex, token};

/// Where an aggregate's entries live: `takt.log.<stream>.<aggregate>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(SmolStr);

impl Subject {
    /// The subject of an aggregate. Tokens are escaped; over 60 bytes they become `~` and 26
    /// characters of base32 sha256, the whole id being in the envelope.
    pub fn of(stream: &StreamName, aggregate: &Aggregate) -> Self {
        let stream = token(stream.as_str());
        let text = aggregate.to_string();
        let text = match (aggregate.is_system(), text.split_once('.')) {
            (true, None) => format!("takt.log.$sys.{}.{stream}", text.trim_start_matches('$')),
            (true, Some((kind, name))) => {
                let kind = kind.trim_start_matches('$');
                format!("takt.log.$sys.{kind}.{stream}.{}", token(name))
            }
            (false, Some((kind, id))) => format!("takt.log.{stream}.{kind}.{}", token(id)),
            (false, None) => format!("takt.log.{stream}.{text}"),
        };
        Self(text.into())
    }

    /// From the text of a subject that stands in a log already.
    pub fn from_log(text: &str) -> Self {
        Self(SmolStr::new(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an aggregate of the value stream with this token, and no bookkeeping.
    pub fn is_under(&self, token: &str) -> bool {
        let rest = self.0.strip_prefix("takt.log.").and_then(|rest| rest.strip_prefix(token));
        rest.is_some_and(|rest| rest.starts_with('.'))
    }

    /// Whether this is bookkeeping.
    pub fn is_system(&self) -> bool {
        self.0.starts_with("takt.log.$sys.")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hash in a subject's chain; all zero before its first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 16]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not 32 hex digits")]
pub struct NoHash;

impl FromStr for Hash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        from_hex(text).map(Self).ok_or(NoHash)
    }
}

/// The hash of an entry, which the next entry of its subject carries as `takt-prev`:
/// the first 16 bytes of sha256 over the previous hash, the id and the bytes.
pub fn chain_hash(prev: &Hash, id: &EventId, bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(prev.0);
    hasher.update(id.0.as_bytes());
    hasher.update(bytes);
    let mut hash = [0; 16];
    hash.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    Hash(hash)
}

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1, without gaps in the embedded log.
    pub seq: u64,
    /// Its subject.
    pub subject: Subject,
    /// The CloudEvents id, also in the header `ce-id`.
    pub id: EventId,
    /// The hash of the subject's previous entry, from the header `takt-prev`.
    pub prev: Hash,
    /// The CloudEvent in JSON.
    pub bytes: Bytes,
}

/// An entry to append. The log works out `prev` itself from the subject's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Its subject.
    pub subject: Subject,
    /// The CloudEvents id.
    pub id: EventId,
    /// The CloudEvent in JSON.
    pub bytes: Bytes,
}

/// What must hold of a subject when the batch is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The subject.
    pub subject: Subject,
    /// Its last sequence, exactly; 0 = it has no entry.
    pub last_seq: u64,
}

/// An atomic batch: all entries are stored, next to each other and in order, or none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    /// What must hold: one for each subject written, and for others that were looked at. On
    /// JetStream one message carries one expectation, so each condition on a subject that is not
    /// written needs an entry that is not the first of its own subject.
    pub conditions: Vec<Condition>,
    /// The entries, at most 1000 and 8 MiB.
    pub entries: Vec<NewEntry>,
}

/// Which log this is, so that a checkpoint of another log is never believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Made with the log, never changed.
    pub creation_id: uuid::Uuid,
    /// When the log was made.
    pub created_at: Time,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// A subject's last sequence is not what was expected; decide again.
    #[error("`{subject}` is at sequence {actual}, expected {expected}")]
    Conflict {
        /// The subject.
        subject: Subject,
        /// What was expected.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// The batch breaks a limit.
    #[error("the batch {problem}")]
    TooLarge {
        /// Which limit, with the figures.
        problem: String,
    },
    /// The log cannot store now, such as a full disk; nothing acknowledged is lost.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Why the log cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be reached or written now; try again.
    #[error("the log is not available: {reason}")]
    Unavailable {
        /// What the file system or the network said.
        reason: Arc<str>,
    },
    /// Stored bytes have changed; the entry is not served.
    #[error("entry {seq} is damaged: {reason}")]
    Damaged {
        /// The first sequence that cannot be read.
        seq: u64,
        /// Where and what.
        reason: Arc<str>,
    },
}

/// Follows the log in order; see [`EventLog::tail`].
#[async_trait]
pub trait Tail: Send {
    /// The next entries in order, at least one and at most `max`; waits until there is one.
    ///
    /// # Errors
    /// `Damaged` at an entry that cannot be served; `Unavailable` when the log is closed.
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, LogError>;
}

/// One total order of entries.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Which log this is.
    fn identity(&self) -> LogIdentity;

    /// The last durable sequence; 0 when empty.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn head(&self) -> Result<u64, LogError>;

    /// Stores a batch and returns, once it is durable, the sequence of its first entry; the
    /// others follow it without gaps.
    ///
    /// # Errors
    /// `Conflict` when a condition does not hold, and nothing is stored.
    async fn append(&self, append: Append) -> Result<u64, AppendError>;

    /// Durable entries from `from` on, in order, at most `max`, and fewer when they are large;
    /// empty past the head.
    ///
    /// # Errors
    /// `Damaged` names the first sequence that cannot be served, once those before it were.
    async fn read(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError>;

    /// Durable entries of one subject from `from` on, in order, at most `max`.
    ///
    /// # Errors
    /// As [`EventLog::read`].
    async fn read_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError>;

    /// The last sequence and chain hash of a subject; `(0, zero)` when it has no entry.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn subject_head(&self, subject: &Subject) -> Result<(u64, Hash), LogError>;

    /// Follows the log from `from` on.
    fn tail(&self, from: u64) -> Box<dyn Tail>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(aggregate: Aggregate) -> String {
        Subject::of(&"shop".into(), &aggregate).to_string()
    }

    #[test]
    fn an_aggregate_has_one_subject_under_its_stream() {
        assert_eq!(subject(Aggregate::Line), "takt.log.shop.line");
        assert_eq!(subject(Aggregate::Board("main".into())), "takt.log.shop.board.main");
        assert_eq!(subject(Aggregate::Intake), "takt.log.$sys.intake.shop");
        assert_eq!(subject(Aggregate::Reactor("andon".into())), "takt.log.$sys.reactor.shop.andon");
    }

    #[test]
    fn what_a_subject_cannot_hold_is_escaped() {
        assert_eq!(
            subject(Aggregate::Change("a.b *>".into())),
            "takt.log.shop.change.a=2Eb=20=2A=3E"
        );
    }

    #[test]
    fn a_long_token_becomes_its_hash() {
        let text = subject(Aggregate::Run("x".repeat(61).as_str().into()));
        assert!(text.starts_with("takt.log.shop.run.~"), "{text}");
    }

    #[test]
    fn a_subject_is_under_its_own_stream_alone() {
        let own = Subject::of(&"shop".into(), &Aggregate::Line);
        assert!(own.is_under("shop"));
        assert!(!own.is_under("sho") && !own.is_under("shop2") && !own.is_under("$sys"));
        assert!(!Subject::of(&"shop".into(), &Aggregate::Intake).is_under("shop"));
    }

    #[test]
    fn a_hash_comes_back_from_its_text() {
        let hash = Hash([0xA7; 16]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("zz".parse::<Hash>(), Err(NoHash));
    }
}
