//! One segment file: its name, its header, and what a scan of it finds.

use bytes::{Buf, BufMut, Bytes};
use takt_domain::Time;
use takt_ports::{Hash, LogIdentity, Subject, chain_hash};

use crate::frame::{self, Frame};

const MAGIC: &[u8; 8] = b"TAKTLOG1";
/// The length of a segment's header.
pub(crate) const HEADER: usize = 44;

/// The name of the segment that starts at a sequence.
pub(crate) fn name(first: u64) -> String {
    format!("{first:020}.seg")
}

/// The sequence a segment's name starts at; `None` for other files.
pub(crate) fn first_of(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// The header's bytes.
pub(crate) fn header(identity: &LogIdentity, first: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.put_slice(MAGIC);
    bytes.put_slice(identity.creation_id.as_bytes());
    bytes.put_i64_le(identity.created_at.micros());
    bytes.put_u64_le(first);
    bytes.put_u32_le(crc32fast::hash(&bytes));
    bytes
}

/// The log a segment belongs to; `None` when the header is not whole or names another start.
pub(crate) fn parse_header(mut bytes: &[u8], first: u64) -> Option<LogIdentity> {
    let whole = bytes.get(..HEADER)?;
    let crc = crc32fast::hash(whole.get(..HEADER - 4)?);
    bytes = whole.strip_prefix(MAGIC)?;
    let creation_id = uuid::Uuid::from_u128(bytes.get_u128());
    let created_at = Time::from_micros(bytes.get_i64_le());
    let known = bytes.get_u64_le() == first && bytes.get_u32_le() == crc;
    known.then_some(LogIdentity { creation_id, created_at })
}

/// What the index keeps of an entry.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Where its frame starts in the segment.
    pub(crate) offset: u32,
    /// Its subject.
    pub(crate) subject: Subject,
    /// The chain hash of its subject after it.
    pub(crate) hash: Hash,
}

/// What a scan found.
pub(crate) struct Scan {
    /// The entries of whole batches, in order.
    pub(crate) rows: Vec<Row>,
    /// Where the last whole batch ends.
    pub(crate) end: usize,
    /// What follows it.
    pub(crate) rest: Rest,
}

/// What follows the last whole batch of a segment.
pub(crate) enum Rest {
    /// Nothing.
    Nothing,
    /// A batch that was never acknowledged.
    Torn { seq: u64, reason: &'static str },
    /// An entry that a later frame proves to have been durable.
    Damaged { seq: u64, reason: &'static str },
}

/// Reads every frame of a segment that starts at sequence `first`.
pub(crate) fn scan(data: &Bytes, first: u64) -> Scan {
    let mut scan = Scan { rows: Vec::new(), end: HEADER, rest: Rest::Nothing };
    let mut batch = Vec::new();
    let (mut at, mut seq) = (HEADER, first);
    let reason = loop {
        if at >= data.len() {
            break "its batch has no end";
        }
        let (frame, size) = match next(data, at, seq) {
            Ok(found) => found,
            Err(reason) => break reason,
        };
        batch.push(row(at, &frame));
        at += size;
        seq += 1;
        if frame.last {
            scan.rows.append(&mut batch);
            scan.end = at;
        }
    };
    if scan.end >= data.len() {
        return scan;
    }
    let proven = frame::proves_durable(&data.slice(scan.end..), seq);
    scan.rest = if proven { Rest::Damaged { seq, reason } } else { Rest::Torn { seq, reason } };
    scan
}

fn next(data: &Bytes, at: usize, seq: u64) -> Result<(Frame, usize), &'static str> {
    let (frame, size) = frame::decode(data.slice(at..))?;
    if frame.entry.seq != seq {
        return Err("another entry stands in its place");
    }
    Ok((frame, size))
}

fn row(at: usize, frame: &Frame) -> Row {
    let entry = &frame.entry;
    Row {
        // Segments are far below 4 GiB, which the settings see to.
        offset: u32::try_from(at).unwrap_or(u32::MAX),
        subject: entry.subject.clone(),
        hash: chain_hash(&entry.prev, &entry.id, &entry.bytes),
    }
}
