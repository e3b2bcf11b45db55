//! From a command to what a query and a watcher see, at a steady rate that waits for nobody.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use takt_domain::EventId;
use takt_ports::{Append, EventLog, NewEntry};
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::{
    AddCardRequest, GetCardRequest, MoveCardRequest, ReadRequest, SetColumnRequest,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::transport::Channel;

use crate::child::Server;
use crate::dataset::{self, STREAM};
use crate::jetstream::JetStream;
use crate::machine::Machine;
use crate::report::{Report, Table, Target};
use crate::sample::{Sample, rate};
use crate::{Place, child};

const COLUMNS: [&str; 4] = ["Ready", "Doing", "Review", "Done"];
/// How many cards take turns to move.
const CARDS: u64 = 500;
/// How long the watcher may lag behind the last answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How fast, and for how long.
#[derive(Clone, Debug)]
pub struct LatencyOptions {
    /// Moves a second.
    pub rate: u32,
    /// Seconds that count; one more before them does not.
    pub seconds: u32,
    /// The nats-server of the log, without any data of Takt; a log on files if absent.
    pub nats: Option<String>,
}

/// One move: its sequence, and when what was seen of it.
struct Moved {
    intended: Instant,
    sequence: u64,
    acknowledged: Instant,
    visible: Instant,
}

/// What was seen of all moves, from when each should have begun.
#[derive(Default)]
struct Seen {
    acknowledged: Sample,
    visible: Sample,
    watched: Sample,
}

pub(crate) async fn run(place: &Place, options: &LatencyOptions) -> anyhow::Result<Report> {
    let machine = Machine::now(&place.folder);
    let folder = place.temporary()?;
    let jetstream = match &options.nats {
        Some(url) => Some(Arc::new(JetStream::connect(url).await?)),
        None => None,
    };
    let on = options.nats.as_ref().map_or(vec![], |url| vec!["--nats", url.as_str()]);
    let server = Server::start_with(place, "serve", &folder.path().join("data"), &on).await?;
    dataset::create_stream(&server).await?;
    let channel = server.channel().await?;
    let head = seed(channel.clone()).await?;
    place.tell(format!("{} moves a second for {} s", options.rate, options.seconds));
    let (mut watched, watching) = watch(channel.clone(), head + 1).await?;
    let (moved, took) = drive(&channel, options).await?;
    let last = moved.iter().map(|it| it.sequence).max().unwrap_or(0);
    let mut arrivals = HashMap::new();
    while !arrivals.contains_key(&last) {
        let next = timeout(PATIENCE, watched.recv()).await.context("the watcher lags behind")?;
        let (sequence, at) = next.context("the watch has ended")?;
        arrivals.insert(sequence, at);
    }
    drop(watching);
    let usage = server.usage()?;
    server.stop().await?;
    let seen = summed(&moved, &arrivals, options);
    place.tell("the same rate on the log alone");
    let raw = match jetstream {
        Some(jetstream) => {
            let sample = raw_jetstream(&jetstream, options).await?;
            jetstream.clear().await?;
            ("raw: published and consumed, no node", sample)
        }
        None => {
            let sample = raw(&folder.path().join("raw"), options).await?;
            ("raw: appended and tailed, no server", sample)
        }
    };
    Ok(report(place, machine, options, &seen, &raw, rate(moved.len() as u64, took), usage))
}

/// Makes the columns and the cards; gives the last sequence.
async fn seed(channel: Channel) -> anyhow::Result<u64> {
    let mut board = BoardServiceClient::new(channel);
    for column in COLUMNS {
        let column = column.into();
        let request =
            SetColumnRequest { stream: STREAM.into(), column, ..SetColumnRequest::default() };
        board.set_column(request).await?;
    }
    let mut last = 0;
    for card in 0..CARDS {
        let request = AddCardRequest {
            stream: STREAM.into(),
            card: name(card),
            title: format!("Piece of work number {card}"),
            ..AddCardRequest::default()
        };
        last = board.add_card(request).await?.into_inner().sequence;
    }
    Ok(last)
}

fn name(card: u64) -> String {
    format!("card-{card}")
}

type Arrivals = mpsc::UnboundedReceiver<(u64, Instant)>;

/// Follows the log over gRPC from a sequence, until what it gives is dropped.
async fn watch(channel: Channel, from: u64) -> anyhow::Result<(Arrivals, JoinSet<()>)> {
    let request = ReadRequest { from, ..ReadRequest::default() };
    let mut events = EventServiceClient::new(channel).watch(request).await?.into_inner();
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok(Some(event)) = events.message().await {
            if sender.send((event.sequence, Instant::now())).is_err() {
                return;
            }
        }
    });
    Ok((receiver, tasks))
}

