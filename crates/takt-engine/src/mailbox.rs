//! One value stream's mailbox: everything that writes to the stream passes through it in order.
//!
//! A decision reads the read side, which must therefore have folded everything that the mailbox
//! has written before. On one node nobody else writes to the stream, so a conflict is rare; it is
//! met by catching up and deciding again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smol_str::SmolStr;
use takt_domain::system::{Refusals, RefusalsSummed};
use takt_domain::{Aggregate, ColumnName, Event, EventId, Meta, StreamName, Time, system};
use takt_ports::{Append, AppendError, Condition, NewEntry, Subject};
use tokio::sync::{mpsc, oneshot};

use crate::ahead::Ahead;
use crate::commands::{self, Call, Command, Receipt};
use crate::error::Error;
use crate::facts::{self, Came, Published};
use crate::shared::Shared;
use crate::{position, reactions};

/// Refusals are summed for this long before they are written.
const REFUSALS_EVERY: Duration = Duration::from_secs(10);

/// How a caller is told what became of its call.
pub(crate) struct Answer<T> {
    /// What became of it, once the log has it.
    pub(crate) result: oneshot::Sender<Result<T, Error>>,
    /// Dropped when queries see it with what follows from it.
    pub(crate) shown: oneshot::Sender<()>,
}

/// What a mailbox is handed.
pub(crate) enum Task {
    /// A command.
    Command { call: Call, command: Command, answer: Answer<Receipt> },
    /// Facts that came by a call.
    Facts { came: Vec<Came>, answer: Answer<Vec<Published>> },
    /// What came from the inbox after a position.
    Taken { after: u64, came: Vec<Came>, answer: oneshot::Sender<Result<(), Error>> },
    /// Where the inbox is to be followed from.
    Position { answer: oneshot::Sender<Result<u64, Error>> },
    /// Something is pending that another node has caused.
    React,
    /// Time has passed: look at what is due and what is pending.
    Tick,
}

impl Task {
    /// Whether it records facts, many of which may follow each other.
    const fn are_facts(&self) -> bool {
        matches!(self, Self::Facts { .. } | Self::Taken { .. })
    }
}

/// What is dropped when queries see what a task has written, up to a sequence.
type Unseen = VecDeque<(u64, Option<oneshot::Sender<()>>)>;

/// How many tasks of facts may follow each other before what follows from them is looked for.
const AT_ONCE: usize = 16;

/// What a mailbox remembers between tasks.
pub(crate) struct Mailbox {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: StreamName,
    /// The last sequence this mailbox has written.
    pub(crate) written: u64,
    /// The last batches of facts among it, which may not be folded yet.
    pub(crate) ahead: Ahead,
    /// Intents up to here were answered; the cursor event may lag behind.
    pub(crate) answered: u64,
    /// How many intents of the event after that were answered too.
    pub(crate) part: usize,
    /// When the cursor was last written for no other reason.
    pub(crate) cursor_at: Option<Instant>,
    /// The term in which this node holds the stream's lease, as far as the mailbox has seen.
    term: Option<u64>,
    /// The position up to which the inbox is taken in; the one in the log may lag behind.
    pub(crate) taken: Option<u64>,
    /// When the position was last written.
    pub(crate) position_at: Option<Instant>,
    /// Whether an append has failed in a way that leaves open whether it was stored.
    is_uncertain: bool,
    pub(crate) refused: BTreeMap<(Option<ColumnName>, SmolStr), u64>,
    refused_at: Instant,
}

/// An event on its way to the log.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) aggregate: Aggregate,
    pub(crate) id: EventId,
    pub(crate) subject: SmolStr,
    bytes: Bytes,
}

impl Draft {
    /// An event of a stream as the log will have it.
    pub(crate) fn new(
        stream: &StreamName,
        aggregate: Aggregate,
        meta: Meta,
        event: &Event,
    ) -> Self {
        let bytes = takt_events::encode(stream, &aggregate, &meta, event).into();
        Self { aggregate, id: meta.id, subject: meta.subject, bytes }
    }
}

