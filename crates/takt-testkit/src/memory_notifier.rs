//! A receiver of notices in memory, which answers as it is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use smol_str::SmolStr;
use takt_domain::StreamName;
use takt_ports::{Notice, Notifier, NotifyError};
use tokio::sync::watch;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A receiver in memory.
pub struct MemoryNotifier {
    name: SmolStr,
    /// What it answers next; when there is nothing more, it takes every notice.
    answers: Mutex<VecDeque<NotifyError>>,
    seen: watch::Sender<Seen>,
    open: watch::Sender<bool>,
}

/// What a receiver has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every try, in order.
    pub tried: Vec<Notice>,
    /// What it took, in order.
    pub taken: Vec<Notice>,
}

impl MemoryNotifier {
    /// A receiver that takes everything.
    pub fn new(name: &str) -> Arc<Self> {
        Self::answering(name, [])
    }

    /// A receiver that refuses first.
    pub fn answering(name: &str, answers: impl IntoIterator<Item = NotifyError>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            answers: Mutex::new(answers.into_iter().collect()),
            seen: watch::Sender::default(),
            open: watch::Sender::new(true),
        })
    }

    /// A receiver that answers nobody until it is told to.
    pub fn hanging(name: &str) -> Arc<Self> {
        let receiver = Self::new(name);
        receiver.open.send_replace(false);
        receiver
    }

    /// Answers from now on.
    pub fn answer(&self) {
        self.open.send_replace(true);
    }

    /// What it has seen, once that is as it should be.
    ///
    /// # Panics
    /// When that is never so.
    pub async fn until(&self, is_so: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        let found = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| is_so(seen))).await;
        assert!(found.is_ok(), "it has seen {:?}", self.seen.borrow());
        found.unwrap().unwrap().clone()
    }

    /// What it has seen.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }
}

/// A refusal that may be followed by another try, or not.
pub fn refusal(retry: bool, reason: &str) -> NotifyError {
    NotifyError { retry, after: None, reason: reason.into() }
}

#[async_trait]
impl Notifier for MemoryNotifier {
    fn receiver(&self) -> &str {
        &self.name
    }

    fn wants(&self, stream: &StreamName) -> bool {
        stream.as_str() != "quiet"
    }

    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        self.seen.send_modify(|seen| seen.tried.push(notice.clone()));
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        if let Some(refusal) = self.answers.lock().unwrap().pop_front() {
            return Err(refusal);
        }
        self.seen.send_modify(|seen| seen.taken.push(notice.clone()));
        Ok(())
    }
}
