//! The handle that servers hold: calls go in, answers come out.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use takt_domain::{BoardId, Recorded, StreamName, andon, board, stream};
use takt_ports::{
    DeadLetters, EventLog, Inbox, Lease, OutMessage, Outbox, ReadStore, Relay, Telling,
};
use takt_projections::World;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::commands::{Call, Command, Receipt};
use crate::error::{Error, StartError};
use crate::facts::{Came, Parse, Published, TextOf};
use crate::leases;
use crate::mailbox::{self, Answer, Task};
use crate::shared::Shared;
use crate::verify::Verified;
use crate::{fold, outlet, reactions, relay, save, verify};

/// How many calls may wait in one stream's mailbox before callers wait too.
const MAILBOX: usize = 1024;
/// How long a publish may take in all.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(60);

/// What an engine is made of.
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Where misfits go.
    pub dead: Arc<dyn DeadLetters>,
    /// The keeper of the saved read side.
    pub store: Arc<dyn ReadStore>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How bytes become facts.
    pub parse: Parse,
    /// How a message of the inbox becomes the bytes of a fact.
    pub text_of: TextOf,
    /// What subscribers are told of an event.
    pub outlet: Outlet,
    /// Where subscribers are told, if anywhere.
    pub outbox: Option<Arc<dyn Outbox>>,
    /// What many nodes on one log share; without it this is the only one.
    pub nodes: Option<Nodes>,
}

/// What many nodes on one log share.
#[derive(Clone)]
pub struct Nodes {
    /// Who does what only one may do.
    pub lease: Arc<dyn Lease>,
    /// What services publish.
    pub inbox: Arc<dyn Inbox>,
    /// How nodes call each other.
    pub relay: Arc<dyn Relay>,
}

/// What subscribers are told of an event, in order; nothing for most. It is told with the event
/// what the event cannot say by itself.
pub type Outlet = fn(&Telling<'_>) -> Vec<OutMessage>;

/// Whether the engine can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It follows the log.
    Following,
    /// The log is away, and why: reads are served as they were, and nothing can be recorded.
    Cut(String),
    /// It has stopped following, and why; reads are refused.
    Broken(String),
}

impl Health {
    /// Why nothing can be recorded now, if it cannot.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Following => None,
            Self::Cut(reason) | Self::Broken(reason) => Some(reason.clone()),
        }
    }

    /// What a call that would record something is answered with, if nothing can be.
    pub(crate) fn error(&self) -> Option<Error> {
        match self {
            Self::Following => None,
            Self::Cut(reason) => Some(Error::Unavailable(reason.clone())),
            Self::Broken(reason) => Some(Error::Damaged(reason.clone())),
        }
    }
}