/// Runs a mailbox until its senders are gone and its queue is empty.
pub(crate) async fn run(shared: Arc<Shared>, stream: StreamName, mut tasks: mpsc::Receiver<Task>) {
    let written = *shared.seen.borrow();
    let mut mailbox = Mailbox {
        shared,
        stream,
        written,
        ahead: Ahead::default(),
        answered: 0,
        part: 0,
        cursor_at: None,
        term: None,
        taken: None,
        position_at: None,
        is_uncertain: false,
        refused: BTreeMap::new(),
        refused_at: Instant::now(),
    };
    let mut next = tasks.recv().await;
    // Of calls whose consequences are not recorded and folded yet.
    let mut unseen = Unseen::new();
    while let Some(task) = next {
        let are_facts = task.are_facts();
        let shown = mailbox.take(task).await;
        unseen.push_back((mailbox.written, shown));
        next = tasks.try_recv().ok();
        let more = are_facts && next.as_ref().is_some_and(Task::are_facts);
        if more && unseen.len() < AT_ONCE && !mailbox.is_asked() {
            let folded = mailbox.as_of();
            while unseen.front().is_some_and(|(written, _)| *written <= folded) {
                unseen.pop_front();
            }
            continue;
        }
        mailbox.react().await;
        unseen.clear();
        if next.is_none() {
            next = tasks.recv().await;
        }
    }
    mailbox.write_refusals().await;
    position::write(&mut mailbox).await;
}

impl Mailbox {
    /// Does a task; what it returns is held until what follows from the task is recorded and folded.
    async fn take(&mut self, task: Task) -> Option<oneshot::Sender<()>> {
        self.follow_lease();
        match task {
            Task::Command { call, command, answer } => {
                let result = commands::execute(self, &call, &command).await;
                // A caller that has gone away has passed its deadline; the log has the outcome.
                let _ = answer.result.send(result);
                Some(answer.shown)
            }
            Task::Facts { came, answer } => {
                let result = facts::record(self, &came).await;
                let _ = answer.result.send(result);
                Some(answer.shown)
            }
            Task::Taken { after, came, answer } => {
                let _ = answer.send(facts::take_in(self, after, &came).await.map(drop));
                None
            }
            Task::Position { answer } => {
                let _ = answer.send(position::begin(self).await);
                None
            }
            Task::React => None,
            Task::Tick => {
                self.tick().await;
                None
            }
        }
    }

    /// Records what follows from the tasks before, and waits until it is folded.
    async fn react(&mut self) {
        if self.term.is_none() {
            // What follows is for the holder to record; what was written here is shown.
            let _ = self.settle().await;
            return;
        }
        if let Err(error) = reactions::answer(self).await {
            tracing::warn!(stream = %self.stream, %error, "a reaction could not be recorded");
        }
    }

    /// Whether something that is folded asks for an answer.
    fn is_asked(&self) -> bool {
        self.shared.read(|world| {
            let view = world.streams.get(&self.stream);
            view.is_some_and(|view| view.pending.range(self.answered + 1..).next().is_some())
        })
    }

    /// What was remembered in another term may be wrong by now.
    fn follow_lease(&mut self) {
        let term = self.shared.term(&self.stream);
        if term == self.term {
            return;
        }
        (self.term, self.answered, self.part, self.cursor_at) = (term, 0, 0, None);
        (self.taken, self.position_at) = (None, None);
        // Whoever held the lease before may have written a moment ago.
        self.is_uncertain = true;
    }

    async fn tick(&mut self) {
        if self.term.is_some() {
            if let Err(error) = reactions::due(self).await {
                tracing::warn!(stream = %self.stream, %error, "what is due could not be told");
            }
            position::tick(self).await;
        }
        if self.refused_at.elapsed() >= REFUSALS_EVERY {
            self.write_refusals().await;
        }
    }

