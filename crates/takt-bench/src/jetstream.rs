//! Raw JetStream beside Takt: the same bytes, with nothing but the client.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::header::{
    HeaderMap, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use serde::Deserialize;
use tokio_stream::StreamExt;

use crate::sample::Sample;

/// The stream of the raw runs, and its subject.
const RAW: &str = "TAKT_BENCH";
const SUBJECT: &str = "takt-bench.raw";
/// What Takt itself makes; all of it is removed before and after a run.
const OWN: [&str; 8] = [
    "TAKT_LOG",
    "TAKT_IN",
    "TAKT_DEAD",
    "TAKT_OUT",
    "TAKT_JOBS",
    "KV_TAKT_LEASES",
    "OBJ_TAKT_BLOBS",
    RAW,
];
/// How many messages one atomic batch holds.
const BATCH: usize = 1000;

/// A nats-server that belongs to the benchmark for as long as it runs.
pub(crate) struct JetStream {
    client: Client,
    context: jetstream::Context,
}

/// The answer to a publish.
#[derive(Deserialize)]
struct Ack {
    error: Option<serde_json::Value>,
}

impl JetStream {
    /// Connects, and refuses a server on which Takt has kept anything.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = ConnectOptions::new().connect(url).await;
        let client = client.with_context(|| format!("no nats-server answers at `{url}`"))?;
        let context = jetstream::new(client.clone());
        for name in OWN {
            let known = context.get_stream(name).await.is_ok();
            ensure!(
                !known || name == RAW,
                "`{url}` has a stream `{name}`; a benchmark needs a nats-server without data of \
                 Takt, since it removes what it makes"
            );
        }
        let raw = Self { client, context };
        raw.clear().await?;
        Ok(raw)
    }

    /// Removes everything that Takt and the raw runs have made.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        for name in OWN {
            if self.context.get_stream(name).await.is_ok() {
                self.context.delete_stream(name).await?;
            }
        }
        Ok(())
    }

    /// Makes the stream of the raw runs, which is configured like the log.
    async fn fresh(&self) -> anyhow::Result<()> {
        let _ = self.context.delete_stream(RAW).await;
        let config = stream::Config {
            name: RAW.into(),
            subjects: vec![SUBJECT.into()],
            allow_atomic_publish: true,
            duplicate_window: Duration::from_millis(100),
            ..stream::Config::default()
        };
        self.context.create_stream(config).await?;
        Ok(())
    }

    /// Appends batches one after the other, each as one atomic batch of at most a thousand.
    pub(crate) async fn append(&self, batches: &[Vec<Bytes>]) -> anyhow::Result<(u64, Sample)> {
        self.fresh().await?;
        let (mut events, mut calls) = (0, Sample::default());
        for batch in batches.iter().flat_map(|batch| batch.chunks(BATCH)) {
            let asked = Instant::now();
            self.batch(batch).await?;
            calls.add(asked.elapsed());
            events += batch.len() as u64;
        }
        Ok((events, calls))
    }

    async fn batch(&self, messages: &[Bytes]) -> anyhow::Result<()> {
        let id = self.client.new_inbox();
        let last = messages.len();
        for (place, bytes) in messages.iter().enumerate() {
            let mut headers = HeaderMap::new();
            // An id of at most 64 characters; an inbox is a new name each time.
            headers.insert(NATS_BATCH_ID, id.as_str());
            headers.insert(NATS_BATCH_SEQUENCE, (place + 1).to_string().as_str());
            if place + 1 < last {
                self.client.publish_with_headers(SUBJECT, headers, bytes.clone()).await?;
                continue;
            }
            headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
            let answer = self.client.request_with_headers(SUBJECT, headers, bytes.clone()).await?;
            let ack: Ack = serde_json::from_slice(&answer.payload)?;
            ensure!(ack.error.is_none(), "the server refused a batch: {:?}", ack.error);
        }
        Ok(())
    }

    /// Publishes facts to the inbox of a value stream, as fast as acknowledgements come.
    pub(crate) async fn preload(&self, subject: &str, facts: &[Bytes]) -> anyhow::Result<()> {
        let mut waiting = std::collections::VecDeque::new();
        for fact in facts {
            let ack = self.context.publish(subject.to_owned(), fact.clone()).await?;
            waiting.push_back(ack.into_future());
            if waiting.len() >= BATCH
                && let Some(first) = waiting.pop_front()
            {
                first.await?;
            }
        }
        for ack in waiting {
            ack.await?;
        }
        Ok(())
    }

    /// Reads a stream from its start by an ordered consumer, and hands the payloads on until there
    /// were `count`.
    pub(crate) async fn consume(
        &self,
        stream: &str,
        count: u64,
        mut take: impl AsyncFnMut(Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let stream = self.context.get_stream(stream).await?;
        let config = pull::OrderedConfig {
            name: Some(self.client.new_inbox().replace('.', "-")),
            deliver_policy: DeliverPolicy::All,
            ..pull::OrderedConfig::default()
        };
        let mut messages = stream.create_consumer(config).await?.messages().await?;
        for _ in 0..count {
            let message = messages.next().await.context("the consumer has ended")??;
            take(message.message.payload).await?;
        }
        Ok(())
    }

    /// Reads the inbox and appends what Takt would: `recorded` has the bytes in the same order.
    pub(crate) async fn consume_and_append(
        &self,
        inbox: &str,
        recorded: &[Bytes],
    ) -> anyhow::Result<()> {
        self.fresh().await?;
        let (mut begin, mut seen) = (0, 0);
        self.consume(inbox, recorded.len() as u64, async |_| {
            seen += 1;
            let whole = seen - begin == BATCH || seen == recorded.len();
            if let Some(batch) = recorded.get(begin..seen).filter(|_| whole) {
                self.batch(batch).await?;
                begin = seen;
            }
            Ok(())
        })
        .await
    }

    /// Every payload of a stream, in order.
    pub(crate) async fn payloads(&self, stream: &str) -> anyhow::Result<Vec<Bytes>> {
        let (count, mut all) = (self.head(stream).await?, Vec::new());
        self.consume(stream, count, async |bytes| {
            all.push(bytes);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// The last sequence of a stream; 0 while it is not there.
    pub(crate) async fn head(&self, stream: &str) -> anyhow::Result<u64> {
        match self.context.get_stream(stream).await {
            Ok(stream) => Ok(stream.cached_info().state.last_sequence),
            Err(_) => Ok(0),
        }
    }

    /// One publish, answered when it is durable.
    pub(crate) async fn publish(&self, bytes: Bytes) -> anyhow::Result<()> {
        self.context.publish(SUBJECT, bytes).await?.await?;
        Ok(())
    }

    /// A fresh stream for single publishes, followed by an ordered consumer.
    pub(crate) async fn followed(&self) -> anyhow::Result<pull::Ordered> {
        self.fresh().await?;
        let stream = self.context.get_stream(RAW).await?;
        let config = pull::OrderedConfig {
            name: Some(self.client.new_inbox().replace('.', "-")),
            ..pull::OrderedConfig::default()
        };
        Ok(stream.create_consumer(config).await?.messages().await?)
    }
}
