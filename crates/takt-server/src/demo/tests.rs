//! What the demo promises, checked on the seeded stream itself.

use std::sync::Arc;

use takt_domain::andon::Effect;
use takt_domain::board::WipPolicy;
use takt_embedded::{EmbeddedLog, Settings};
use takt_engine::{Misfit, Parts, SystemClock};
use takt_projections::{AlertRecord, BoardView, LeadTime, StreamView, Window, lead_time};
use takt_store::SledStore;
use takt_testkit::MemoryDeadLetters;

use super::*;

async fn engine(folder: &std::path::Path) -> Engine {
    Engine::start(Parts {
        log: Arc::new(EmbeddedLog::open(&folder.join("log"), Settings::default()).unwrap()),
        dead: Arc::new(MemoryDeadLetters::default()),
        store: Arc::new(store(&folder.join("sled")).await),
        clock: Arc::new(SystemClock),
        parse: |bytes, now| {
            takt_intake::parse(bytes, now).map_err(|it| Misfit {
                reason: it.reason,
                place: it.place,
                remedy: it.remedy,
            })
        },
        text_of: |_, bytes| Ok(bytes.clone()),
        outlet: |_| vec![],
        outbox: None,
        nodes: None,
    })
    .await
    .unwrap()
}

/// Opens the store; sled's own threads may hold the lock of one that was closed a moment longer.
async fn store(path: &std::path::Path) -> SledStore {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        match SledStore::open(path) {
            Ok((store, _)) => return store,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn read<R>(engine: &Engine, read: impl FnOnce(&StreamView) -> R) -> R {
    let head = engine.log().head().await.unwrap();
    engine.view(head, DEADLINE, |world| read(&world.streams["demo"])).await.unwrap()
}

async fn board(engine: &Engine) -> BoardView {
    let now = engine.now();
    read(engine, |view| board_view(&view.boards["main"], now)).await
}

async fn alerts(engine: &Engine) -> Vec<AlertRecord> {
    read(engine, |view| view.alerts.all.values().cloned().collect()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeded_stream_has_what_the_demo_promises() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    assert!(seed(&engine).await.unwrap());
    let board = board(&engine).await;
    let load: Vec<_> = board.columns.iter().map(|it| (it.name.as_str(), it.count)).collect();
    let expected = [
        ("Ideas", 7),
        ("Ready", 4),
        ("In progress", 4),
        ("Review", 4),
        ("Test", 3),
        ("Ready to ship", 2),
        ("Done", 36),
    ];
    assert_eq!(load, expected);
    let full = board.columns.iter().find(|it| it.name.as_str() == "In progress").unwrap();
    assert_eq!((full.wip_limit.cards, full.wip_limit.policy), (full.count, WipPolicy::Hard));
    let over: Vec<_> = board.columns.iter().filter(|it| it.over).collect();
    assert_eq!(over.len(), 1);
    assert_eq!((over[0].name.as_str(), over[0].wip_limit.policy), ("Review", WipPolicy::Soft));
    let cards: Vec<_> = board.columns.iter().flat_map(|it| &it.cards).collect();
    assert!(cards.iter().all(|card| !card.title.is_empty() && card.size.is_some()));
    assert_eq!(cards.iter().filter(|card| card.blocked.is_some()).count(), 2);
    let measured: LeadTime =
        read(&engine, |view| lead_time(&view.boards["main"], Window::default())).await;
    assert_eq!((measured.completed, measured.open), (36, 24));
    assert_eq!((measured.reopened, measured.reopened_open), (3, 1));
    assert_eq!(measured.quality, takt_projections::Quality { never_seen: 0, ..measured.quality });
    let days = |seconds: Option<f64>| seconds.unwrap() / 86_400.0;
    assert!(days(measured.p50) > 3.0 && days(measured.p85) < 21.0, "{measured:?}");
    // A team whose slow work takes hardly longer than its usual work is not to be believed.
    assert!(days(measured.p85) > 1.7 * days(measured.p50), "{measured:?}");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeded_line_is_stopped_by_a_red_test_and_has_learned_from_a_past_alert() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    seed(&engine).await.unwrap();
    let all = alerts(&engine).await;
    let (open, past): (Vec<_>, Vec<_>) = all.iter().partition(|it| it.resolution.is_none());
    let mut open: Vec<_> =
        open.iter().map(|it| (it.effect == Effect::Stop, it.cause.kind)).collect();
    open.sort();
    let expected =
        [(false, CauseKind::WipLimit), (false, CauseKind::TimeLimit), (true, CauseKind::Test)];
    assert_eq!(open, expected);
    let red = all.iter().find(|it| it.cause.kind == CauseKind::Test).unwrap();
    assert_eq!(red.acknowledged.as_ref().unwrap().1, "mara");
    let [past] = past[..] else { panic!("{past:?}") };
    let learned = past.resolution.as_ref().unwrap();
    assert!(!learned.cause.is_empty() && !learned.countermeasure.is_empty());
    let (runs, changes, deployments) =
        read(&engine, |it| (it.tests.len(), it.changes.len(), it.deployments.len())).await;
    assert_eq!((runs, changes, deployments), (30, 18, 25));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_on_the_same_data_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = engine(folder.path()).await;
    seed(&first).await.unwrap();
    // A cursor of the reactor may still be on its way; what the demo itself adds is of this stream.
    let counted = |engine: &Engine| {
        let log = Arc::clone(engine.log());
        async move {
            let entries = log.read(1, 10_000).await.unwrap();
            let ours = |it: &&takt_ports::Entry| !it.subject.as_str().contains("$sys");
            entries.iter().filter(ours).count()
        }
    };
    let before = counted(&first).await;
    first.shutdown().await;
    drop(first);
    let second = engine(folder.path()).await;
    assert!(seed(&second).await.unwrap());
    assert_eq!(counted(&second).await, before);
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_the_same_name_that_somebody_else_made_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    let name = StreamName::new(STREAM);
    let create = stream::Command::Create { name: name.clone(), title: "Mine".into() };
    engine.stream(&name, call("ann", Some("mine".into())), create).await.unwrap();
    assert!(!seed(&engine).await.unwrap());
    assert!(board(&engine).await.columns.is_empty());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_living_demo_moves_cards_and_never_breaks_a_hard_limit() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    seed(&engine).await.unwrap();
    let seeded = board(&engine).await.columns[6].count;
    for _ in 0..200 {
        step(&engine).await.unwrap();
        let board = board(&engine).await;
        let hard = board.columns.iter().filter(|it| it.wip_limit.policy == WipPolicy::Hard);
        assert!(hard.clone().all(|it| !it.over), "{board:?}");
    }
    let finished = board(&engine).await.columns[6].count;
    assert!(finished > seeded, "{finished} cards are in done after 200 deeds, as at first");
    let past = alerts(&engine).await.iter().filter(|it| it.resolution.is_some()).count();
    assert!(past > 1, "nobody has mended the line");
    engine.shutdown().await;
}

#[test]
fn the_plan_is_the_same_for_the_same_instant_and_lies_within_its_weeks() {
    let now = Time::from_micros(1_800_000_000_000_000);
    let plan = plan::plan(now);
    assert_eq!(plan, plan::plan(now));
    let oldest = now - takt_domain::Span::from_secs(8 * 7 * 86_400);
    for report in plan.history.iter().chain(&plan.present) {
        assert!(report.time <= now, "{report:?}");
        assert!(report.time >= oldest || report.kind != "dev.takt.report.card.v1", "{report:?}");
    }
}
