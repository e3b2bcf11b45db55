//! Writes the read side behind, with its checkpoint in the same batch; loads it at start.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use takt_ports::{Checkpoint, EventLog, LogError, StoreError};
use takt_projections::{Loading, World};

use crate::engine::{Parts, Shared};
use crate::error::StartError;
use crate::fold::Digest;

/// The version of the saved rows' meaning; another version is rebuilt from the log.
pub const PROJECTION_VERSION: u32 = 2;
/// How often the read side is saved while it changes.
const EVERY: Duration = Duration::from_secs(1);

/// The saved read side, if it belongs to this log; an empty one otherwise.
pub(crate) async fn load(parts: &Parts) -> Result<(World, Digest), StartError> {
    match saved(parts).await? {
        Ok(Some((world, digest))) => Ok((world, digest)),
        Ok(None) => {
            parts.store.clear()?;
            Ok((World::default(), Digest::default()))
        }
        Err(error) => {
            tracing::warn!(%error, "the saved projections are rebuilt from the log");
            parts.store.clear()?;
            Ok((World::default(), Digest::default()))
        }
    }
}

type Saved = Option<(World, Digest)>;

async fn saved(parts: &Parts) -> Result<Result<Saved, StoreError>, LogError> {
    let checkpoint = match parts.store.checkpoint() {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    if let Some(reason) = mismatch(parts.log.as_ref(), &checkpoint).await? {
        tracing::warn!(reason, "the saved projections belong to another history; rebuilding");
        return Ok(Ok(None));
    }
    let digest = Digest { value: checkpoint.digest, id: takt_domain::EventId(checkpoint.id) };
    let mut loading = Loading::default();
    let scanned = parts.store.scan(&[], &mut |key, value| loading.row(key, value));
    let loaded = scanned.and_then(|()| {
        let unreadable =
            |error: takt_projections::RowError| StoreError { reason: error.to_string().into() };
        loading.finish(checkpoint.seq).map_err(unreadable)
    });
    Ok(loaded.map(|world| Some((world, digest))))
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
        None => Some("the checkpoint is ahead of the log"),
        Some(entry) if entry.id.0 != checkpoint.id => Some("another entry at the checkpoint"),
        Some(_) => None,
    })
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

/// Saves what has changed since the last save.
pub(crate) async fn save(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    if let Err(error) = tokio::task::spawn_blocking(move || commit(&shared)).await {
        tracing::error!(%error, "saving the projections ended early");
    }
}

fn commit(shared: &Shared) {
    if shared.unsaved.load(Ordering::SeqCst) {
        return;
    }
    let (writes, checkpoint) = {
        let mut world = shared.world.write().unwrap_or_else(PoisonError::into_inner);
        let digest = *shared.digest.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = Checkpoint {
            log: shared.log.identity().creation_id,
            version: PROJECTION_VERSION,
            seq: world.seq,
            id: digest.id.0,
            digest: digest.value,
        };
        (world.take_rows(), checkpoint)
    };
    match shared.store.commit(writes, &checkpoint) {
        Ok(()) => {
            shared.saved.send_replace(checkpoint.seq);
        }
        // The rows before this batch still stand with their own checkpoint, so the next start
        // goes on from there.
        Err(error) => {
            tracing::error!(%error, "the projections are not saved any more until a restart");
            shared.unsaved.store(true, Ordering::SeqCst);
        }
    }
}
