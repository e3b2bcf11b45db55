//! One feed for each board that is looked at: changes become patches once, for all browsers.
//!
//! Bursts are put together, the newest patches are kept so that a browser which was away gets
//! what it missed, and a feed that nobody listens to ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use takt_domain::board::Board;
use takt_domain::{Aggregate, BoardId, ColumnName, Recorded, StreamName};
use takt_engine::Engine;
use takt_projections::{LeadTime, UsualStay, Window, World, lead_time, usual_stays};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::WAIT;
use super::patch::{Shown, Touched};
use crate::grpc::Services;

/// How long changes are gathered when the board was quiet.
const GATHER: Duration = Duration::from_millis(15);
/// The shortest time between two patches.
const APART: Duration = Duration::from_millis(150);
/// The shortest time between two orders to look at everything again.
const RESETS_APART: Duration = Duration::from_secs(2);
/// How often ages are looked at, and whether anybody listens.
const SWEEP: Duration = Duration::from_secs(30);
/// How many patches are kept for browsers that were away.
const KEPT: usize = 256;
/// How many patches a browser may be behind before it must look again.
const BEHIND: usize = 64;

/// One step of a board: a patch, or the order to look at everything again.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) seq: u64,
    pub(super) patch: Option<String>,
}

/// All feeds.
#[derive(Clone)]
pub(super) struct Feeds {
    all: Arc<Mutex<BTreeMap<StreamName, Arc<Feed>>>>,
    engine: Engine,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Feeds {
    pub(super) fn new(services: &Services) -> Self {
        let (engine, stopping) = (services.engine.clone(), services.stopping.clone());
        Self { all: Arc::default(), engine, stopping, tasks: services.tasks.clone() }
    }

    /// The feed of a stream's board; it begins when it is first asked for.
    pub(super) fn of(&self, name: &StreamName) -> Arc<Feed> {
        let mut all = locked(&self.all);
        let feed = all.entry(name.clone()).or_insert_with(|| {
            // It listens before it says from where it knows all, so nothing falls in between.
            let changes = self.engine.changes();
            let feed = Arc::new(Feed::new(self.engine.progress().0));
            let pump = pump(self.clone(), name.clone(), Arc::clone(&feed), changes);
            self.tasks.spawn(self.stopping.clone().run_until_cancelled_owned(pump));
            feed
        });
        *locked(&feed.asked) = Instant::now();
        Arc::clone(feed)
    }

    /// Ends a feed that nobody listens to and nobody has asked for since the last sweep.
    fn retire(&self, name: &StreamName, feed: &Feed) -> bool {
        let mut all = locked(&self.all);
        let is_idle =
            feed.sender.receiver_count() == 0 && locked(&feed.asked).elapsed() > SWEEP * 2;
        if is_idle {
            all.remove(name);
        }
        is_idle
    }
}

/// One board's feed.
pub(super) struct Feed {
    known: Mutex<Known>,
    past: Mutex<Past>,
    sender: broadcast::Sender<Arc<Update>>,
    asked: Mutex<Instant>,
}

impl Feed {
    pub(super) fn new(base: u64) -> Self {
        Self {
            known: Mutex::default(),
            past: Mutex::new(Past { base, updates: VecDeque::new() }),
            sender: broadcast::Sender::new(BEHIND),
            asked: Mutex::new(Instant::now()),
        }
    }

    /// What is computed from all cards, and therefore seldom.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        locked(&self.known)
    }

    /// What a browser that knows the board as of `from` has missed, and what comes from now on.
    /// `head` is where the log stands.
    pub(super) fn subscribe(
        &self,
        from: Option<u64>,
        head: u64,
    ) -> (Vec<Arc<Update>>, broadcast::Receiver<Arc<Update>>) {
        let past = locked(&self.past);
        let missed = match from.filter(|from| (past.base..=head).contains(from)) {
            Some(from) => past.updates.iter().filter(|it| it.seq > from).cloned().collect(),
            None => vec![Arc::new(Update { seq: head, patch: None })],
        };
        (missed, self.sender.subscribe())
    }

