//! A full replay of the log through the engine, beside the naive projector on the same log.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use takt_embedded::EmbeddedDeadLetters;
use takt_engine::{Engine, Misfit, Parts, SystemClock};
use takt_nats::{Connection, NatsLog, Settings};
use takt_ports::EventLog;
use takt_store::SledStore;

use crate::child::{forget_own_peak, own_usage};
use crate::history::{Size, facts};
use crate::jetstream::JetStream;
use crate::machine::Machine;
use crate::naive::Naive;
use crate::report::{Report, Table, Target};
use crate::sample::{rate, ratio, spread};
use crate::{Place, dataset};

/// How many entries are read at once, as the engine does.
const READ: usize = 2048;

/// What to replay.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// How many moves of cards.
    pub events: u64,
    /// The least bytes of an entry; 0 leaves entries as they are.
    pub size: usize,
    /// How often each side runs.
    pub rounds: u32,
    /// The nats-server of the log, without any data of Takt; a log on files if absent.
    pub nats: Option<String>,
}

/// The ways through the log that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Consumed,
    Read,
    Naive,
    Folded,
    Saved,
}

const WAYS: [(Way, &str); 5] = [
    (Way::Folded, "takt: folded"),
    (Way::Saved, "takt: folded and saved"),
    (Way::Naive, "naive: a sled batch per event"),
    (Way::Read, "the log read and decoded, no more"),
    (Way::Consumed, "raw: an ordered consumer of the same bytes"),
];

/// One run of one way: its rate, and memory at its most.
struct Run {
    way: Way,
    rate: f64,
    peak: u64,
}

pub(crate) async fn run(place: &Place, options: &ReplayOptions) -> anyhow::Result<Report> {
    let machine = Machine::now(&place.folder);
    let folder = place.temporary()?;
    let data = folder.path().join("data");
    let jetstream = match &options.nats {
        Some(url) => Some(JetStream::connect(url).await?),
        None => None,
    };
    place.tell(format!("making a log of {} events", options.events));
    let log = log(place, &data, options.nats.as_deref()).await?;
    let facts = facts(Size::usual(options.events))?;
    let facts = facts.map(|fact| fact.map(|fact| fact.to_json().into()));
    let (count, bytes) = dataset::record(log.as_ref(), facts, options.size).await?;
    let mut runs = Vec::new();
    for round in 1..=options.rounds.max(1) {
        place.tell(format!("round {round} of {}", options.rounds));
        let at = |name: &str| folder.path().join(format!("{name}-{round}"));
        runs.extend(takt(&log, &at("takt")).await?);
        runs.push(naive(log.as_ref(), &at("naive")).await?);
        runs.push(read(log.as_ref()).await?);
        if let Some(jetstream) = &jetstream {
            runs.push(consumed(jetstream).await?);
        }
    }
    if let Some(jetstream) = &jetstream {
        jetstream.clear().await?;
    }
    Ok(report(place, machine, &runs, count, bytes))
}

/// A log with a value stream in it: on files, or on JetStream.
async fn log(place: &Place, data: &Path, nats: Option<&str>) -> anyhow::Result<Arc<dyn EventLog>> {
    let Some(url) = nats else {
        dataset::make(place, data, &[]).await?;
        return Ok(Arc::new(dataset::open(data)?));
    };
    dataset::make(place, data, &["--nats", url]).await?;
    let connection = Connection::open(&Settings::new(url), "takt bench").await?;
    Ok(Arc::new(NatsLog::open(connection, 1).await?))
}

async fn consumed(jetstream: &JetStream) -> anyhow::Result<Run> {
    forget_own_peak();
    let head = jetstream.head("TAKT_LOG").await?;
    let started = Instant::now();
    jetstream.consume(("TAKT_LOG", ""), head, async |_| Ok(())).await?;
    done(Way::Consumed, head, started.elapsed())
}

