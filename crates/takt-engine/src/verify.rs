//! Compares the read sides of all nodes with one that is folded anew from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use takt_ports::Relay;

use crate::engine::{Engine, Nodes};
use crate::error::Error;
use crate::fold;

/// The name under which nodes tell the digest of their read side.
const NAME: &str = "hash";
/// How long nodes may take to answer, at first and when one that is known has not; a read side of
/// millions of rows takes a second to digest.
const WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1800)];
/// How long a relay that cannot be served is left alone.
const AGAIN: Duration = Duration::from_millis(500);

/// A node's read side, compared with what the log says at the same sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The node; nil where there is only one.
    pub node: uuid::Uuid,
    /// The sequence that it had folded; 0 where it did not answer.
    pub seq: u64,
    /// The digests; `None` of a node that holds a lease and did not answer.
    pub digests: Option<Digests>,
}

/// The digests of one read side at one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Of what queries see.
    pub live: [u8; 32],
    /// By replay.
    pub replayed: [u8; 32],
}

impl Verified {
    /// Whether the node has answered with what the log gives.
    pub fn is_ok(&self) -> bool {
        self.digests.is_some_and(|it| it.live == it.replayed)
    }
}

/// What a node answers.
#[derive(Serialize, Deserialize)]
struct Told {
    node: uuid::Uuid,
    seq: u64,
    live: [u8; 32],
}

fn told(engine: &Engine) -> Told {
    let shared = engine.shared();
    let node = shared.nodes.as_ref().map(|nodes| nodes.lease.node()).unwrap_or_default();
    let (live, seq) = shared.read(|world| (world.hash(), world.seq));
    Told { node, seq, live }
}

/// Asks every node and folds the log once, stopping where each node was.
pub(crate) async fn all(engine: &Engine) -> Result<Vec<Verified>, Error> {
    let shared = engine.shared();
    let (mut rows, missing) = match &shared.nodes {
        Some(nodes) => gathered(nodes).await?,
        None => (vec![], BTreeSet::new()),
    };
    let own = told(engine);
    if !rows.iter().any(|row| row.node == own.node) {
        rows.push(own);
    }
    rows.sort_by_key(|row| (row.seq, row.node));
    let mut folded = fold::Folded::default();
    let mut verified = Vec::with_capacity(rows.len());
    for Told { node, seq, live } in rows {
        folded = fold::replay(&shared.log, folded, seq).await?;
        // A node that has seen what the log has no more is wrong, whatever that has left behind.
        let is_there = folded.0.seq == seq;
        let replayed = if is_there { folded.0.hash() } else { Default::default() };
        let digests = Some(Digests { live, replayed });
        verified.push(Verified { node, seq, digests });
    }
    verified.extend(missing.into_iter().map(|node| Verified { node, seq: 0, digests: None }));
    Ok(verified)
}

/// Which other nodes hold a lease now.
async fn holders(nodes: &Nodes) -> Result<BTreeSet<uuid::Uuid>, Error> {
    let holders = nodes.lease.holders().await;
    let holders = holders.map_err(Error::unavailable)?;
    let own = nodes.lease.node();
    Ok(holders.into_iter().map(|(_, node)| node).filter(|node| *node != own).collect())
}

/// What every node tells that answers, and which do not. Nobody knows how many there are; but who
/// holds a lease is known, and is waited for longer.
async fn gathered(nodes: &Nodes) -> Result<(Vec<Told>, BTreeSet<uuid::Uuid>), Error> {
    let mut missing = holders(nodes).await?;
    let mut rows: BTreeMap<uuid::Uuid, Told> = BTreeMap::new();
    for wait in WAITS {
        let answers = nodes.relay.ask_all(NAME, Bytes::new(), wait).await;
        let answers = answers.map_err(Error::unavailable)?;
        for answer in answers {
            let row: Told = serde_json::from_slice(&answer).map_err(|error| {
                Error::Unavailable(format!("a node's answer does not read: {error}"))
            })?;
            rows.insert(row.node, row);
        }
        missing.retain(|node| !rows.contains_key(node));
        if missing.is_empty() {
            break;
        }
    }
    if !missing.is_empty() {
        // Who has stopped in between has given its leases back, and need not answer.
        let still = holders(nodes).await?;
        missing.retain(|node| still.contains(node));
    }
    Ok((rows.into_values().collect(), missing))
}

/// Tells other nodes the digest of this one's read side until the engine stops.
pub(crate) async fn serve(engine: Engine, relay: Arc<dyn Relay>) {
    let token = engine.shared().token.clone();
    loop {
        let served = async {
            let mut serving = relay.serve(NAME).await?;
            while let Some(called) = serving.next().await {
                let answer = serde_json::to_vec(&told(&engine)).unwrap_or_default();
                called.answer(answer.into()).await;
            }
            Ok::<(), takt_ports::RelayError>(())
        };
        tokio::select! {
            () = token.cancelled() => return,
            served = served => if let Err(error) = served {
                tracing::warn!(%error, "other nodes cannot compare their projections with these");
            }
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
