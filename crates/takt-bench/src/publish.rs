//! Facts published over gRPC, beside raw appends of the same bytes and one fdatasync per event.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use takt_ports::{EventLog, NewEntry};
use takt_proto::v1::PublishRequest;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::child::Server;
use crate::dataset::{self, STREAM};
use crate::history::{Size, facts};
use crate::machine::Machine;
use crate::report::{Report, Table, Target};
use crate::sample::{Sample, rate, ratio};
use crate::{Place, child};

/// How many events are synced one by one; more would only take longer.
const ONE_BY_ONE: usize = 2000;

/// What to publish.
#[derive(Clone, Copy, Debug)]
pub struct PublishOptions {
    /// How many moves of cards.
    pub events: u64,
    /// How many events one call carries.
    pub batch: usize,
    /// How many clients publish at once in the second run.
    pub clients: usize,
}

/// How one way went.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) events: u64,
    pub(crate) took: Duration,
    pub(crate) calls: Sample,
    pub(crate) peak: Option<u64>,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        rate(self.events, self.took)
    }
}

pub(crate) async fn run(place: &Place, options: &PublishOptions) -> anyhow::Result<Report> {
    let machine = Machine::now(&place.folder);
    let folder = place.temporary()?;
    let batches = Arc::new(batches(options.events, options.batch)?);
    let one = folder.path().join("one");
    place.tell("one client over gRPC");
    let mut runs = vec![served(place, &one, &[], &batches, 1).await?];
    place.tell(format!("{} clients over gRPC", options.clients));
    let many = folder.path().join("many");
    runs.push(served(place, &many, &[], &batches, options.clients).await?);
    place.tell("the same bytes, straight into a log");
    let entries = recorded(&one, options.batch).await?;
    runs.push(raw(&folder.path().join("raw"), entries.clone()).await?);
    place.tell("the same bytes, one fdatasync per event");
    runs.push(one_by_one(&folder.path().join("one-by-one"), &entries).await?);
    report(place, machine, &runs, options)
}

/// The facts of a history, in batches of at most so many.
pub(crate) fn batches(events: u64, batch: usize) -> anyhow::Result<Vec<Vec<Bytes>>> {
    let facts = facts(Size::usual(events))?;
    let facts: anyhow::Result<Vec<Bytes>> =
        facts.map(|fact| fact.map(|fact| fact.to_json().into())).collect();
    Ok(facts?.chunks(batch.max(1)).map(<[Bytes]>::to_vec).collect())
}

/// Publishes to a server of its own process, whose memory is then its own.
pub(crate) async fn served(
    place: &Place,
    data: &Path,
    server: &[&str],
    batches: &Arc<Vec<Vec<Bytes>>>,
    clients: usize,
) -> anyhow::Result<Run> {
    let server = Server::start_with(place, "serve", data, server).await?;
    dataset::create_stream(&server).await?;
    let taken = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for _ in 0..clients.max(1) {
        let (channel, batches, taken) =
            (server.channel().await?, Arc::clone(batches), Arc::clone(&taken));
        let next = move || batches.get(taken.fetch_add(1, Ordering::Relaxed)).cloned();
        tasks.spawn(publish_all(channel, next));
    }
    let (mut events, mut calls) = (0, Sample::default());
    while let Some(done) = tasks.join_next().await {
        let (count, sample) = done??;
        events += count;
        calls.append(sample);
    }
    let took = started.elapsed();
    let peak = Some(server.usage()?.peak);
    server.stop().await?;
    let name = format!("takt: EventService.Publish, {clients} at once");
    Ok(Run { name, events, took, calls, peak })
}

async fn publish_all(
    channel: Channel,
    next: impl Fn() -> Option<Vec<Bytes>>,
) -> anyhow::Result<(u64, Sample)> {
    let mut client = EventServiceClient::new(channel);
    let (mut events, mut calls) = (0, Sample::default());
    while let Some(batch) = next() {
        let started = Instant::now();
        events += publish(&mut client, batch).await?;
        calls.add(started.elapsed());
    }
    Ok((events, calls))
}

