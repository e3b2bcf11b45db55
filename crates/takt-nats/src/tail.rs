//! Follows the log in order, and notices when it is not the log that it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::{Context, Message};
use async_trait::async_trait;
use takt_ports::{Entry, LogError, Tail};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::entry::entry;
use crate::get::unavailable;
use crate::log::{ID, STREAM, SURE, Shared, gone, there};
use crate::reading::{Following, Reading};

/// After so long without an entry the log itself is asked whether there should have been one.
const WATCH: Duration = Duration::from_secs(5);
/// How much one answer holds, in bytes, as far as entries allow.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// When a consumer has brought so many entries it is looked whether this node has appended all of
/// them itself. Then it is given up: it costs the server as much as the appends do.
const LOOKED_AT: u64 = 3000;
/// The last of them may be brought before their acknowledgement, and are not looked at.
const LATE: u64 = 1000;
/// Then nothing for so long means that another node may have written.
const QUIET: Duration = Duration::from_millis(100);

/// Entries in order, each once.
pub(crate) struct NatsTail {
    context: Context,
    creation: Uuid,
    shared: Arc<Shared>,
    added: watch::Receiver<u64>,
    next: u64,
    following: Option<Following>,
    /// The entry that a consumer has not brought although the log has it; 0 where there was none.
    stalled_at: u64,
    /// How many entries the consumer has brought since it was last counted whose they were.
    brought: u64,
    /// Whether nobody else has appended of late, and there is no consumer for that reason.
    is_alone: bool,
}

impl NatsTail {
    pub(crate) fn new(context: Context, creation: Uuid, shared: Arc<Shared>, next: u64) -> Self {
        let added = shared.recent.added();
        Self {
            context,
            creation,
            shared,
            added,
            next,
            following: None,
            stalled_at: 0,
            brought: 0,
            is_alone: false,
        }
    }

    /// What this node has appended itself, if that is next.
    fn own(&mut self, max: usize) -> Vec<Entry> {
        let entries = self.shared.recent.from(self.next, max);
        self.next += entries.len() as u64;
        entries
    }

    /// Opens a consumer from the next entry on, after asking whether this is still the log.
    async fn open(&mut self) -> Result<&mut Following, LogError> {
        if self.following.is_none() {
            self.check().await?;
            let reading = Reading {
                context: self.context.clone(),
                stream: STREAM,
                filters: vec![],
                after: self.next - 1,
            };
            let opened = Following::open(&reading).await.map_err(|error| unavailable(&error))?;
            self.following = Some(opened);
        }
        self.following.as_mut().ok_or_else(|| unavailable(&"the consumer is gone"))
    }

    /// Asks the stream whether it is the one that was opened and has what was stored; returns its
    /// end.
    async fn check(&self) -> Result<u64, LogError> {
        let known = self.shared.known.load(Ordering::Acquire);
        let mut end = self.end().await?;
        if end < known {
            // A leader that was just chosen may not have applied everything.
            tokio::time::sleep(SURE).await;
            end = self.end().await?;
        }
        if end < known {
            let reason = format!(
                "the stream `{STREAM}` ends at {end}, and entries up to {known} were stored"
            );
            return Err(damaged(end + 1, reason));
        }
        Ok(end)
    }

    /// Where the stream ends, if it is the one that was opened.
    async fn end(&self) -> Result<u64, LogError> {
        let stream = there(&self.context).await?.ok_or_else(gone)?;
        let info = stream.cached_info();
        let id = info.config.metadata.get(ID).and_then(|id| id.parse().ok());
        if id != Some(self.creation) {
            let reason = format!("the stream `{STREAM}` was made anew since it was opened");
            return Err(damaged(1, reason));
        }
        Ok(info.state.last_sequence)
    }

