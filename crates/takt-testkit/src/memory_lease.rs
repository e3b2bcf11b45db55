//! Leases in memory, with a clock that a test may move by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use smol_str::{SmolStr, ToSmolStr};
use takt_ports::{Lease, LeaseError};
use tokio::time::Instant;

/// The leases that several nodes share; clones share them.
#[derive(Clone, Debug)]
pub struct MemoryLeases {
    ttl: Duration,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Who holds a lease, until when, at which revision.
    leases: BTreeMap<SmolStr, (uuid::Uuid, Instant, u64)>,
    revision: u64,
    /// How far the clock was moved by hand.
    moved: Duration,
    cut: Vec<uuid::Uuid>,
}

impl Kept {
    fn now(&self) -> Instant {
        Instant::now() + self.moved
    }
}

impl MemoryLeases {
    /// Leases that last for `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, kept: Arc::default() }
    }

    /// A node that may hold them.
    pub fn node(&self) -> MemoryLease {
        MemoryLease { node: uuid::Uuid::new_v4(), leases: self.clone() }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.kept().moved += by;
    }

    /// Cuts a node off from the leases, or lets it ask again; its own end by themselves.
    pub fn set_cut(&self, node: uuid::Uuid, cut: bool) {
        let mut kept = self.kept();
        kept.cut.retain(|other| *other != node);
        if cut {
            kept.cut.push(node);
        }
    }

    /// Who holds a lease now.
    pub fn holder(&self, name: &str) -> Option<uuid::Uuid> {
        let kept = self.kept();
        let (node, until, _) = kept.leases.get(name)?;
        (*until > kept.now()).then_some(*node)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked_by(&self, node: uuid::Uuid) -> Result<MutexGuard<'_, Kept>, LeaseError> {
        let kept = self.kept();
        if kept.cut.contains(&node) {
            return Err(LeaseError { reason: "the node is cut off".into() });
        }
        Ok(kept)
    }
}

/// One node's leases.
#[derive(Clone, Debug)]
pub struct MemoryLease {
    node: uuid::Uuid,
    leases: MemoryLeases,
}

#[async_trait]
impl Lease for MemoryLease {
    fn node(&self) -> uuid::Uuid {
        self.node
    }

    fn ttl(&self) -> Duration {
        self.leases.ttl
    }

    async fn hold(&self, name: &str) -> Result<Option<u64>, LeaseError> {
        let mut kept = self.leases.asked_by(self.node)?;
        let now = kept.now();
        let held = kept.leases.get(name);
        if held.is_some_and(|(node, until, _)| *node != self.node && *until > now) {
            return Ok(None);
        }
        kept.revision += 1;
        let row = (self.node, now + self.leases.ttl, kept.revision);
        kept.leases.insert(name.to_smolstr(), row);
        Ok(Some(kept.revision))
    }

    async fn release(&self, name: &str) -> Result<(), LeaseError> {
        let mut kept = self.leases.asked_by(self.node)?;
        if kept.leases.get(name).is_some_and(|(node, ..)| *node == self.node) {
            kept.leases.remove(name);
        }
        Ok(())
    }

    async fn holders(&self) -> Result<Vec<(SmolStr, uuid::Uuid)>, LeaseError> {
        let kept = self.leases.asked_by(self.node)?;
        let now = kept.now();
        let held = kept.leases.iter().filter(|(_, (_, until, _))| *until > now);
        Ok(held.map(|(name, (node, ..))| (name.clone(), *node)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lease_is_held_by_one_node_until_it_ends_or_is_given_back() {
        let leases = MemoryLeases::new(Duration::from_secs(10));
        let (one, two) = (leases.node(), leases.node());
        let first = one.hold("shop").await.unwrap();
        assert!(first.is_some() && one.hold("shop").await.unwrap() > first);
        assert_eq!(two.hold("shop").await.unwrap(), None);
        leases.advance(Duration::from_secs(11));
        assert!(two.hold("shop").await.unwrap().is_some());
        assert_eq!(leases.holder("shop"), Some(two.node()));
        two.release("shop").await.unwrap();
        assert!(one.hold("shop").await.unwrap().is_some());
    }
}
