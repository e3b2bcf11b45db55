//! Follows the log in order and keeps the read side up to date.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use takt_domain::{Aggregate, Event, EventId, Meta, Recorded, StreamName, Time, event::Unknown};
use takt_events::DecodeError;
use takt_ports::{Entry, EventLog, Hash, LogError, Subject, Tail, chain_hash};
use takt_projections::World;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::engine::Health;
use crate::save;
use crate::shared::Shared;

/// How long a log that cannot be read now is left alone before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a log on another machine is asked whether it is there, and how long it may take.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE_WAIT: Duration = Duration::from_secs(3);
/// How many entries are read ahead at once.
const AHEAD: usize = 2048;
/// How many entries are folded under one lock.
const BATCH: usize = 512;

/// What has been seen of the log, so that bytes that were lost or altered are found: the running
/// digest over (sequence, payload hash), the last entry's id, and where each subject's chain stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    pub(crate) digest: [u8; 32],
    pub(crate) id: EventId,
    pub(crate) chains: HashMap<Subject, Hash>,
    /// Subjects whose chains have changed since they were saved.
    pub(crate) unsaved: HashSet<Subject>,
}

impl Trail {
    fn add(&mut self, entry: &Entry) -> Result<(), LogError> {
        let chain = self.chains.entry(entry.subject.clone()).or_default();
        if *chain != entry.prev {
            let reason = format!("it does not follow the last entry seen of `{}`", entry.subject);
            return Err(LogError::Damaged { seq: entry.seq, reason: reason.into() });
        }
        *chain = chain_hash(&entry.prev, &entry.id, &entry.bytes);
        self.unsaved.insert(entry.subject.clone());
        let mut hasher = Sha256::new();
        hasher.update(self.digest);
        hasher.update(entry.seq.to_be_bytes());
        hasher.update(Sha256::digest(&entry.bytes));
        self.digest = hasher.finalize().into();
        self.id = entry.id;
        Ok(())
    }
}

/// A read side with the trail of the log that it was folded from.
pub(crate) type Folded = (World, Trail);

/// Entries with what they say.
type Batch = Vec<(Entry, Arc<Recorded>)>;

/// Batches up to a sequence, read and decoded beside whoever folds them: at a start there is much to
/// fold. They come by a tail, since a log on another machine sends those in a stream, where each read
/// costs a round trip.
struct ReadAhead {
    batches: mpsc::Receiver<Result<Batch, LogError>>,
    /// Ended with whoever folds.
    tasks: JoinSet<()>,
}

impl ReadAhead {
    fn of(log: &Arc<dyn EventLog>, from: u64, head: u64, decoded: fn(Vec<Entry>) -> Batch) -> Self {
        let (sender, batches) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        if from <= head {
            let (read, entries) = mpsc::channel(1);
            tasks.spawn(send_entries(log.tail(from), head, read));
            tasks.spawn(send_batches(entries, decoded, sender));
        }
        Self { batches, tasks }
    }

    /// The next batch; `None` after the last.
    async fn next(&mut self) -> Result<Option<Batch>, LogError> {
        if let Some(batch) = self.batches.recv().await {
            return batch.map(Some);
        }
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(|error| LogError::Unavailable { reason: error.to_string().into() })?;
        }
        Ok(None)
    }
}

type Entries = Result<Vec<Entry>, LogError>;

/// Reads up to `head`, until a read fails or nobody listens.
async fn send_entries(mut tail: Box<dyn Tail>, head: u64, sender: mpsc::Sender<Entries>) {
    let mut at = 0;
    while at < head {
        let mut entries = tail.next(AHEAD).await;
        match &mut entries {
            Ok(entries) => {
                entries.retain(|entry| entry.seq <= head);
                at = entries.last().map_or(head, |entry| entry.seq);
            }
            Err(_) => at = head,
        }
        if sender.send(entries).await.is_err() {
            return;
        }
    }
}

async fn send_batches(
    mut entries: mpsc::Receiver<Entries>,
    decoded: fn(Vec<Entry>) -> Batch,
    sender: mpsc::Sender<Result<Batch, LogError>>,
) {
    while let Some(entries) = entries.recv().await {
        if sender.send(entries.map(decoded)).await.is_err() {
            return;
        }
    }
}

/// As [`decoded`], where what is wrong with an entry was told when it was first folded.
fn decoded_again(entries: Vec<Entry>) -> Batch {
    let recorded = |entry: Entry| {
        let recorded = Arc::new(decode(&entry).0);
        (entry, recorded)
    };
    entries.into_iter().map(recorded).collect()
}

fn decoded(entries: Vec<Entry>) -> Batch {
    let recorded = |entry: Entry| {
        let recorded = Arc::new(told(&entry));
        (entry, recorded)
    };
    entries.into_iter().map(recorded).collect()
}

/// Folds everything that is in the log now.
pub(crate) async fn catch_up_to_head(shared: &Arc<Shared>) -> Result<(), LogError> {
    let head = shared.log.head().await?;
    let log = &shared.log;
    let mut ahead = ReadAhead::of(log, shared.read(|world| world.seq) + 1, head, decoded);
    while let Some(batch) = ahead.next().await? {
        fold(shared, batch)?;
        save::bound(shared).await;
    }
    Ok(())
}

