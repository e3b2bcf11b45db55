//! An inbox in memory, for tests of what reads one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use smol_str::{SmolStr, ToSmolStr};
use takt_domain::{StreamName, Time};
use takt_ports::{Inbox, InboxError, Incoming, Message, stream_token};
use tokio::sync::watch;

/// An inbox in memory; clones share it.
#[derive(Clone, Debug)]
pub struct MemoryInbox {
    creation: uuid::Uuid,
    kept: Arc<Mutex<Kept>>,
    last: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: Vec<Message>,
    purged: Vec<(SmolStr, u64)>,
    /// Why it cannot be read now, if it cannot.
    down: bool,
    /// The token whose messages cannot be read.
    broken: Option<SmolStr>,
    /// How long it takes before a follower has its first messages.
    slow: Duration,
}

impl Default for MemoryInbox {
    fn default() -> Self {
        let creation = uuid::Uuid::new_v4();
        Self { creation, kept: Arc::default(), last: Arc::new(watch::Sender::new(0)) }
    }
}

impl MemoryInbox {
    /// Stores a message under `takt.in.<token>.<rest>`, as a publisher would; returns its sequence.
    pub fn publish(&self, token: &str, bytes: impl Into<Bytes>) -> u64 {
        let mut seq = 0;
        self.last.send_modify(|last| {
            *last += 1;
            seq = *last;
            let subject = format!("takt.in.{token}.test").into();
            let (headers, at) = (vec![], Time::EPOCH);
            let bytes = bytes.into();
            let message = Message { seq, subject, headers, bytes, at, unreadable: None };
            self.kept().messages.push(message);
        });
        seq
    }

    /// Cuts readers off, or lets them read again.
    pub fn set_down(&self, down: bool) {
        self.kept().down = down;
        self.last.send_modify(|_| {});
    }

    /// From now on messages under this token cannot be read.
    pub fn set_broken(&self, token: &str) {
        self.kept().broken = Some(token.to_smolstr());
    }

    /// From now on it takes so long before a follower has its first messages.
    pub fn set_slow(&self, slow: Duration) {
        self.kept().slow = slow;
    }

    /// How many messages are kept.
    pub fn kept_messages(&self) -> usize {
        self.kept().messages.len()
    }

    /// What was purged, in order: the token and the last sequence.
    pub fn purged(&self) -> Vec<(SmolStr, u64)> {
        self.kept().purged.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn token_of(subject: &str) -> SmolStr {
    subject.split('.').nth(2).unwrap_or_default().to_smolstr()
}

impl Kept {
    fn read(
        &self,
        token: &str,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, InboxError> {
        if self.down || self.broken.as_deref() == Some(token) {
            return Err(InboxError { reason: "it is cut off".into() });
        }
        let newer = self.messages.iter().filter(|message| message.seq > after);
        let of_it = newer.filter(|message| token_of(&message.subject) == token);
        let mut bytes = 0;
        let mut read = vec![];
        for message in of_it.take(max) {
            bytes += message.bytes.len();
            if !read.is_empty() && bytes > max_bytes {
                break;
            }
            read.push(message.clone());
        }
        Ok(read)
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    fn creation(&self) -> uuid::Uuid {
        self.creation
    }

    fn follow(&self, stream: &StreamName, after: u64) -> Box<dyn Incoming> {
        let (inbox, last) = (self.clone(), self.last.subscribe());
        Box::new(MemoryIncoming { inbox, last, token: stream_token(stream), after, is_open: false })
    }

    async fn tokens(&self) -> Result<Vec<SmolStr>, InboxError> {
        let kept = self.kept();
        if kept.down {
            return Err(InboxError { reason: "it is cut off".into() });
        }
        let tokens: BTreeSet<_> = kept.messages.iter().map(|it| token_of(&it.subject)).collect();
        Ok(tokens.into_iter().collect())
    }

    async fn read(
        &self,
        token: &str,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, InboxError> {
        self.kept().read(token, after, max, max_bytes)
    }

    async fn count(&self) -> Result<u64, InboxError> {
        Ok(self.kept().messages.len() as u64)
    }

    async fn purge(&self, token: &str, through: u64) -> Result<(), InboxError> {
        let mut kept = self.kept();
        kept.messages.retain(|it| it.seq > through || token_of(&it.subject) != token);
        kept.purged.push((token.to_smolstr(), through));
        Ok(())
    }
}

struct MemoryIncoming {
    inbox: MemoryInbox,
    last: watch::Receiver<u64>,
    token: String,
    after: u64,
    is_open: bool,
}

#[async_trait]
impl Incoming for MemoryIncoming {
    async fn next(&mut self, max: usize, max_bytes: usize) -> Result<Vec<Message>, InboxError> {
        if !self.is_open {
            let slow = self.inbox.kept().slow;
            tokio::time::sleep(slow).await;
            self.is_open = true;
        }
        loop {
            self.last.mark_unchanged();
            let read = self.inbox.kept().read(&self.token, self.after, max.max(1), max_bytes)?;
            if let Some(last) = read.last() {
                self.after = last.seq;
                return Ok(read);
            }
            let closed = |_| InboxError { reason: "the inbox is closed".into() };
            self.last.changed().await.map_err(closed)?;
        }
    }
}
