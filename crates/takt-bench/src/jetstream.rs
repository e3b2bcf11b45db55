//! Raw JetStream beside Takt: the same bytes, with nothing but the client.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::header::{
    HeaderMap, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, ErrorCode, stream};
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

/// How long cleaning up may take after an interrupt.
const PATIENCE: Duration = Duration::from_secs(20);

/// A nats-server that belongs to the benchmark for as long as it runs; what was made on it is
/// removed with it, also after an interrupt.
pub(crate) struct JetStream {
    client: Client,
    context: jetstream::Context,
    url: String,
}

impl Drop for JetStream {
    fn drop(&mut self) {
        let url = self.url.clone();
        // The runtime that the benchmark ran on may be ending, and waits for nothing.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(clear_anew(&url))
        });
        match cleaning.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => left_behind(&error.to_string()),
            Err(_) => left_behind("the clean-up ended early"),
        }
    }
}

/// Removes everything over a connection of its own.
async fn clear_anew(url: &str) -> anyhow::Result<()> {
    let cleared = async {
        let client = ConnectOptions::new().connect(url).await?;
        clear(&jetstream::new(client)).await
    };
    tokio::time::timeout(PATIENCE, cleared).await.context("the server does not answer")?
}

fn left_behind(reason: &str) {
    // There is nobody left to return an error to.
    let _ = writeln!(
        std::io::stderr(),
        "takt bench left streams of Takt on the nats-server, remove them before the next run: {reason}"
    );
}

/// Whether there is a stream; what cannot be told is an error.
async fn is_there(context: &jetstream::Context, name: &str) -> anyhow::Result<bool> {
    match context.get_stream(name).await {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(error.kind(), GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND) =>
        {
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("JetStream does not tell of `{name}`")),
    }
}

/// Removes everything that Takt and the raw runs have made.
async fn clear(context: &jetstream::Context) -> anyhow::Result<()> {
    for name in OWN {
        if is_there(context, name).await? {
            context.delete_stream(name).await?;
        }
    }
    Ok(())
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
            // The stream of the raw runs has nothing that anybody needs.
            ensure!(
                name == RAW || !is_there(&context, name).await?,
                "`{url}` has a stream `{name}`; a benchmark needs a nats-server without data of \
                 Takt, since it removes what it makes"
            );
        }
        let own = Self { client, context, url: url.to_owned() };
        own.clear().await?;
        Ok(own)
    }

    /// Removes everything that Takt and the raw runs have made.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        clear(&self.context).await
    }

    /// Makes the stream of the raw runs, which is configured like the log.
    pub(crate) async fn fresh(&self) -> anyhow::Result<()> {
        if is_there(&self.context, RAW).await? {
            self.context.delete_stream(RAW).await?;
        }
        let config = stream::Config {
            name: RAW.into(),
            subjects: vec![SUBJECT.into()],
            allow_atomic_publish: true,
            allow_direct: true,
            deny_delete: true,
            deny_purge: true,
            duplicate_window: Duration::from_millis(100),
            ..stream::Config::default()
        };
        self.context.create_stream(config).await?;
        Ok(())
    }

    /// Appends batches one after the other to the fresh stream, each as one atomic batch of at most a
    /// thousand.
    pub(crate) async fn append(&self, batches: &[Vec<Bytes>]) -> anyhow::Result<(u64, Sample)> {
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

    /// Reads what a stream has under a subject by an ordered consumer, and hands the payloads on
    /// until there were `count`.
    pub(crate) async fn consume(
        &self,
        (stream, subject): (&str, &str),
        count: u64,
        mut take: impl AsyncFnMut(Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let stream = self.context.get_stream_no_info(stream).await?;
        let config = pull::OrderedConfig {
            name: Some(self.client.new_inbox().replace('.', "-")),
            deliver_policy: DeliverPolicy::All,
            filter_subject: subject.to_owned(),
            ..pull::OrderedConfig::default()
        };
        let mut messages = stream.create_consumer(config).await?.messages().await?;
        for _ in 0..count {
            let message = messages.next().await.context("the consumer has ended")??;
            take(message.message.payload).await?;
        }
        Ok(())
    }

    /// Reads the inbox and appends to the fresh stream what Takt would: `recorded` has the bytes in
    /// the same order.
    pub(crate) async fn consume_and_append(
        &self,
        inbox: (&str, &str),
        recorded: &[Bytes],
    ) -> anyhow::Result<()> {
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

    /// Every payload that a stream has under a subject, in order.
    pub(crate) async fn payloads(&self, stream: &str, subject: &str) -> anyhow::Result<Vec<Bytes>> {
        let (count, mut all) = (self.count(stream, subject).await?, Vec::new());
        self.consume((stream, subject), count, async |bytes| {
            all.push(bytes);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// The last sequence of a stream.
    pub(crate) async fn head(&self, stream: &str) -> anyhow::Result<u64> {
        Ok(self.context.get_stream(stream).await?.cached_info().state.last_sequence)
    }

    /// How many messages of a subject a stream has.
    pub(crate) async fn count(&self, stream: &str, subject: &str) -> anyhow::Result<u64> {
        let stream = self.context.get_stream_no_info(stream).await?;
        let mut counts = stream.info_builder().subjects(subject).fetch().await?;
        let mut count = 0;
        while let Some(one) = counts.next().await {
            count += one?.1 as u64;
        }
        Ok(count)
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
