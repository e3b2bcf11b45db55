//! A relay in memory between several engines of one test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use takt_ports::{Called, Relay, RelayError, Serving};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// What several nodes' relays share; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryRelays(Arc<Mutex<Names>>);

type Names = BTreeMap<String, Vec<mpsc::UnboundedSender<Call>>>;
type Call = (Bytes, oneshot::Sender<Bytes>);

impl MemoryRelays {
    /// A node's own relay.
    pub fn node(&self) -> MemoryRelay {
        MemoryRelay(self.clone())
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who serves a name now.
    fn serving(&self, name: &str) -> Vec<mpsc::UnboundedSender<Call>> {
        let mut names = self.names();
        let serving = names.entry(name.to_owned()).or_default();
        serving.retain(|one| !one.is_closed());
        serving.clone()
    }
}

/// One node's relay.
#[derive(Clone, Debug)]
pub struct MemoryRelay(MemoryRelays);

#[async_trait]
impl Relay for MemoryRelay {
    async fn ask(&self, name: &str, request: Bytes, wait: Duration) -> Result<Bytes, RelayError> {
        let nobody = || RelayError::Nobody(name.into());
        let serving = self.0.serving(name).into_iter().next().ok_or_else(nobody)?;
        let (answer, answered) = oneshot::channel();
        serving.send((request, answer)).map_err(|_| nobody())?;
        let unanswered = |reason: &str| RelayError::Unanswered(reason.into());
        let answered = timeout(wait, answered).await.map_err(|_| unanswered("time is up"))?;
        answered.map_err(|_| unanswered("the node went away"))
    }

    async fn ask_all(
        &self,
        name: &str,
        request: Bytes,
        wait: Duration,
    ) -> Result<Vec<Bytes>, RelayError> {
        let mut answers = vec![];
        for serving in self.0.serving(name) {
            let (answer, answered) = oneshot::channel();
            if serving.send((request.clone(), answer)).is_ok()
                && let Ok(Ok(answer)) = timeout(wait, answered).await
            {
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    async fn serve(&self, name: &str) -> Result<Box<dyn Serving>, RelayError> {
        let (sender, calls) = mpsc::unbounded_channel();
        self.0.names().entry(name.to_owned()).or_default().push(sender);
        Ok(Box::new(MemoryServing(calls)))
    }
}

struct MemoryServing(mpsc::UnboundedReceiver<Call>);

#[async_trait]
impl Serving for MemoryServing {
    async fn next(&mut self) -> Option<Box<dyn Called>> {
        let (request, answer) = self.0.recv().await?;
        Some(Box::new(MemoryCalled { request, answer }))
    }
}

struct MemoryCalled {
    request: Bytes,
    answer: oneshot::Sender<Bytes>,
}

#[async_trait]
impl Called for MemoryCalled {
    fn request(&self) -> &Bytes {
        &self.request
    }

    async fn answer(self: Box<Self>, answer: Bytes) {
        // A caller that waits no longer loses the answer, as it would over a network.
        let _ = self.answer.send(answer);
    }
}
