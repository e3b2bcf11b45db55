//! The log on the stream `TAKT_LOG`: one total order, exact expectations, outcomes that are known.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use takt_domain::Time;
use takt_ports::{
    Append, AppendError, Entry, EventLog, Hash, LogError, LogIdentity, NewEntry, Subject, Tail,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::append::{self, Draft};
use crate::batch::Sent;
use crate::connection::Connection;
use crate::error::OpenError;
use crate::get::{self, unavailable};
use crate::heads::{Heads, head_after};
use crate::recent::Recent;
use crate::streams::{is_missing, keeping, made_or_checked, made_with};
use crate::tail::NatsTail;

/// The stream, and the key of the log's id in its metadata.
pub(crate) const STREAM: &str = "TAKT_LOG";
pub(crate) const ID: &str = "takt-log-id";
const CREATED: &str = "takt-log-created";
/// For how long the outcome of an append is asked for while the server is away.
const LEARN: Duration = Duration::from_secs(20);
/// How long the server is left alone before it is asked again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a server that knows no such stream, or too little of it, may still be starting.
pub(crate) const SURE: Duration = Duration::from_secs(2);
/// How often an append without a condition is tried again when another writer came first.
const TRIES: usize = 1000;
/// How long a replica may take to have what the log is known to have.
const LAG: Duration = Duration::from_secs(5);

/// The log on JetStream.
#[derive(Clone, Debug)]
pub struct NatsLog {
    connection: Connection,
    identity: LogIdentity,
    shared: Arc<Shared>,
}

/// What appends and tails of one node share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) heads: Heads,
    pub(crate) recent: Recent,
    /// The last sequence that is known to be stored.
    pub(crate) known: AtomicU64,
    /// Held while a batch is under way, since the server serves few at a time.
    batch: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn saw(&self, entries: &[Entry]) {
        self.heads.saw(entries);
        if let Some(last) = entries.last() {
            self.known.fetch_max(last.seq, Ordering::AcqRel);
        }
    }
}

impl NatsLog {
    /// Makes the stream, or checks the one that is there.
    ///
    /// # Errors
    /// When it has other settings, or JetStream does not answer.
    pub async fn open(connection: Connection, replicas: usize) -> Result<Self, OpenError> {
        let now = Time::from_micros(i64::try_from(since_epoch()).unwrap_or(i64::MAX));
        let fresh = LogIdentity { creation_id: Uuid::new_v4(), created_at: now };
        Self::open_as(connection, replicas, &fresh).await
    }

    /// The same; a stream that is made becomes the log with this identity.
    ///
    /// # Errors
    /// As [`NatsLog::open`].
    pub async fn open_as(
        connection: Connection,
        replicas: usize,
        fresh: &LogIdentity,
    ) -> Result<Self, OpenError> {
        let mut config = keeping(STREAM, &["takt.log.>"], replicas);
        config.allow_atomic_publish = true;
        config.deny_delete = true;
        config.deny_purge = true;
        config.metadata.insert(ID.to_owned(), fresh.creation_id.to_string());
        config.metadata.insert(CREATED.to_owned(), fresh.created_at.to_string());
        let stream = made_or_checked(&connection.context(), config).await?;
        let creation_id = made_with(&stream, ID, "a UUID made with the stream")?;
        let created_at = made_with(&stream, CREATED, "an instant in RFC 3339")?;
        let shared = Arc::new(Shared::default());
        shared.known.store(stream.cached_info().state.last_sequence, Ordering::Release);
        let identity = LogIdentity { creation_id, created_at };
        Ok(Self { connection, identity, shared })
    }

    fn context(&self) -> Context {
        self.connection.context()
    }

    /// Asks the server for something, if it is there and for as long as it is.
    async fn unless_lost<R>(
        &self,
        work: impl Future<Output = Result<R, LogError>>,
    ) -> Result<R, LogError> {
        self.connection.up().await.map_err(|reason| unavailable(&reason))?;
        self.connection.unless_lost(work).await.map_err(|reason| unavailable(&reason))?
    }

    /// The leader's word on where a subject ends.
    async fn end_of(&self, subject: &Subject) -> Result<(u64, Hash), LogError> {
        match self.unless_lost(last_of(&self.context(), subject)).await? {
            None => Ok((0, Hash::default())),
            Some(entry) => {
                self.shared.saw(std::slice::from_ref(&entry));
                Ok(head_after(&entry))
            }
        }
    }

    /// Where every written subject ends; a condition that is known not to hold is a conflict.
    async fn ends(&self, append: &Append) -> Result<HashMap<Subject, (u64, Hash)>, AppendError> {
        let mut ends = HashMap::new();
        for entry in &append.entries {
            if ends.contains_key(&entry.subject) {
                continue;
            }
            let subject = entry.subject.clone();
            let expected = append.conditions.iter().find(|it| it.subject == subject);
            let expected = expected.map(|condition| condition.last_seq);
            let end = self.end_for(&subject, expected).await?;
            if let Some(expected) = expected.filter(|expected| *expected != end.0) {
                return Err(AppendError::Conflict { subject, expected, actual: end.0 });
            }
            ends.insert(subject, end);
        }
        Ok(ends)
    }

