//! Writes the read side behind, with its checkpoint in the same batch; loads it at start.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use takt_ports::{Checkpoint, EventLog, Hash, LogError, ReadStore, StoreError, Subject, Write};
use takt_projections::{Loading, World};

use crate::engine::Parts;
use crate::error::{Error, StartError};
use crate::fold::{Folded, Trail};
use crate::shared::Shared;

/// The version of the saved rows' meaning; another version is rebuilt from the log.
pub const PROJECTION_VERSION: u32 = 7;
/// How often the read side is saved while it changes. Each save syncs a file on the disk that the log
/// is on, and commands wait behind it; what is not saved is folded again in a fraction of a second.
const EVERY: Duration = Duration::from_secs(5);

/// How many changes may wait to be saved before folding waits for them, so that memory is bounded
/// when the log is faster than the store.
const MOST_UNSAVED: usize = 25_000;
/// Rows of the engine's own stand behind this byte; those of the read side begin with their version.
const CHAIN: u8 = 0xFF;

/// The saved read side, if it belongs to this log; an empty one otherwise.
pub(crate) async fn load(parts: &Parts) -> Result<Folded, StartError> {
    let damaged = match saved(parts).await? {
        Ok(Some(folded)) => return Ok(folded),
        Ok(None) => false,
        Err(error) => {
            tracing::warn!(%error, "the saved projections are rebuilt from the log");
            true
        }
    };
    if let Some(aside) = parts.store.reset(damaged)? {
        tracing::warn!(aside = %aside.display(), "the damaged projections are kept aside");
    }
    Ok(Folded::default())
}

