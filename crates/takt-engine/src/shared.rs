//! What all tasks of an engine share, and how they wait for the read side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};
use takt_domain::{Aggregate, Event, EventId, Meta, Recorded, StreamName, system};
use takt_ports::{DeadLetters, EventLog, Message, NewEntry, Outbox, ReadStore, Subject};
use takt_projections::{AlertRecord, World};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::engine::{Health, Nodes, Outlet, Parts};
use crate::error::Error;
use crate::facts::{Misfit, Parse, Published, TextOf, unreadable};
use crate::fold::{Folded, Trail};
use crate::leases::Leases;
use crate::mailbox::Task;

/// How many changes a slow follower may be behind before it must read the log instead.
const CHANGES: usize = 8192;

/// What all tasks share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) dead: Arc<dyn DeadLetters>,
    pub(crate) store: Arc<dyn ReadStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) parse: Parse,
    text_of: TextOf,
    pub(crate) outlet: Outlet,
    pub(crate) outbox: Option<Arc<dyn Outbox>>,
    pub(crate) nodes: Option<Nodes>,
    pub(crate) leases: Leases,
    pub(crate) counts: Counts,
    pub(crate) source: SmolStr,
    pub(crate) world: RwLock<World>,
    pub(crate) trail: Mutex<Trail>,
    /// Held while entries are folded, so that a rebuild can put a new read side in place.
    pub(crate) folding: tokio::sync::Mutex<()>,
    /// Held while rows are saved, so that one batch follows the other.
    pub(crate) saving: tokio::sync::Mutex<()>,
    /// Where the log ended when this node was started.
    pub(crate) begun: AtomicU64,
    pub(crate) seen: watch::Sender<u64>,
    pub(crate) saved: watch::Sender<u64>,
    /// Set when a batch of rows was lost: nothing is saved any more, since a later checkpoint
    /// would claim rows that were never written.
    pub(crate) unsaved: AtomicBool,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) changes: broadcast::Sender<Arc<Recorded>>,
    pub(crate) mailboxes: Mutex<BTreeMap<StreamName, mpsc::Sender<Task>>>,
    /// Cancelled when no more calls are taken.
    pub(crate) token: CancellationToken,
    /// The tasks that write to the log; they end first.
    pub(crate) writers: TaskTracker,
    /// Cancelled when the last writer has ended.
    pub(crate) done: CancellationToken,
    /// The tasks that follow the log.
    pub(crate) followers: TaskTracker,
}

impl Shared {
    /// What is shared from the start, with the read side as it was saved.
    pub(crate) fn new(parts: Parts, (world, trail): Folded) -> Self {
        let identity = parts.log.identity();
        Self {
            source: format_smolstr!("urn:takt:{}", identity.creation_id),
            log: parts.log,
            dead: parts.dead,
            store: parts.store,
            clock: parts.clock,
            parse: parts.parse,
            text_of: parts.text_of,
            outlet: parts.outlet,
            outbox: parts.outbox,
            nodes: parts.nodes,
            leases: Leases::default(),
            counts: Counts::default(),
            begun: AtomicU64::new(world.seq),
            seen: watch::Sender::new(world.seq),
            saved: watch::Sender::new(world.seq),
            unsaved: AtomicBool::new(false),
            health: watch::Sender::new(Health::Following),
            changes: broadcast::Sender::new(CHANGES),
            world: RwLock::new(world),
            trail: Mutex::new(trail),
            folding: tokio::sync::Mutex::default(),
            saving: tokio::sync::Mutex::default(),
            mailboxes: Mutex::default(),
            token: CancellationToken::new(),
            writers: TaskTracker::new(),
            done: CancellationToken::new(),
            followers: TaskTracker::new(),
        }
    }

    /// Reads the read side; a panic elsewhere cannot have left it half changed by a reader.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&World) -> R) -> R {
        read(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An event that Takt itself records of its own accord, as an entry of the log.
    pub(crate) fn own_entry(
        &self,
        stream: &StreamName,
        aggregate: &Aggregate,
        event: system::Event,
    ) -> NewEntry {
        let id = EventId(uuid::Uuid::now_v7());
        let mut meta = Meta::new(id, self.source.clone(), self.clock.now());
        meta.actor = Some(SmolStr::new_static("takt"));
        let bytes = takt_events::encode(stream, aggregate, &meta, &Event::System(event)).into();
        NewEntry { subject: Subject::of(stream, aggregate), id, bytes }
    }

    /// What is known of an alert of a stream.
    pub(crate) fn alert(&self, stream: &StreamName, id: &str) -> Option<AlertRecord> {
        self.read(|world| world.streams.get(stream)?.alerts.all.get(id).cloned())
    }

    /// Whether this node does what only one node may do for a stream.
    pub(crate) fn holds(&self, stream: &StreamName) -> bool {
        self.term(stream).is_some()
    }

    /// In which term this node holds a stream's lease, if it does; the only node always does.
    pub(crate) fn term(&self, stream: &StreamName) -> Option<u64> {
        if self.nodes.is_none() { Some(0) } else { self.leases.term(stream) }
    }

    /// A message of the inbox as one text.
    pub(crate) fn text_of(&self, message: &Message) -> Result<Bytes, Misfit> {
        match unreadable(message) {
            Some(misfit) => Err(misfit),
            None => (self.text_of)(&message.headers, &message.bytes),
        }
    }

    /// Waits until the read side has come to a sequence, or tells that it never will.
    pub(crate) async fn caught_up(&self, seq: u64) -> Result<(), Error> {
        let never = |health: &Health| health.error().filter(|it| matches!(it, Error::Damaged(_)));
        self.come_to(seq, never).await
    }

    /// As [`Shared::caught_up`], for who would write: a log that is away is not waited for.
    pub(crate) async fn settled(&self, seq: u64) -> Result<(), Error> {
        self.come_to(seq, Health::error).await
    }

    async fn come_to(
        &self,
        seq: u64,
        never: impl Fn(&Health) -> Option<Error>,
    ) -> Result<(), Error> {
        let mut seen = self.seen.subscribe();
        let mut health = self.health.subscribe();
        let stopped = || Error::Unavailable("the engine has stopped".to_owned());
        tokio::select! {
            biased;
            waited = seen.wait_for(|at| *at >= seq) => waited.map(drop).map_err(|_| stopped()),
            ended = health.wait_for(|health| never(health).is_some()) => {
                Err(ended.ok().and_then(|health| never(&health)).unwrap_or_else(stopped))
            }
        }
    }
}

/// What became of facts, counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU64; 3]);

impl Counts {
    pub(crate) fn add(&self, published: &Vec<Published>) {
        let [recorded, duplicate, dead] = &self.0;
        for one in published {
            let count = match one {
                Published::Recorded { .. } => recorded,
                Published::Duplicate { .. } => duplicate,
                Published::Dead { .. } => dead,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> (u64, u64, u64) {
        let [recorded, duplicate, dead] = self.0.each_ref().map(|it| it.load(Ordering::Relaxed));
        (recorded, duplicate, dead)
    }
}
