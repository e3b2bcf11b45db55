//! Leases in the key-value bucket `TAKT_LEASES`, whose entries end by themselves.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Entry, Operation, Store, UpdateErrorKind};
use async_trait::async_trait;
use smol_str::SmolStr;
use takt_ports::{Lease, LeaseError, escaped, unescaped};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::error::OpenError;
use crate::reading::{Reading, read};
use crate::streams::{keeping, made_or_checked};

const BUCKET: &str = "TAKT_LEASES";
const NAME: &str = "KV_TAKT_LEASES";
const SUBJECTS: &str = "$KV.TAKT_LEASES.>";
/// How long a lease lasts after it was last asked for.
pub const LEASE_TTL: Duration = Duration::from_secs(10);
/// How often a lease is asked for when others change it at the same time.
const TRIES: usize = 5;
/// More leases than a server has value streams.
const MOST_LEASES: usize = 100_000;

/// The leases of one node, on JetStream.
#[derive(Debug)]
pub struct NatsLease {
    context: Context,
    store: Store,
    node: Uuid,
    ttl: Duration,
    /// One question at a time, so that a node is not its own rival.
    asking: Mutex<()>,
}

impl NatsLease {
    /// Makes the bucket, or checks the one that is there; every node has the same `ttl`.
    ///
    /// # Errors
    /// When the bucket has other settings, or JetStream does not answer.
    pub async fn open(
        context: Context,
        node: Uuid,
        ttl: Duration,
        replicas: usize,
    ) -> Result<Self, OpenError> {
        let mut config = keeping(NAME, &[SUBJECTS], replicas);
        // What makes a stream a key-value bucket.
        config.max_messages_per_subject = 1;
        config.allow_rollup = true;
        config.deny_delete = true;
        config.max_age = ttl;
        made_or_checked(&context, config).await?;
        let store = context.get_key_value(BUCKET).await;
        let store = store.map_err(|error| OpenError::unavailable(NAME, &error))?;
        Ok(Self { context, store, node, ttl, asking: Mutex::default() })
    }

    /// What is known of a lease: its last revision, and who holds it.
    async fn known(&self, key: &str) -> Result<(u64, Option<Uuid>), LeaseError> {
        let entry = self.store.entry(key).await.map_err(|error| unavailable(&error))?;
        Ok(entry.map_or((0, None), |entry| (entry.revision, holder(&entry))))
    }
}

fn holder(entry: &Entry) -> Option<Uuid> {
    match entry.operation {
        Operation::Put => std::str::from_utf8(&entry.value).ok()?.parse().ok(),
        Operation::Delete | Operation::Purge => None,
    }
}

fn unavailable(reason: &(impl ToString + ?Sized)) -> LeaseError {
    LeaseError { reason: reason.to_string().into() }
}

#[async_trait]
impl Lease for NatsLease {
    fn node(&self) -> Uuid {
        self.node
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }

    async fn hold(&self, name: &str) -> Result<Option<u64>, LeaseError> {
        let _alone = self.asking.lock().await;
        let key = escaped(name);
        for _ in 0..TRIES {
            let (revision, holder) = self.known(&key).await?;
            if holder.is_some_and(|holder| holder != self.node) {
                return Ok(None);
            }
            let value = self.node.to_string().into();
            match self.store.update(&key, value, revision).await {
                Ok(revision) => return Ok(Some(revision)),
                // Another took it, or it has just ended: who holds it is asked again.
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Err(unavailable("it changed whenever it was asked for"))
    }

    async fn release(&self, name: &str) -> Result<(), LeaseError> {
        let _alone = self.asking.lock().await;
        let key = escaped(name);
        let (revision, holder) = self.known(&key).await?;
        if holder != Some(self.node) {
            return Ok(());
        }
        let released = self.store.delete_expect_revision(&key, Some(revision)).await;
        released.map_err(|error| unavailable(&error))
    }

    async fn holders(&self) -> Result<Vec<(SmolStr, Uuid)>, LeaseError> {
        let (context, filters) = (self.context.clone(), vec![SUBJECTS.to_owned()]);
        let reading = Reading { context, stream: NAME, filters, after: 0 };
        let entries = read(&reading, MOST_LEASES, usize::MAX).await;
        let entries = entries.map_err(|reason| unavailable(&reason))?;
        let held = entries.iter().filter_map(|entry| {
            let key = entry.subject.rsplit('.').next()?;
            Some((
                unescaped(key, '=')?.into(),
                std::str::from_utf8(&entry.payload).ok()?.parse().ok()?,
            ))
        });
        Ok(held.collect())
    }
}
