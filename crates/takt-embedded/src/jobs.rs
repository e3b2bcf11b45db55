//! Jobs: one file for what is to be done, and one for its latest attempt.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};
use takt_ports::{Job, JobError, JobQueue};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::error::OpenError;
use crate::files::{Files, blocking};

mod saved;

const MOST_BYTES: usize = 1024 * 1024;
const MOST_NAME_BYTES: usize = 512;
/// How many jobs are kept at once, in all queues.
const MOST_JOBS: usize = 100_000;

/// Jobs on files, held by one process.
pub struct EmbeddedJobQueue {
    inner: Arc<Inner>,
}

struct Inner {
    files: Files,
    queues: Mutex<Queues>,
    /// Told whenever a job may have become free.
    changed: Notify,
}

#[derive(Default)]
struct Queues {
    by_name: BTreeMap<SmolStr, Queue>,
    jobs: usize,
    /// The last place in the order that was given.
    last: u64,
}

#[derive(Default)]
struct Queue {
    by_place: BTreeMap<u64, Kept>,
    places: BTreeMap<SmolStr, u64>,
}

/// A job that waits or is worked on.
struct Kept {
    id: SmolStr,
    attempt: u32,
    receipt: SmolStr,
    /// How long its attempt's lease is, while it is worked on.
    lease: Option<Duration>,
    /// When it is free to be taken.
    free_at: Instant,
}

/// What a look for a job comes to.
enum Look {
    Taken(Job),
    /// Nothing is free before then.
    Nothing(Option<Instant>),
}

impl EmbeddedJobQueue {
    /// Opens the jobs in a folder of their own, which is made if it is missing. An attempt that was
    /// under way has its whole lease anew, since its worker may still be at it.
    ///
    /// # Errors
    /// When another process holds it, the file system refuses, or a file does not read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let files = Files::open(folder)?;
        let io = |source| OpenError::Io { path: folder.to_path_buf(), source };
        let queues = saved::load(&files).map_err(io)?;
        let inner = Inner { files, queues: Mutex::new(queues), changed: Notify::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&Files, &mut Queues) -> Result<R, JobError> + Send + 'static,
    ) -> Result<R, JobError> {
        let inner = Arc::clone(&self.inner);
        let done = blocking(move || {
            let mut queues = inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
            act(&inner.files, &mut queues)
        });
        done.await.map_err(unavailable)?
    }

    /// Ends or changes the current attempt of a job; first on the disk by `act`, then in memory.
    async fn on_current(
        &self,
        queue: &str,
        job: &Job,
        act: impl FnOnce(&Files, u64, &Kept) -> io::Result<Change> + Send + 'static,
    ) -> Result<(), JobError> {
        let (queue, job) = (SmolStr::new(queue), job.clone());
        self.with(move |files, queues| {
            let superseded = || JobError::Superseded { id: job.id.clone(), attempt: job.attempt };
            let known = queues.by_name.get_mut(&queue).ok_or_else(superseded)?;
            let place = *known.places.get(&job.id).ok_or_else(superseded)?;
            let kept = known.by_place.get_mut(&place).ok_or_else(superseded)?;
            let is_current = kept.receipt == job.receipt
                && kept.attempt == job.attempt
                && kept.lease.is_some()
                && kept.free_at > Instant::now();
            if !is_current {
                return Err(superseded());
            }
            match act(files, place, kept).map_err(unavailable)? {
                Change::Free { at, lease } => (kept.free_at, kept.lease) = (at, lease),
                Change::Done => queues.forget(&queue, place, &job.id),
            }
            Ok(())
        })
        .await
    }
}

/// What becomes of a job.
enum Change {
    Free { at: Instant, lease: Option<Duration> },
    Done,
}

#[async_trait]
impl JobQueue for EmbeddedJobQueue {
    async fn put(&self, queue: &str, id: &str, bytes: Bytes) -> Result<bool, JobError> {
        within_limits(queue, id, &bytes)?;
        let (queue, id) = (SmolStr::new(queue), SmolStr::new(id));
        let put = self.with(move |files, queues| queues.put(files, queue, id, &bytes)).await?;
        self.inner.changed.notify_waiters();
        Ok(put)
    }

    async fn take(
        &self,
        queue: &str,
        lease: Duration,
        wait: Duration,
    ) -> Result<Option<Job>, JobError> {
        let queue = SmolStr::new(queue);
        let until = Instant::now() + wait;
        loop {
            // Listens before it looks, so that nothing that is put in between is overlooked.
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let name = queue.clone();
            let look = self.with(move |files, queues| queues.take(files, &name, lease)).await?;
            let next = match look {
                Look::Taken(job) => return Ok(Some(job)),
                Look::Nothing(next) => next.map_or(until, |next| next.min(until)),
            };
            if Instant::now() >= until {
                return Ok(None);
            }
            // Somebody else may take what becomes free; then it is waited for again.
            let _ = tokio::time::timeout_at(next.into(), changed).await;
        }
    }

