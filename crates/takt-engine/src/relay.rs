//! Facts that are published on a node without the stream's lease, passed on to the one that holds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use takt_domain::StreamName;
use takt_ports::{Called, MOST_RELAYED_BYTES, Relay, RelayError, stream_token};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::dead;
use crate::engine::{Engine, Nodes};
use crate::error::Error;
use crate::facts::{Came, Published};
use crate::leases;
use crate::position::nobody;

/// How many facts one call passes on.
const MOST_FACTS: usize = 1000;
/// How many bytes of facts one call passes on, with room for what stands before them.
const MOST_BYTES: usize = MOST_RELAYED_BYTES - 64 * 1024;
/// How many calls are worked on at once for one stream.
const AT_ONCE: usize = 16;
/// How long a relay that cannot be served is left alone.
const AGAIN: Duration = Duration::from_millis(500);

/// How long a call waits for a holder where there is none, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(2);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// When it is first looked who holds the lease that a call is for, and how often then.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_secs(2);

/// What stands before the facts of a call.
#[derive(Serialize, Deserialize)]
struct Asked {
    /// How long the caller waits.
    wait_millis: u64,
    /// The dead letter that the only fact is kept in, if it is replayed.
    letter: Option<uuid::Uuid>,
    lengths: Vec<usize>,
}

/// What a call is answered with, and up to where the log shows what follows from it.
type Answered = Result<(Vec<Published>, u64), Refused>;

#[derive(Serialize, Deserialize)]
enum Refused {
    UnknownStream,
    TooLarge(String),
    DeadlineExceeded,
    Unavailable(String),
}

fn name(stream: &StreamName) -> String {
    format!("publish.{}", stream_token(stream))
}

