//! What falls due is told once, across downtime and a clock that steps.

use super::*;

const HOUR: i64 = 3600;

/// A column with a time limit of an hour and two cards in it, and a stop that somebody looks after
/// for an hour; all at the house's first second.
async fn begin(house: &House) -> Engine {
    let engine = house.open().await;
    let create = stream::Command::Create { name: shop(), title: "Shop".into() };
    engine.stream(&shop(), call(), create).await.unwrap();
    let escalate_after = Span::from_secs(600);
    let policy = stream::Policy { escalate_after, ..stream::Policy::default() };
    engine.stream(&shop(), call(), stream::Command::SetPolicy(policy)).await.unwrap();
    board(&engine, timed("todo", HOUR)).await.unwrap();
    board(&engine, add("a")).await.unwrap();
    board(&engine, add("b")).await.unwrap();
    engine.andon(&shop(), call(), pull("a-1")).await.unwrap();
    let hold = Span::from_secs(HOUR);
    let acknowledge = andon::Order::Acknowledge { alert: "a-1".into(), hold };
    engine.andon(&shop(), call(), acknowledge).await.unwrap();
    engine
}

fn timed(name: &str, seconds: i64) -> Order {
    let Order::SetColumn(set) = column(name, 0) else { panic!("a column is set") };
    let time_limit = Some(Span::from_secs(seconds));
    Order::SetColumn(ColumnSet { time_limit, wip_limit: None, ..set })
}

/// One turn of the clock, by seconds; with a restart the house stands still meanwhile.
async fn turn(house: &House, engine: Engine, seconds: i64, restart: bool) -> Engine {
    if restart {
        engine.shutdown().await;
    }
    house.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    let engine = if restart { house.open().await } else { engine };
    tick(&engine).await;
    engine
}

/// Each time that the log tells of what fell due, with the deadline that its event is dated at.
fn told(history: &[Recorded]) -> Vec<(&'static str, Time)> {
    use takt_domain::{Event, board};
    let mut told: Vec<_> = history
        .iter()
        .filter_map(|one| {
            let (what, deadline) = if let Event::Board(board::Event::CardOverdue(it)) = &one.event {
                ("overdue", it.since + it.limit)
            } else if let Event::Andon(andon::Event::AcknowledgementExpired(it)) = &one.event {
                ("expired", it.at)
            } else if let Event::Andon(andon::Event::Escalated(it)) = &one.event {
                ("escalated", it.at)
            } else {
                return None;
            };
            assert_eq!(one.meta.time, deadline, "{what} is not dated at its deadline");
            Some((what, deadline))
        })
        .collect();
    told.sort();
    told
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn what_is_due_is_told_once_across_restarts_downtime_and_clock_steps(
        steps in prop::collection::vec(
            prop_oneof![
                6 => (-HOUR..2 * HOUR, any::<bool>()),
                1 => (Just(24 * HOUR), Just(true)),
            ],
            1..12,
        ),
    ) {
        let house = House::new();
        let start = house.clock.now();
        let (history, latest) = run(async {
            let mut engine = begin(&house).await;
            let mut latest = start;
            for (seconds, restart) in steps {
                engine = turn(&house, engine, seconds, restart).await;
                latest = latest.max(house.clock.now());
            }
            engine.shutdown().await;
            (history(&house).await, latest)
        });
        let hour = start + Span::from_secs(HOUR);
        let later = hour + Span::from_secs(600);
        let all = [("escalated", later), ("expired", hour), ("overdue", hour), ("overdue", hour)];
        let expected: Vec<_> = all.into_iter().filter(|(_, due)| *due <= latest).collect();
        prop_assert_eq!(told(&history), expected);
        let overdue = history.iter().filter(|one| one.aggregate == takt_domain::Aggregate::Line);
        let pulled = of_type(&overdue.cloned().collect::<Vec<_>>(), "andon.pulled");
        prop_assert_eq!(pulled, if latest >= hour { 3 } else { 1 });
    }
}

#[tokio::test]
async fn a_warning_ends_with_its_condition_whatever_ends_it() {
    let delete = |card: &str| Order::Delete { card: card.into() };
    for (orders, over, overdue) in [
        (vec![], 1, 2),
        (vec![column("doing", 0)], 0, 2),
        (vec![column("doing", 2)], 0, 2),
        (vec![timed("doing", 0)], 1, 0),
        (vec![timed("doing", 9 * HOUR)], 1, 0),
        (vec![timed("doing", 0), timed("doing", HOUR)], 1, 2),
        (vec![to("a", "todo")], 0, 1),
        (vec![delete("a"), delete("b")], 0, 0),
    ] {
        let house = House::new();
        let engine = with_columns(&house).await;
        board(&engine, timed("doing", HOUR)).await.unwrap();
        for card in ["a", "b"] {
            board(&engine, add(card)).await.unwrap();
            board(&engine, to(card, "doing")).await.unwrap();
        }
        board(&engine, column("doing", 1)).await.unwrap();
        let engine = turn(&house, engine, 2 * HOUR, false).await;
        for order in &orders {
            board(&engine, order.clone()).await.unwrap();
        }
        let engine = turn(&house, engine, 1, true).await;
        let open = open_causes(&engine);
        let of = |kind| open.iter().filter(|known| **known == kind).count();
        let left = (of(andon::CauseKind::WipLimit), of(andon::CauseKind::TimeLimit));
        assert_eq!(left, (over, overdue), "{orders:?}");
    }
}

