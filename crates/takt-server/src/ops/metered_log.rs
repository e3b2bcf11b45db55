//! The log with a stopwatch: how long an append takes, and how many entries it stores.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use takt_ports::{
    Append, AppendError, Entry, EventLog, Hash, LogError, LogIdentity, Subject, Tail,
};

use super::telemetry::Telemetry;

/// A log whose appends are measured.
pub(crate) struct MeteredLog {
    log: Arc<dyn EventLog>,
    telemetry: Arc<Telemetry>,
}

impl MeteredLog {
    pub(crate) fn new(log: Arc<dyn EventLog>, telemetry: Arc<Telemetry>) -> Self {
        Self { log, telemetry }
    }
}

#[async_trait]
impl EventLog for MeteredLog {
    fn identity(&self) -> LogIdentity {
        self.log.identity()
    }

    async fn head(&self) -> Result<u64, LogError> {
        self.log.head().await
    }

    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let (started, entries) = (Instant::now(), append.entries.len());
        let appended = self.log.append(append).await;
        self.telemetry.appended(started.elapsed(), entries, &appended);
        appended
    }

    async fn read(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        self.log.read(from, max).await
    }

    async fn read_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        self.log.read_subject(subject, from, max).await
    }

    async fn subject_head(&self, subject: &Subject) -> Result<(u64, Hash), LogError> {
        self.log.subject_head(subject).await
    }

    fn tail(&self, from: u64) -> Box<dyn Tail> {
        self.log.tail(from)
    }
}
