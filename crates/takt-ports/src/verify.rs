//! A walk over a whole log that trusts nothing but the bytes.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::event_log::{EventLog, Hash, LogError, Subject, chain_hash};

const STEP: usize = 1000;

/// A log found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries it has.
    pub count: u64,
    /// sha256, from entry to entry, over the digest so far, the sequence in big-endian bytes and
    /// the sha256 of the entry's bytes; it starts as 32 zeros.
    pub digest: [u8; 32],
}

/// Checks every entry that is durable now: its place, and the chain of its subject.
///
/// # Errors
/// `Damaged` names the first sequence that is missing or altered; `Unavailable`.
pub async fn verify_log(log: &dyn EventLog) -> Result<Verified, LogError> {
    let mut chains: HashMap<Subject, Hash> = HashMap::new();
    let mut verified = Verified { count: 0, digest: [0; 32] };
    let head = log.head().await?;
    while verified.count < head {
        let next = verified.count + 1;
        let entries = log.read(next, STEP).await?;
        if entries.is_empty() {
            return Err(damaged(next, "it is missing"));
        }
        for entry in entries {
            let next = verified.count + 1;
            if entry.seq != next {
                return Err(damaged(next, "it is missing"));
            }
            let chain = chains.entry(entry.subject).or_default();
            if *chain != entry.prev {
                return Err(damaged(next, "it does not follow its subject's last entry"));
            }
            *chain = chain_hash(&entry.prev, &entry.id, &entry.bytes);
            let mut digest = Sha256::new_with_prefix(verified.digest);
            digest.update(next.to_be_bytes());
            digest.update(Sha256::digest(&entry.bytes));
            verified = Verified { count: next, digest: digest.finalize().into() };
        }
    }
    Ok(verified)
}

fn damaged(seq: u64, reason: &str) -> LogError {
    LogError::Damaged { seq, reason: reason.into() }
}