    pub(super) fn push(&self, update: Update) {
        let update = Arc::new(update);
        let mut past = locked(&self.past);
        past.updates.push_back(Arc::clone(&update));
        if past.updates.len() > KEPT
            && let Some(oldest) = past.updates.pop_front()
        {
            past.base = oldest.seq;
        }
        // Nobody may be listening, which is no error.
        let _ = self.sender.send(update);
    }
}

/// The updates that are kept: all that came after `base`.
struct Past {
    base: u64,
    updates: VecDeque<Arc<Update>>,
}

/// What is computed from all cards: at most once a second, and less often on a large board.
#[derive(Default)]
pub(super) struct Known {
    pub(super) lead_time: LeadTime,
    pub(super) usual: BTreeMap<ColumnName, UsualStay>,
    board_seq: u64,
    /// When it may be computed again.
    next: Option<Instant>,
}

impl Known {
    /// Computes anew what the board's newest events have made old; whether all is fresh now.
    pub(super) fn refresh(&mut self, world: &World, name: &StreamName, board: &Board) -> bool {
        let board_seq = world.head_of(name, &Aggregate::Board(BoardId::main()));
        let begun = Instant::now();
        if self.board_seq == board_seq && self.next.is_some() {
            return true;
        }
        if self.next.is_some_and(|next| begun < next) {
            return false;
        }
        self.lead_time = lead_time(board, Window::default());
        self.usual = usual_stays(board);
        self.board_seq = board_seq;
        // At most a fiftieth of the time is spent on it.
        self.next = Some(begun + (begun.elapsed() * 50).max(Duration::from_secs(1)));
        true
    }
}

async fn pump(
    feeds: Feeds,
    name: StreamName,
    feed: Arc<Feed>,
    mut changes: broadcast::Receiver<Arc<Recorded>>,
) {
    let mut shown = Shown::default();
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut not_before = Instant::now();
    let mut stale: Option<Instant> = None;
    loop {
        let mut touched = Touched::default();
        let again = stale.unwrap_or_else(|| Instant::now() + SWEEP);
        let is_open = tokio::select! {
            change = changes.recv() => note(&mut touched, &name, change),
            _ = sweep.tick() => { touched.ages = true; !feeds.retire(&name, &feed) }
            () = sleep_until(again), if stale.is_some() => { touched.figures = true; true }
        };
        if !is_open {
            return;
        }
        if touched.is_nothing() {
            continue;
        }
        gather(&mut touched, &name, &mut changes, not_before.max(Instant::now() + GATHER)).await;
        let now = feeds.engine.now();
        let built = feeds.engine.view(0, WAIT, |world| {
            let view = world.streams.get(&name)?;
            let board = view.boards.get(&BoardId::main())?;
            let mut known = feed.known();
            let is_fresh = known.refresh(world, &name, board);
            let update = shown.update(&name, view, board, &touched, &known, now);
            Some((update.map(|patch| Update { seq: world.seq, patch }), is_fresh))
        });
        let Ok(Some((update, is_fresh))) = built.await else { continue };
        stale = (!is_fresh).then(|| feed.known().next).flatten();
        if let Some(update) = update {
            let apart = if update.patch.is_some() { APART } else { RESETS_APART };
            not_before = Instant::now() + apart;
            feed.push(update);
        }
    }
}

/// Takes in what else happens until an instant.
async fn gather(
    touched: &mut Touched,
    name: &StreamName,
    changes: &mut broadcast::Receiver<Arc<Recorded>>,
    until: Instant,
) {
    loop {
        tokio::select! {
            biased;
            () = sleep_until(until) => return,
            change = changes.recv() => if !note(touched, name, change) { return },
        }
    }
}

/// Takes one change in; whether there can be more.
fn note(
    touched: &mut Touched,
    name: &StreamName,
    change: Result<Arc<Recorded>, RecvError>,
) -> bool {
    match change {
        Ok(change) if change.stream == *name => touched.note(&change),
        Ok(_) => {}
        Err(RecvError::Lagged(_)) => touched.everything = true,
        Err(RecvError::Closed) => return false,
    }
    true
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