    /// The entry of a message, if it is the next one; those that came before it by another way are
    /// passed over.
    fn take(&mut self, message: &Message) -> Result<Option<Entry>, LogError> {
        let seq = message.info().map_err(|error| unavailable(&error))?.stream_sequence;
        self.brought += 1;
        if seq < self.next {
            return Ok(None);
        }
        if seq > self.next {
            let reason = format!("it is missing; the log goes on at {seq}");
            return Err(LogError::Damaged { seq: self.next, reason: reason.into() });
        }
        let headers = message.headers.as_ref();
        let entry = entry(seq, &message.subject, headers, message.payload.clone())?;
        self.next += 1;
        Ok(Some(entry))
    }

    fn gives(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        // What was stored long ago tells nothing of where subjects end.
        let known = self.shared.known.load(Ordering::Acquire);
        if entries.last().is_some_and(|last| last.seq > known) {
            self.shared.saw(&entries);
        }
        if self.brought >= LOOKED_AT {
            self.brought = 0;
            let until = self.next.saturating_sub(LATE);
            let since = self.next.saturating_sub(LOOKED_AT);
            self.is_alone = self.shared.recent.count(since..until) as u64 == LOOKED_AT - LATE;
            if self.is_alone {
                self.following = None;
            }
        }
        entries
    }

    /// Waits for something: a message of the consumer, or word that this node has appended.
    async fn wait(&mut self) -> Result<Option<Message>, LogError> {
        let mut added = self.added.clone();
        // What lies after the next entry and is known already shows that the next is another node's.
        if self.is_alone
            && *added.borrow() < self.next
            && let Ok(Ok(())) = timeout(QUIET, added.changed()).await
        {
            self.added = added;
            return Ok(None);
        }
        self.is_alone = false;
        self.open().await?;
        let Some(following) = self.following.as_mut() else { return Ok(None) };
        let next = tokio::select! {
            biased;
            next = timeout(WATCH, following.next()) => next,
            _ = added.changed() => {
                self.added = added;
                return Ok(None);
            }
        };
        match next {
            Ok(Ok(message)) => Ok(Some(message)),
            Ok(Err(error)) => {
                self.following = None;
                Err(unavailable(&error))
            }
            Err(_silence) => self.stalled().await.map(|()| None),
        }
    }

    /// Looks, after a silence, whether there should have been an entry; a consumer that does not
    /// bring it is made anew once.
    async fn stalled(&mut self) -> Result<(), LogError> {
        if self.check().await? < self.next {
            return Ok(());
        }
        self.following = None;
        if self.stalled_at == self.next {
            let reason = format!("the log has entry {} and does not send it", self.next);
            return Err(unavailable(&reason));
        }
        self.stalled_at = self.next;
        tracing::warn!(next = self.next, "a consumer has stalled and is made anew");
        Ok(())
    }

    /// What has come after a message and is here already.
    async fn drain(&mut self, entries: &mut Vec<Entry>, max: usize) -> Result<(), LogError> {
        let mut bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
        while entries.len() < max && bytes < MOST_BYTES {
            let Some(following) = self.following.as_mut() else { return Ok(()) };
            let message = match following.next_here().await {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(_) => {
                    // What was read is good; the next call tells what is wrong.
                    self.following = None;
                    return Ok(());
                }
            };
            match self.take(&message) {
                Ok(None) => {}
                Ok(Some(entry)) => {
                    bytes += entry.bytes.len();
                    entries.push(entry);
                }
                Err(error) if entries.is_empty() => return Err(error),
                Err(_) => {
                    self.following = None;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn damaged(seq: u64, reason: String) -> LogError {
    LogError::Damaged { seq, reason: reason.into() }
}

#[async_trait]
impl Tail for NatsTail {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, LogError> {
        loop {
            let mut own = self.own(max.max(1));
            if !own.is_empty() {
                // The consumer brings these too, and must be read so that it is not given up.
                self.drain(&mut own, max).await?;
                return Ok(self.gives(own));
            }
            let Some(message) = self.wait().await? else { continue };
            let mut entries: Vec<Entry> = self.take(&message)?.into_iter().collect();
            self.drain(&mut entries, max).await?;
            if !entries.is_empty() {
                return Ok(self.gives(entries));
            }
        }
    }
}