async fn takt(log: &Arc<dyn EventLog>, folder: &Path) -> anyhow::Result<[Run; 2]> {
    forget_own_peak();
    let dead = EmbeddedDeadLetters::open(&folder.join("dead")).await?;
    let (store, _) = SledStore::open(&folder.join("projections"))?;
    let parts = Parts {
        log: Arc::clone(log),
        dead: Arc::new(dead),
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        parse: |bytes, now| {
            takt_intake::parse(bytes, now).map_err(|misfit| Misfit {
                reason: misfit.reason,
                place: misfit.place,
                remedy: misfit.remedy,
            })
        },
        text_of: |_, bytes| Ok(bytes.clone()),
        outlet: |_| vec![],
        outbox: None,
        nodes: None,
    };
    let head = log.head().await?;
    let started = Instant::now();
    let engine = Engine::start(parts).await?;
    let folded = done(Way::Folded, head, started.elapsed())?;
    engine.shutdown().await;
    let saved = done(Way::Saved, head, started.elapsed())?;
    let (_, checkpoint) = engine.progress();
    anyhow::ensure!(checkpoint == head, "only {checkpoint} of {head} events were saved");
    Ok([folded, saved])
}

async fn naive(log: &dyn EventLog, folder: &Path) -> anyhow::Result<Run> {
    forget_own_peak();
    let naive = Naive::open(folder)?;
    let started = Instant::now();
    let head = each(log, |recorded| naive.apply(recorded)).await?;
    naive.flush()?;
    done(Way::Naive, head, started.elapsed())
}

async fn read(log: &dyn EventLog) -> anyhow::Result<Run> {
    forget_own_peak();
    let started = Instant::now();
    let head = each(log, |_| Ok(())).await?;
    done(Way::Read, head, started.elapsed())
}

/// Hands every decoded entry over, in order, as the engine gets them; gives how many there were.
async fn each(
    log: &dyn EventLog,
    mut take: impl FnMut(&takt_domain::Recorded) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let (head, mut tail, mut seq) = (log.head().await?, log.tail(1), 0);
    while seq < head {
        for entry in &tail.next(READ).await? {
            take(&takt_events::decode(entry.seq, &entry.bytes)?)?;
            seq = entry.seq;
        }
        // Lets an interrupt be noticed between reads.
        tokio::task::yield_now().await;
    }
    Ok(head)
}

fn done(way: Way, count: u64, took: Duration) -> anyhow::Result<Run> {
    Ok(Run { way, rate: rate(count, took), peak: own_usage()?.peak })
}

fn report(place: &Place, machine: Machine, runs: &[Run], count: u64, bytes: u64) -> Report {
    let of = |way: Way| runs.iter().filter(move |run| run.way == way);
    let rates = |way: Way| spread(&of(way).map(|run| run.rate).collect::<Vec<_>>());
    let [_, naive, _] = rates(Way::Naive);
    let mut table = Table::new(["what", "events_per_s", "min", "max", "over_naive", "peak_mib"]);
    for (way, name) in WAYS.into_iter().filter(|(way, _)| of(*way).count() > 0) {
        let [least, middle, most] = rates(way);
        let peak = of(way).map(|run| run.peak).max().map_or(Value::Null, Value::from);
        let over = json!(ratio(middle, naive));
        table.row([json!(name), json!(middle), json!(least), json!(most), over, peak]);
    }
    let [_, saved, _] = rates(Way::Saved);
    let mut targets = vec![Target::least(
        "replay, folded and saved, over the naive projector",
        10.0,
        ratio(saved, naive),
    )];
    if of(Way::Consumed).count() > 0 {
        let [_, consumed, _] = rates(Way::Consumed);
        let of_raw = ratio(saved, consumed);
        targets.push(Target::least("replay, folded and saved, of raw", 0.5, of_raw));
    }
    Report {
        name: "replay",
        command: place.command.clone(),
        machine,
        table,
        targets,
        notes: vec![format!(
            "{count} events of {} bytes each on average; the middle of {} runs. Memory is of the \
             whole process, the log's index included.",
            bytes / count.max(1),
            of(Way::Naive).count(),
        )],
    }
}
