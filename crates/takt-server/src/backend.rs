//! Where the log is: on files for one machine, or on JetStream for any number of nodes.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use takt_embedded::{EmbeddedDeadLetters, EmbeddedLog, EmbeddedOutbox, Settings};
use takt_engine::Nodes;
use takt_ports::{DeadLetters, EventLog, Outbox};
use takt_store::SledStore;

/// The adapters that a server runs on.
pub(crate) struct Backend {
    pub(crate) kind: Kind,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) dead: Arc<dyn DeadLetters>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) nodes: Option<Nodes>,
}

/// Where a log is, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Files,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
        }
    }
}

/// The folder's own log.
pub(crate) async fn files(data: &Path) -> anyhow::Result<Backend> {
    let folder = data.to_path_buf();
    let (log, outbox) = tokio::task::spawn_blocking(move || {
        let log = EmbeddedLog::open(&folder.join("log"), Settings::default())?;
        Ok::<_, takt_embedded::OpenError>((log, EmbeddedOutbox::open(&folder.join("outbox"))?))
    })
    .await??;
    let dead = EmbeddedDeadLetters::open(&data.join("dead")).await?;
    Ok(Backend {
        kind: Kind::Files,
        log: Arc::new(log),
        dead: Arc::new(dead),
        outbox: Arc::new(outbox),
        nodes: None,
    })
}

/// Makes the data folder where it is missing.
pub(crate) fn make_folder(data: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("could not make the data folder `{}`", data.display()))
}

/// Opens the keeper of projections; damaged ones are moved aside.
pub(crate) async fn store(data: &Path) -> anyhow::Result<SledStore> {
    let folder = data.join("projections");
    let (store, aside) = tokio::task::spawn_blocking(move || SledStore::open(&folder)).await??;
    if let Some(aside) = aside {
        tracing::warn!(moved = %aside.display(), "damaged projections were moved aside");
    }
    Ok(store)
}