    /// Where a subject ends, as far as it matters to who expects it somewhere: the server itself
    /// checks the expectation, so the leader is asked only where the chain's hash is not known.
    async fn end_for(
        &self,
        subject: &Subject,
        expected: Option<u64>,
    ) -> Result<(u64, Hash), LogError> {
        match (expected, self.shared.heads.get(subject)) {
            (Some(0), None) => Ok((0, Hash::default())),
            (Some(expected), Some(end)) if end.0 >= expected => Ok(end),
            (None, Some(end)) => Ok(end),
            (Some(_) | None, _) => self.end_of(subject).await,
        }
    }

    /// One try: the sequence of the first entry.
    async fn try_append(&self, append: &Append) -> Result<u64, AppendError> {
        let alone = append.entries.len() == 1;
        let one_at_a_time = if alone { None } else { Some(self.shared.batch.lock().await) };
        self.connection.up().await.map_err(|reason| unavailable(&reason))?;
        let drafts = append::drafts(append, &self.ends(append).await?)?;
        let client = self.connection.client();
        let sent = self.connection.unless_lost(append::send(&client, &drafts)).await;
        let sent = sent.unwrap_or_else(Sent::Ask);
        drop(one_at_a_time);
        match sent {
            Sent::Stored(last) => Ok(self.stored(drafts, last)),
            Sent::Refused(reason) => Err(unavailable(&reason).into()),
            Sent::Ask(reason) => match self.learn(&drafts, &reason).await? {
                Some(last) => Ok(self.stored(drafts, last)),
                None => Err(self.conflict(append, &drafts).await?),
            },
        }
    }

    /// Remembers what was stored, for the next append and for this node's tails.
    fn stored(&self, drafts: Vec<Draft>, last: u64) -> u64 {
        let first = (last + 1).saturating_sub(drafts.len() as u64);
        let entries: Vec<Entry> =
            (first..).zip(drafts).map(|(seq, draft)| Entry { seq, ..draft.entry }).collect();
        self.shared.saw(&entries);
        self.shared.recent.add(&entries);
        first
    }

    /// Whether a batch whose answer is not known was stored after all, and where it ends: its first
    /// entry stands behind the expected end of its subject, byte for byte, and its last one where it
    /// must. A batch that is not there now may still come, and is then refused by the expectations
    /// that whoever decides again writes under.
    async fn learn(&self, drafts: &[Draft], reason: &str) -> Result<Option<u64>, LogError> {
        let deadline = Instant::now() + LEARN;
        loop {
            match self.look_for(drafts).await {
                Ok(found) => return Ok(found),
                Err(error @ LogError::Damaged { .. }) => return Err(error),
                Err(LogError::Unavailable { .. }) if Instant::now() < deadline => {
                    sleep(AGAIN).await;
                }
                Err(LogError::Unavailable { reason: now }) => {
                    return Err(unavailable(&format!(
                        "it is not known whether what was sent is stored ({reason}; then {now}); \
                         ask again with the same idempotency key"
                    )));
                }
            }
        }
    }

    async fn look_for(&self, drafts: &[Draft]) -> Result<Option<u64>, LogError> {
        let (Some(first), Some(last)) = (drafts.first(), drafts.last()) else { return Ok(None) };
        let (subject, from) = (&first.entry.subject, first.entry.seq + 1);
        // The leader knows first whether there is anything behind the expected end.
        if self.end_of(subject).await?.0 < from {
            return Ok(None);
        }
        let found = self.read_subject(subject, from, 1).await?;
        let same = |stored: &Entry, own: &Draft| {
            stored.id == own.entry.id && stored.bytes == own.entry.bytes
        };
        let Some(found) = found.first().filter(|it| same(it, first)) else { return Ok(None) };
        let end = found.seq + (drafts.len() as u64).saturating_sub(1);
        let stored = self.read(end, 1).await?;
        Ok(stored.first().filter(|it| same(it, last)).map(|it| it.seq))
    }

    /// Which expectation does not hold, as far as that can still be seen.
    async fn conflict(&self, append: &Append, drafts: &[Draft]) -> Result<AppendError, LogError> {
        for condition in &append.conditions {
            let (actual, _) = self.end_of(&condition.subject).await?;
            if actual != condition.last_seq {
                let (subject, expected) = (condition.subject.clone(), condition.last_seq);
                return Ok(AppendError::Conflict { subject, expected, actual });
            }
        }
        // Another writer is just at work on a subject, or this very batch is still on its way.
        let (subject, expected) = drafts.first().map_or_else(
            || (Subject::from_log(""), 0),
            |draft| (draft.entry.subject.clone(), draft.entry.seq),
        );
        let (actual, _) = self.end_of(&subject).await?;
        Ok(AppendError::Conflict { subject, expected, actual })
    }
}

