//! Leases: which node does what only one may do at a time.
//!
//! A lease saves work; it proves nothing. Who has been stopped for a minute still believes in its
//! lease when it goes on, so every write under a lease carries an exact expectation as its fence.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use smol_str::SmolStr;

/// Why leases cannot be asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the leases are not available: {reason}")]
pub struct LeaseError {
    /// What the file system or the network said.
    pub reason: Arc<str>,
}

/// Leases by name, each held by at most one node at a time as far as clocks can tell.
#[async_trait]
pub trait Lease: Send + Sync {
    /// The id of this node; the same after a restart on the same data folder.
    fn node(&self) -> uuid::Uuid;

    /// How long a lease lasts after it was last asked for.
    fn ttl(&self) -> Duration;

    /// Takes a lease that is free, takes back one that this node held before it was restarted, or
    /// renews one that it holds. Returns its revision, which rises whenever it is taken or renewed;
    /// `None` while another node holds it.
    ///
    /// # Errors
    /// When nobody can tell; then this node does not hold it.
    async fn hold(&self, name: &str) -> Result<Option<u64>, LeaseError>;

    /// Gives a lease back at once, so that another node need not wait; nothing happens when this
    /// node does not hold it.
    ///
    /// # Errors
    /// When it cannot be given back; it then ends by itself.
    async fn release(&self, name: &str) -> Result<(), LeaseError>;

    /// Who holds which lease now.
    ///
    /// # Errors
    /// When nobody can tell.
    async fn holders(&self) -> Result<Vec<(SmolStr, uuid::Uuid)>, LeaseError>;
}
