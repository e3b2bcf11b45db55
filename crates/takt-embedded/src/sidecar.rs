//! The sidecar of a segment that is full: where its entries stand, so that opening need not read it.
//!
//! It can be deleted at any time: a segment without a good one is read whole, and gets a new one.

use bytes::{Buf, BufMut};
use takt_ports::{Hash, LogIdentity, Subject};

const MAGIC: &[u8; 8] = b"TAKTIDX1";
/// Magic, creation id, first sequence, end, number of subjects, number of rows, and the checksum.
const FIXED: usize = 8 + 16 + 8 + 8 + 4 + 4 + 4;

/// What opening needs of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sidecar {
    /// The length of the segment's file.
    pub(crate) end: u64,
    /// Each subject with its chain's hash after the segment and the place of its last entry.
    pub(crate) subjects: Vec<(Subject, Hash, u32)>,
    /// Each entry's offset and its subject's place in `subjects`.
    pub(crate) rows: Vec<(u32, u32)>,
}

/// The name of the sidecar of the segment that starts at a sequence.
pub(crate) fn name(first: u64) -> String {
    format!("{first:020}.idx")
}

impl Sidecar {
    /// The file's bytes.
    pub(crate) fn encode(&self, identity: &LogIdentity, first: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED + self.rows.len() * 8);
        bytes.put_slice(MAGIC);
        bytes.put_slice(identity.creation_id.as_bytes());
        bytes.put_u64_le(first);
        bytes.put_u64_le(self.end);
        bytes.put_u32_le(self.subjects.len() as u32);
        bytes.put_u32_le(self.rows.len() as u32);
        for (subject, hash, last) in &self.subjects {
            let text = subject.as_str().as_bytes();
            // The limit on subjects is checked before they are stored.
            bytes.put_u16_le(u16::try_from(text.len()).unwrap_or(u16::MAX));
            bytes.put_slice(text);
            bytes.put_slice(&hash.0);
            bytes.put_u32_le(*last);
        }
        for (offset, subject) in &self.rows {
            bytes.put_u32_le(*offset);
            bytes.put_u32_le(*subject);
        }
        bytes.put_u32_le(crc32fast::hash(&bytes));
        bytes
    }

    /// From the file's bytes; `None` when they are not whole or belong to another segment.
    pub(crate) fn decode(bytes: &[u8], identity: &LogIdentity, first: u64) -> Option<Self> {
        let (mut data, mut crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if bytes.len() < FIXED || crc.get_u32_le() != crc32fast::hash(data) {
            return None;
        }
        data = data.strip_prefix(MAGIC)?;
        let known = data.get_u128() == identity.creation_id.as_u128() && data.get_u64_le() == first;
        let end = data.get_u64_le();
        let (subjects, rows) = (data.get_u32_le(), data.get_u32_le());
        let subjects = (0..subjects).map(|_| subject(&mut data)).collect::<Option<Vec<_>>>()?;
        let rows = (0..rows).map(|_| row(&mut data, subjects.len())).collect::<Option<Vec<_>>>()?;
        (known && data.is_empty()).then_some(Self { end, subjects, rows })
    }
}

fn subject(data: &mut &[u8]) -> Option<(Subject, Hash, u32)> {
    let size = usize::from(data.try_get_u16_le().ok()?);
    let (text, rest) = data.split_at_checked(size)?;
    let (hash, rest) = rest.split_first_chunk::<16>()?;
    *data = rest;
    let last = data.try_get_u32_le().ok()?;
    Some((Subject::from_log(std::str::from_utf8(text).ok()?), Hash(*hash), last))
}

fn row(data: &mut &[u8], subjects: usize) -> Option<(u32, u32)> {
    let (offset, subject) = (data.try_get_u32_le().ok()?, data.try_get_u32_le().ok()?);
    ((subject as usize) < subjects).then_some((offset, subject))
}

#[cfg(test)]
mod tests {
    use takt_domain::Time;

    use super::*;

    fn identity(id: u128) -> LogIdentity {
        LogIdentity { creation_id: uuid::Uuid::from_u128(id), created_at: Time::EPOCH }
    }

    fn sample() -> Sidecar {
        let subject = |name: &str, last| (Subject::from_log(name), Hash([7; 16]), last);
        let subjects = vec![subject("takt.log.shop.line", 0), subject("takt.log.shop.board.a", 2)];
        Sidecar { end: 900, subjects, rows: vec![(44, 0), (300, 1), (600, 1)] }
    }

    #[test]
    fn a_sidecar_comes_back_as_it_was_written() {
        let bytes = sample().encode(&identity(1), 5);
        assert_eq!(Sidecar::decode(&bytes, &identity(1), 5), Some(sample()));
    }

    #[test]
    fn a_sidecar_of_another_segment_or_log_is_not_believed() {
        let bytes = sample().encode(&identity(1), 5);
        assert_eq!(Sidecar::decode(&bytes, &identity(1), 6), None);
        assert_eq!(Sidecar::decode(&bytes, &identity(2), 5), None);
    }

    #[test]
    fn a_sidecar_that_is_cut_or_altered_anywhere_is_not_believed() {
        let bytes = sample().encode(&identity(1), 5);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert_eq!(Sidecar::decode(&altered, &identity(1), 5), None, "byte {at} altered");
            assert_eq!(Sidecar::decode(&bytes[..at], &identity(1), 5), None, "cut at {at}");
        }
    }
}
