//! Reads a stream in order by named consumers that take no acks, bounded in messages and bytes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use async_nats::Statistics;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::{Context, Message};
use tokio::task::unconstrained;
use tokio::time::timeout;
use tokio_stream::{Stream as _, StreamExt as _};
use uuid::Uuid;

/// The most messages and bytes that one request to the server brings; two are under way at most.
/// A message of the longest payload that the server takes, 4 MB, must fit.
const MOST_MESSAGES: usize = 2000;
const MOST_BYTES: usize = 5 * 1024 * 1024;
/// A consumer that is silent for twice as long is given up.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often it is asked whether the connection is still the same one.
const LOOK: Duration = Duration::from_millis(250);
/// How long the server keeps a consumer that nobody reads.
const KEPT: Duration = Duration::from_secs(30);
/// How long the server may take for what it has.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of which stream.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) context: Context,
    pub(crate) stream: &'static str,
    /// None for all; by more than one the server reads far more slowly.
    pub(crate) filters: Vec<String>,
    /// Messages after this sequence.
    pub(crate) after: u64,
}

/// A consumer has a name, as a user with few permissions may make no other. It is checked for gaps
/// here and not by the client's ordered consumer, which begins from the stream's start when it
/// has to be made anew before its first message.
async fn consumer(reading: &Reading) -> Result<Consumer<pull::Config>, String> {
    let start_sequence = reading.after.saturating_add(1);
    let config = pull::Config {
        name: Some(format!("takt-{}", Uuid::new_v4().simple())),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        filter_subjects: reading.filters.clone(),
        inactive_threshold: KEPT,
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    };
    let made = reading.context.create_consumer_on_stream(config, reading.stream).await;
    made.map_err(|error| error.to_string())
}

/// Messages in order, as they come.
pub(crate) struct Following {
    messages: pull::Stream,
    gaps: Gaps,
    statistics: Arc<Statistics>,
    connects: u64,
}

impl Following {
    pub(crate) async fn open(reading: &Reading) -> Result<Self, String> {
        let statistics = reading.context.client().statistics();
        let connects = statistics.connects.load(Ordering::Relaxed);
        let consumer = consumer(reading).await?;
        let messages = consumer.stream().max_messages_per_batch(MOST_MESSAGES);
        let messages = messages.max_bytes_per_batch(MOST_BYTES).heartbeat(HEARTBEAT);
        let messages = messages.messages().await.map_err(|error| error.to_string())?;
        Ok(Self { messages, gaps: Gaps::default(), statistics, connects })
    }

    /// The next message; dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Result<Message, String> {
        loop {
            if let Ok(next) = timeout(LOOK, self.messages.next()).await {
                return self.gaps.checked(next);
            }
            // The consumer is in the server's memory and may have gone with it. The client finds
            // out too, but after many seconds.
            if self.statistics.connects.load(Ordering::Relaxed) != self.connects {
                return Err("the connection was made anew".to_owned());
            }
        }
    }

    /// The next message if it is here already.
    pub(crate) async fn next_here(&mut self) -> Result<Option<Message>, String> {
        // A task's budget is for fairness between many; here it would only cut batches short.
        let poll = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.messages).poll_next(cx)));
        match unconstrained(poll).await {
            Poll::Ready(next) => self.gaps.checked(next).map(Some),
            Poll::Pending => Ok(None),
        }
    }
}

/// Watches that a consumer's own numbers go up by one: what is missing was lost on the way.
#[derive(Default)]
struct Gaps {
    last: u64,
}

impl Gaps {
    fn checked<E: ToString>(
        &mut self,
        next: Option<Result<Message, E>>,
    ) -> Result<Message, String> {
        let message =
            next.ok_or("the connection was closed")?.map_err(|error| error.to_string())?;
        let number = message.info().map_err(|error| error.to_string())?.consumer_sequence;
        if number != self.last + 1 {
            return Err(format!("message {} of the consumer came after {}", number, self.last));
        }
        self.last = number;
        Ok(message)
    }
}

/// What is there now, at most `max` messages and about `max_bytes` bytes, but at least one.
pub(crate) async fn read(
    reading: &Reading,
    max: usize,
    max_bytes: usize,
) -> Result<Vec<Message>, String> {
    if max == 0 {
        return Ok(vec![]);
    }
    let consumer = consumer(reading).await?;
    let read = match consumer.cached_info().num_pending {
        0 => Ok(vec![]),
        _ => fetched(&consumer, max, max_bytes).await,
    };
    // It ends by itself soon; ended at once, a thousand reads leave nothing behind.
    let name = &consumer.cached_info().name;
    let _ = reading.context.delete_consumer_from_stream(name, reading.stream).await;
    read
}

/// How many messages there are now.
pub(crate) async fn count(reading: &Reading) -> Result<u64, String> {
    let consumer = consumer(reading).await?;
    let info = consumer.cached_info();
    let _ = reading.context.delete_consumer_from_stream(&info.name, reading.stream).await;
    Ok(info.num_pending)
}

async fn fetched(
    consumer: &Consumer<pull::Config>,
    max: usize,
    max_bytes: usize,
) -> Result<Vec<Message>, String> {
    let (mut read, mut bytes, mut gaps) = (Vec::new(), 0, Gaps::default());
    let mut is_bounded = true;
    loop {
        let wanted = (max - read.len()).min(MOST_MESSAGES);
        let fetch = consumer.fetch().max_messages(if is_bounded { wanted } else { 1 });
        let fetch = if is_bounded { fetch.max_bytes(MOST_BYTES) } else { fetch };
        let mut fetch = fetch.messages().await.map_err(|error| error.to_string())?;
        let before = read.len();
        loop {
            let next = timeout(PATIENCE, fetch.next());
            let next = next.await.map_err(|_| "the server did not answer in time")?;
            // It ends by an error too when it has sent as many bytes as it may.
            let Some(Ok(message)) = next else { break };
            let message = gaps.checked(Some(Ok::<_, String>(message)))?;
            bytes += message.payload.len();
            if bytes > max_bytes && !read.is_empty() {
                return Ok(read);
            }
            let is_last = message.info().map_err(|error| error.to_string())?.pending == 0;
            read.push(message);
            if is_last || read.len() == max {
                return Ok(read);
            }
        }
        let has_brought = read.len() > before;
        if !has_brought && !is_bounded {
            return Err("the server has messages and sent none".to_owned());
        }
        // One message that is longer than a request may bring is asked for alone.
        is_bounded = has_brought;
    }
}
