//! Random commands and facts: what lives is what is replayed, and order does not matter.

use takt_domain::board::ColumnKind;
use takt_ports::DeadLetters as _;
use takt_projections::{Window, cycle_time, lead_time};

use super::*;

const COLUMNS: [&str; 3] = ["todo", "doing", "done"];

/// One thing that happens to a house.
#[derive(Clone, Debug)]
enum Step {
    Command(Order),
    Andon(andon::Order),
    Facts(Vec<String>),
    Clock(i64),
    Save,
    Restart,
}

/// The card or suite, its place, and the second of a fact.
fn fact() -> impl Strategy<Value = (String, &'static str, i64)> {
    let card = (0..6_u8, 0..4_usize, 0..60_i64).prop_map(|(card, place, second)| {
        (format!("c{card}"), ["todo", "doing", "done", "-"][place], second)
    });
    let suite = (0..2_u8, any::<bool>(), 0..60_i64).prop_map(|(suite, green, second)| {
        (format!("suite:s{suite}"), if green { "green" } else { "red" }, second)
    });
    prop_oneof![4 => card, 1 => suite]
}

fn facts(most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec((fact(), 0..1000_u32, prop::bool::weighted(0.1)), 1..most).prop_map(
        |rows| {
            let text = |((what, place, second), id, old): ((String, &str, i64), u32, bool)| {
                format!("{}{id} {what} {place} {second}", if old { 'h' } else { 'f' })
            };
            rows.into_iter().map(text).collect()
        },
    )
}

fn command() -> impl Strategy<Value = Order> {
    (0..7_u8, 0..6_u8, 0..3_usize, 0..4_u32).prop_map(|(what, card, place, limit)| {
        let (card, place) = (format!("c{card}"), COLUMNS[place]);
        match what {
            0 | 1 => add(&card),
            2 => to(&card, place),
            3 => Order::Block { card: card.as_str().into(), reason: "data".into() },
            4 => Order::Unblock { card: card.as_str().into() },
            5 => Order::Delete { card: card.as_str().into() },
            _ => {
                let Order::SetColumn(set) = column(place, limit) else { unreachable!() };
                let time_limit = Some(Span::from_secs(i64::from(limit) * 1800));
                Order::SetColumn(ColumnSet { time_limit, ..set })
            }
        }
    })
}

fn line_order() -> impl Strategy<Value = andon::Order> {
    (0..3_u8, 0..3_u8).prop_map(|(what, alert)| {
        let alert = format!("a-{alert}");
        match what {
            0 => pull(&alert),
            1 => andon::Order::Acknowledge {
                alert: alert.as_str().into(),
                hold: Span::from_secs(1800),
            },
            _ => andon::Order::Resolve {
                alert: alert.as_str().into(),
                category: andon::Category::Other,
                cause: "a slip".into(),
                countermeasure: "".into(),
            },
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => command().prop_map(Step::Command),
        2 => line_order().prop_map(Step::Andon),
        4 => facts(8).prop_map(Step::Facts),
        2 => (-3600..7200_i64).prop_map(Step::Clock),
        1 => Just(Step::Save),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

async fn take(house: &House, engine: Engine, step: Step) -> Engine {
    match step {
        // A refusal is an answer too; what matters is what it leaves behind.
        Step::Command(order) => drop(board(&engine, order).await),
        Step::Andon(order) => drop(engine.andon(&shop(), call(), order).await),
        Step::Facts(facts) => {
            let facts = facts.into_iter().map(Bytes::from).collect();
            engine.publish(&shop(), facts).await.unwrap();
        }
        Step::Clock(seconds) => {
            house.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
            tick(&engine).await;
        }
        Step::Save => crate::save::save(engine.shared()).await,
        Step::Restart => {
            engine.shutdown().await;
            return house.open().await;
        }
    }
    engine
}

async fn check(engine: &Engine) -> Result<(), TestCaseError> {
    let (live, replayed, _) = engine.verify().await.unwrap();
    prop_assert_eq!(live, replayed);
    Ok(())
}

/// What facts leave behind: lead time, cycle time, and the open alerts' causes, each with whether
/// its condition is cleared.
async fn left_by(facts: &[String]) -> String {
    let house = House::new();
    let engine = with_columns(&house).await;
    for (name, kind) in [("doing", ColumnKind::Active), ("done", ColumnKind::Done)] {
        let Order::SetColumn(set) = column(name, 1) else { unreachable!() };
        board(&engine, Order::SetColumn(ColumnSet { kind: Some(kind), ..set })).await.unwrap();
    }
    for (name, seconds) in [("todo", 3600), ("doing", 60)] {
        let Order::SetColumn(set) = column(name, 0) else { unreachable!() };
        let time_limit = Some(Span::from_secs(seconds));
        let timed = ColumnSet { time_limit, wip_limit: None, ..set };
        board(&engine, Order::SetColumn(timed)).await.unwrap();
    }
    for fact in facts {
        engine.publish(&shop(), vec![fact.clone().into()]).await.unwrap();
        tick(&engine).await;
    }
    board(&engine, Order::CloseImport).await.unwrap();
    tick(&engine).await;
    assert_eq!(house.dead.list(None, 0, 1).await.unwrap().len(), 0);
    engine.shared().read(|world| {
        let view = &world.streams[&shop()];
        let main = &view.boards[&BoardId::main()];
        let mut causes: Vec<_> =
            view.line.open.values().map(|alert| (&alert.cause, alert.cleared)).collect();
        causes.sort();
        let window = Window::default();
        format!("{:?}\n{:?}\n{causes:?}", lead_time(main, window), cycle_time(main, window))
    })
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn what_lives_is_what_is_replayed_over_saves_and_restarts(steps in steps()) {
        run(async {
            let house = House::new();
            let mut engine = with_columns(&house).await;
            for step in steps {
                engine = take(&house, engine, step).await;
            }
            check(&engine).await?;
            engine.shutdown().await;
            let closed = engine.shared().read(World::hash);
            let engine = house.open().await;
            prop_assert_eq!(engine.shared().read(World::hash), closed);
            check(&engine).await
        })?;
    }

    #[test]
    fn facts_in_any_order_and_doubled_leave_the_same_metrics_and_open_alerts(
        (straight, shuffled) in facts(24).prop_flat_map(|facts| {
            // An identity stands for one content.
            let facts: Vec<String> = facts
                .into_iter()
                .enumerate()
                .map(|(n, fact)| fact.replacen(' ', &format!("-{n} "), 1))
                .collect();
            let doubled: Vec<String> = facts.iter().chain(&facts).cloned().collect();
            (Just(facts), Just(doubled).prop_shuffle())
        })
    ) {
        let (straight, shuffled) = run(async { (left_by(&straight).await, left_by(&shuffled).await) });
        prop_assert_eq!(straight, shuffled);
    }
}
