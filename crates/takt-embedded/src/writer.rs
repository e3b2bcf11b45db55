//! The one thread that writes: checks conditions, stores a group of batches, syncs once, answers.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use takt_ports::{Append, AppendError, Entry, Hash, LogIdentity, Subject, chain_hash};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::Disk;
use crate::error::unavailable;
use crate::frame::{self, Frame};
use crate::index::Index;
use crate::recovery::{Active, start_segment, write_sidecar};
use crate::segment::Row;

/// The most bytes one group takes, beside its first batch.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// A batch with the way to answer it.
pub(crate) struct Request {
    /// The batch, within its limits.
    pub(crate) append: Append,
    /// Takes the first sequence once it is durable.
    pub(crate) answer: oneshot::Sender<Result<u64, AppendError>>,
}

/// The writer's state.
pub(crate) struct Writer {
    /// The folder.
    pub(crate) disk: Arc<dyn Disk>,
    /// Which log this is.
    pub(crate) identity: LogIdentity,
    /// What is durable.
    pub(crate) index: Arc<Index>,
    /// The segment that is written.
    pub(crate) active: Active,
    /// A segment this long is followed by a new one.
    pub(crate) segment_bytes: u64,
    /// Whether bytes of a failed group may stand behind the durable ones.
    pub(crate) dirty: bool,
    /// Tells of the durable head.
    pub(crate) head: watch::Sender<u64>,
}

/// A group on its way to the disk.
struct Group {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    heads: FxHashMap<Subject, (u64, Hash)>,
    durable: u64,
    start: u64,
}

impl Writer {
    /// Serves requests until all senders are gone.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut size = weight(&first.append);
            let mut group = vec![first];
            while size < GROUP_BYTES
                && let Ok(next) = requests.try_recv()
            {
                size += weight(&next.append);
                group.push(next);
            }
            self.store(group);
        }
    }

    fn store(&mut self, requests: Vec<Request>) {
        let answers = match self.write(&requests) {
            Ok(answers) => answers,
            Err(error) => {
                tracing::warn!(%error, "the log cannot be written");
                let error = AppendError::Log(unavailable(&error));
                requests.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for (request, answer) in requests.into_iter().zip(answers) {
            // A caller that has gone away no longer wants to know.
            let _ = request.answer.send(answer);
        }
    }

    fn write(&mut self, requests: &[Request]) -> std::io::Result<Vec<Result<u64, AppendError>>> {
        self.repair()?;
        self.roll()?;
        let durable = self.index.head();
        let mut group = Group {
            bytes: Vec::new(),
            rows: Vec::new(),
            heads: FxHashMap::default(),
            durable,
            start: self.active.length,
        };
        let answers = requests.iter().map(|request| group.add(&self.index, &request.append));
        let answers = answers.collect();
        if group.rows.is_empty() {
            return Ok(answers);
        }
        let written = self.active.file.write_at(self.active.length, &group.bytes);
        if let Err(error) = written.and_then(|()| self.active.file.sync()) {
            self.dirty = true;
            // What fails here is tried again before the next group.
            let _ = self.repair();
            return Err(error);
        }
        self.active.length += group.bytes.len() as u64;
        self.index.extend(group.rows, self.active.length);
        self.head.send_replace(self.index.head());
        Ok(answers)
    }

    /// Cuts what a failed group left, so that it can never be taken for stored.
    fn repair(&mut self) -> std::io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        self.active.file.truncate(self.active.length)?;
        self.active.file.sync()?;
        self.dirty = false;
        Ok(())
    }

    fn roll(&mut self) -> std::io::Result<()> {
        if self.active.length < self.segment_bytes {
            return Ok(());
        }
        let first = self.index.head() + 1;
        self.active = start_segment(self.disk.as_ref(), &self.identity, first)?;
        write_sidecar(self.disk.as_ref(), &self.identity, &self.index);
        self.index.add_segment(first, Arc::clone(&self.active.file), self.active.length);
        Ok(())
    }
}

impl Group {
    /// Adds a batch if its conditions hold, those of the group before it being counted.
    fn add(&mut self, index: &Index, append: &Append) -> Result<u64, AppendError> {
        for condition in &append.conditions {
            let (actual, _) = self.head(index, &condition.subject);
            if actual != condition.last_seq {
                return Err(AppendError::Conflict {
                    subject: condition.subject.clone(),
                    expected: condition.last_seq,
                    actual,
                });
            }
        }
        let first = self.durable + self.rows.len() as u64 + 1;
        let mut left = append.entries.len();
        for (seq, new) in (first..).zip(&append.entries) {
            left -= 1;
            let (_, prev) = self.head(index, &new.subject);
            let entry = Entry {
                seq,
                subject: new.subject.clone(),
                id: new.id,
                prev,
                bytes: new.bytes.clone(),
            };
            self.push(Frame { entry, synced: self.durable, last: left == 0 });
        }
        Ok(first)
    }

    fn push(&mut self, frame: Frame) {
        let offset = self.start + self.bytes.len() as u64;
        frame::encode(&frame, &mut self.bytes);
        let entry = frame.entry;
        let hash = chain_hash(&entry.prev, &entry.id, &entry.bytes);
        self.heads.insert(entry.subject.clone(), (entry.seq, hash));
        // A segment and a group together are far below 4 GiB, which the settings see to.
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        self.rows.push(Row { offset, subject: entry.subject, hash });
    }

    fn head(&self, index: &Index, subject: &Subject) -> (u64, Hash) {
        self.heads.get(subject).copied().unwrap_or_else(|| index.subject_head(subject))
    }
}

/// The bytes a batch takes, roughly.
pub(crate) fn weight(append: &Append) -> usize {
    append.entries.iter().map(|entry| entry.bytes.len() + entry.subject.as_str().len()).sum()
}
