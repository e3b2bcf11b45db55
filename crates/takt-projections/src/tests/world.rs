//! The world folded live, loaded from rows, and folded from shuffled and doubled facts.

use std::collections::BTreeMap;

use crate::{Loading, Window, World, lead_time};
use proptest::prelude::*;
use takt_domain::board::{self, CardReported, ColumnKind, ColumnReported, Details};
use takt_domain::{
    Aggregate, BoardId, Event, EventId, Meta, Recorded, Span, Time, andon, change, deployment,
    stream, system, testing,
};
use uuid::Uuid;

fn recorded(seq: u64, id: u128, at: i64, aggregate: Aggregate, event: Event) -> Recorded {
    let time = Time::EPOCH + Span::from_secs(at);
    let meta = Meta {
        id: EventId(Uuid::from_u128(id)),
        source: "urn:test".into(),
        subject: "".into(),
        time,
        recorded: time,
        sequence: None,
        actor: Some("ann".into()),
        causation: None,
        correlation: None,
        traceparent: None,
        historical: false,
        digest: None,
        cdevent: None,
    };
    Recorded { seq, stream: "shop".into(), aggregate, meta, event }
}

fn created() -> (Aggregate, Event) {
    let created = stream::Created { title: "Shop".into() };
    (Aggregate::Stream, Event::Stream(stream::Event::Created(created)))
}

fn on_main(event: board::Event) -> (Aggregate, Event) {
    (Aggregate::Board(BoardId::main()), Event::Board(event))
}

fn done_column() -> (Aggregate, Event) {
    on_main(board::Event::ColumnReported(ColumnReported {
        column: "done".into(),
        kind: Some(ColumnKind::Done),
        order: Some(9),
    }))
}

fn sighting(card: u8, column: u8) -> (Aggregate, Event) {
    let name = ["todo", "doing", "done"][usize::from(column) % 3];
    on_main(board::Event::CardReported(CardReported {
        card: format!("c{card}").as_str().into(),
        column: Some(name.into()),
        details: Details::default(),
        blocked: None,
        reason: None,
        deleted: false,
    }))
}

fn pulled() -> (Aggregate, Event) {
    let event = andon::Event::Pulled(andon::Pulled {
        alert: "a1".into(),
        effect: andon::Effect::Stop,
        cause: andon::Cause {
            kind: andon::CauseKind::Person,
            source: "ann".into(),
            id: "1".into(),
        },
        stage: None,
        column: None,
        cleared_by: None,
        trigger: andon::Trigger { event: "".into(), at: Time::EPOCH, summary: "smoke".into() },
    });
    (Aggregate::Line, Event::Andon(event))
}

fn tests_reported() -> (Aggregate, Event) {
    let event = testing::Reported {
        run: "r1".into(),
        level: testing::Level::Unit,
        commit: "c0ffee".into(),
        cases: vec![],
    };
    (Aggregate::Tests, Event::Testing(testing::Event::Reported(event)))
}

