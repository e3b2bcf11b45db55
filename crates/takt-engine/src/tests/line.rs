//! A stopped line, and the work that starts it again.

use takt_domain::board::{Column, ColumnKind};
use takt_domain::{Event, board};

use super::*;

fn fix(card: &str, alert: &str) -> Order {
    Order::MoveCard { card: card.into(), column: "done".into(), fixes: Some(alert.into()) }
}

/// A line that a red suite has stopped, with the card `a` in `todo`; and the alert's id.
async fn stopped(house: &House) -> (Engine, takt_domain::AlertId) {
    let engine = with_columns(house).await;
    let Order::SetColumn(set) = column("done", 0) else { panic!("a column is set") };
    let done = ColumnSet { kind: Some(ColumnKind::Done), ..set };
    board(&engine, Order::SetColumn(done)).await.unwrap();
    board(&engine, add("a")).await.unwrap();
    engine.publish(&shop(), vec!["f1 suite:invoice red 5".into()]).await.unwrap();
    tick(&engine).await;
    let alert = engine.shared().read(|world| {
        assert!(
            world.streams[&shop()].boards[&BoardId::main()].columns.values().any(Column::is_done)
        );
        world.streams[&shop()].line.open.keys().next().unwrap().clone()
    });
    (engine, alert)
}

#[tokio::test]
async fn work_marked_as_the_fix_passes_the_stopped_line_and_it_is_recorded() {
    let house = House::new();
    let (engine, alert) = stopped(&house).await;
    let refused = board(&engine, to("a", "done")).await.unwrap_err();
    let Error::Rejected(Rejection::Refused(unmet)) = refused else { panic!("{refused}") };
    assert_eq!(unmet[0].code, "line_stopped");
    assert!(unmet[0].remedy.contains(&format!("--fixes {alert}")), "{}", unmet[0].remedy);

    let unknown = board(&engine, fix("a", "a-9")).await.unwrap_err();
    assert!(
        matches!(&unknown, Error::Rejected(Rejection::NotFound { name, .. }) if name == "a-9"),
        "{unknown}"
    );

    let line_seq = engine.shared().read(|world| world.streams[&shop()].line_seq);
    board(&engine, fix("a", alert.as_str())).await.unwrap();
    let history = history(&house).await;
    let passed: Vec<_> = history
        .iter()
        .filter_map(|one| {
            let Event::Board(board::Event::GatePassed(it)) = &one.event else { return None };
            Some(it)
        })
        .collect();
    let [passed] = passed[..] else { panic!("{passed:?}") };
    assert_eq!((passed.fixes.as_ref(), passed.line_seq), (Some(&alert), line_seq));
    assert_eq!(of_type(&history, "board.card_moved"), 1);
    // The fix is in done, and the line stands until somebody says what it was.
    assert!(engine.shared().read(|world| world.streams[&shop()].line.is_stopped()));
}

#[tokio::test]
async fn a_green_rerun_clears_the_condition_and_a_person_resolves() {
    let house = House::new();
    let (engine, alert) = stopped(&house).await;
    engine.publish(&shop(), vec!["f2 suite:invoice green 9".into()]).await.unwrap();
    tick(&engine).await;
    assert_eq!(of_type(&history(&house).await, "andon.condition_cleared"), 1);
    assert!(board(&engine, to("a", "done")).await.is_err());
    let resolve = andon::Order::Resolve {
        alert,
        category: andon::Category::Fixed,
        cause: "a wrong port".into(),
        countermeasure: "a test of the port".into(),
    };
    engine.andon(&shop(), call(), resolve).await.unwrap();
    board(&engine, to("a", "done")).await.unwrap();
}

#[tokio::test]
async fn a_policy_that_warns_lets_a_card_pass_the_stopped_line_and_says_so() {
    let house = House::new();
    let (engine, alert) = stopped(&house).await;
    let line = stream::Strictness::Warn;
    let policy = stream::Policy { line, ..stream::Policy::default() };
    engine.stream(&shop(), call(), stream::Command::SetPolicy(policy)).await.unwrap();
    let done = board(&engine, to("a", "done")).await.unwrap();
    let [warning] = &done.warnings[..] else { panic!("{done:?}") };
    assert_eq!(warning.code, "line_stopped");
    assert!(warning.message.contains(alert.as_str()), "{}", warning.message);
    assert_eq!(board(&engine, to("a", "todo")).await.unwrap().warnings, []);
}