async fn saved(parts: &Parts) -> Result<Result<Option<Folded>, StoreError>, LogError> {
    let checkpoint = match parts.store.checkpoint() {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    if let Some(reason) = mismatch(parts.log.as_ref(), &checkpoint).await? {
        tracing::warn!(reason, "the saved projections belong to another history; rebuilding");
        return Ok(Ok(None));
    }
    Ok(read(parts.store.as_ref(), &checkpoint).map(Some))
}

fn read(store: &dyn ReadStore, checkpoint: &Checkpoint) -> Result<Folded, StoreError> {
    let id = takt_domain::EventId(checkpoint.id);
    let mut trail = Trail { digest: checkpoint.digest, id, ..Trail::default() };
    let mut loading = Loading::default();
    let mut chains_read = true;
    store.load(&mut |key, value| match key.split_first() {
        Some((&CHAIN, subject)) => match (std::str::from_utf8(subject), value.try_into()) {
            (Ok(subject), Ok(hash)) => {
                trail.chains.insert(Subject::from_log(subject), Hash(hash));
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => chains_read = false,
        },
        Some(_) | None => loading.row(key, value),
    })?;
    if !chains_read {
        return Err(StoreError { reason: "the end of a subject's chain does not read".into() });
    }
    let unreadable =
        |error: takt_projections::RowError| StoreError { reason: error.to_string().into() };
    Ok((loading.finish(checkpoint.seq).map_err(unreadable)?, trail))
}

/// Why a checkpoint is not of this log as it stands, if it is not.
async fn mismatch(
    log: &dyn EventLog,
    checkpoint: &Checkpoint,
) -> Result<Option<&'static str>, LogError> {
    if checkpoint.version != PROJECTION_VERSION {
        return Ok(Some("another version of the projections"));
    }
    if checkpoint.log != log.identity().creation_id {
        return Ok(Some("another log"));
    }
    if checkpoint.seq == 0 {
        return Ok(None);
    }
    let entries = log.read(checkpoint.seq, 1).await?;
    Ok(match entries.first() {
        // Rows are saved only of what is durable, so the log has lost what it had acknowledged.
        None => return Err(lost(log.head().await? + 1)),
        Some(entry) if entry.id.0 != checkpoint.id => Some("another entry at the checkpoint"),
        Some(_) => None,
    })
}

fn lost(seq: u64) -> LogError {
    let reason = "the saved projections have seen it, and the log ends before it; restore the log, \
                  or take the folder `projections` away to go on without what is lost";
    LogError::Damaged { seq, reason: reason.into() }
}

/// Saves while the engine runs.
pub(crate) async fn write_behind(shared: Arc<Shared>) {
    let mut seen = shared.seen.subscribe();
    loop {
        tokio::select! {
            () = shared.done.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if *seen.borrow_and_update() > *shared.saved.borrow() {
            save(&shared).await;
        }
    }
}

/// Saves beside folding when so much has changed that it should not wait for its time, and makes
/// folding wait when the store does not keep up.
pub(crate) async fn bound(shared: &Arc<Shared>) {
    let unsaved = shared.read(World::unsaved);
    if unsaved < MOST_UNSAVED / 2 || shared.unsaved.load(Ordering::SeqCst) {
        return;
    }
    if unsaved > MOST_UNSAVED {
        return save(shared).await;
    }
    if shared.saving.try_lock().is_ok() {
        let same = Arc::clone(shared);
        shared.followers.spawn(async move { save(&same).await });
    }
}

/// Saves what has changed since the last save.
pub(crate) async fn save(shared: &Arc<Shared>) {
    let saving = shared.saving.lock().await;
    let same = Arc::clone(shared);
    if let Err(error) = tokio::task::spawn_blocking(move || commit(&same)).await {
        tracing::error!(%error, "the projections could not be saved; all are saved anew");
        shared.unsaved.store(true, Ordering::SeqCst);
    }
    drop(saving);
}

/// Puts another read side in the place of the live one, and saves all of it in an emptied store.
pub(crate) async fn replace(shared: &Arc<Shared>, folded: Folded) -> Result<(), Error> {
    let saving = shared.saving.lock().await;
    let same = Arc::clone(shared);
    let replaced = tokio::task::spawn_blocking(move || {
        same.store.reset(false)?;
        {
            let mut world = same.world.write().unwrap_or_else(PoisonError::into_inner);
            let mut trail = same.trail.lock().unwrap_or_else(PoisonError::into_inner);
            (*world, *trail) = folded;
            world.mark_all();
            trail.unsaved = trail.chains.keys().cloned().collect();
        }
        same.saved.send_replace(0);
        same.unsaved.store(false, Ordering::SeqCst);
        commit(&same);
        Ok::<(), StoreError>(())
    });
    let replaced = replaced.await.map_err(Error::unavailable)?;
    drop(saving);
    replaced.map_err(Error::unavailable)
}

/// After a lost batch nothing less than everything makes the store good again.
fn begin_anew(shared: &Shared) -> Result<(), StoreError> {
    let emptied = shared.store.reset(false);
    let mut world = shared.world.write().unwrap_or_else(PoisonError::into_inner);
    let mut trail = shared.trail.lock().unwrap_or_else(PoisonError::into_inner);
    world.forget_changes();
    trail.unsaved.clear();
    emptied?;
    world.mark_all();
    trail.unsaved = trail.chains.keys().cloned().collect();
    shared.saved.send_replace(0);
    shared.unsaved.store(false, Ordering::SeqCst);
    Ok(())
}

fn commit(shared: &Shared) {
    if shared.unsaved.load(Ordering::SeqCst)
        && let Err(error) = begin_anew(shared)
    {
        tracing::warn!(%error, "the projections cannot be saved yet");
        return;
    }
    let (writes, checkpoint) = {
        let mut world = shared.world.write().unwrap_or_else(PoisonError::into_inner);
        let mut trail = shared.trail.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = Checkpoint {
            log: shared.log.identity().creation_id,
            version: PROJECTION_VERSION,
            seq: world.seq,
            id: trail.id.0,
            digest: trail.digest,
        };
        let mut writes = world.take_rows();
        writes.extend(std::mem::take(&mut trail.unsaved).iter().map(|it| chain_row(&trail, it)));
        (writes, checkpoint)
    };
    match shared.store.commit(writes, &checkpoint) {
        Ok(()) => {
            shared.saved.send_replace(checkpoint.seq);
        }
        // The rows before this batch still stand with their own checkpoint, so the next start
        // goes on from there.
        Err(error) => {
            tracing::error!(%error, "the projections could not be saved; all are saved anew");
            shared.unsaved.store(true, Ordering::SeqCst);
        }
    }
}

fn chain_row(trail: &Trail, subject: &Subject) -> Write {
    let mut key = vec![CHAIN];
    key.extend_from_slice(subject.as_str().as_bytes());
    (key, trail.chains.get(subject).map(|hash| hash.0.to_vec()))
}
