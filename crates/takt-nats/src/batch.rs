//! Sending messages to be stored: one by itself, or all of an atomic batch (ADR-50) or none.

use std::time::Duration;

use async_nats::client::Request;
use async_nats::header::{
    HeaderMap, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{Client, Message};
use bytes::Bytes;

/// How long the server may take to store a batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message on its way.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

/// How sending ended.
pub(crate) enum Sent {
    /// Stored; the last message has this sequence.
    Stored(u64),
    /// An expectation does not hold, or the outcome is not known: the stream has to be asked.
    Ask(String),
    /// The server cannot store now, and has not.
    Refused(String),
}

/// What the server says where a batch cannot be told from an earlier copy of itself: an expectation
/// does not hold, or the key of a message is known.
const MAY_BE_THERE: [ErrorCode; 3] = [
    ErrorCode::STREAM_WRONG_LAST_SEQUENCE,
    ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT,
    ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE,
];

/// Sends one message, or two and more as one atomic batch; the caller keeps the limits of a batch.
pub(crate) async fn send(
    client: &Client,
    messages: impl ExactSizeIterator<Item = Sending> + Send,
) -> Sent {
    let count = messages.len();
    let id = uuid::Uuid::new_v4().simple().to_string();
    for (place, mut message) in (1_usize..).zip(messages) {
        if count > 1 {
            message.headers.insert(NATS_BATCH_ID, id.as_str());
            message.headers.insert(NATS_BATCH_SEQUENCE, place.to_string().as_str());
        }
        let Sending { subject, mut headers, bytes } = message;
        if place == count {
            if count > 1 {
                headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
            }
            let request = Request::new().headers(headers).payload(bytes).timeout(Some(PATIENCE));
            return match client.send_request(subject, request).await {
                Ok(message) => answer(&message),
                Err(error) => Sent::Ask(error.to_string()),
            };
        }
        if let Err(error) = client.publish_with_headers(subject, headers, bytes).await {
            return Sent::Ask(error.to_string());
        }
    }
    Sent::Refused("there is nothing to store".to_owned())
}

fn answer(message: &Message) -> Sent {
    match serde_json::from_slice(&message.payload) {
        Ok(Response::<PublishAck>::Ok(stored)) => Sent::Stored(stored.sequence),
        Ok(Response::Err { error }) if MAY_BE_THERE.contains(&error.error_code()) => {
            Sent::Ask(error.to_string())
        }
        // Whatever else the server says no for, a limit, a setting or a want of room: nothing is
        // stored, and deciding again would bring the same answer.
        Ok(Response::Err { error }) => Sent::Refused(error.to_string()),
        Err(error) => Sent::Ask(format!("the answer does not read: {error}")),
    }
}