/// Follows the log until the last writer has ended, since writers wait for what they wrote; a log
/// that cannot be served breaks the engine's health.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut tail = shared.log.tail(shared.read(|world| world.seq) + 1);
    loop {
        let next = tokio::select! {
            next = tail.next(BATCH) => next,
            () = shared.done.cancelled() => return,
        };
        let folding = shared.folding.lock().await;
        let folded = next.and_then(|entries| fold(&shared, decoded(entries)));
        drop(folding);
        let Err(error) = folded else {
            mended(&shared);
            save::bound(&shared).await;
            continue;
        };
        match error {
            // What is damaged does not mend itself.
            LogError::Damaged { .. } => {
                tracing::error!(%error, "the log cannot be followed; reads are refused");
                shared.health.send_replace(Health::Broken(error.to_string()));
                return;
            }
            LogError::Unavailable { .. } => cut(&shared, &error),
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = shared.done.cancelled() => return,
            }
            // Damage is told by the tail, which is asked again for that too.
            if !matches!(shared.log.head().await, Err(LogError::Unavailable { .. })) {
                break;
            }
        }
        mended(&shared);
        tail = shared.log.tail(shared.read(|world| world.seq) + 1);
    }
}

/// Tells that the log is away.
fn cut(shared: &Shared, error: &LogError) {
    let told = shared.health.send_if_modified(|health| {
        let first = *health == Health::Following;
        if first {
            *health = Health::Cut(error.to_string());
        }
        first
    });
    if told {
        tracing::error!(%error, "the log is away; reads are served as they were");
    }
}

/// Tells that the log is there again.
fn mended(shared: &Shared) {
    shared.health.send_if_modified(|health| {
        let was_cut = matches!(health, Health::Cut(_));
        if was_cut {
            *health = Health::Following;
        }
        was_cut
    });
}

/// Asks a log on another machine now and then whether it is there, since a reader that waits does
/// not notice.
pub(crate) async fn probe(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PROBE_EVERY) => {}
            () = shared.done.cancelled() => return,
        }
        match tokio::time::timeout(PROBE_WAIT, shared.log.head()).await {
            Ok(Ok(_)) => mended(&shared),
            Ok(Err(error @ LogError::Unavailable { .. })) => cut(&shared, &error),
            // Damage is told by who reads it.
            Ok(Err(LogError::Damaged { .. })) => {}
            Err(_) => cut(&shared, &LogError::Unavailable { reason: "it does not answer".into() }),
        }
    }
}

/// Folds entries; at one that does not follow, those before it are folded.
fn fold(shared: &Shared, batch: Batch) -> Result<(), LogError> {
    let (seq, result) = {
        // Both are changed under the world's lock, so that a save sees them at one sequence.
        let mut world = shared.world.write().unwrap_or_else(PoisonError::into_inner);
        let mut trail = shared.trail.lock().unwrap_or_else(PoisonError::into_inner);
        let result = batch
            .iter()
            .try_for_each(|(entry, recorded)| trail.add(entry).inspect(|()| world.apply(recorded)));
        (world.seq, result)
    };
    shared.seen.send_replace(seq);
    for (_, one) in batch.into_iter().filter(|(entry, _)| entry.seq <= seq) {
        // Nobody may be listening, which is no error.
        let _ = shared.changes.send(one);
    }
    result
}

/// A read side folded from the log up to a sequence, going on from `folded`; another node may have
/// seen more than the log has by now, and then it is folded up to the log's end.
pub(crate) async fn replay(
    log: &Arc<dyn EventLog>,
    folded: Folded,
    through: u64,
) -> Result<Folded, LogError> {
    let (mut world, mut trail) = folded;
    let through = through.min(log.head().await?);
    let mut ahead = ReadAhead::of(log, world.seq + 1, through, decoded_again);
    while let Some(batch) = ahead.next().await? {
        for (entry, recorded) in &batch {
            trail.add(entry)?;
            world.apply(recorded);
        }
        world.forget_changes();
    }
    Ok((world, trail))
}

/// An entry's event; tells what is wrong with it, if it is not understood.
fn told(entry: &Entry) -> Recorded {
    let (recorded, wrong) = decode(entry);
    if let Some(error) = wrong {
        tracing::warn!(seq = entry.seq, %error, "an entry of the log is not understood and kept as it is");
    }
    recorded
}

/// An entry's event, and why it is not understood, if it is not: an entry that is no CloudEvent,
/// or whose data does not fit its type, is kept as an unknown event, since history cannot be
/// refused.
pub(crate) fn decode(entry: &Entry) -> (Recorded, Option<DecodeError>) {
    match takt_events::decode(entry.seq, &entry.bytes) {
        Ok(recorded) => {
            let wrong = takt_events::misfit(&recorded.event);
            (recorded, wrong)
        }
        Err(error) => (unreadable(entry), Some(error)),
    }
}

fn unreadable(entry: &Entry) -> Recorded {
    Recorded {
        seq: entry.seq,
        stream: StreamName::new("$unreadable"),
        aggregate: Aggregate::Other("$unreadable".into()),
        meta: Meta::new(entry.id, "".into(), Time::EPOCH),
        event: Event::Unknown(Unknown { kind: "".into(), data: "null".into() }),
    }
}