    async fn renew(&self, queue: &str, job: &Job) -> Result<(), JobError> {
        self.on_current(queue, job, |_, _, kept| {
            let lease = kept.lease.unwrap_or_default();
            Ok(Change::Free { at: Instant::now() + lease, lease: Some(lease) })
        })
        .await
    }

    async fn done(&self, queue: &str, job: &Job) -> Result<(), JobError> {
        self.on_current(queue, job, |files, place, _| {
            saved::remove(files, place)?;
            Ok(Change::Done)
        })
        .await
    }

    async fn give_back(&self, queue: &str, job: &Job, delay: Duration) -> Result<(), JobError> {
        self.on_current(queue, job, move |files, place, kept| {
            saved::give_back(files, place, kept.attempt, delay)?;
            Ok(Change::Free { at: Instant::now() + delay, lease: None })
        })
        .await?;
        self.inner.changed.notify_waiters();
        Ok(())
    }

    async fn count(&self, queue: &str) -> Result<u64, JobError> {
        let queue = SmolStr::new(queue);
        self.with(move |_, queues| {
            Ok(queues.by_name.get(&queue).map_or(0, |it| it.by_place.len() as u64))
        })
        .await
    }
}

impl Queues {
    fn put(
        &mut self,
        files: &Files,
        queue: SmolStr,
        id: SmolStr,
        bytes: &Bytes,
    ) -> Result<bool, JobError> {
        if self.by_name.get(&queue).is_some_and(|it| it.places.contains_key(&id)) {
            return Ok(false);
        }
        if self.jobs >= MOST_JOBS {
            let reason = format!("{MOST_JOBS} jobs wait already; take some first");
            return Err(JobError::Unavailable { reason: reason.into() });
        }
        let place = self.last + 1;
        saved::put(files, place, &queue, &id, bytes).map_err(unavailable)?;
        let receipt = SmolStr::default();
        let kept = Kept { id, attempt: 0, receipt, lease: None, free_at: Instant::now() };
        self.keep(queue, place, kept);
        Ok(true)
    }

    fn keep(&mut self, queue: SmolStr, place: u64, kept: Kept) {
        let queue = self.by_name.entry(queue).or_default();
        queue.places.insert(kept.id.clone(), place);
        queue.by_place.insert(place, kept);
        self.jobs += 1;
        self.last = self.last.max(place);
    }

    fn forget(&mut self, queue: &SmolStr, place: u64, id: &SmolStr) {
        let Some(known) = self.by_name.get_mut(queue) else { return };
        known.places.remove(id);
        if known.by_place.remove(&place).is_some() {
            self.jobs = self.jobs.saturating_sub(1);
        }
        if known.by_place.is_empty() {
            self.by_name.remove(queue);
        }
    }

    fn take(&mut self, files: &Files, queue: &str, lease: Duration) -> Result<Look, JobError> {
        let Some(known) = self.by_name.get_mut(queue) else { return Ok(Look::Nothing(None)) };
        let now = Instant::now();
        let Some((place, kept)) = known.by_place.iter_mut().find(|(_, it)| it.free_at <= now)
        else {
            return Ok(Look::Nothing(known.by_place.values().map(|it| it.free_at).min()));
        };
        let bytes = saved::bytes(files, *place).map_err(unavailable)?;
        let attempt = kept.attempt + 1;
        let receipt = format_smolstr!("{}", Uuid::new_v4());
        saved::take(files, *place, attempt, &receipt, lease).map_err(unavailable)?;
        *kept = Kept {
            id: kept.id.clone(),
            attempt,
            receipt: receipt.clone(),
            lease: Some(lease),
            free_at: Instant::now() + lease,
        };
        Ok(Look::Taken(Job { id: kept.id.clone(), attempt, bytes, receipt }))
    }
}

fn within_limits(queue: &str, id: &str, bytes: &Bytes) -> Result<(), JobError> {
    let problem = if bytes.len() > MOST_BYTES {
        format!("has {} bytes, at most {MOST_BYTES} are kept; keep them as a blob", bytes.len())
    } else if id.is_empty() || id.len() > MOST_NAME_BYTES {
        format!("has an id of {} bytes, which must be 1 to {MOST_NAME_BYTES}", id.len())
    } else if queue.is_empty() || queue.len() > MOST_NAME_BYTES {
        format!("names a queue by {} bytes, which must be 1 to {MOST_NAME_BYTES}", queue.len())
    } else {
        return Ok(());
    };
    Err(JobError::TooLarge { problem })
}

fn unavailable(error: io::Error) -> JobError {
    JobError::Unavailable { reason: error.to_string().into() }
}

#[cfg(test)]
mod tests;
