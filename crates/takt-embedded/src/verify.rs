//! A walk over the whole log that trusts nothing but the bytes.

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use takt_ports::{Hash, LogError, Subject, chain_hash};

use crate::error::damaged;
use crate::index::Index;

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

/// Checks every durable entry.
pub(crate) fn verify(index: &Index) -> Result<Verified, LogError> {
    let mut chains: FxHashMap<Subject, Hash> = FxHashMap::default();
    let mut verified = Verified { count: 0, digest: [0; 32] };
    let head = index.head();
    while verified.count < head {
        for entry in index.entries(verified.count + 1, STEP)? {
            let chain = chains.entry(entry.subject).or_default();
            if *chain != entry.prev {
                return Err(damaged(entry.seq, "it does not follow its subject's last entry"));
            }
            *chain = chain_hash(&entry.prev, &entry.id, &entry.bytes);
            let mut digest = Sha256::new_with_prefix(verified.digest);
            digest.update(entry.seq.to_be_bytes());
            digest.update(Sha256::digest(&entry.bytes));
            verified = Verified { count: entry.seq, digest: digest.finalize().into() };
        }
    }
    Ok(verified)
}