/// Publishes one batch, all of which must be recorded; gives how many.
pub(crate) async fn publish(
    client: &mut EventServiceClient<Channel>,
    events: Vec<Bytes>,
) -> anyhow::Result<u64> {
    let asked = events.len() as u64;
    let request = PublishRequest { stream: STREAM.into(), events, actor: "bench".into() };
    let results = client.publish(request).await?.into_inner().results;
    let recorded = results.iter().filter(|one| matches!(one.result, Some(Outcome::Recorded(_))));
    let recorded = recorded.count() as u64;
    ensure!(recorded == asked, "only {recorded} of {asked} facts were recorded");
    Ok(recorded)
}

/// The board's entries as the server recorded them.
async fn recorded(data: &Path, batch: usize) -> anyhow::Result<Vec<Vec<NewEntry>>> {
    let log = dataset::open(data)?;
    let board = dataset::board();
    let (mut batches, mut next) = (Vec::new(), 1);
    loop {
        let entries = log.read(next, batch.clamp(1, dataset::BATCH)).await?;
        let Some(last) = entries.last() else { return Ok(batches) };
        next = last.seq + 1;
        let entries = entries.into_iter().filter(|entry| entry.subject == board);
        let entries: Vec<_> = entries
            .map(|it| NewEntry { subject: it.subject, id: it.id, bytes: it.bytes })
            .collect();
        if !entries.is_empty() {
            batches.push(entries);
        }
    }
}

async fn raw(data: &Path, batches: Vec<Vec<NewEntry>>) -> anyhow::Result<Run> {
    child::forget_own_peak();
    let log = dataset::open(data)?;
    let (mut events, mut calls) = (0, Sample::default());
    let started = Instant::now();
    for batch in batches {
        events += batch.len() as u64;
        let asked = Instant::now();
        dataset::append(&log, batch).await?;
        calls.add(asked.elapsed());
    }
    let took = started.elapsed();
    Ok(Run { name: "raw: atomic batches on the log".into(), events, took, calls, peak: None })
}

async fn one_by_one(path: &Path, batches: &[Vec<NewEntry>]) -> anyhow::Result<Run> {
    let mut file = std::fs::File::create(path)?;
    let (mut events, mut calls) = (0, Sample::default());
    let started = Instant::now();
    for entry in batches.iter().flatten().take(ONE_BY_ONE) {
        let asked = Instant::now();
        file.write_all(&entry.bytes)?;
        file.sync_data()?;
        calls.add(asked.elapsed());
        events += 1;
        // Lets an interrupt be noticed between events.
        tokio::task::yield_now().await;
    }
    let name = "naive: a file, fdatasync per event".into();
    Ok(Run { name, events, took: started.elapsed(), calls, peak: None })
}

/// What each run reached, beside the raw one.
pub(crate) fn table(runs: &[Run], raw: &Run) -> Table {
    let columns = [
        "what",
        "events",
        "events_per_s",
        "call_p50_ms",
        "call_p99_ms",
        "of_raw",
        "server_peak_mib",
    ];
    let mut table = Table::new(columns);
    for run in runs {
        let [middle, late] = run.calls.percentiles([50.0, 99.0]);
        let peak = run.peak.map_or(Value::Null, Value::from);
        let of_raw = json!(ratio(run.rate(), raw.rate()));
        table.row([
            json!(run.name),
            json!(run.events),
            json!(run.rate()),
            middle,
            late,
            of_raw,
            peak,
        ]);
    }
    table
}

fn report(
    place: &Place,
    machine: Machine,
    runs: &[Run],
    options: &PublishOptions,
) -> anyhow::Result<Report> {
    let [one, many, raw, _] = runs else { anyhow::bail!("a run is missing") };
    let table = table(runs, raw);
    let bytes = options.batch;
    let best = one.rate().max(many.rate());
    let peak = one.peak.max(many.peak).context("the servers' memory is not known")?;
    Ok(Report {
        name: "publish",
        command: place.command.clone(),
        machine,
        table,
        targets: vec![Target::most("the server's peak memory in MiB", 300.0, peak as f64)],
        notes: vec![format!(
            "Each call carries {bytes} events and is answered when they are durable; the naive file \
             takes one event a call. Takt reaches {} of raw; the target of 0.5 binds on JetStream \
             and is for information here.",
            ratio(best, raw.rate())
        )],
    })
}
