//! Takes in what services publish: one node for each stream, in order, each message once.
//!
//! Messages are understood here, so that the next batch is understood while the mailbox appends the
//! one before. Every batch says after which position it comes, and the mailbox stores it with the
//! position that it leads to; so nothing is lost, doubled or overtaken when a batch fails, another
//! node takes over, or the process ends in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use takt_domain::StreamName;
use takt_ports::{Inbox, Incoming, Message, stream_token};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::Error;
use crate::facts::{BATCH, BATCH_BYTES, Came};
use crate::mailbox::Task;
use crate::shared::Shared;

/// How many batches may be on their way through the mailbox.
const ON_THEIR_WAY: usize = 2;
/// How often what is taken in is purged, at most.
const PURGE_EVERY: Duration = Duration::from_secs(2);
/// How long the intake waits after a failure, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The id of the dead letter of a message: it follows from its place in the inbox.
pub(crate) fn letter_id(inbox: uuid::Uuid, seq: u64) -> uuid::Uuid {
    uuid::Uuid::new_v5(&inbox, seq.to_string().as_bytes())
}

/// Takes in a stream's messages while its lease is held.
pub(crate) async fn run(
    engine: Engine,
    inbox: Arc<dyn Inbox>,
    stream: StreamName,
    token: CancellationToken,
) {
    let mut intake = Intake { engine, inbox, stream, purged: 0, purge_at: Instant::now() };
    let mut pause = AGAIN.0;
    loop {
        let (error, has_moved) = tokio::select! {
            () = token.cancelled() => return,
            failed = intake.follow() => failed,
        };
        pause = if has_moved { AGAIN.0 } else { (pause * 2).min(AGAIN.1) };
        tracing::warn!(stream = %intake.stream, %error, "the intake waits and tries again");
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Intake {
    engine: Engine,
    inbox: Arc<dyn Inbox>,
    stream: StreamName,
    purged: u64,
    purge_at: Instant,
}

type Taken = oneshot::Receiver<Result<(), Error>>;

impl Intake {
    /// Follows the inbox until something fails; tells whether anything was taken in.
    async fn follow(&mut self) -> (Error, bool) {
        let mut has_moved = false;
        match self.taking(&mut has_moved).await {
            Ok(never) => match never {},
            Err(error) => (error, has_moved),
        }
    }

    async fn taking(&mut self, has_moved: &mut bool) -> Result<std::convert::Infallible, Error> {
        let mut after = self.position().await?;
        let mut incoming = self.inbox.follow(&self.stream, after);
        let mut on_their_way: VecDeque<Taken> = VecDeque::new();
        loop {
            let messages = self.next(incoming.as_mut(), &mut on_their_way, has_moved).await?;
            let through = messages.last().map_or(after, |last| last.seq);
            let came = self.understood(messages).await?;
            let (answer, taken) = oneshot::channel();
            self.hand(Task::Taken { after, came, answer }).await?;
            on_their_way.push_back(taken);
            after = through;
        }
    }

    /// Waits for what comes next. It is asked for once, whatever else goes on: with a slow server
    /// asking takes longer than the time between two purges, and would begin anew for ever.
    async fn next(
        &mut self,
        incoming: &mut dyn Incoming,
        on_their_way: &mut VecDeque<Taken>,
        has_moved: &mut bool,
    ) -> Result<Vec<Message>, Error> {
        let mut next = incoming.next(BATCH, BATCH_BYTES);
        loop {
            tokio::select! {
                taken = first(on_their_way) => {
                    taken?;
                    *has_moved = true;
                }
                messages = &mut next, if on_their_way.len() < ON_THEIR_WAY => {
                    return messages.map_err(Error::unavailable);
                }
                () = tokio::time::sleep_until(self.purge_at) => self.purge().await,
            }
        }
    }

    /// Understands messages beside everything else that goes on.
    async fn understood(&self, messages: Vec<Message>) -> Result<Vec<Came>, Error> {
        let (shared, creation) = (Arc::clone(self.engine.shared()), self.inbox.creation());
        let stream = self.stream.clone();
        let understand = move || {
            let one = |message| understand(&shared, &stream, creation, message);
            messages.into_iter().map(one).collect()
        };
        let understood = tokio::task::spawn_blocking(understand).await;
        understood.map_err(Error::unavailable)
    }

    async fn position(&self) -> Result<u64, Error> {
        let (answer, position) = oneshot::channel();
        self.hand(Task::Position { answer }).await?;
        position.await.map_err(|_| stopped())?
    }

    async fn hand(&self, task: Task) -> Result<(), Error> {
        self.engine.mailbox(&self.stream)?.send(task).await.map_err(|_| stopped())
    }

    /// The position that the log has.
    fn durable(&self) -> u64 {
        self.engine.shared().read(|world| {
            let view = world.streams.get(&self.stream);
            view.map_or(0, |view| view.intake.position(self.inbox.creation()))
        })
    }

    /// Purges what is taken in; what cannot be purged now is purged with what comes later.
    async fn purge(&mut self) {
        self.purge_at = Instant::now() + PURGE_EVERY;
        let through = self.durable();
        if through <= self.purged {
            return;
        }
        match self.inbox.purge(&stream_token(&self.stream), through).await {
            Ok(()) => self.purged = through,
            Err(error) => {
                tracing::warn!(stream = %self.stream, %error, "the inbox could not be purged yet");
            }
        }
    }
}

fn understand(shared: &Shared, stream: &StreamName, inbox: uuid::Uuid, message: Message) -> Came {
    let (seq, letter) = (message.seq, Some(letter_id(inbox, message.seq)));
    let came = match shared.text_of(&message) {
        Ok(text) => Came::of(shared, stream, text),
        Err(misfit) => Came::misfit(message.bytes, misfit),
    };
    Came { seq, letter, ..came }
}

/// Waits until the oldest batch is taken in; for ever when there is none.
async fn first(on_their_way: &mut VecDeque<Taken>) -> Result<(), Error> {
    let Some(oldest) = on_their_way.front_mut() else { return std::future::pending().await };
    let taken = oldest.await;
    on_their_way.pop_front();
    taken.map_err(|_| stopped())?
}

fn stopped() -> Error {
    Error::Unavailable("the engine is shutting down".to_owned())
}
