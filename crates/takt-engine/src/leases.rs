//! Which streams this node does the work of that only one node may do at a time.
//!
//! A lease counts as held only for two thirds of its length from the instant before it was asked
//! for, on the monotonic clock, so that this node stops before another may begin. It saves work and
//! proves nothing: every write under it carries an exact expectation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use takt_domain::StreamName;
use takt_ports::{Lease, LeaseError};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Health, Nodes};
use crate::{intake, outlet, relay, strays};

/// The lease of what belongs to no stream.
const SYS: &str = "$sys";
/// What the lease of a stream begins with, so that no stream's name can meet another lease.
const STREAM: &str = "stream/";
/// How often new streams are looked for.
const BEAT: Duration = Duration::from_millis(100);
/// How many leases are asked for at once.
const AT_ONCE: usize = 32;
/// How long giving all leases back may take: what is not given back ends by itself.
const RELEASE: Duration = Duration::from_secs(2);

/// What a lease is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    /// What belongs to no stream.
    Sys,
    /// The work of a stream.
    Stream(StreamName),
}

/// The name of the lease.
impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sys => f.write_str(SYS),
            Self::Stream(stream) => write!(f, "{STREAM}{stream}"),
        }
    }
}

/// Which node holds a stream's lease now, if one does.
pub(crate) async fn holder(
    lease: &dyn Lease,
    stream: &StreamName,
) -> Result<Option<uuid::Uuid>, LeaseError> {
    let name = Of::Stream(stream.clone()).to_string();
    let holders = lease.holders().await?;
    Ok(holders.into_iter().find(|(held, _)| *held == name).map(|(_, node)| node))
}

/// What people call a lease: the stream that it is for, where it is for one.
pub fn shown_lease(name: &str) -> &str {
    name.strip_prefix(STREAM).unwrap_or(name)
}

/// The leases that this node believes in.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<BTreeMap<Of, (Instant, u64)>>,
    terms: AtomicU64,
}

impl Leases {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Of, (Instant, u64)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In which term this node holds a stream's lease, if it does: another each time that it is
    /// gained.
    pub(crate) fn term(&self, stream: &StreamName) -> Option<u64> {
        self.term_of(&Of::Stream(stream.clone()))
    }

    fn term_of(&self, of: &Of) -> Option<u64> {
        let held = self.held();
        let (until, term) = held.get(of)?;
        (*until > Instant::now()).then_some(*term)
    }

    /// How many leases this node holds.
    pub(crate) fn count(&self) -> u64 {
        let now = Instant::now();
        self.held().values().filter(|(until, _)| *until > now).count() as u64
    }

    fn gain(&self, of: Of, until: Instant) {
        let mut held = self.held();
        let term = match held.get(&of) {
            Some((before, term)) if *before > Instant::now() => *term,
            Some(_) | None => self.terms.fetch_add(1, Ordering::SeqCst) + 1,
        };
        held.insert(of, (until, term));
    }

    fn lose(&self, of: &Of) {
        self.held().remove(of);
    }
}

/// Asks for the lease of every stream until the engine stops, and does the work of those it holds.
pub(crate) async fn keep(engine: Engine, nodes: Nodes) {
    let token = engine.shared().token.clone();
    let every = nodes.lease.ttl() / 3;
    let mut asked: BTreeMap<Of, Instant> = BTreeMap::new();
    let mut work = Work::default();
    loop {
        for some in due(&engine, &asked, every).chunks(AT_ONCE) {
            let at = Instant::now();
            ask(&engine, &nodes.lease, some).await;
            asked.extend(some.iter().map(|of| (of.clone(), at)));
        }
        work.follow(&engine, &nodes, asked.keys());
        tokio::select! {
            () = token.cancelled() => break,
            () = tokio::time::sleep(every.min(BEAT)) => {}
        }
    }
    work.end();
}

