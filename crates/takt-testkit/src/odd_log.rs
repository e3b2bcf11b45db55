//! A log that stands in front of another one, and differs from it only where a test says how.

use std::sync::Arc;

use async_trait::async_trait;
use takt_ports::{
    Append, AppendError, Entry, EventLog, Hash, LogError, LogIdentity, Subject, Tail,
};

/// In what a log differs from the one behind it; see [`EventLog`] for what each method does.
#[async_trait]
pub trait Oddity: Send + Sync + 'static {
    /// The log behind it.
    fn log(&self) -> &dyn EventLog;

    /// As [`EventLog::head`].
    ///
    /// # Errors
    /// As there, or as the test says.
    async fn head(&self) -> Result<u64, LogError> {
        self.log().head().await
    }

    /// As [`EventLog::append`].
    ///
    /// # Errors
    /// As there, or as the test says.
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        self.log().append(append).await
    }

    /// As [`EventLog::read_subject`].
    ///
    /// # Errors
    /// As there, or as the test says.
    async fn read_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        self.log().read_subject(subject, from, max).await
    }

    /// What has been read or followed, before it is given.
    fn given(&self, entries: Vec<Entry>) -> Vec<Entry> {
        entries
    }

    /// As [`EventLog::tail`].
    fn tail(&self, from: u64) -> Box<dyn Tail> {
        self.log().tail(from)
    }
}

/// A log with an oddity.
pub struct OddLog<T>(pub Arc<T>);

impl<T> OddLog<T> {
    /// The log that differs so.
    pub fn new(oddity: T) -> Self {
        Self(Arc::new(oddity))
    }
}

struct OddTail<T>(Arc<T>, Box<dyn Tail>);

#[async_trait]
impl<T: Oddity> Tail for OddTail<T> {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, LogError> {
        self.1.next(max).await.map(|entries| self.0.given(entries))
    }
}

#[async_trait]
impl<T: Oddity> EventLog for OddLog<T> {
    fn identity(&self) -> LogIdentity {
        self.0.log().identity()
    }

    async fn head(&self) -> Result<u64, LogError> {
        self.0.head().await
    }

    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        self.0.append(append).await
    }

    async fn read(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        self.0.log().read(from, max).await.map(|entries| self.0.given(entries))
    }

    async fn read_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let entries = self.0.read_subject(subject, from, max).await;
        entries.map(|entries| self.0.given(entries))
    }

    async fn subject_head(&self, subject: &Subject) -> Result<(u64, Hash), LogError> {
        self.0.log().subject_head(subject).await
    }

    fn tail(&self, from: u64) -> Box<dyn Tail> {
        Box::new(OddTail(Arc::clone(&self.0), self.0.tail(from)))
    }
}
