//! Events: publish facts, read the log, watch it from a sequence.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use takt_domain::StreamName;
use takt_engine::{Error, Published};
use takt_ports::{Entry, EventLog, LogError, Tail};
use takt_proto::v1;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::status::{invalid, stopped};
use super::{PUBLISH_DEADLINE, Services, checks, deadline, deadline_or, status, stream_name};

/// The most events one publish may carry.
pub(crate) const MAX_EVENTS: usize = 10_000;
/// How many entries are read at once.
const BATCH: usize = 256;

type Sender = mpsc::Sender<Result<v1::Event, Status>>;
/// Events of the log, one after another; an error is the last.
pub(crate) type Events = ReceiverStream<Result<v1::Event, Status>>;

/// What became of one fact, for the wire.
pub(super) fn result(published: Published) -> v1::PublishResult {
    use v1::publish_result::Result as R;
    let result = match published {
        Published::Recorded { sequence } => R::Recorded(v1::Recorded { sequence }),
        Published::Duplicate { sequence } => R::Duplicate(v1::Duplicate { sequence }),
        Published::Dead { id, reason, place, remedy } => {
            R::Dead(v1::Dead { id: id.to_string(), reason, place, remedy })
        }
    };
    v1::PublishResult { result: Some(result) }
}

/// Which entries a reader wants: those of a stream without bookkeeping, or all.
struct Wanted {
    stream: Option<StreamName>,
    left: u64,
}

impl Wanted {
    fn of(asked: &v1::ReadRequest) -> Result<Self, Status> {
        let stream = (!asked.stream.is_empty()).then(|| stream_name(&asked.stream)).transpose()?;
        Ok(Self { stream, left: if asked.limit == 0 { u64::MAX } else { asked.limit } })
    }

    fn event(&self, entry: &Entry) -> Option<v1::Event> {
        let recorded = takt_events::decode(entry.seq, &entry.bytes).ok();
        if let Some(stream) = &self.stream {
            let of_stream = recorded.as_ref().is_some_and(|it| it.stream == *stream);
            if entry.subject.is_system() || !of_stream {
                return None;
            }
        }
        let kind = recorded.map(|it| takt_events::type_of(&it.event).to_owned());
        Some(v1::Event {
            sequence: entry.seq,
            event: entry.bytes.clone(),
            r#type: kind.unwrap_or_default(),
        })
    }
}

/// Sends what is wanted of some entries; `false` when the reader has had enough or has gone.
async fn send(entries: &[Entry], wanted: &mut Wanted, sender: &Sender) -> bool {
    for event in entries.iter().filter_map(|entry| wanted.event(entry)).collect::<Vec<_>>() {
        if wanted.left == 0 || sender.send(Ok(event)).await.is_err() {
            return false;
        }
        wanted.left -= 1;
    }
    wanted.left > 0
}

fn failed(error: LogError) -> Status {
    match &error {
        LogError::Damaged { .. } => Status::data_loss(error.to_string()),
        LogError::Unavailable { .. } => status(error.into()),
    }
}

#[tonic::async_trait]
impl v1::event_service_server::EventService for Services {
    type ReadStream = Events;
    type WatchStream = Events;

    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let wait = deadline_or(&request, PUBLISH_DEADLINE);
        let asked = request.into_inner();
        checks::short("actor", &asked.actor)?;
        let stream = stream_name(&asked.stream)?;
        if asked.events.len() > MAX_EVENTS {
            let problem = format!("{} events at once, limit {MAX_EVENTS}", asked.events.len());
            return Err(invalid("events", &problem, "publish in several calls"));
        }
        let published = self.record(&stream, asked.events, None, wait).await?;
        let sequence = published
            .iter()
            .map(|one| match one {
                Published::Recorded { sequence } | Published::Duplicate { sequence } => *sequence,
                Published::Dead { .. } => 0,
            })
            .max()
            .unwrap_or(0);
        let results = published.into_iter().map(result).collect();
        Ok(Response::new(v1::PublishResponse { results, sequence }))
    }

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<Events>, Status> {
        let wait = deadline(&request);
        let (events, _) = self.read_events(&request.into_inner(), wait).await?;
        Ok(Response::new(events))
    }

    async fn watch(&self, request: Request<v1::ReadRequest>) -> Result<Response<Events>, Status> {
        let wait = deadline(&request);
        Ok(Response::new(self.watch_events(&request.into_inner(), wait).await?))
    }
}

