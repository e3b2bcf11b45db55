//! Publishes a card's move to NATS, and tells what the inbox has stored.
//!
//!     publish STREAM CARD COLUMN

#![expect(clippy::print_stdout, reason = "an example tells what it sees")]

use anyhow::Context as _;
use async_nats::{ConnectOptions, jetstream};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next = |name: &'static str| args.next().context(name);
    let (stream, card, column) = (next("STREAM")?, next("CARD")?, next("COLUMN")?);
    let url = std::env::var("TAKT_NATS").unwrap_or("nats://127.0.0.1:4222".to_owned());
    let password = std::env::var("TAKT_NATS_PUBLISHER_PASSWORD")?;
    let client = ConnectOptions::with_user_and_password("publisher".to_owned(), password);
    let client = client.connect(url).await?;

    let now = jiff::Timestamp::now();
    // Made once: whoever tries again sends the same id, time and data, so that it counts once.
    let event = serde_json::json!({
        "specversion": "1.0",
        "id": format!("{card}/{column}/{now}"),
        "source": "/examples/rust",
        "type": "dev.takt.report.card.v1",
        "time": now,
        "data": { "card": card, "column": column },
    });
    let subject = format!("takt.in.{stream}.card");
    let stored = jetstream::new(client).publish(subject, event.to_string().into()).await?.await?;
    println!("stored in the inbox at {}", stored.sequence);
    Ok(())
}