fn refused() -> (Aggregate, Event) {
    let row = system::Refusals { column: None, reason: "wip".into(), count: 3 };
    let sum = system::RefusalsSummed { refusals: vec![row] };
    (Aggregate::Refusals, Event::System(system::Event::RefusalsSummed(sum)))
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn save(world: &mut World, rows: &mut Rows) {
    for (key, value) in world.take_rows() {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
}

fn load(rows: &Rows, seq: u64) -> World {
    let mut loading = Loading::default();
    rows.iter().for_each(|(key, value)| loading.row(key, value));
    loading.finish(seq).unwrap()
}

fn fold(events: impl IntoIterator<Item = (u128, i64, (Aggregate, Event))>) -> World {
    let mut world = World::default();
    for (seq, (id, at, (aggregate, event))) in (1..).zip(events) {
        world.apply(&recorded(seq, id, at, aggregate, event));
    }
    world
}

#[test]
fn a_world_loaded_from_rows_is_the_one_that_was_saved_and_goes_on_alike() {
    let events = [created(), done_column(), sighting(1, 0), pulled(), tests_reported(), refused()];
    let (mut world, mut rows) = (World::default(), Rows::default());
    for (seq, (aggregate, event)) in (1..).zip(events) {
        world.apply(&recorded(seq, u128::from(seq), 5, aggregate, event));
        save(&mut world, &mut rows);
    }
    let mut loaded = load(&rows, world.seq);
    assert_eq!(loaded.streams, world.streams);
    assert_eq!(loaded.hash(), world.hash());
    assert_eq!(loaded.head_of(&"shop".into(), &Aggregate::Line), 4);
    assert_eq!(loaded.sequence_of(&"shop".into(), &EventId(Uuid::from_u128(6))), Some(6));
    let (aggregate, event) = sighting(1, 2);
    let next = recorded(7, 7, 9, aggregate, event);
    loaded.apply(&next);
    world.apply(&next);
    assert_eq!(loaded.hash(), world.hash());
}

#[test]
fn an_entry_that_has_been_folded_changes_nothing() {
    let mut world = fold([(1, 1, created()), (2, 2, refused())]);
    let before = world.hash();
    let (aggregate, event) = refused();
    world.apply(&recorded(2, 2, 2, aggregate, event));
    assert_eq!(world.hash(), before);
    let (aggregate, event) = refused();
    world.apply(&recorded(3, 3, 2, aggregate, event));
    assert_ne!(world.hash(), before);
}

#[test]
fn a_row_that_was_cut_is_an_error_that_asks_for_a_rebuild() {
    let (mut world, mut rows) = (fold([(1, 1, created())]), Rows::default());
    save(&mut world, &mut rows);
    let mut loading = Loading::default();
    rows.iter().for_each(|(key, value)| loading.row(key, &value[..value.len() - 1]));
    assert!(loading.finish(1).unwrap_err().to_string().contains("rebuild"));
}

#[test]
fn an_open_alert_is_in_the_history_and_a_resolved_one_stays_there() {
    let resolved = andon::Event::Resolved(andon::Resolved {
        alert: "a1".into(),
        category: andon::Category::Fixed,
        cause: "a fuse".into(),
        countermeasure: "a bigger fuse".into(),
        by: "bob".into(),
    });
    let world = fold([(1, 1, created()), (2, 2, pulled())]);
    assert_eq!(world.streams["shop"].alerts.open().count(), 1);
    let end = (Aggregate::Line, Event::Andon(resolved));
    let world = fold([(1, 1, created()), (2, 2, pulled()), (3, 3, end)]);
    let view = &world.streams["shop"];
    assert!(view.line.open.is_empty());
    let (_, alert) = view.alerts.past().next().unwrap();
    assert_eq!(alert.resolution.as_ref().unwrap().cause, "a fuse");
}

proptest! {
    #[test]
    fn shuffled_and_doubled_facts_give_the_same_lead_time(
        facts in prop::collection::vec((0_u8..5, 0_u8..3, 0_i64..50), 1..40),
        keys in prop::collection::vec(any::<u32>(), 80),
    ) {
        let told: Vec<_> = (10_u128..).zip(facts)
            .map(|(id, (card, column, at))| (id, at, sighting(card, column))).collect();
        let start = [(1, 0, created()), (2, 0, done_column())];
        let straight = fold(start.clone().into_iter().chain(told.clone()));
        let mut mixed: Vec<_> = told.iter().chain(&told).cloned().zip(keys).collect();
        mixed.sort_by_key(|(_, key)| *key);
        let mixed = fold(start.into_iter().chain(mixed.into_iter().map(|(fact, _)| fact)));
        let lead = |world: &World| {
            lead_time(&world.streams["shop"].boards["main"], Window::default())
        };
        prop_assert_eq!(lead(&straight), lead(&mixed));
        prop_assert_eq!(
            &straight.streams["shop"].boards["main"].counts,
            &mixed.streams["shop"].boards["main"].counts
        );
    }
}

fn deployed(id: &str, outcome: Option<deployment::Outcome>) -> (Aggregate, Event) {
    let reported = deployment::DeploymentReported {
        deployment: id.into(),
        environment: "prod".into(),
        class: None,
        service: None,
        artifact: None,
        commit: None,
        changes: Default::default(),
        outcome,
        rollback: false,
    };
    let event = deployment::Event::DeploymentReported(reported);
    (Aggregate::Env("prod".into()), Event::Deployment(event))
}

#[test]
fn a_deployment_is_one_row_and_says_what_its_latest_report_says() {
    let running = (1, deployed("d-1", None));
    let ended = (5, deployed("d-1", Some(deployment::Outcome::Success)));
    let other = (3, deployed("d-2", None));
    for reports in [[&running, &ended, &other], [&other, &ended, &running]] {
        let mut world = World::default();
        for (seq, (at, (aggregate, event))) in (1..).zip(reports) {
            let id = u128::try_from(*at).unwrap();
            world.apply(&recorded(seq, id, *at, aggregate.clone(), event.clone()));
        }
        let rows = world.streams["shop"].deployments.values();
        let rows: Vec<_> = rows.map(|it| (it.deployment.as_str(), it.outcome)).collect();
        assert_eq!(rows, [("d-2", None), ("d-1", Some(deployment::Outcome::Success))]);
        let mut loading = Loading::default();
        for (key, value) in world.take_rows() {
            value.into_iter().for_each(|value| loading.row(&key, &value));
        }
        assert_eq!(loading.finish(world.seq).unwrap().hash(), world.hash());
    }
}

#[test]
fn a_report_of_a_change_that_says_little_takes_nothing_away() {
    let reported = |files: Option<u32>, merged: Option<i64>| change::Reported {
        change: "PR-9".into(),
        commits: vec![],
        authored_at: None,
        merged_at: merged.map(|second| Time::from_micros(second * 1_000_000)),
        files,
        lines: None,
        cards: files.iter().map(|_| "C-1".into()).collect(),
    };
    let facts = [
        (1, reported(None, None)),
        (2, reported(Some(3), None)),
        (3, reported(None, Some(3))),
        (4, reported(Some(4), None)),
    ];
    let orders: [[usize; 4]; 4] = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    for order in orders {
        let facts = order.map(|at| {
            let (second, reported) = facts[at].clone();
            let event = Event::Change(change::Event::Reported(reported));
            (second, Aggregate::Change("PR-9".into()), event)
        });
        let mut world = World::default();
        for (seq, (second, aggregate, event)) in (1..).zip(facts) {
            let id = u128::try_from(second).unwrap();
            world.apply(&recorded(seq, id, second, aggregate, event));
        }
        let change = &world.streams["shop"].changes["PR-9"];
        assert_eq!((change.files, change.cards.len()), (Some(4), 1), "{order:?}");
        assert_eq!(change.merged_at, Some(Time::from_micros(3_000_000)), "{order:?}");
        assert_eq!(change.order.time, Time::from_micros(4_000_000), "{order:?}");
    }
}

#[test]
fn a_text_of_any_length_is_kept_and_shown_cut() {
    let long = "ü".repeat(500_000);
    let (aggregate, event) = on_main(board::Event::CardReported(CardReported {
        card: "c1".into(),
        column: Some("doing".into()),
        details: Details { title: Some(long.as_str().into()), ..Details::default() },
        blocked: Some(true),
        reason: Some(long.as_str().into()),
        deleted: false,
    }));
    let mut world = World::default();
    world.apply(&recorded(1, 1, 1, aggregate, event));
    let board = &world.streams["shop"].boards["main"];
    assert_eq!(board.cards["c1"].title(), long);
    let view = crate::board_view(board, Time::EPOCH);
    let card = &view.columns[0].cards[0];
    for shown in [&card.title, card.blocked.as_ref().unwrap()] {
        assert!(shown.len() <= takt_domain::text::LONGEST && shown.ends_with('…'));
    }
}
