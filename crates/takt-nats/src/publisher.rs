//! A publisher of facts, as every service may be one: into the inbox, each until it is stored.

use std::collections::VecDeque;
use std::future::IntoFuture as _;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use bytes::Bytes;
use takt_domain::StreamName;
use takt_ports::stream_token;
use tokio::time::{Instant, sleep};

use crate::connection::{ConnectError, Connection};
use crate::settings::Settings;

/// How many facts may wait for their acknowledgement.
const WAITING: usize = 512;
/// For how long a fact is sent again that was not acknowledged.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the server is left alone in between.
const AGAIN: Duration = Duration::from_millis(200);

/// Why a fact is not known to be stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the inbox does not acknowledge: {reason}")]
pub struct PublishError {
    /// What the server or the network said.
    pub reason: String,
    /// How many facts were stored before.
    pub stored: u64,
}

/// Publishes facts to the inbox.
#[derive(Debug)]
pub struct Publisher {
    context: Context,
    subject: String,
}

impl Publisher {
    /// Connects, to publish facts of one value stream; a publisher's account is enough.
    ///
    /// # Errors
    /// As [`Connection::open`], and when there can be no value stream of that name.
    pub async fn open(settings: &Settings, stream: &str) -> Result<Self, ConnectError> {
        let stream = StreamName::parse(stream).map_err(|error| ConnectError::Given {
            what: "the value stream".to_owned(),
            reason: error.to_string(),
        })?;
        let subject = format!("takt.in.{}.cli", stream_token(&stream));
        let connection = Connection::open(settings, "takt publish").await?;
        Ok(Self { context: connection.context(), subject })
    }

    /// Publishes facts in their order. One that is not acknowledged is sent again, so that it may be
    /// stored twice; its identity makes it one. Returns how many were stored.
    ///
    /// # Errors
    /// When a fact is not acknowledged for half a minute.
    pub async fn publish(&self, facts: Vec<Bytes>) -> Result<u64, PublishError> {
        let (mut waiting, mut stored) = (VecDeque::new(), 0);
        for fact in facts {
            let ack = self.send(fact.clone()).await;
            waiting.push_back((fact, ack));
            if waiting.len() >= WAITING {
                stored += self.one(&mut waiting, stored).await?;
            }
        }
        while !waiting.is_empty() {
            stored += self.one(&mut waiting, stored).await?;
        }
        Ok(stored)
    }

    async fn send(&self, fact: Bytes) -> Result<PublishAckFuture, String> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json");
        let sent = self.context.publish_with_headers(self.subject.clone(), headers, fact).await;
        sent.map_err(|error| error.to_string())
    }

    /// Waits until the first that waits is stored.
    async fn one(
        &self,
        waiting: &mut VecDeque<(Bytes, Result<PublishAckFuture, String>)>,
        stored: u64,
    ) -> Result<u64, PublishError> {
        let Some((fact, mut ack)) = waiting.pop_front() else { return Ok(0) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reason = match ack {
                Ok(ack) => match ack.into_future().await {
                    Ok(_) => return Ok(1),
                    Err(error) => error.to_string(),
                },
                Err(reason) => reason,
            };
            if Instant::now() > deadline {
                return Err(PublishError { reason, stored });
            }
            sleep(AGAIN).await;
            ack = self.send(fact.clone()).await;
        }
    }
}
