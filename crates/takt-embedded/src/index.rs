//! What is known in memory of the durable log: where each entry stands, and each subject's entries.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use takt_ports::{Entry, Hash, LogError, Subject};

use crate::disk::DiskFile;
use crate::error::{damaged, unavailable};
use crate::frame;
use crate::segment::Row;

/// How much is read at once, so that a long read does not hold the log twice in memory.
const READ_BYTES: u64 = 1024 * 1024;

/// The index, shared by readers and the writer.
#[derive(Default)]
pub(crate) struct Index(RwLock<Known>);

#[derive(Default)]
struct Known {
    segments: Vec<Segment>,
    subjects: FxHashMap<Subject, Chain>,
    head: u64,
}

/// A segment with the place of each of its entries.
struct Segment {
    first: u64,
    file: Arc<dyn DiskFile>,
    offsets: Vec<u32>,
    end: u64,
}

/// The entries of a subject.
#[derive(Default)]
struct Chain {
    seqs: Vec<u64>,
    hash: Hash,
}

/// Frames that stand next to each other in one segment.
struct Stretch {
    file: Arc<dyn DiskFile>,
    first: u64,
    count: usize,
    start: u64,
    end: u64,
}

impl Index {
    /// Adds a segment that starts at a sequence.
    pub(crate) fn add_segment(&self, first: u64, file: Arc<dyn DiskFile>, end: u64) {
        self.write(|known| known.segments.push(Segment { first, file, offsets: vec![], end }));
    }

    /// Adds durable entries to the last segment, which now ends at `end`.
    pub(crate) fn extend(&self, rows: Vec<Row>, end: u64) {
        self.write(|known| {
            let Some(segment) = known.segments.last_mut() else { return };
            segment.end = end;
            for row in rows {
                known.head += 1;
                segment.offsets.push(row.offset);
                let chain = known.subjects.entry(row.subject).or_default();
                chain.seqs.push(known.head);
                chain.hash = row.hash;
            }
        });
    }

    /// The last durable sequence.
    pub(crate) fn head(&self) -> u64 {
        self.read(|known| known.head)
    }

    /// The last sequence and hash of a subject.
    pub(crate) fn subject_head(&self, subject: &Subject) -> (u64, Hash) {
        self.read(|known| {
            let chain = known.subjects.get(subject);
            chain.map_or((0, Hash::default()), |chain| {
                (chain.seqs.last().copied().unwrap_or(0), chain.hash)
            })
        })
    }

    /// Entries in order; fewer when one of them is damaged, an error when it is the first.
    pub(crate) fn entries(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        let mut entries = Vec::new();
        let mut next = from.max(1);
        while entries.len() < max {
            let wanted = max - entries.len();
            let Some(stretch) = self.read(|known| known.stretch(next, wanted)) else { break };
            next += u64::try_from(stretch.count).unwrap_or(u64::MAX);
            match stretch.entries(&mut entries) {
                Ok(()) => {}
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// Entries of a subject, as [`Index::entries`].
    pub(crate) fn of_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let stretches = self.read(|known| known.of_subject(subject, from, max));
        let mut entries = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            match stretch.entries(&mut entries) {
                Ok(()) => {}
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn read<R>(&self, look: impl FnOnce(&Known) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Known {
    fn stretch(&self, from: u64, max: usize) -> Option<Stretch> {
        if from == 0 || from > self.head {
            return None;
        }
        let after = self.segments.partition_point(|segment| segment.first <= from);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        let index = usize::try_from(from - segment.first).ok()?;
        let start = u64::from(*segment.offsets.get(index)?);
        let mut end = start;
        let mut count = 0;
        while count < max && (count == 0 || end - start < READ_BYTES) {
            if index + count >= segment.offsets.len() {
                break;
            }
            count += 1;
            end = segment.offsets.get(index + count).map_or(segment.end, |next| u64::from(*next));
        }
        Some(Stretch { file: Arc::clone(&segment.file), first: from, count, start, end })
    }

    fn of_subject(&self, subject: &Subject, from: u64, max: usize) -> Vec<Stretch> {
        let Some(chain) = self.subjects.get(subject) else { return vec![] };
        let start = chain.seqs.partition_point(|seq| *seq < from);
        let seqs = chain.seqs.iter().skip(start).take(max);
        seqs.filter_map(|seq| self.stretch(*seq, 1)).collect()
    }
}

impl Stretch {
    /// Adds the entries up to the first that does not verify, which is the error.
    fn entries(&self, entries: &mut Vec<Entry>) -> Result<(), LogError> {
        if self.count == 0 {
            return Ok(());
        }
        let size = usize::try_from(self.end - self.start).map_err(|error| unavailable(&error))?;
        let mut data = vec![0; size];
        self.file.read_at(self.start, &mut data).map_err(|error| {
            let cut = error.kind() == std::io::ErrorKind::UnexpectedEof;
            if cut { damaged(self.first, "its segment is cut off") } else { unavailable(&error) }
        })?;
        let mut data = Bytes::from(data);
        for seq in (self.first..).take(self.count) {
            let (frame, length) = frame::decode(data.clone()).map_err(|why| damaged(seq, why))?;
            if frame.entry.seq != seq {
                return Err(damaged(seq, "another entry stands in its place"));
            }
            drop(data.split_to(length));
            entries.push(frame.entry);
        }
        Ok(())
    }
}