    /// Appends drafts as one batch, on the condition that their aggregates, and those in `also`,
    /// are where the read side had them when it was looked at, which was not before `as_of`.
    ///
    /// # Errors
    /// `Conflict` when another writer came first: catch up and decide again.
    pub(crate) async fn append(
        &mut self,
        drafts: &[Draft],
        also: &[Aggregate],
        as_of: u64,
    ) -> Result<u64, AppendError> {
        let mut aggregates: Vec<&Aggregate> = drafts.iter().map(|draft| &draft.aggregate).collect();
        aggregates.extend(also);
        aggregates.sort();
        aggregates.dedup();
        let heads: Vec<(u64, u64)> = self.shared.read(|world| {
            let folded = |aggregate: &&Aggregate| world.head_of(&self.stream, aggregate);
            let own = |aggregate: &&Aggregate| self.ahead.head_of(aggregate);
            aggregates.iter().map(|it| (folded(it), own(it))).collect()
        });
        let mut conditions = Vec::with_capacity(heads.len());
        for (aggregate, (folded, own)) in aggregates.into_iter().zip(heads) {
            let subject = Subject::of(&self.stream, aggregate);
            // What another node has written since was not looked at.
            if folded > own && folded > as_of {
                return Err(AppendError::Conflict { subject, expected: as_of, actual: folded });
            }
            conditions.push(Condition { subject, last_seq: folded.max(own) });
        }
        let entries = drafts
            .iter()
            .map(|draft| NewEntry {
                subject: Subject::of(&self.stream, &draft.aggregate),
                id: draft.id,
                bytes: draft.bytes.clone(),
            })
            .collect();
        let appended = self.shared.log.append(Append { conditions, entries }).await;
        self.is_uncertain |= matches!(appended, Err(AppendError::Log(_)));
        let first = appended?;
        self.written = first + (drafts.len() as u64).saturating_sub(1);
        Ok(first)
    }

    /// How far the read side has come; asked for before anything is read that a decision rests on.
    pub(crate) fn as_of(&self) -> u64 {
        self.shared.read(|world| world.seq)
    }

    /// Where an event of this stream stands, by its id.
    pub(crate) fn sequence_of(&self, id: &EventId) -> Option<u64> {
        let ahead = self.ahead.sequence_of(id);
        ahead.or_else(|| self.shared.read(|world| world.sequence_of(&self.stream, id)))
    }

    /// Waits until the read side has folded what this mailbox has written.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        if self.is_uncertain {
            return self.catch_up().await;
        }
        self.shared.settled(self.written).await
    }

    /// Waits until facts can be judged: what the mailbox remembers itself need not be folded.
    pub(crate) async fn may_judge(&mut self) -> Result<(), Error> {
        if self.is_uncertain {
            self.catch_up().await?;
        }
        self.shared.settled(self.ahead.must_be_folded(self.written)).await?;
        self.ahead.forget(self.as_of());
        Ok(())
    }

    /// Waits until the read side has folded the whole log, after a conflict.
    pub(crate) async fn catch_up(&mut self) -> Result<(), Error> {
        self.written = self.written.max(self.shared.log.head().await?);
        self.shared.settled(self.written).await?;
        self.is_uncertain = false;
        Ok(())
    }

    /// The envelope of an event that Takt itself is the source of.
    pub(crate) fn meta(&self, id: EventId, time: Time, actor: &str) -> Meta {
        Meta {
            recorded: self.shared.clock.now(),
            actor: (!actor.is_empty()).then(|| SmolStr::new(actor)),
            ..Meta::new(id, self.shared.source.clone(), time)
        }
    }

    async fn write_refusals(&mut self) {
        self.refused_at = Instant::now();
        if self.refused.is_empty() {
            return;
        }
        let refused = std::mem::take(&mut self.refused);
        let refusals = refused
            .iter()
            .map(|((column, reason), count)| Refusals {
                column: column.clone(),
                reason: reason.clone(),
                count: *count,
            })
            .collect();
        let id = EventId(uuid::Uuid::now_v7());
        let meta = self.meta(id, self.shared.clock.now(), "takt");
        let event = Event::System(system::Event::RefusalsSummed(RefusalsSummed { refusals }));
        let draft = Draft::new(&self.stream, Aggregate::Refusals, meta, &event);
        if let Err(error) = self.append(&[draft], &[], self.as_of()).await {
            tracing::warn!(stream = %self.stream, %error, "refusals could not be written yet");
            self.refused = refused;
        }
    }
}