/// Passes facts on to the node that holds the stream's lease, in as many calls as it takes.
pub(crate) async fn publish(
    engine: &Engine,
    nodes: &Nodes,
    stream: &StreamName,
    (facts, letter): (Vec<Bytes>, Option<uuid::Uuid>),
    deadline: Duration,
) -> Result<Vec<Published>, Error> {
    let asked = Instant::now();
    let left = || deadline.checked_sub(asked.elapsed()).ok_or(Error::DeadlineExceeded);
    let mut published = Vec::with_capacity(facts.len());
    let mut seen = 0;
    let mut rest = facts.as_slice();
    while let Some(first) = rest.first() {
        let fits = fitting(rest);
        if fits == 0 {
            published.push(too_long(engine, stream, first).await?);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (now, later) = rest.split_at(fits);
        let (answers, through) = call(nodes, stream, (now, letter), left()?).await?;
        published.extend(answers);
        seen = through.max(seen);
        rest = later;
    }
    // Who publishes here finds it here; when that takes too long the log has it all the same.
    let _ = tokio::time::timeout(left()?, engine.shared().caught_up(seen)).await;
    Ok(published)
}

/// How many of the first facts fit in one call; 0 when the first fits in none.
fn fitting(facts: &[Bytes]) -> usize {
    let mut bytes = 0;
    let fits = facts.iter().take(MOST_FACTS).take_while(|fact| {
        bytes += fact.len();
        bytes <= MOST_BYTES
    });
    fits.count()
}

/// A fact that is too long for a call is too long for any log, so it is a dead letter at once.
async fn too_long(engine: &Engine, stream: &StreamName, bytes: &Bytes) -> Result<Published, Error> {
    let shared = engine.shared();
    match (shared.parse)(bytes, shared.clock.now()) {
        Ok(_) => Err(Error::TooLarge(format!("the event has {} bytes", bytes.len()))),
        Err(misfit) => {
            let id = dead::id_of(stream, bytes, None);
            dead::keep(shared, stream, id, bytes, misfit).await
        }
    }
}

/// Asks the holder. A stream that was just made has none for a moment, and one whose holder has ended
/// has another soon.
async fn ask(
    nodes: &Nodes,
    stream: &StreamName,
    request: Bytes,
    wait: Duration,
) -> Result<Bytes, Error> {
    let asked = Instant::now();
    let patience = wait.min(PATIENCE);
    loop {
        let name = name(stream);
        let answered = tokio::select! {
            answered = nodes.relay.ask(&name, request.clone(), wait) => answered,
            () = changed_hands(nodes, stream) => {
                return Err(Error::Unavailable(format!(
                    "the node that holds `{stream}` went away with the call; ask again, nothing \
                     is recorded twice"
                )));
            }
        };
        match answered {
            Ok(answer) => return Ok(answer),
            Err(RelayError::Nobody(_)) if asked.elapsed() < patience => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Err(RelayError::Nobody(_)) => return Err(nobody()),
            Err(error @ RelayError::Unanswered(_)) => {
                return Err(Error::unavailable(error));
            }
        }
    }
}

/// Ends when another node holds the stream's lease than a moment after the call, or none: whoever was
/// asked does not answer any more. Most calls are answered before anybody looks.
async fn changed_hands(nodes: &Nodes, stream: &StreamName) {
    tokio::time::sleep(FIRST_LOOK).await;
    let mut first = None;
    loop {
        // While the leases are away nobody knows.
        if let Ok(now) = leases::holder(nodes.lease.as_ref(), stream).await
            && *first.get_or_insert(now) != now
        {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn call(
    nodes: &Nodes,
    stream: &StreamName,
    (facts, letter): (&[Bytes], Option<uuid::Uuid>),
    wait: Duration,
) -> Result<(Vec<Published>, u64), Error> {
    let wait_millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let lengths = facts.iter().map(Bytes::len).collect();
    let request = written(&Asked { wait_millis, letter, lengths }, facts)?;
    let answer = ask(nodes, stream, request, wait).await?;
    let answered: Answered = serde_json::from_slice(&answer).map_err(|error| {
        Error::Unavailable(format!("the holder's answer does not read: {error}"))
    })?;
    answered.map_err(|refused| match refused {
        Refused::UnknownStream => Error::UnknownStream(stream.clone()),
        Refused::TooLarge(problem) => Error::TooLarge(problem),
        Refused::DeadlineExceeded => Error::DeadlineExceeded,
        Refused::Unavailable(reason) => Error::Unavailable(reason),
    })
}

/// The length of what stands before the facts, that itself in JSON, and the facts.
fn written(asked: &Asked, facts: &[Bytes]) -> Result<Bytes, Error> {
    let head = serde_json::to_vec(asked).map_err(|error| Error::TooLarge(error.to_string()))?;
    let length = u32::try_from(head.len()).map_err(|error| Error::TooLarge(error.to_string()))?;
    let mut request = BytesMut::new();
    request.put_u32(length);
    request.put_slice(&head);
    facts.iter().for_each(|fact| request.put_slice(fact));
    Ok(request.freeze())
}

fn read(request: &Bytes) -> Option<(Asked, Vec<Bytes>)> {
    let (length, rest) = request.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let asked: Asked = serde_json::from_slice(rest.get(..length)?).ok()?;
    let mut at = 4 + length;
    let mut facts = Vec::with_capacity(asked.lengths.len().min(MOST_FACTS));
    for length in &asked.lengths {
        let end = at.checked_add(*length)?;
        request.get(at..end)?;
        facts.push(request.slice(at..end));
        at = end;
    }
    Some((asked, facts))
}

/// Records what other nodes pass on, while this one holds the stream's lease.
pub(crate) async fn serve_publish(
    engine: Engine,
    relay: Arc<dyn Relay>,
    stream: StreamName,
    token: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            error = serve(&engine, relay.as_ref(), &stream, &places) => {
                tracing::warn!(%stream, error, "other nodes' facts cannot be taken yet");
            }
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn serve(
    engine: &Engine,
    relay: &dyn Relay,
    stream: &StreamName,
    places: &Arc<Semaphore>,
) -> String {
    let mut serving = match relay.serve(&name(stream)).await {
        Ok(serving) => serving,
        Err(error) => return error.to_string(),
    };
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        let Some(called) = serving.next().await else { break };
        let (engine, stream) = (engine.clone(), stream.clone());
        engine.shared().writers.clone().spawn(async move {
            answer(&engine, &stream, called).await;
            drop(place);
        });
    }
    "no more calls come".to_owned()
}

async fn answer(engine: &Engine, stream: &StreamName, called: Box<dyn Called>) {
    let answered: Answered = match read(called.request()) {
        None => Err(Refused::Unavailable("the call does not read".to_owned())),
        Some((asked, facts)) => {
            let came = facts.into_iter().map(|bytes| Came {
                is_replayed: asked.letter.is_some(),
                letter: asked.letter,
                ..Came::of(engine.shared(), stream, bytes)
            });
            let wait = Duration::from_millis(asked.wait_millis);
            let published = engine.publish_here(stream, came.collect(), wait).await;
            published.map(|it| (it, engine.progress().0)).map_err(refused)
        }
    };
    if let Ok(answer) = serde_json::to_vec(&answered) {
        called.answer(answer.into()).await;
    }
}

fn refused(error: Error) -> Refused {
    match error {
        Error::UnknownStream(_) => Refused::UnknownStream,
        Error::TooLarge(problem) => Refused::TooLarge(problem),
        Error::DeadlineExceeded => Refused::DeadlineExceeded,
        Error::Unavailable(reason) => Refused::Unavailable(reason),
        Error::Rejected(_)
        | Error::Aborted { .. }
        | Error::KeyReused { .. }
        | Error::Damaged(_) => Refused::Unavailable(error.to_string()),
    }
}
