//! The bytes of one entry in a segment: marker, length, crc, then the entry itself.

use bytes::{Buf, BufMut, Bytes};
use takt_domain::EventId;
use takt_ports::{Entry, Hash, Subject};

const MARKER: [u8; 4] = [0xF7, b'T', b'k', 0xA9];
const PREFIX: usize = 12;
const FIXED: usize = 51;
const LAST: u8 = 1;

/// An entry as it stands in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The entry.
    pub(crate) entry: Entry,
    /// The last durable sequence when this was written: proof that all up to it was once whole.
    pub(crate) synced: u64,
    /// Whether it ends a batch.
    pub(crate) last: bool,
}

/// Appends the frame's bytes.
pub(crate) fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let entry = &frame.entry;
    let subject = entry.subject.as_str().as_bytes();
    let mut body = Vec::with_capacity(FIXED + subject.len() + entry.bytes.len());
    body.put_u64_le(entry.seq);
    body.put_u64_le(frame.synced);
    body.put_slice(entry.id.0.as_bytes());
    body.put_slice(&entry.prev.0);
    body.put_u8(if frame.last { LAST } else { 0 });
    // Limits on subject and batch are checked before; both numbers fit.
    body.put_u16_le(u16::try_from(subject.len()).unwrap_or(u16::MAX));
    body.put_slice(subject);
    body.put_slice(&entry.bytes);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.put_slice(&MARKER);
    out.put_u32_le(length);
    out.put_u32_le(crc(length, &body));
    out.put_slice(&body);
}

/// The frame at the start of the bytes and its length, or what is wrong with it.
pub(crate) fn decode(mut data: Bytes) -> Result<(Frame, usize), &'static str> {
    if data.remaining() < PREFIX {
        return Err("the frame is cut off");
    }
    if data.split_to(MARKER.len()).as_ref() != MARKER {
        return Err("the frame does not start with its marker");
    }
    let length = data.get_u32_le();
    let expected = data.get_u32_le();
    let size = usize::try_from(length).map_err(|_| "the frame is too long")?;
    if size < FIXED || data.remaining() < size {
        return Err("the frame is cut off or its length has changed");
    }
    let mut body = data.split_to(size);
    if crc(length, &body) != expected {
        return Err("its checksum does not match");
    }
    let (seq, synced) = (body.get_u64_le(), body.get_u64_le());
    let id = EventId(uuid::Uuid::from_u128(body.get_u128()));
    let prev = Hash(body.get_u128().to_be_bytes());
    let last = body.get_u8() == LAST;
    let subject_size = usize::from(body.get_u16_le());
    if body.remaining() < subject_size {
        return Err("its subject is cut off");
    }
    let subject = body.split_to(subject_size);
    let subject = std::str::from_utf8(&subject).map_err(|_| "its subject is not text")?;
    let subject = Subject::from_log(subject);
    let entry = Entry { seq, subject, id, prev, bytes: body };
    Ok((Frame { entry, synced, last }, PREFIX + size))
}

/// Whether a whole frame anywhere in the bytes proves that `seq` had been durable.
pub(crate) fn proves_durable(data: &Bytes, seq: u64) -> bool {
    let mut rest = data.clone();
    while let Some(at) = rest.windows(MARKER.len()).position(|window| window == MARKER) {
        rest.advance(at);
        if decode(rest.clone()).is_ok_and(|(frame, _)| frame.synced >= seq) {
            return true;
        }
        rest.advance(1);
    }
    false
}

fn crc(length: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}
