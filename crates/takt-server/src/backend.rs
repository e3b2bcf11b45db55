//! Where the log is: on files for one machine, or on JetStream for any number of nodes.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use takt_embedded::{EmbeddedDeadLetters, EmbeddedLeases, EmbeddedLog, EmbeddedOutbox, Settings};
use takt_engine::Nodes;
use takt_nats::{
    Connection, LEASE_TTL, Link, NatsDeadLetters, NatsInbox, NatsLease, NatsLog, NatsOutbox,
    NatsRelay,
};
use takt_ports::{DeadLetters, EventLog, Lease as _, Outbox};
use takt_store::SledStore;
use tokio::sync::watch;

/// The adapters that a server runs on.
pub(crate) struct Backend {
    pub(crate) kind: Kind,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) dead: Arc<dyn DeadLetters>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) nodes: Option<Nodes>,
    /// Whether the nats-server is reached.
    pub(crate) link: Option<watch::Receiver<Link>>,
    /// In what the nats-server is not set as Takt advises.
    pub(crate) advice: Vec<String>,
    /// Holds the folder of the node's id, so that no two nodes have the same one.
    pub(crate) node: Option<EmbeddedLeases>,
}

/// Where a log is, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Files,
    JetStream,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::JetStream => "jetstream",
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
        link: None,
        advice: vec![],
        node: None,
    })
}

/// A log that a nats-server keeps, for any number of nodes.
pub(crate) async fn jetstream(
    data: &Path,
    settings: &takt_nats::Settings,
) -> anyhow::Result<Backend> {
    if data.join("log").exists() {
        tracing::warn!(
            folder = %data.join("log").display(),
            "the log on files is not used while the log is on JetStream; `takt log copy` copies it"
        );
    }
    let folder = data.join("node");
    let node = tokio::task::spawn_blocking(move || EmbeddedLeases::open(&folder)).await??;
    let id = node.node();
    let connection = Connection::open(settings, &format!("takt {id}")).await?;
    let advice = connection.advice();
    advice.iter().for_each(|one| tracing::warn!("{one}"));
    let (replicas, context) = (settings.replicas, connection.context());
    let log = NatsLog::open(connection.clone(), replicas).await?;
    let dead = NatsDeadLetters::open(context.clone(), replicas).await?;
    let outbox = NatsOutbox::open(context.clone(), replicas).await?;
    let inbox = NatsInbox::open(context.clone(), replicas, settings.inbox_bytes).await?;
    let inbox = inbox.apart(settings, &format!("takt {id} inbox"));
    let lease = NatsLease::open(context, id, LEASE_TTL, replicas).await?;
    let relay = NatsRelay::new(connection.clone());
    let (lease, inbox, relay) = (Arc::new(lease), Arc::new(inbox), Arc::new(relay));
    Ok(Backend {
        kind: Kind::JetStream,
        log: Arc::new(log),
        dead: Arc::new(dead),
        outbox: Arc::new(outbox),
        nodes: Some(Nodes { lease, inbox, relay }),
        link: Some(connection.link()),
        advice,
        node: Some(node),
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
