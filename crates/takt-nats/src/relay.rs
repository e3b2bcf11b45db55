//! The relay: calls between nodes on `takt.node.>`, which no stream keeps.

use std::time::Duration;

use async_nats::{Client, Request, RequestErrorKind, StatusCode, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use takt_ports::{Called, MOST_RELAYED_BYTES, Relay, RelayError, Serving};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use crate::connection::Connection;

/// More answers than there are nodes; the rest are not waited for.
const MOST_ANSWERS: usize = 1000;
/// How long the server may take to know a subscription.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls between nodes, by core NATS.
#[derive(Clone, Debug)]
pub struct NatsRelay {
    connection: Connection,
    client: Client,
}

impl NatsRelay {
    /// Calls by a connection. What comes in waits in the connection's own bounded queue.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let client = connection.client();
        Self { connection, client }
    }

    fn subject(name: &str) -> Result<String, RelayError> {
        let is_token = |token: &str| {
            !token.is_empty()
                && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=~".contains(&b))
        };
        if name.split('.').all(is_token) {
            return Ok(format!("takt.node.{name}"));
        }
        Err(unanswered(&format!("`{name}` is no name that a node can serve")))
    }

    /// Waits until the server has read all that this connection has sent: a message to itself comes
    /// back after it.
    async fn settle(&self) -> Result<(), RelayError> {
        let subject = format!("takt.node.=settle.{}", Uuid::new_v4().simple());
        let mut own = self.client.subscribe(subject.clone()).await.map_err(|e| unanswered(&e))?;
        self.client.publish(subject, Bytes::new()).await.map_err(|e| unanswered(&e))?;
        let settled = timeout(PATIENCE, own.next()).await;
        settled.ok().flatten().map(|_| ()).ok_or_else(|| unanswered("the server does not answer"))
    }
}

fn unanswered(reason: &(impl ToString + ?Sized)) -> RelayError {
    RelayError::Unanswered(reason.to_string().into())
}

fn fits(bytes: &Bytes) -> Result<(), RelayError> {
    if bytes.len() <= MOST_RELAYED_BYTES {
        return Ok(());
    }
    let length = bytes.len();
    Err(unanswered(&format!("{length} bytes are more than the {MOST_RELAYED_BYTES} that pass")))
}

#[async_trait]
impl Relay for NatsRelay {
    async fn ask(&self, name: &str, request: Bytes, wait: Duration) -> Result<Bytes, RelayError> {
        let subject = format!("{}.call", Self::subject(name)?);
        fits(&request)?;
        let request = Request::new().payload(request).timeout(Some(wait));
        let asked = self.client.send_request(subject, request);
        let asked = self.connection.unless_lost(asked).await;
        match asked.map_err(|reason| unanswered(&reason))? {
            Ok(answer) => Ok(answer.payload),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err(RelayError::Nobody(name.into()))
            }
            Err(error) => Err(unanswered(&error)),
        }
    }

    async fn ask_all(
        &self,
        name: &str,
        request: Bytes,
        wait: Duration,
    ) -> Result<Vec<Bytes>, RelayError> {
        let deadline = Instant::now() + wait;
        let subject = format!("{}.call", Self::subject(name)?);
        fits(&request)?;
        let inbox = self.client.new_inbox();
        let subscribed = self.client.subscribe(inbox.clone()).await;
        let mut answering = subscribed.map_err(|error| unanswered(&error))?;
        let sent = self.client.publish_with_reply(subject, inbox, request).await;
        sent.map_err(|error| unanswered(&error))?;
        let mut answers = Vec::new();
        while answers.len() < MOST_ANSWERS {
            let Ok(next) = timeout_at(deadline, answering.next()).await else { break };
            let answer = next.ok_or_else(|| unanswered("the connection was closed"))?;
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            answers.push(answer.payload);
        }
        Ok(answers)
    }

    async fn serve(&self, name: &str) -> Result<Box<dyn Serving>, RelayError> {
        // By a wildcard. A consumer delivers only where somebody listens to exactly its subject, so
        // that whoever may make one still cannot call a node.
        let subscribed = self.client.subscribe(format!("{}.*", Self::subject(name)?)).await;
        let calls = subscribed.map_err(|error| unanswered(&error))?;
        self.settle().await?;
        Ok(Box::new(NatsServing { client: self.client.clone(), calls }))
    }
}

struct NatsServing {
    client: Client,
    calls: Subscriber,
}

#[async_trait]
impl Serving for NatsServing {
    async fn next(&mut self) -> Option<Box<dyn Called>> {
        let call = self.calls.next().await?;
        Some(Box::new(NatsCalled { client: self.client.clone(), call }))
    }
}

struct NatsCalled {
    client: Client,
    call: async_nats::Message,
}

#[async_trait]
impl Called for NatsCalled {
    fn request(&self) -> &Bytes {
        &self.call.payload
    }

    async fn answer(self: Box<Self>, answer: Bytes) {
        // Who asks without saying where to wants no answer.
        let Some(reply) = self.call.reply else { return };
        let sent = match fits(&answer) {
            Ok(()) => self.client.publish(reply, answer).await.map_err(|error| unanswered(&error)),
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "an answer to another node was not sent");
        }
    }
}
