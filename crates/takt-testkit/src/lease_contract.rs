//! What all leases must do, as suites that each adapter runs: one for a node, one between nodes.
#![expect(clippy::unwrap_used, reason = "a test suite fails by panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use takt_ports::Lease;
use uuid::Uuid;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the rules for one node; `start` starts the node on fresh leases or, with `true`, starts it
/// again on the same ones, the one before having been killed.
///
/// # Panics
/// When a rule does not hold.
pub async fn lease_contract(start: impl AsyncFn(bool) -> Arc<dyn Lease>) {
    let leases = start(false).await;
    assert!(leases.ttl() > Duration::ZERO);
    assert!(leases.holders().await.unwrap().is_empty());
    leases.release("shop").await.unwrap();
    let first = leases.hold("shop").await.unwrap().unwrap();
    let renewed = leases.hold("shop").await.unwrap().unwrap();
    assert!(first < renewed, "{first} then {renewed}");
    let other = leases.hold("$sys").await.unwrap().unwrap();
    let mut holders = leases.holders().await.unwrap();
    holders.sort();
    assert_eq!(holders, [("$sys".into(), leases.node()), ("shop".into(), leases.node())]);
    leases.release("shop").await.unwrap();
    assert_eq!(leases.holders().await.unwrap(), [("$sys".into(), leases.node())]);
    let again = leases.hold("shop").await.unwrap().unwrap();
    assert!(renewed < again, "{renewed} then {again}");
    let node = leases.node();
    drop(leases);

    let leases = start(true).await;
    assert_eq!(leases.node(), node, "a node keeps its id");
    let taken = leases.hold("shop").await.unwrap().unwrap();
    assert!(again < taken, "its own lease is taken back at once, at a new revision");
    let other_taken = leases.hold("$sys").await.unwrap().unwrap();
    assert!(other < other_taken, "{other} then {other_taken}");
}

/// Runs the rules between nodes; `join` makes a node of that id on the same leases, which are
/// fresh for each stream's name and have a ttl of at most ten seconds.
///
/// # Panics
/// When a rule does not hold.
pub async fn leases_between_nodes_contract(join: impl AsyncFn(Uuid) -> Arc<dyn Lease>) {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (a, b) = (join(one).await, join(two).await);
    assert_eq!((a.node(), b.node()), (one, two));
    let first = a.hold("given").await.unwrap().unwrap();
    assert_eq!(b.hold("given").await.unwrap(), None, "one node holds it");
    assert_eq!(b.holders().await.unwrap(), [("given".into(), one)]);
    b.release("given").await.unwrap();
    assert!(a.hold("given").await.unwrap().is_some(), "only its holder gives it back");
    a.release("given").await.unwrap();
    let second = b.hold("given").await.unwrap().unwrap();
    assert!(first < second);
    assert_eq!(a.hold("given").await.unwrap(), None);
    b.release("given").await.unwrap();

    of_many_that_ask_one_holds(&a, &b).await;

    // A node that is gone keeps nobody waiting for ever, and one that renews is not put out.
    let gone = a.hold("gone").await.unwrap().unwrap();
    let began = Instant::now();
    let taken = loop {
        assert!(began.elapsed() < PATIENCE, "a lease that nobody renews never ended");
        if let Some(revision) = b.hold("gone").await.unwrap() {
            break revision;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(gone < taken);
    let kept = began.elapsed();
    assert!(kept >= a.ttl() / 2, "it was taken after {kept:?} of {:?}", a.ttl());
    let began = Instant::now();
    while began.elapsed() < b.ttl() * 2 {
        assert!(b.hold("gone").await.unwrap().is_some(), "it is renewed in time");
        assert_eq!(a.hold("gone").await.unwrap(), None);
        tokio::time::sleep(b.ttl() / 4).await;
    }

    let again = join(two).await;
    let back = again.hold("gone").await.unwrap().unwrap();
    assert!(taken < back, "a node takes its own lease back at once");
}

async fn of_many_that_ask_one_holds(a: &Arc<dyn Lease>, b: &Arc<dyn Lease>) {
    let asks: Vec<_> = (0..10)
        .map(|n| {
            let node = Arc::clone(if n % 2 == 0 { a } else { b });
            tokio::spawn(async move { (node.node(), node.hold("wanted").await.unwrap().is_some()) })
        })
        .collect();
    let mut holders = BTreeSet::new();
    for ask in asks {
        let (node, held) = ask.await.unwrap();
        holders.extend(held.then_some(node));
    }
    assert_eq!(holders.len(), 1, "{holders:?}");
}
