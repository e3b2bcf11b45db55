//! An answer comes when queries see what it speaks of.

use super::*;

/// Lets all other tasks of this thread go as far as they can.
async fn settled() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Waits until the log has grown past a sequence.
async fn grown(house: &House, before: u64) {
    let grown = async {
        while house.log.head().await.unwrap() <= before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), grown).await.unwrap();
}

#[tokio::test]
async fn a_command_is_answered_when_queries_see_what_it_did() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let before = house.log.head().await.unwrap();
    let folding = engine.shared().folding.lock().await;
    let asked = tokio::spawn({
        let engine = engine.clone();
        async move { board(&engine, add("a")).await }
    });
    grown(&house, before).await;
    settled().await;
    assert!(!asked.is_finished(), "the command was answered before queries could see it");
    drop(folding);
    let receipt = asked.await.unwrap().unwrap();
    assert!(engine.progress().0 >= receipt.sequence);
}

#[tokio::test]
async fn a_publish_is_answered_when_queries_see_its_facts() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let before = house.log.head().await.unwrap();
    let folding = engine.shared().folding.lock().await;
    let asked = tokio::spawn({
        let engine = engine.clone();
        async move { engine.publish(&shop(), vec!["f1 a todo 5".into()]).await }
    });
    grown(&house, before).await;
    settled().await;
    assert!(!asked.is_finished(), "the publish was answered before queries could see it");
    drop(folding);
    assert!(matches!(asked.await.unwrap().unwrap()[..], [Published::Recorded { .. }]));
}

#[tokio::test]
async fn what_follows_from_facts_is_seen_when_they_are_answered() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts = (0..4).map(|n| format!("f{n} c{n} doing {n}").into()).collect();
    engine.publish(&shop(), facts).await.unwrap();
    assert_eq!(open_causes(&engine), [andon::CauseKind::WipLimit]);
}

#[tokio::test]
async fn what_is_in_the_log_is_acknowledged_even_when_queries_come_too_late() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let folding = engine.shared().folding.lock().await;
    let call = Call { deadline: Duration::from_millis(50), ..call() };
    let receipt = engine.board(&shop(), &BoardId::main(), call, add("a")).await.unwrap();
    assert_eq!(receipt.sequence, house.log.head().await.unwrap());
    drop(folding);
}
