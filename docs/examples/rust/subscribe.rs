//! Follows a value stream over NATS, and goes on where it was when it is started again.
//!
//!     subscribe STREAM CHECKPOINT

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example tells what it sees")]

use std::path::Path;

use anyhow::Context as _;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, consumer::DeliverPolicy, consumer::pull::OrderedConfig};
use serde_json::Value;
use tokio_stream::StreamExt as _;

fn handle(sequence: u64, event: &Value) {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    println!("{sequence} {} {}", text("type"), text("subject"));
}

fn save(checkpoint: &Path, sequence: u64) -> std::io::Result<()> {
    let new = checkpoint.with_extension("new");
    std::fs::write(&new, sequence.to_string())?;
    std::fs::rename(&new, checkpoint)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (stream, checkpoint) = (args.next().context("STREAM")?, args.next().context("CHECKPOINT")?);
    let checkpoint = Path::new(&checkpoint);
    let url = std::env::var("TAKT_NATS").unwrap_or("nats://127.0.0.1:4222".to_owned());
    let password = std::env::var("TAKT_NATS_SUBSCRIBER_PASSWORD")?;
    let user = "subscriber".to_owned();
    let client = async_nats::ConnectOptions::with_user_and_password(user, password)
        .custom_inbox_prefix("_INBOX_subscriber")
        .connect(url)
        .await?;

    let log = jetstream::with_prefix(client, "TAKTJS").get_stream("TAKT_LOG").await?;
    loop {
        // A server that went away has forgotten its consumers: then one begins after what was seen.
        if let Err(error) = follow(&log, &stream, checkpoint).await {
            eprintln!("again, after: {error:#}");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

async fn follow(log: &Stream, stream: &str, checkpoint: &Path) -> anyhow::Result<()> {
    let seen = match std::fs::read_to_string(checkpoint) {
        Ok(text) => text.trim().parse()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0_u64,
        Err(error) => return Err(error.into()),
    };
    // What is there comes first, then what happens: in order, without a gap, for ever.
    let start = OrderedConfig {
        filter_subject: format!("takt.log.{stream}.>"),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: seen + 1 },
        ..OrderedConfig::default()
    };
    let mut messages = log.create_consumer(start).await?.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let sequence = message.info().map_err(anyhow::Error::msg)?.stream_sequence;
        handle(sequence, &serde_json::from_slice(&message.payload)?);
        save(checkpoint, sequence)?;
    }
    Ok(())
}
