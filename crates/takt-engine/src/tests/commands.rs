//! Commands that are asked again, that come too early, and that name what is not there.

use takt_domain::Span;
use takt_domain::andon::{Cause, CauseKind, Trigger};

use super::*;

fn pull(engine: &Engine, alert: &str) -> andon::Order {
    andon::Order::Pull {
        alert: alert.into(),
        cause: Cause { kind: CauseKind::Person, source: "ann".into(), id: "the build".into() },
        stage: None,
        column: None,
        cleared_by: None,
        trigger: Trigger { event: "".into(), at: engine.now(), summary: "it is broken".into() },
    }
}

#[tokio::test]
async fn a_pull_asked_again_later_with_its_key_is_the_same_pull() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let keyed = Call { key: Some("k".into()), ..call() };
    let first = engine.andon(&shop(), keyed.clone(), pull(&engine, "a-1")).await.unwrap();
    house.clock.0.fetch_add(Span::from_secs(7).micros(), Ordering::SeqCst);
    let again = engine.andon(&shop(), keyed, pull(&engine, "a-1")).await.unwrap();
    assert!(again.duplicate && !first.duplicate);
    assert_eq!((again.sequence, again.subject.as_str()), (first.sequence, "a-1"));
}

#[tokio::test]
async fn a_pull_of_the_same_cause_tells_the_alert_that_it_joined() {
    let house = House::new();
    let engine = with_columns(&house).await;
    engine.andon(&shop(), call(), pull(&engine, "a-1")).await.unwrap();
    let keyed = Call { key: Some("k".into()), ..call() };
    for is_retry in [false, true] {
        let joined = engine.andon(&shop(), keyed.clone(), pull(&engine, "a-2")).await.unwrap();
        assert_eq!((joined.subject.as_str(), joined.duplicate), ("a-1", is_retry));
    }
}

#[tokio::test]
async fn facts_that_follow_the_creation_at_once_are_recorded() {
    let engine = House::new().open().await;
    let create = stream::Command::Create { name: shop(), title: "Shop".into() };
    let shop = shop();
    let (created, published) = tokio::join!(
        engine.stream(&shop, call(), create),
        engine.publish(&shop, vec!["f1 a todo 5".into()]),
    );
    created.unwrap();
    assert!(matches!(published.unwrap()[..], [Published::Recorded { .. }]));
}

#[tokio::test]
async fn names_that_nobody_created_are_refused_and_keep_nothing() {
    let engine = House::new().open().await;
    for at in 0..100 {
        let name = StreamName::new(format!("invented-{at}"));
        let facts = engine.publish(&name, vec!["f1 a todo 5".into()]).await.unwrap_err();
        let board = engine.board(&name, &BoardId::main(), call(), add("a")).await.unwrap_err();
        let line = engine.andon(&name, call(), pull(&engine, "a-1")).await.unwrap_err();
        let policy = stream::Command::SetPolicy(Default::default());
        let policy = engine.stream(&name, call(), policy).await.unwrap_err();
        for error in [facts, board, line, policy] {
            assert!(matches!(error, Error::UnknownStream(_)), "{error}");
        }
    }
    assert!(engine.mailboxes().is_empty());
}
