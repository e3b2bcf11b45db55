//! The log on segment files of one folder.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use takt_ports::{
    Append, AppendError, Entry, EventLog, Hash, LogError, LogIdentity, Subject, Tail,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::{Disk, RealDisk};
use crate::error::{Fault, OpenError, unavailable};
use crate::index::Index;
use crate::recovery;
use crate::writer::{Request, Writer, weight};

const MAX_ENTRIES: usize = 1000;
const MAX_BYTES: usize = 8 * 1024 * 1024;
const MAX_SUBJECT_BYTES: usize = 4096;
const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;
const QUEUE: usize = 4096;

/// How the log keeps its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A segment this long is followed by a new one; at most 1 GiB.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_bytes: 32 * 1024 * 1024 }
    }
}

/// A log on files, held by one process.
pub struct EmbeddedLog {
    identity: LogIdentity,
    index: Arc<Index>,
    head: watch::Receiver<u64>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    _lock: Option<File>,
}

impl EmbeddedLog {
    /// Opens the log in a folder, which is made if it is missing. Blocks while it reads.
    ///
    /// # Errors
    /// When another process holds it, when acknowledged bytes have changed, or when the file
    /// system refuses.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, OpenError> {
        let path = folder.to_path_buf();
        let io = |source| OpenError::Io { path: path.clone(), source };
        let disk = RealDisk::new(path.clone()).map_err(io)?;
        let Some(lock) = disk.lock().map_err(io)? else {
            return Err(OpenError::LogInUse { path });
        };
        Self::open_on(Arc::new(disk), settings, Some(lock)).map_err(|fault| fault.at(path))
    }

    /// Opens the log on a disk.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        settings: Settings,
        lock: Option<File>,
    ) -> Result<Self, Fault> {
        let opened = recovery::open(disk.as_ref())?;
        let (sender, head) = watch::channel(opened.index.head());
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = Writer {
            disk,
            identity: opened.identity.clone(),
            index: Arc::clone(&opened.index),
            active: opened.active,
            segment_bytes: settings.segment_bytes.min(MAX_SEGMENT_BYTES),
            dirty: false,
            head: sender,
        };
        let thread = std::thread::Builder::new().name("takt-log".into());
        Ok(Self {
            identity: opened.identity,
            index: opened.index,
            head,
            requests: Some(requests),
            writer: Some(thread.spawn(move || writer.run(queue))?),
            _lock: lock,
        })
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // The lock is let go only after the writer has answered what was queued.
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    fn identity(&self) -> LogIdentity {
        self.identity.clone()
    }

    async fn head(&self) -> Result<u64, LogError> {
        Ok(self.index.head())
    }

    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        within_limits(&append)?;
        let closed = || AppendError::Log(unavailable("its writer has stopped; restart takt"));
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        requests.send(Request { append, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    async fn read(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        let index = Arc::clone(&self.index);
        blocking(move || index.entries(from, max)).await
    }

    async fn read_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let (index, subject) = (Arc::clone(&self.index), subject.clone());
        blocking(move || index.of_subject(&subject, from, max)).await
    }

    async fn subject_head(&self, subject: &Subject) -> Result<(u64, Hash), LogError> {
        Ok(self.index.subject_head(subject))
    }

    fn tail(&self, from: u64) -> Box<dyn Tail> {
        let (index, head) = (Arc::clone(&self.index), self.head.clone());
        Box::new(FileTail { index, head, next: from.max(1) })
    }
}

fn within_limits(append: &Append) -> Result<(), AppendError> {
    let (entries, bytes) = (append.entries.len(), weight(append));
    let subject = append.entries.iter().map(|entry| entry.subject.as_str().len()).max();
    let problem = if entries == 0 {
        "has no entry; give it at least one".to_owned()
    } else if entries > MAX_ENTRIES {
        format!("has {entries} entries, at most {MAX_ENTRIES} are stored at once; split it")
    } else if bytes > MAX_BYTES {
        format!("has {bytes} bytes, at most {MAX_BYTES} are stored at once; split it")
    } else if subject > Some(MAX_SUBJECT_BYTES) {
        format!("has a subject over {MAX_SUBJECT_BYTES} bytes; shorten its ids")
    } else {
        return Ok(());
    };
    Err(AppendError::TooLarge { problem })
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, LogError> + Send + 'static,
) -> Result<R, LogError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| unavailable(&error))?
}

struct FileTail {
    index: Arc<Index>,
    head: watch::Receiver<u64>,
    next: u64,
}

#[async_trait]
impl Tail for FileTail {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, LogError> {
        let next = self.next;
        let reached = self.head.wait_for(|head| *head >= next).await;
        reached.map_err(|_| unavailable("the log is closed"))?;
        let index = Arc::clone(&self.index);
        let entries = blocking(move || index.entries(next, max.max(1))).await?;
        self.next = entries.last().map_or(next, |entry| entry.seq + 1);
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