/// The stream; none when the server says twice that there is none, as one that is just starting may
/// not know of it yet.
pub(crate) async fn there(context: &Context) -> Result<Option<Stream>, LogError> {
    let mut is_sure = false;
    loop {
        match context.get_stream(STREAM).await {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) if !is_missing(&error.kind()) => return Err(unavailable(&error)),
            Err(_) if is_sure => return Ok(None),
            Err(_) => sleep(SURE).await,
        }
        is_sure = true;
    }
}

/// The log that was opened is there no more.
pub(crate) fn gone() -> LogError {
    let reason = format!(
        "the stream `{STREAM}` is gone; stop every node and restore it from a backup, or start on a \
         server of its own"
    );
    LogError::Damaged { seq: 1, reason: reason.into() }
}

/// The last entry of a subject, from the leader of the stream: a replica may be behind.
async fn last_of(context: &Context, subject: &Subject) -> Result<Option<Entry>, LogError> {
    use async_nats::jetstream::stream::LastRawMessageErrorKind as Kind;
    let stream = context.get_stream_no_info(STREAM).await.map_err(|error| unavailable(&error))?;
    match stream.get_last_raw_message_by_subject(subject.as_str()).await {
        Ok(found) => {
            let headers = Some(&found.headers);
            crate::entry::entry(found.sequence, &found.subject, headers, found.payload).map(Some)
        }
        Err(error) if matches!(error.kind(), Kind::NoMessageFound) => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

fn since_epoch() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_micros()
}

#[async_trait]
impl EventLog for NatsLog {
    fn identity(&self) -> LogIdentity {
        self.identity.clone()
    }

    async fn head(&self) -> Result<u64, LogError> {
        let context = self.context();
        let asked = async { there(&context).await?.ok_or_else(gone) };
        let head = self.unless_lost(asked).await?.cached_info().state.last_sequence;
        self.shared.known.fetch_max(head, Ordering::AcqRel);
        Ok(head)
    }

    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let max_payload = self.connection.client().server_info().max_payload;
        append::check(&append, max_payload)?;
        let conditioned = |entry: &NewEntry| {
            append.conditions.iter().any(|condition| condition.subject == entry.subject)
        };
        let all_conditioned = append.entries.iter().all(conditioned);
        let mut tries = 0;
        loop {
            match self.try_append(&append).await {
                Err(AppendError::Conflict { subject, .. })
                    if !all_conditioned
                        && tries < TRIES
                        && !append.conditions.iter().any(|it| it.subject == subject) =>
                {
                    tries += 1;
                    self.end_of(&subject).await?;
                }
                done => return done,
            }
        }
    }

    async fn read(&self, from: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        let from = from.max(1);
        let client = self.connection.client();
        let deadline = Instant::now() + LAG;
        loop {
            let read = get::entries(&client, STREAM, (from, max), None);
            let entries = self.unless_lost(read).await?;
            match entries.first() {
                Some(first) if first.seq == from => return follow_each_other(entries),
                Some(first) => {
                    let reason = format!("it is missing; the log goes on at {}", first.seq);
                    return Err(LogError::Damaged { seq: from, reason: reason.into() });
                }
                None if max == 0 || from > self.shared.known.load(Ordering::Acquire) => {
                    return Ok(vec![]);
                }
                // A replica that is behind answers so too.
                None if Instant::now() < deadline => sleep(AGAIN).await,
                None => return self.lost(from).await,
            }
        }
    }

    async fn read_subject(
        &self,
        subject: &Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let client = self.connection.client();
        let known = self.shared.heads.get(subject).map_or(0, |(seq, _)| seq);
        let deadline = Instant::now() + LAG;
        loop {
            let read = get::entries(&client, STREAM, (from, max), Some(subject));
            let entries = self.unless_lost(read).await?;
            if !entries.is_empty() || max == 0 || from > known || Instant::now() > deadline {
                return Ok(entries);
            }
            sleep(AGAIN).await;
        }
    }

    async fn subject_head(&self, subject: &Subject) -> Result<(u64, Hash), LogError> {
        self.end_of(subject).await
    }

    fn tail(&self, from: u64) -> Box<dyn Tail> {
        let creation = self.identity.creation_id;
        Box::new(NatsTail::new(self.context(), creation, Arc::clone(&self.shared), from.max(1)))
    }
}

impl NatsLog {
    /// An entry that is known to have been stored is not there.
    async fn lost(&self, from: u64) -> Result<Vec<Entry>, LogError> {
        let head = self.head().await?;
        if head >= from {
            return Err(unavailable(&format!("a replica has not entry {from} yet")));
        }
        let reason = format!("the stream `{STREAM}` ends at {head}, before it");
        Err(LogError::Damaged { seq: head + 1, reason: reason.into() })
    }
}

/// The entries up to the first gap; one at the very beginning is the caller's to tell.
fn follow_each_other(mut entries: Vec<Entry>) -> Result<Vec<Entry>, LogError> {
    let first = entries.first().map_or(0, |entry| entry.seq);
    let whole = (first..).zip(&entries).take_while(|(seq, entry)| entry.seq == *seq).count();
    entries.truncate(whole);
    Ok(entries)
}
