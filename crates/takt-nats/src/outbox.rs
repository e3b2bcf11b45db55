//! The outbox on the stream `TAKT_OUT`: what subscribers outside are told, for seven days.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{HeaderValue, NATS_MESSAGE_ID};
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::DiscardPolicy;
use async_trait::async_trait;
use takt_ports::{OutMessage, Outbox, OutboxError};

use crate::batch::{self, Sending, Sent};
use crate::error::OpenError;
use crate::streams::{keeping, made_or_checked};

const NAME: &str = "TAKT_OUT";
const SUBJECTS: &[&str] = &["takt.cdevents.>", "takt.andon.>"];
/// How long a message is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A node that sends again what it was not told the fate of does so within this time.
const KNOWN_AGAIN: Duration = Duration::from_secs(2 * 60);
/// How many messages and bytes are under way at once; a batch may hold a thousand messages.
const MOST: usize = 500;
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The header that holds the sequence of the log's entry that a message tells of.
pub const SEQUENCE_HEADER: &str = "taktseq";

/// What is sent, on JetStream.
#[derive(Clone, Debug)]
pub struct NatsOutbox {
    context: Context,
}

impl NatsOutbox {
    /// Makes the stream, or checks the one that is there.
    ///
    /// # Errors
    /// When it has other settings, or JetStream does not answer.
    pub async fn open(context: Context, replicas: usize) -> Result<Self, OpenError> {
        let mut config = keeping(NAME, SUBJECTS, replicas);
        config.allow_atomic_publish = true;
        config.max_age = KEPT;
        config.discard = DiscardPolicy::Old;
        config.duplicate_window = KNOWN_AGAIN;
        made_or_checked(&context, config).await?;
        Ok(Self { context })
    }
}

fn unavailable(reason: &(impl ToString + ?Sized)) -> OutboxError {
    OutboxError { reason: reason.to_string().into() }
}

fn headers(message: &OutMessage) -> Result<HeaderMap, OutboxError> {
    let value = |text: &str| text.parse::<HeaderValue>().map_err(|error| unavailable(&error));
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, value(&message.key)?);
    headers.insert("content-type", value(&message.content_type)?);
    headers.insert(SEQUENCE_HEADER, message.seq.to_string());
    Ok(headers)
}

fn sending(message: OutMessage) -> Result<Sending, OutboxError> {
    let (headers, subject) = (headers(&message)?, message.subject.to_string());
    Ok(Sending { subject, headers, bytes: message.bytes })
}

impl NatsOutbox {
    /// Sends messages each by itself: the server passes over those that it has under their key.
    async fn send_each(&self, messages: Vec<Sending>) -> Result<(), OutboxError> {
        let mut under_way = Vec::with_capacity(messages.len());
        for Sending { subject, headers, bytes } in messages {
            let sent = self.context.publish_with_headers(subject, headers, bytes).await;
            under_way.push(sent.map_err(|error| unavailable(&error))?);
        }
        for stored in under_way {
            stored.await.map_err(|error| unavailable(&error))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Outbox for NatsOutbox {
    async fn send(&self, messages: Vec<OutMessage>) -> Result<(), OutboxError> {
        let client = self.context.client();
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(message) = messages.next_if(|next| {
                bytes += next.bytes.len();
                batch.is_empty() || (batch.len() < MOST && bytes <= MOST_BYTES)
            }) {
                batch.push(sending(message)?);
            }
            // Stored at once they wait for the disk once. A batch in which one message is stored
            // already is refused as a whole, and one without an answer may be stored.
            if batch.len() == 1
                || !matches!(batch::send(&client, batch.iter().cloned()).await, Sent::Stored(_))
            {
                self.send_each(batch).await?;
            }
        }
        Ok(())
    }
}