/// The engine; cheap to clone, all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// Loads what was saved, catches up with the log, and starts following it.
    ///
    /// # Errors
    /// When the log cannot be read, or a store that must be rebuilt cannot be emptied.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let folded = save::load(&parts).await?;
        let engine = Self { shared: Arc::new(Shared::new(parts, folded)) };
        fold::catch_up_to_head(&engine.shared).await?;
        let shared = &engine.shared;
        shared.begun.store(*shared.seen.borrow(), Ordering::SeqCst);
        shared.followers.spawn(fold::follow(Arc::clone(shared)));
        shared.followers.spawn(save::write_behind(Arc::clone(shared)));
        shared.writers.spawn(reactions::tick(engine.clone()));
        match shared.nodes.clone() {
            Some(nodes) => {
                shared.followers.spawn(fold::probe(Arc::clone(shared)));
                shared.writers.spawn(reactions::wake_holders(engine.clone()));
                shared.writers.spawn(verify::serve(engine.clone(), Arc::clone(&nodes.relay)));
                shared.writers.spawn(leases::keep(engine.clone(), nodes));
            }
            None if shared.outbox.is_some() => {
                shared.writers.spawn(outlet::of_every_stream(engine.clone()));
            }
            None => {}
        }
        Ok(engine)
    }

    /// A command to the stream itself.
    ///
    /// # Errors
    /// As every command: see [`Error`].
    pub async fn stream(
        &self,
        stream: &StreamName,
        call: Call,
        command: stream::Command,
    ) -> Result<Receipt, Error> {
        self.command(stream, call, Command::Stream(command)).await
    }

    /// A command to a board.
    ///
    /// # Errors
    /// As every command: see [`Error`].
    pub async fn board(
        &self,
        stream: &StreamName,
        board: &BoardId,
        call: Call,
        order: board::Order,
    ) -> Result<Receipt, Error> {
        self.command(stream, call, Command::Board(board.clone(), Box::new(order))).await
    }

    /// A command to the line.
    ///
    /// # Errors
    /// As every command: see [`Error`].
    pub async fn andon(
        &self,
        stream: &StreamName,
        call: Call,
        order: andon::Order,
    ) -> Result<Receipt, Error> {
        self.command(stream, call, Command::Andon(Box::new(order))).await
    }

    /// Records facts; each is answered for itself, in order.
    ///
    /// # Errors
    /// `UnknownStream`; `Unavailable` where no node holds the stream's lease, or the log cannot
    /// store: then ask again, nothing is recorded twice.
    pub async fn publish(
        &self,
        stream: &StreamName,
        facts: Vec<Bytes>,
    ) -> Result<Vec<Published>, Error> {
        self.record(stream, facts, None, PUBLISH_DEADLINE).await
    }

    /// Records facts within a deadline; a dead letter that is replayed is the only fact of its call,
    /// and passes although others wait behind it.
    ///
    /// # Errors
    /// As [`Engine::publish`], and `DeadlineExceeded`.
    pub async fn record(
        &self,
        stream: &StreamName,
        facts: Vec<Bytes>,
        letter: Option<uuid::Uuid>,
        deadline: Duration,
    ) -> Result<Vec<Published>, Error> {
        self.is_followed()?;
        let deadline = deadline.min(PUBLISH_DEADLINE);
        let asked = Instant::now();
        self.heard_of(stream, deadline).await?;
        let left = deadline.saturating_sub(asked.elapsed());
        let shared = &self.shared;
        if let Some(nodes) = shared.nodes.as_ref().filter(|_| !shared.holds(stream)) {
            return relay::publish(self, nodes, stream, (facts, letter), left).await;
        }
        let came = facts.into_iter().map(|bytes| Came {
            is_replayed: letter.is_some(),
            letter,
            ..Came::of(shared, stream, bytes)
        });
        let came = came.collect();
        self.publish_here(stream, came, deadline.saturating_sub(asked.elapsed())).await
    }

    /// Records facts on this node, which holds the stream's lease.
    pub(crate) async fn publish_here(
        &self,
        stream: &StreamName,
        came: Vec<Came>,
        deadline: Duration,
    ) -> Result<Vec<Published>, Error> {
        let (answer, answered) = oneshot::channel();
        let asked = Instant::now();
        let (shown, wait) = oneshot::channel();
        let task = Task::Facts { came, answer: Answer { result: answer, shown } };
        let published = self.ask(stream, task, answered, deadline).await?;
        until_shown(wait, deadline.saturating_sub(asked.elapsed())).await;
        Ok(published)
    }

    /// Reads the read side once it has come to `min_sequence`.
    ///
    /// # Errors
    /// `DeadlineExceeded` when it has not come so far in time; `Unavailable` when it never will.
    pub async fn view<R>(
        &self,
        min_sequence: u64,
        deadline: Duration,
        read: impl FnOnce(&World) -> R,
    ) -> Result<R, Error> {
        if let Some(error @ Error::Damaged(_)) = self.health().error() {
            return Err(error);
        }
        if *self.shared.seen.borrow() < min_sequence {
            timeout(deadline, self.shared.caught_up(min_sequence))
                .await
                .map_err(|_| Error::DeadlineExceeded)??;
        }
        Ok(self.shared.read(read))
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.shared.log
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> &Arc<dyn DeadLetters> {
        &self.shared.dead
    }

    /// Everything folded from now on; a slow receiver lags and must read the log instead.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Recorded>> {
        self.shared.changes.subscribe()
    }

    /// Whether the engine follows the log.
    pub fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    /// Tells when the health changes.
    pub fn health_changes(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// The last sequence folded, and the last one saved.
    pub fn progress(&self) -> (u64, u64) {
        (*self.shared.seen.borrow(), *self.shared.saved.borrow())
    }

    /// The time, as the engine has it.
    pub fn now(&self) -> takt_domain::Time {
        self.shared.clock.now()
    }

    /// Folds the whole log anew beside the live read side, and compares.
    /// Returns the live hash and the hash by replay, both at the same sequence.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn verify(&self) -> Result<([u8; 32], [u8; 32], u64), Error> {
        let (live, seq) = self.shared.read(|world| (world.hash(), world.seq));
        let nothing = Default::default();
        let (replayed, _) = fold::replay(&self.shared.log, nothing, seq).await?;
        Ok((live, replayed.hash(), seq))
    }

    /// Folds the whole log anew once, and compares the read side of every node that answers, each
    /// at its own sequence.
    ///
    /// # Errors
    /// When the log cannot be read, or the nodes cannot be asked.
    pub async fn verify_all(&self) -> Result<Vec<Verified>, Error> {
        verify::all(self).await
    }

    /// What became of the facts that this node has recorded since it was started.
    pub fn counts(&self) -> (u64, u64, u64) {
        self.shared.counts.get()
    }

    /// How many leases this node holds: one for each stream that it works on, and one of its own.
    pub fn leases_held(&self) -> u64 {
        self.shared.leases.count()
    }

    /// Folds the whole log anew, puts the result in the place of the live read side, and saves it
    /// in an empty store. Calls are served meanwhile; facts and commands wait for a moment at the
    /// end. Returns the sequence it has come to.
    ///
    /// # Errors
    /// When the log cannot be read or the store cannot be emptied; then the live read side stays.
    pub async fn rebuild(&self) -> Result<u64, Error> {
        let shared = &self.shared;
        let log = &shared.log;
        let seq = shared.read(|world| world.seq);
        let folded = fold::replay(log, Default::default(), seq).await?;
        let folding = shared.folding.lock().await;
        let seq = shared.read(|world| world.seq);
        let folded = fold::replay(log, folded, seq).await?;
        save::replace(shared, folded).await?;
        drop(folding);
        Ok(seq)
    }

    /// Stops taking calls, finishes those that wait, saves, and ends all tasks.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.token.cancel();
        self.mailboxes().clear();
        shared.writers.close();
        shared.writers.wait().await;
        if let Some(nodes) = &shared.nodes {
            leases::release(self, nodes).await;
        }
        shared.done.cancel();
        shared.followers.close();
        shared.followers.wait().await;
        if let Err(error) = fold::catch_up_to_head(shared).await {
            tracing::warn!(%error, "the last entries were not folded; the next start folds them");
        }
        save::save(shared).await;
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    async fn command(
        &self,
        stream: &StreamName,
        call: Call,
        command: Command,
    ) -> Result<Receipt, Error> {
        self.is_followed()?;
        let (deadline, asked) = (call.deadline, Instant::now());
        if !matches!(command, Command::Stream(stream::Command::Create { .. })) {
            self.heard_of(stream, deadline).await?;
        }
        let (answer, answered) = oneshot::channel();
        let (shown, wait) = oneshot::channel();
        let left = deadline.saturating_sub(asked.elapsed());
        let task = Task::Command { call, command, answer: Answer { result: answer, shown } };
        let receipt = self.ask(stream, task, answered, left).await?;
        until_shown(wait, deadline.saturating_sub(asked.elapsed())).await;
        Ok(receipt)
    }

    /// Refuses what would write while the log is away.
    fn is_followed(&self) -> Result<(), Error> {
        self.health().error().map_or(Ok(()), Err)
    }

    /// Refuses a name that nobody has asked to create, so that invented names get no mailbox.
    /// A stream with a mailbox may be in the log and not yet folded; its mailbox decides. One that
    /// another node has made a moment ago is found at the log's head.
    async fn heard_of(&self, stream: &StreamName, deadline: Duration) -> Result<(), Error> {
        let is_known = || {
            self.mailboxes().contains_key(stream)
                || self.shared.read(|world| world.streams.contains_key(stream))
        };
        if !is_known() {
            let shared = &self.shared;
            let look = async { shared.settled(shared.log.head().await?).await };
            timeout(deadline, look).await.map_err(|_| Error::DeadlineExceeded)??;
        }
        if is_known() { Ok(()) } else { Err(Error::UnknownStream(stream.clone())) }
    }

    async fn ask<T>(
        &self,
        stream: &StreamName,
        task: Task,
        answered: oneshot::Receiver<Result<T, Error>>,
        deadline: Duration,
    ) -> Result<T, Error> {
        let asked = async {
            let mailbox = self.mailbox(stream)?;
            let stopped = || Error::Unavailable("the engine is shutting down".to_owned());
            mailbox.send(task).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        };
        timeout(deadline, asked).await.map_err(|_| Error::DeadlineExceeded)?
    }

    pub(crate) fn mailbox(&self, stream: &StreamName) -> Result<mpsc::Sender<Task>, Error> {
        let mut mailboxes = self.mailboxes();
        // Looked at under the lock: a mailbox made after the others were closed would never end.
        if self.shared.token.is_cancelled() {
            return Err(Error::Unavailable("the engine is shutting down".to_owned()));
        }
        if let Some(known) = mailboxes.get(stream) {
            return Ok(known.clone());
        }
        let (sender, receiver) = mpsc::channel(MAILBOX);
        self.shared.writers.spawn(mailbox::run(Arc::clone(&self.shared), stream.clone(), receiver));
        mailboxes.insert(stream.clone(), sender.clone());
        Ok(sender)
    }

    pub(crate) fn mailboxes(&self) -> MutexGuard<'_, BTreeMap<StreamName, mpsc::Sender<Task>>> {
        self.shared.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until queries see what was recorded and what follows from it, so that who asks next finds
/// it. When that takes too long the answer is given all the same: the log has what was done.
async fn until_shown(shown: oneshot::Receiver<()>, patience: Duration) {
    let _ = timeout(patience, shown).await;
}
