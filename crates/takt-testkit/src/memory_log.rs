//! A log in memory, for tests of what stands on a log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use takt_domain::Time;
use takt_ports::{
    Append, AppendError, Entry, EventLog, Hash, LogError, LogIdentity, Subject, Tail, chain_hash,
};
use tokio::sync::watch;

const MAX_ENTRIES: usize = 1000;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A log in memory; clones share it.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    identity: LogIdentity,
    stored: Arc<Mutex<Stored>>,
    head: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Stored {
    entries: Vec<Entry>,
    heads: HashMap<Subject, (u64, Hash)>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self {
            identity: LogIdentity { creation_id: uuid::Uuid::new_v4(), created_at: Time::EPOCH },
            stored: Arc::default(),
            head: Arc::new(watch::Sender::new(0)),
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Stored) -> R) -> R {
        act(&mut self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Stored {
    fn head(&self, subject: &Subject) -> (u64, Hash) {
        self.heads.get(subject).copied().unwrap_or_default()
    }

    fn append(&mut self, append: Append) -> Result<u64, AppendError> {
        for condition in append.conditions {
            let actual = self.head(&condition.subject).0;
            if actual != condition.last_seq {
                let (subject, expected) = (condition.subject, condition.last_seq);
                return Err(AppendError::Conflict { subject, expected, actual });
            }
        }
        let first = self.entries.len() as u64 + 1;
        for (seq, new) in (first..).zip(append.entries) {
            let prev = self.head(&new.subject).1;
            let hash = chain_hash(&prev, &new.id, &new.bytes);
            self.heads.insert(new.subject.clone(), (seq, hash));
            let (subject, id, bytes) = (new.subject, new.id, new.bytes);
            self.entries.push(Entry { seq, subject, id, prev, bytes });
        }
        Ok(first)
    }

    fn read(&self, from: u64, max: usize) -> Vec<Entry> {
        let skip = usize::try_from(from.max(1) - 1).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).take(max).cloned().collect()
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn identity(&self) -> LogIdentity {
        self.identity.clone()
    }

    async fn head(&self) -> Result<u64, LogError> {
        Ok(self.with(|stored| stored.entries.len() as u64))
    }

    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let bytes: usize = append.entries.iter().map(|entry| entry.bytes.len()).sum();
        let entries = append.entries.len();
        if entries == 0 || entries > MAX_ENTRIES || bytes > MAX_BYTES {
            let problem = format!("has {entries} entries and {bytes} bytes");
            return Err(AppendError::TooLarge { problem });
        }
        let first = self.with(|stored| stored.append(append))?;
        let head = first + entries as u64 - 1;
        self.head.send_if_modified(|known| {
            let newer = *known < head;
            *known = head.max(*known);
            newer
        });
        Ok(first)
    }

    async fn read(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        Ok(self.with(|stored| stored.read(from, max)))
    }

    async fn read_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        Ok(self.with(|stored| {
            let entries = stored.entries.iter();
            let of_it = entries.filter(|entry| entry.subject == *subject && entry.seq >= from);
            of_it.take(max).cloned().collect()
        }))
    }

    async fn subject_head(&self, subject: &Subject) -> Result<(u64, Hash), LogError> {
        Ok(self.with(|stored| stored.head(subject)))
    }

    fn tail(&self, from: u64) -> Box<dyn Tail> {
        Box::new(MemoryTail { log: self.clone(), head: self.head.subscribe(), next: from.max(1) })
    }
}

struct MemoryTail {
    log: MemoryLog,
    head: watch::Receiver<u64>,
    next: u64,
}

#[async_trait]
impl Tail for MemoryTail {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, LogError> {
        let next = self.next;
        let reached = self.head.wait_for(|head| *head >= next).await;
        let closed = |_| LogError::Unavailable { reason: "the log is closed".into() };
        reached.map_err(closed)?;
        let entries = self.log.with(|stored| stored.read(next, max.max(1)));
        self.next = entries.last().map_or(next, |entry| entry.seq + 1);
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_in_memory_keeps_the_contract() {
        let make = async || Arc::new(MemoryLog::new()) as Arc<dyn EventLog>;
        crate::event_log_contract(make).await;
    }
}