/// The leases that it is time to ask for.
fn due(engine: &Engine, asked: &BTreeMap<Of, Instant>, every: Duration) -> Vec<Of> {
    let streams: Vec<Of> =
        engine.shared().read(|world| world.streams.keys().cloned().map(Of::Stream).collect());
    let is_due = |of: &Of| asked.get(of).is_none_or(|at| at.elapsed() >= every);
    streams.into_iter().chain([Of::Sys]).filter(is_due).collect()
}

async fn ask(engine: &Engine, lease: &Arc<dyn Lease>, some: &[Of]) {
    let mut asking = JoinSet::new();
    for of in some {
        let (of, shared, lease) = (of.clone(), Arc::clone(engine.shared()), Arc::clone(lease));
        asking.spawn(async move {
            let before = Instant::now();
            match timeout(lease.ttl() / 3, lease.hold(&of.to_string())).await {
                Ok(Ok(Some(_))) => shared.leases.gain(of, before + lease.ttl() * 2 / 3),
                Ok(Ok(None)) => shared.leases.lose(&of),
                // Nobody can tell: what was granted before holds to its end, and no longer.
                Ok(Err(error)) => tracing::warn!(name = %of, %error, "a lease was not renewed"),
                Err(_) => tracing::warn!(name = %of, "nobody answered for a lease in time"),
            }
        });
    }
    while asking.join_next().await.is_some() {}
}

/// Gives every lease back that this node believes in, all at once, when nothing is written any
/// more. While the log is away nobody would hear of it.
pub(crate) async fn release(engine: &Engine, nodes: &Nodes) {
    let (leases, now) = (&engine.shared().leases, Instant::now());
    let held = std::mem::take(&mut *leases.held());
    if matches!(engine.health(), Health::Cut(_)) {
        tracing::warn!("the log is away, so the leases are not given back; they end by themselves");
        return;
    }
    let mut releasing = JoinSet::new();
    for of in held.into_iter().filter(|(_, (until, _))| *until > now).map(|(of, _)| of) {
        let lease = Arc::clone(&nodes.lease);
        releasing.spawn(async move {
            if let Err(error) = lease.release(&of.to_string()).await {
                tracing::warn!(name = %of, %error, "a lease was not given back; it ends by itself");
            }
        });
    }
    let all = async { while releasing.join_next().await.is_some() {} };
    if timeout(RELEASE, all).await.is_err() {
        tracing::warn!("leases could not be given back in time; they end by themselves");
    }
}

/// The tasks that run while a lease is held, with the term that they run in.
#[derive(Default)]
struct Work(BTreeMap<Of, (u64, CancellationToken)>);

impl Work {
    fn follow<'a>(&mut self, engine: &Engine, nodes: &Nodes, all: impl Iterator<Item = &'a Of>) {
        for of in all {
            let term = engine.shared().leases.term_of(of);
            if self.0.get(of).map(|(term, _)| *term) == term {
                continue;
            }
            if let Some((_, before)) = self.0.remove(of) {
                before.cancel();
                tracing::info!(name = %of, "the lease is lost");
            }
            if let Some(term) = term {
                tracing::info!(name = %of, "the lease is held");
                let token = engine.shared().token.child_token();
                begin(engine, nodes, of, &token);
                self.0.insert(of.clone(), (term, token));
            }
        }
    }

    fn end(self) {
        self.0.into_values().for_each(|(_, token)| token.cancel());
    }
}

fn begin(engine: &Engine, nodes: &Nodes, of: &Of, token: &CancellationToken) {
    let writers = &engine.shared().writers;
    let (engine, inbox) = (engine.clone(), Arc::clone(&nodes.inbox));
    let Of::Stream(stream) = of else {
        writers.spawn(strays::run(engine, inbox, token.clone()));
        return;
    };
    outlet::begin(&engine, stream, token);
    let relay = Arc::clone(&nodes.relay);
    writers.spawn(relay::serve_publish(engine.clone(), relay, stream.clone(), token.clone()));
    writers.spawn(intake::run(engine, inbox, stream.clone(), token.clone()));
}
