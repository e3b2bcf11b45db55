//! Which streams this node does the work of that only one node may do at a time.
//!
//! A lease counts as held only for two thirds of its length from the instant before it was asked
//! for, on the monotonic clock, so that this node stops before another may begin. It saves work and
//! proves nothing: every write under it carries an exact expectation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::{SmolStr, ToSmolStr};
use takt_domain::StreamName;
use takt_ports::Lease;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Nodes};
use crate::{intake, outlet, relay, strays};

/// The lease of what belongs to no stream.
const SYS: &str = "$sys";
/// How often new streams are looked for.
const BEAT: Duration = Duration::from_millis(100);
/// How many leases are asked for at once.
const AT_ONCE: usize = 32;

/// The leases that this node believes in.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<BTreeMap<SmolStr, (Instant, u64)>>,
    terms: AtomicU64,
}

impl Leases {
    fn held(&self) -> MutexGuard<'_, BTreeMap<SmolStr, (Instant, u64)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In which term this node holds a lease, if it does: another each time that it is gained.
    pub(crate) fn term(&self, name: &str) -> Option<u64> {
        let held = self.held();
        let (until, term) = held.get(name)?;
        (*until > Instant::now()).then_some(*term)
    }

    /// How many leases this node holds.
    pub(crate) fn count(&self) -> u64 {
        let now = Instant::now();
        self.held().values().filter(|(until, _)| *until > now).count() as u64
    }

    fn gain(&self, name: &str, until: Instant) {
        let mut held = self.held();
        let term = match held.get(name) {
            Some((before, term)) if *before > Instant::now() => *term,
            Some(_) | None => self.terms.fetch_add(1, Ordering::SeqCst) + 1,
        };
        held.insert(name.into(), (until, term));
    }

    fn lose(&self, name: &str) {
        self.held().remove(name);
    }
}

/// Asks for the lease of every stream until the engine stops, and does the work of those it holds.
pub(crate) async fn keep(engine: Engine, nodes: Nodes) {
    let token = engine.shared().token.clone();
    let every = nodes.lease.ttl() / 3;
    let mut asked: BTreeMap<SmolStr, Instant> = BTreeMap::new();
    let mut work = Work::default();
    loop {
        let names = due(&engine, &asked, every);
        for some in names.chunks(AT_ONCE) {
            let at = Instant::now();
            ask(&engine, &nodes.lease, some).await;
            asked.extend(some.iter().map(|name| (name.clone(), at)));
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
fn due(engine: &Engine, asked: &BTreeMap<SmolStr, Instant>, every: Duration) -> Vec<SmolStr> {
    let streams: Vec<SmolStr> = engine
        .shared()
        .read(|world| world.streams.keys().map(|stream| stream.as_str().to_smolstr()).collect());
    let is_due = |name: &SmolStr| asked.get(name).is_none_or(|at| at.elapsed() >= every);
    streams.into_iter().chain([SmolStr::new_static(SYS)]).filter(is_due).collect()
}

async fn ask(engine: &Engine, lease: &Arc<dyn Lease>, names: &[SmolStr]) {
    let mut asking = JoinSet::new();
    for name in names {
        let (name, shared, lease) = (name.clone(), Arc::clone(engine.shared()), Arc::clone(lease));
        asking.spawn(async move {
            let before = Instant::now();
            match timeout(lease.ttl() / 3, lease.hold(&name)).await {
                Ok(Ok(Some(_))) => shared.leases.gain(&name, before + lease.ttl() * 2 / 3),
                Ok(Ok(None)) => shared.leases.lose(&name),
                // Nobody can tell: what was granted before holds to its end, and no longer.
                Ok(Err(error)) => tracing::warn!(name = %name, %error, "a lease was not renewed"),
                Err(_) => tracing::warn!(name = %name, "nobody answered for a lease in time"),
            }
        });
    }
    while asking.join_next().await.is_some() {}
}

/// Gives every lease back, once nothing is written any more.
pub(crate) async fn release(engine: &Engine, nodes: &Nodes) {
    let held: Vec<SmolStr> = engine.shared().leases.held().keys().cloned().collect();
    for name in held {
        engine.shared().leases.lose(&name);
        if let Ok(Err(error)) = timeout(nodes.lease.ttl(), nodes.lease.release(&name)).await {
            tracing::warn!(name = %name, %error, "a lease could not be given back; it ends by itself");
        }
    }
}

/// The tasks that run while a lease is held, with the term that they run in.
#[derive(Default)]
struct Work(BTreeMap<SmolStr, (u64, CancellationToken)>);

impl Work {
    fn follow<'a>(
        &mut self,
        engine: &Engine,
        nodes: &Nodes,
        names: impl Iterator<Item = &'a SmolStr>,
    ) {
        for name in names {
            let term = engine.shared().leases.term(name);
            if self.0.get(name).map(|(term, _)| *term) == term {
                continue;
            }
            if let Some((_, before)) = self.0.remove(name) {
                before.cancel();
                tracing::info!(name = %name, "the lease is lost");
            }
            if let Some(term) = term {
                tracing::info!(name = %name, "the lease is held");
                let token = engine.shared().token.child_token();
                begin(engine, nodes, name, &token);
                self.0.insert(name.clone(), (term, token));
            }
        }
    }

    fn end(self) {
        self.0.into_values().for_each(|(_, token)| token.cancel());
    }
}

fn begin(engine: &Engine, nodes: &Nodes, name: &SmolStr, token: &CancellationToken) {
    let writers = &engine.shared().writers;
    let (engine, inbox) = (engine.clone(), Arc::clone(&nodes.inbox));
    if name == SYS {
        writers.spawn(strays::run(engine, inbox, token.clone()));
        return;
    }
    let stream = StreamName::new(name.clone());
    outlet::begin(&engine, &stream, token);
    let relay = Arc::clone(&nodes.relay);
    writers.spawn(relay::serve_publish(engine.clone(), relay, stream.clone(), token.clone()));
    writers.spawn(intake::run(engine, inbox, stream, token.clone()));
}
