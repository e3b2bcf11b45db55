//! Compares the read sides of all nodes with one that is folded anew from the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use takt_ports::Relay;

use crate::engine::Engine;
use crate::error::Error;
use crate::fold;

/// The name under which nodes tell the digest of their read side.
const NAME: &str = "hash";
/// How long nodes may take to answer.
const WAIT: Duration = Duration::from_secs(10);
/// How long a relay that cannot be served is left alone.
const AGAIN: Duration = Duration::from_millis(500);

/// A node's read side, compared with what the log says at the same sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The node; nil where there is only one.
    pub node: uuid::Uuid,
    /// The sequence that it had folded.
    pub seq: u64,
    /// The digest of its read side.
    pub live: [u8; 32],
    /// The digest by replay.
    pub replayed: [u8; 32],
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
    let mut rows = vec![];
    if let Some(nodes) = &shared.nodes {
        let answers = nodes.relay.ask_all(NAME, Bytes::new(), WAIT).await;
        let answers = answers.map_err(|error| Error::Unavailable(error.to_string()))?;
        for answer in answers {
            let row: Told = serde_json::from_slice(&answer).map_err(|error| {
                Error::Unavailable(format!("a node's answer does not read: {error}"))
            })?;
            rows.push(row);
        }
    }
    let own = told(engine);
    if !rows.iter().any(|row| row.node == own.node) {
        rows.push(own);
    }
    rows.sort_by_key(|row| (row.seq, row.node));
    let mut folded = fold::Folded::default();
    let mut verified = Vec::with_capacity(rows.len());
    for Told { node, seq, live } in rows {
        folded = fold::replay(&shared.log, folded, seq).await?;
        verified.push(Verified { node, seq, live, replayed: folded.0.hash() });
    }
    Ok(verified)
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