/// Tells when each of the moves should begin. A thread of its own is exact where a timer of the
/// runtime is a millisecond late; nothing that happens to a move can hold up the next one.
fn pace(options: &LatencyOptions) -> mpsc::UnboundedReceiver<Instant> {
    let (rate, count) = (options.rate.max(1), options.rate * (options.seconds + 1));
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let start = Instant::now();
        for number in 0..count {
            let at = start + Duration::from_secs(1) * number / rate;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if sender.send(at).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn drive(
    channel: &Channel,
    options: &LatencyOptions,
) -> anyhow::Result<(Vec<Moved>, Duration)> {
    let started = Instant::now();
    let (mut turns, mut tasks, mut number) = (pace(options), JoinSet::new(), 0);
    while let Some(intended) = turns.recv().await {
        tasks.spawn(move_card(BoardServiceClient::new(channel.clone()), number, intended));
        number += 1;
    }
    let mut moved = Vec::new();
    while let Some(done) = tasks.join_next().await {
        moved.push(done??);
    }
    ensure!(!moved.is_empty(), "the rate or the time is 0");
    Ok((moved, started.elapsed()))
}

async fn move_card(
    mut board: BoardServiceClient<Channel>,
    number: u64,
    intended: Instant,
) -> anyhow::Result<Moved> {
    let turn = usize::try_from(number / CARDS)? + 1;
    let column = *COLUMNS.get(turn % COLUMNS.len()).context("there are no columns")?;
    let request = MoveCardRequest {
        stream: STREAM.into(),
        card: name(number % CARDS),
        column: column.into(),
        ..MoveCardRequest::default()
    };
    let card = request.card.clone();
    let sequence = board.move_card(request).await?.into_inner().sequence;
    let acknowledged = Instant::now();
    let query = GetCardRequest {
        stream: STREAM.into(),
        card,
        min_sequence: sequence,
        ..GetCardRequest::default()
    };
    let found = board.get_card(query).await?.into_inner();
    let place = found.card.map(|card| card.column).unwrap_or_default();
    // A card that is slow may have been moved on by its next turn, which is no fault.
    ensure!(found.sequence >= sequence && !place.is_empty(), "the move is not to be seen");
    Ok(Moved { intended, sequence, acknowledged, visible: Instant::now() })
}

/// Leaves out the first second, in which connections and caches warm up.
fn summed(moved: &[Moved], arrivals: &HashMap<u64, Instant>, options: &LatencyOptions) -> Seen {
    let first = moved.iter().map(|it| it.intended).min();
    let warm = first.map(|first| first + Duration::from_secs(1));
    let mut seen = Seen::default();
    for it in moved.iter().filter(|it| options.seconds == 0 || Some(it.intended) >= warm) {
        seen.acknowledged.add(it.acknowledged - it.intended);
        seen.visible.add(it.visible - it.intended);
        if let Some(at) = arrivals.get(&it.sequence) {
            seen.watched.add(at.saturating_duration_since(it.intended));
        }
    }
    seen
}

/// The same rate with nothing but JetStream: a publish until an ordered consumer gives it.
async fn raw_jetstream(
    jetstream: &Arc<JetStream>,
    options: &LatencyOptions,
) -> anyhow::Result<Sample> {
    let mut followed = jetstream.followed().await?;
    let send = |bytes| {
        let jetstream = Arc::clone(jetstream);
        async move { jetstream.publish(bytes).await }
    };
    let next = async || {
        let message = followed.next().await.context("the consumer has ended")??;
        Ok(vec![message.message.payload])
    };
    paced(options, send, next).await
}

/// The same rate with nothing but the log: an append of one entry until its tail gives it.
async fn raw(folder: &Path, options: &LatencyOptions) -> anyhow::Result<Sample> {
    let log = Arc::new(dataset::open(folder)?);
    let mut tail = log.tail(1);
    let send = |bytes: Bytes| {
        let log = Arc::clone(&log);
        async move {
            let id = EventId::derive("bench", &format!("{:?}", bytes.last_chunk::<8>()), 0);
            let entry = NewEntry { subject: dataset::board(), id, bytes };
            log.append(Append { conditions: vec![], entries: vec![entry] }).await?;
            Ok(())
        }
    };
    let next = async || {
        let entries = tail.next(dataset::BATCH).await?;
        Ok(entries.into_iter().map(|entry| entry.bytes).collect())
    };
    paced(options, send, next).await
}

/// Sends at the rate that is asked for, and takes the time until each payload comes back; dropping
/// what `next` gives loses nothing.
async fn paced<F: Future<Output = anyhow::Result<()>> + Send + 'static>(
    options: &LatencyOptions,
    send: impl Fn(Bytes) -> F,
    mut next: impl AsyncFnMut() -> anyhow::Result<Vec<Bytes>>,
) -> anyhow::Result<Sample> {
    let mut turns = pace(options);
    let (mut tasks, mut intended, mut sample) = (JoinSet::new(), Vec::new(), Sample::default());
    let total = options.rate * (options.seconds + 1);
    let mut seen = 0;
    while seen < total {
        tokio::select! {
            Some(at) = turns.recv() => {
                let bytes = numbered(intended.len() as u64);
                intended.push(at);
                tasks.spawn(send(bytes));
            }
            came = next() => for bytes in came? {
                seen += 1;
                arrived(&bytes, &intended, options, &mut sample)?;
            },
        }
    }
    Ok(sample)
}

/// A payload that carries its number, since messages may overtake each other.
fn numbered(number: u64) -> Bytes {
    let mut bytes = vec![b'x'; 500];
    bytes.extend(number.to_be_bytes());
    bytes.into()
}

fn arrived(
    bytes: &[u8],
    intended: &[Instant],
    options: &LatencyOptions,
    sample: &mut Sample,
) -> anyhow::Result<()> {
    let number = bytes.last_chunk().copied().map_or(0, u64::from_be_bytes);
    let at = intended.get(usize::try_from(number)?);
    if let Some(at) = at.filter(|_| number >= u64::from(options.rate)) {
        sample.add(at.elapsed());
    }
    Ok(())
}

fn report(
    place: &Place,
    machine: Machine,
    options: &LatencyOptions,
    seen: &Seen,
    raw: &(&str, Sample),
    achieved: f64,
    usage: child::Usage,
) -> Report {
    let mut table = Table::new(["what", "p50_ms", "p95_ms", "p99_ms", "max_ms"]);
    for (name, sample) in [
        ("acknowledged", &seen.acknowledged),
        ("visible to a query", &seen.visible),
        ("seen by a watcher", &seen.watched),
        (raw.0, &raw.1),
    ] {
        let [p50, p95, p99, max] = sample.percentiles([50.0, 95.0, 99.0, 100.0]);
        table.row([json!(name), p50, p95, p99, max]);
    }
    let [p99] = seen.visible.percentiles([99.0]);
    Report {
        name: "latency",
        command: place.command.clone(),
        machine,
        table,
        targets: vec![Target::most(
            format!("p99 in ms from a command to a query at {}/s", options.rate),
            5.0,
            p99.as_f64().unwrap_or(f64::INFINITY),
        )],
        notes: vec![format!(
            "Measured from when each move should have begun, whether or not those before it were \
             answered. {achieved} moves a second were reached; the server's memory was {} MiB at \
             its most. Client and server share the cores.",
            Value::from(usage.peak)
        )],
    }
}
