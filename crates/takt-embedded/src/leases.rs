//! Leases where there is one node: it holds whatever it asks for.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_ports::{Lease, LeaseError};
use uuid::Uuid;

use crate::error::OpenError;
use crate::files::Files;

const FILE: &str = "node.json";
/// Nobody else could take them; callers still renew at a sensible pace.
const TTL: Duration = Duration::from_secs(10);
/// The bits of a revision that count within one start.
const WITHIN: u32 = 32;

/// The leases of the only node, held by one process.
pub struct EmbeddedLeases {
    node: Node,
    held: Mutex<Held>,
    _files: Files,
}

#[derive(Default)]
struct Held {
    by_name: BTreeMap<SmolStr, u64>,
    count: u64,
}

/// What the node keeps between starts.
#[derive(Serialize, Deserialize)]
struct Node {
    id: Uuid,
    /// How often it was started; revisions begin anew above all earlier ones.
    starts: u64,
}

impl EmbeddedLeases {
    /// Opens the leases in a folder of their own, which is made if it is missing.
    ///
    /// # Errors
    /// When another process holds it or the file system refuses.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let files = Files::open(folder)?;
        let io = |source| OpenError::Io { path: folder.to_path_buf(), source };
        let node = start(&files).map_err(io)?;
        Ok(Self { node, held: Mutex::default(), _files: files })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Held) -> R) -> R {
        act(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn start(files: &Files) -> io::Result<Node> {
    let mut node = match files.read(FILE)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other)?,
        None => Node { id: Uuid::new_v4(), starts: 0 },
    };
    node.starts += 1;
    files.write(FILE, &[&serde_json::to_vec(&node).map_err(io::Error::other)?])?;
    Ok(node)
}

#[async_trait]
impl Lease for EmbeddedLeases {
    fn node(&self) -> Uuid {
        self.node.id
    }

    fn ttl(&self) -> Duration {
        TTL
    }

    async fn hold(&self, name: &str) -> Result<Option<u64>, LeaseError> {
        let starts = self.node.starts;
        Ok(Some(self.with(|held| {
            held.count += 1;
            let revision = (starts << WITHIN) + held.count;
            held.by_name.insert(name.into(), revision);
            revision
        })))
    }

    async fn release(&self, name: &str) -> Result<(), LeaseError> {
        self.with(|held| held.by_name.remove(name));
        Ok(())
    }

    async fn holders(&self) -> Result<Vec<(SmolStr, Uuid)>, LeaseError> {
        let node = self.node.id;
        Ok(self.with(|held| held.by_name.keys().map(|name| (name.clone(), node)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn leases_of_one_node_keep_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let start =
            async |_| Arc::new(EmbeddedLeases::open(folder.path()).unwrap()) as Arc<dyn Lease>;
        takt_testkit::lease_contract(start).await;
    }

    #[test]
    fn a_node_whose_file_does_not_read_is_not_given_another_id() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"{").unwrap();
        assert!(matches!(EmbeddedLeases::open(folder.path()), Err(OpenError::Io { .. })));
    }
}
