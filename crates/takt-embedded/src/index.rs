//! What is known in memory of the durable log: where each entry stands, and to which subject it belongs.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use takt_ports::{Entry, Hash, LogError, Subject};

use crate::disk::DiskFile;
use crate::error::{damaged, unavailable};
use crate::frame;
use crate::segment::Row;
use crate::sidecar::Sidecar;

/// How much is read at once, so that a long read does not hold the log twice in memory.
const READ_BYTES: u64 = 1024 * 1024;

/// A read gives no more than about this much, however many entries were asked for.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// The index, shared by readers and the writer.
#[derive(Default)]
pub(crate) struct Index(RwLock<Known>);

#[derive(Default)]
struct Known {
    segments: Vec<Segment>,
    /// Subjects by the number that stands for them in `Segment::subjects`.
    numbers: FxHashMap<Subject, u32>,
    chains: Vec<Chain>,
    head: u64,
}

/// A segment with the place and the subject of each of its entries: 8 bytes an entry.
struct Segment {
    first: u64,
    file: Arc<dyn DiskFile>,
    offsets: Vec<u32>,
    subjects: Vec<u32>,
    end: u64,
}

/// The end of a subject's chain.
struct Chain {
    subject: Subject,
    last: u64,
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
        let (offsets, subjects) = (vec![], vec![]);
        self.write(|known| {
            if let Some(full) = known.segments.last_mut() {
                full.offsets.shrink_to_fit();
                full.subjects.shrink_to_fit();
            }
            known.segments.push(Segment { first, file, offsets, subjects, end });
        });
    }

    /// Adds durable entries to the last segment, which now ends at `end`.
    pub(crate) fn extend(&self, rows: Vec<Row>, end: u64) {
        self.write(|known| {
            rows.iter().for_each(|row| known.push(row));
            if let Some(segment) = known.segments.last_mut() {
                segment.end = end;
            }
        });
    }

    /// Adds a whole segment as its sidecar file tells it.
    pub(crate) fn add_sealed(&self, first: u64, file: Arc<dyn DiskFile>, sidecar: Sidecar) {
        self.write(|known| {
            let head = known.head;
            let mut numbers = Vec::with_capacity(sidecar.subjects.len());
            for (subject, hash, last) in sidecar.subjects {
                let number = known.number(&subject);
                known.end_chain(number, head + u64::from(last) + 1, hash);
                numbers.push(number);
            }
            let number = |local: u32| {
                let at = usize::try_from(local).unwrap_or(usize::MAX);
                numbers.get(at).copied().unwrap_or(u32::MAX)
            };
            let subjects: Vec<u32> = sidecar.rows.iter().map(|(_, local)| number(*local)).collect();
            let offsets: Vec<u32> = sidecar.rows.iter().map(|(offset, _)| *offset).collect();
            known.head += offsets.len() as u64;
            known.segments.push(Segment { first, file, offsets, subjects, end: sidecar.end });
        });
    }

    /// What the sidecar file of the last segment holds.
    pub(crate) fn last_as_sidecar(&self) -> Option<(u64, Sidecar)> {
        self.read(|known| known.segments.last().map(|last| (last.first, known.sidecar(last))))
    }

    /// The last durable sequence.
    pub(crate) fn head(&self) -> u64 {
        self.read(|known| known.head)
    }

    /// The last sequence and hash of a subject.
    pub(crate) fn subject_head(&self, subject: &Subject) -> (u64, Hash) {
        self.read(|known| {
            let number = known.numbers.get(subject);
            let chain = number.and_then(|number| known.chains.get(*number as usize));
            chain.map_or((0, Hash::default()), |chain| (chain.last, chain.hash))
        })
    }

    /// Entries in order; fewer when they are large or one of them is damaged, an error when it is
    /// the first.
    pub(crate) fn entries(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        let mut entries = Vec::new();
        let mut next = from.max(1);
        let mut bytes = 0;
        while entries.len() < max && bytes < MOST_BYTES {
            let wanted = max - entries.len();
            let Some(stretch) = self.read(|known| known.stretch(next, wanted)) else { break };
            next += u64::try_from(stretch.count).unwrap_or(u64::MAX);
            bytes += stretch.end - stretch.start;
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
        let Some(number) = self.numbers.get(subject) else { return vec![] };
        let after = self.segments.partition_point(|segment| segment.first <= from.max(1));
        let segments = self.segments.iter().skip(after.saturating_sub(1));
        let seqs = segments.flat_map(|segment| (segment.first..).zip(&segment.subjects));
        let of_it = seqs.filter(|(seq, of)| *seq >= from && *of == number);
        of_it.take(max).filter_map(|(seq, _)| self.stretch(seq, 1)).collect()
    }

    fn push(&mut self, row: &Row) {
        self.head += 1;
        let number = self.number(&row.subject);
        self.end_chain(number, self.head, row.hash);
        if let Some(segment) = self.segments.last_mut() {
            segment.offsets.push(row.offset);
            segment.subjects.push(number);
        }
    }

    /// The number that stands for a subject; a new one if it has none.
    fn number(&mut self, subject: &Subject) -> u32 {
        if let Some(number) = self.numbers.get(subject) {
            return *number;
        }
        // More subjects than fit could not be held in memory either.
        let number = u32::try_from(self.chains.len()).unwrap_or(u32::MAX);
        self.numbers.insert(subject.clone(), number);
        self.chains.push(Chain { subject: subject.clone(), last: 0, hash: Hash::default() });
        number
    }

    fn end_chain(&mut self, number: u32, last: u64, hash: Hash) {
        if let Some(chain) = self.chains.get_mut(number as usize) {
            (chain.last, chain.hash) = (last, hash);
        }
    }

    /// A segment's rows with subjects by local numbers. Only right for the last segment, where
    /// every subject's chain ends if it is written there at all.
    fn sidecar(&self, segment: &Segment) -> Sidecar {
        let mut locals: FxHashMap<u32, u32> = FxHashMap::default();
        let mut sidecar = Sidecar { end: segment.end, subjects: vec![], rows: vec![] };
        for (at, (offset, number)) in (0_u32..).zip(segment.offsets.iter().zip(&segment.subjects)) {
            let fresh = sidecar.subjects.len() as u32;
            let local = *locals.entry(*number).or_insert(fresh);
            if local == fresh
                && let Some(chain) = self.chains.get(*number as usize)
            {
                sidecar.subjects.push((chain.subject.clone(), chain.hash, at));
            }
            if let Some((_, _, last)) = sidecar.subjects.get_mut(local as usize) {
                *last = at;
            }
            sidecar.rows.push((*offset, local));
        }
        sidecar
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