impl Services {
    /// The log to its present end, and which sequence that is.
    pub(crate) async fn read_events(
        &self,
        asked: &v1::ReadRequest,
        wait: Duration,
    ) -> Result<(Events, u64), Status> {
        let wanted = Wanted::of(asked)?;
        self.known(&wanted, wait).await?;
        let log = Arc::clone(self.engine.log());
        let head = timeout(wait, log.head()).await.map_err(|_| status(Error::DeadlineExceeded))?;
        let head = head.map_err(failed)?;
        let from = asked.from.max(1);
        Ok((self.stream(|sender| read(log, from, head, wanted, sender)), head))
    }

    /// The log and what comes after it, for ever.
    pub(crate) async fn watch_events(
        &self,
        asked: &v1::ReadRequest,
        wait: Duration,
    ) -> Result<Events, Status> {
        let wanted = Wanted { left: u64::MAX, ..Wanted::of(asked)? };
        self.known(&wanted, wait).await?;
        let tail = self.engine.log().tail(asked.from.max(1));
        Ok(self.stream(|sender| watch(tail, wanted, sender)))
    }

    /// Records facts within a deadline, or the one of a dead letter that is replayed.
    pub(crate) async fn record(
        &self,
        stream: &StreamName,
        facts: Vec<Bytes>,
        letter: Option<uuid::Uuid>,
        deadline: Duration,
    ) -> Result<Vec<Published>, Status> {
        let recorded = timeout(deadline, self.engine.record(stream, facts, letter, deadline)).await;
        recorded.unwrap_or(Err(Error::DeadlineExceeded)).map_err(status)
    }

    /// That the stream whose events are wanted was made, so that a slip is no empty answer.
    async fn known(&self, wanted: &Wanted, wait: Duration) -> Result<(), Status> {
        let Some(stream) = &wanted.stream else { return Ok(()) };
        self.view(stream.as_str(), 0, wait, |_, _| Ok(())).await.map(|_| ())
    }

    /// An answer that a task of its own fills, until it has ended, the caller has gone, or the
    /// server stops: then the caller is told to come again.
    fn stream<F>(&self, work: impl FnOnce(Sender) -> F) -> Events
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(BATCH);
        let work = work(sender.clone());
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            let ended = stopping.run_until_cancelled(work).await.unwrap_or_else(|| Err(stopped()));
            if let Err(error) = ended {
                // The reader may have gone; then nobody needs to know.
                let _ = sender.send(Err(error)).await;
            }
        });
        ReceiverStream::new(receiver)
    }
}

async fn read(
    log: Arc<dyn EventLog>,
    mut from: u64,
    head: u64,
    mut wanted: Wanted,
    sender: Sender,
) -> Result<(), Status> {
    while from <= head {
        let entries = log.read(from, BATCH).await.map_err(failed)?;
        let Some(last) = entries.last() else { break };
        from = last.seq + 1;
        let known: Vec<Entry> = entries.into_iter().filter(|it| it.seq <= head).collect();
        if !send(&known, &mut wanted, &sender).await {
            break;
        }
    }
    Ok(())
}

async fn watch(mut tail: Box<dyn Tail>, mut wanted: Wanted, sender: Sender) -> Result<(), Status> {
    loop {
        let entries = tokio::select! {
            next = tail.next(BATCH) => next.map_err(failed)?,
            () = sender.closed() => return Ok(()),
        };
        if !send(&entries, &mut wanted, &sender).await {
            return Ok(());
        }
    }
}