#[tokio::test]
async fn a_breach_that_a_late_fact_brings_to_light_is_told_although_a_later_one_was() {
    let house = House::new();
    let engine = with_columns(&house).await;
    board(&engine, timed("todo", HOUR)).await.unwrap();
    board(&engine, timed("doing", 60)).await.unwrap();
    engine.publish(&shop(), vec!["f1 a todo 0".into()]).await.unwrap();
    let engine = turn(&house, engine, 1, false).await;
    engine.publish(&shop(), vec!["f2 a doing 100".into()]).await.unwrap();
    let engine = turn(&house, engine, 1, true).await;
    let told = told(&history(&house).await);
    let at = |second| Time::EPOCH + Span::from_secs(second);
    assert_eq!(told, [("overdue", at(160)), ("overdue", at(HOUR))]);
    let open = engine.shared().read(|world| {
        let alerts = world.streams[&shop()].line.open.values();
        alerts.map(|alert| alert.cause.id.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(open, ["a/doing"]);
}

#[tokio::test]
async fn an_import_that_nobody_closes_is_closed_a_minute_after_its_last_fact_once() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts = |from: u32| -> Vec<Bytes> {
        (from..from + 5).map(|n| format!("h{n} c{n} doing {n}").into()).collect()
    };
    engine.publish(&shop(), facts(0)).await.unwrap();
    let engine = turn(&house, engine, 59, false).await;
    assert_eq!(of_type(&history(&house).await, "board.import_closed"), 0);
    assert_eq!(open_causes(&engine), []);
    // Another fact begins the minute anew, and a restart does not end it.
    engine.publish(&shop(), facts(5)).await.unwrap();
    let last = house.clock.now();
    let engine = turn(&house, engine, 59, true).await;
    assert_eq!(of_type(&history(&house).await, "board.import_closed"), 0);
    let engine = turn(&house, engine, HOUR, true).await;
    let engine = turn(&house, engine, HOUR, true).await;
    let engine = turn(&house, engine, HOUR, false).await;
    let history = history(&house).await;
    assert_eq!(of_type(&history, "board.import_closed"), 1);
    let closed = history
        .iter()
        .find(|one| takt_events::type_of(&one.event) == "dev.takt.board.import_closed.v1");
    assert_eq!(closed.unwrap().meta.time, last + Span::from_secs(60));
    assert_eq!(open_causes(&engine), [andon::CauseKind::WipLimit]);
    assert_eq!(of_type(&history, "andon.pulled"), 1);
}

/// More than the log takes in a batch.
const MANY: usize = 1200;

#[tokio::test]
async fn more_cards_than_a_batch_holds_are_all_told_and_cleared_once() {
    use takt_domain::{Event, board as kanban};
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts: Vec<Bytes> =
        (0..MANY).map(|n| format!("f{n} c{n} doing 1700000000").into()).collect();
    for facts in facts.chunks(400) {
        engine.publish(&shop(), facts.to_vec()).await.unwrap();
    }
    board(&engine, timed("doing", HOUR)).await.unwrap();
    let mut engine = turn(&house, engine, 2 * HOUR, false).await;
    for _ in 0..3 {
        engine = turn(&house, engine, 1, false).await;
    }
    let overdue = |one: &andon::CauseKind| *one == andon::CauseKind::TimeLimit;
    assert_eq!(open_causes(&engine).into_iter().filter(overdue).count(), MANY);

    board(&engine, timed("doing", 0)).await.unwrap();
    let engine = turn(&house, engine, 1, true).await;
    assert_eq!(open_causes(&engine).into_iter().filter(overdue).count(), 0);
    let history = history(&house).await;
    assert_eq!(of_type(&history, "board.card_overdue"), MANY);
    assert_eq!(of_type(&history, "andon.resolved"), MANY);
    let lifted =
        history.iter().rfind(|one| matches!(&one.event, Event::Board(kanban::Event::ColumnSet(_))));
    let lifted = lifted.unwrap().meta.id.to_string();
    let resolved =
        history.iter().filter(|one| matches!(&one.event, Event::Andon(andon::Event::Resolved(_))));
    for one in resolved {
        assert_eq!(one.meta.causation.as_deref(), Some(lifted.as_str()));
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn one_event_that_warns_of_more_than_a_batch_holds_warns_of_each_once() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let facts: Vec<Bytes> =
        (0..MANY).map(|n| format!("f{n} c{n} doing 1700000000").into()).collect();
    for facts in facts.chunks(400) {
        engine.publish(&shop(), facts.to_vec()).await.unwrap();
    }
    board(&engine, timed("doing", HOUR)).await.unwrap();
    let mut engine = turn(&house, engine, 2 * HOUR, false).await;
    for _ in 0..3 {
        engine = turn(&house, engine, 1, false).await;
    }
    board(&engine, timed("doing", 0)).await.unwrap();
    board(&engine, timed("doing", HOUR)).await.unwrap();
    let engine = turn(&house, engine, 1, true).await;
    let open = open_causes(&engine);
    let overdue = open.into_iter().filter(|one| *one == andon::CauseKind::TimeLimit);
    assert_eq!(overdue.count(), MANY);
    let history = history(&house).await;
    assert_eq!(of_type(&history, "andon.resolved"), MANY);
    let pulled = history.iter().filter(|one| {
        matches!(&one.event, takt_domain::Event::Andon(andon::Event::Pulled(it))
            if it.cause.kind == andon::CauseKind::TimeLimit)
    });
    assert_eq!(pulled.count(), 2 * MANY);
}
