//! Facts into a log on JetStream, over gRPC and through the inbox, beside raw JetStream with the same
//! bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use serde_json::json;
use tokio::time::sleep;

use crate::child::Server;
use crate::jetstream::JetStream;
use crate::machine::Machine;
use crate::publish::{self, Run};
use crate::report::{Report, Target};
use crate::sample::{Sample, ratio};
use crate::{Place, dataset};

/// The inbox, and the subject of the benchmark's facts in it.
const SUBJECT: &str = "takt.in.bench.history";
const INBOX: (&str, &str) = ("TAKT_IN", "takt.in.bench.>");
/// How often it is looked how far the inbox is taken in, and how long that may take.
const LOOK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(600);

/// What to take in.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// How many moves of cards.
    pub events: u64,
    /// How many events one call carries.
    pub batch: usize,
    /// How many clients publish at once in the second run.
    pub clients: usize,
    /// The nats-server, without any data of Takt.
    pub nats: String,
}

pub(crate) async fn run(place: &Place, options: &IngestOptions) -> anyhow::Result<Report> {
    let machine = Machine::now(&place.folder);
    let folder = place.temporary()?;
    let batches = Arc::new(publish::batches(options.events, options.batch)?);
    let jetstream = JetStream::connect(&options.nats).await?;
    let server = ["--nats", options.nats.as_str()];
    place.tell("one client over gRPC");
    let one = folder.path().join("one");
    let mut runs = vec![publish::served(place, &one, &server, &batches, 1).await?];
    let recorded = jetstream.payloads("TAKT_LOG", dataset::board().as_str()).await?;
    jetstream.clear().await?;
    place.tell(format!("{} clients over gRPC", options.clients));
    let many = folder.path().join("many");
    runs.push(publish::served(place, &many, &server, &batches, options.clients).await?);
    jetstream.clear().await?;
    place.tell("the same bytes, straight into a stream");
    let recorded: Vec<Vec<Bytes>> =
        recorded.chunks(options.batch.max(1)).map(<[Bytes]>::to_vec).collect();
    let raw = raw(&jetstream, &recorded).await?;
    jetstream.clear().await?;
    let facts: Vec<Bytes> = batches.iter().flatten().cloned().collect();
    place.tell(format!("filling the inbox with {} facts, each acknowledged", facts.len()));
    let data = folder.path().join("inbox");
    dataset::make(place, &data, &server).await?;
    jetstream.preload(SUBJECT, &facts).await?;
    place.tell("the inbox read and appended, no more");
    let raw_inbox = raw_inbox(&jetstream, &recorded.concat()).await?;
    place.tell("the inbox into the log");
    runs.push(taken_in(place, &data, &jetstream, &server, facts.len() as u64).await?);
    jetstream.clear().await?;
    Ok(report(place, machine, runs, raw, raw_inbox, options))
}

async fn raw(jetstream: &JetStream, batches: &[Vec<Bytes>]) -> anyhow::Result<Run> {
    jetstream.fresh().await?;
    let started = Instant::now();
    let (events, calls) = jetstream.append(batches).await?;
    let name = "raw: atomic batches of the same bytes".into();
    Ok(Run { name, events, took: started.elapsed(), calls, peak: None })
}

/// Starts a node on an inbox that is full, and takes the time from the first batch that is in the
/// log to the last.
async fn taken_in(
    place: &Place,
    data: &std::path::Path,
    jetstream: &JetStream,
    options: &[&str],
    facts: u64,
) -> anyhow::Result<Run> {
    let subject = dataset::board();
    let server = Server::start_with(place, "serve", data, options).await?;
    let waits = Instant::now();
    let (mut begun, mut first, mut at) = (Instant::now(), 0, 0);
    while at < facts {
        ensure!(
            waits.elapsed() < PATIENCE,
            "only {at} of {facts} facts were taken in within {} s",
            PATIENCE.as_secs()
        );
        sleep(LOOK).await;
        at = jetstream.count("TAKT_LOG", subject.as_str()).await?;
        if first == 0 {
            (begun, first) = (Instant::now(), at);
        }
    }
    let took = begun.elapsed();
    let peak = Some(server.usage()?.peak);
    server.stop().await?;
    let name = "takt: from the inbox into the log".into();
    Ok(Run { name, events: facts - first, took, calls: Sample::default(), peak })
}

/// The same work without Takt: every fact is read, and for each the bytes that Takt records are
/// appended. The positions that Takt writes beside them are left out.
async fn raw_inbox(jetstream: &JetStream, recorded: &[Bytes]) -> anyhow::Result<Run> {
    jetstream.fresh().await?;
    let started = Instant::now();
    jetstream.consume_and_append(INBOX, recorded).await?;
    let name = "raw: inbox consumed, atomic batches of the same bytes".into();
    let (events, calls) = (recorded.len() as u64, Sample::default());
    Ok(Run { name, events, took: started.elapsed(), calls, peak: None })
}

fn report(
    place: &Place,
    machine: Machine,
    mut runs: Vec<Run>,
    raw: Run,
    raw_inbox: Run,
    options: &IngestOptions,
) -> Report {
    let rate = |at: usize| runs.get(at).map_or(0.0, Run::rate);
    let (best, inbox) = (rate(0).max(rate(1)), rate(2));
    let peak = runs.iter().filter_map(|run| run.peak).max().unwrap_or_default();
    let targets = vec![
        Target::least("publish over gRPC, of raw", 0.5, ratio(best, raw.rate())),
        Target::least("inbox into the log, of raw", 0.5, ratio(inbox, raw_inbox.rate())),
        Target::most("a node's peak memory in MiB", 300.0, peak as f64),
    ];
    runs.push(raw_inbox);
    runs.push(raw.clone());
    let table = publish::table(&runs, &raw);
    Report {
        name: "ingest",
        command: place.command.clone(),
        machine,
        table,
        targets,
        notes: vec![format!(
            "Each call carries {} events and is answered when they are durable in JetStream. The \
             column `of_raw` is beside atomic batches; the target of the inbox is beside the raw \
             run that also reads the inbox. Client, node and nats-server share the cores.",
            json!(options.batch)
        )],
    }
}
