//! The job queue: work that any worker may take, by numbered attempts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::SmolStr;

/// Why the queue cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// This attempt is no longer the current one: its lease has passed, or the job is done.
    #[error("attempt {attempt} of job `{id}` is not the current one")]
    Superseded {
        /// The job.
        id: SmolStr,
        /// The attempt that was told.
        attempt: u32,
    },
    /// The job breaks a limit.
    #[error("the job {problem}")]
    TooLarge {
        /// Which limit, with the figures.
        problem: String,
    },
    /// It cannot be reached or written now.
    #[error("the job queue is not available: {reason}")]
    Unavailable {
        /// What the file system or the network said.
        reason: Arc<str>,
    },
}

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The job's id, unique in its queue.
    pub id: SmolStr,
    /// Which attempt this is, from 1; only the current attempt's word counts.
    pub attempt: u32,
    /// What is to be done, as it was put.
    pub bytes: Bytes,
    /// How the queue finds the attempt again; means nothing to a worker.
    pub receipt: SmolStr,
}

/// Jobs in named queues, oldest first, each done once.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Puts a job of at most 1 MiB; an id that waits or is worked on already is put once, and
    /// `false` is returned.
    ///
    /// # Errors
    /// `TooLarge`, `Unavailable`.
    async fn put(&self, queue: &str, id: &str, bytes: Bytes) -> Result<bool, JobError>;

    /// Takes the oldest job that waits, for as long as `lease`; waits at most `wait` for one.
    /// A job whose lease has passed waits again, and its next attempt has the next number.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn take(
        &self,
        queue: &str,
        lease: Duration,
        wait: Duration,
    ) -> Result<Option<Job>, JobError>;

    /// Begins the lease of an attempt anew.
    ///
    /// # Errors
    /// `Superseded`: the worker must stop; `Unavailable`.
    async fn renew(&self, queue: &str, job: &Job) -> Result<(), JobError>;

    /// Ends a job for good.
    ///
    /// # Errors
    /// `Superseded`: what the worker has done does not count; `Unavailable`.
    async fn done(&self, queue: &str, job: &Job) -> Result<(), JobError>;

    /// Gives a job back; it waits again after `delay`.
    ///
    /// # Errors
    /// As [`JobQueue::done`].
    async fn give_back(&self, queue: &str, job: &Job, delay: Duration) -> Result<(), JobError>;

    /// How many jobs wait or are worked on.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn count(&self, queue: &str) -> Result<u64, JobError>;
}
