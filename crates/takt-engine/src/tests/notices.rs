//! Notices: told once in the quiet case, at least once otherwise, and by nobody for nothing.

use std::time::Instant;

use serde_json::Value;
use takt_domain::{Event, system};
use takt_ports::{Notifier, NotifyError};
use takt_projections::Tally;
use takt_testkit::{MemoryNotifier, OddLog, Oddity, refusal};

use super::*;

fn receivers(all: &[&Arc<MemoryNotifier>]) -> Vec<Arc<dyn Notifier>> {
    all.iter().map(|it| Arc::clone(it) as Arc<dyn Notifier>).collect()
}

async fn line(engine: &Engine, order: andon::Order) {
    engine.andon(&shop(), call(), order).await.unwrap();
}

fn resolve(alert: &str) -> andon::Order {
    andon::Order::Resolve {
        alert: alert.into(),
        category: andon::Category::Fixed,
        cause: "a fuse".into(),
        countermeasure: "a bigger fuse".into(),
    }
}

/// Waits until the stream's notices stand so.
async fn until(engine: &Engine, is_so: impl Fn(&takt_projections::Notices) -> bool) -> Tally {
    let mut seen = engine.shared().seen.subscribe();
    let stands = async {
        loop {
            let now = engine.shared().read(|world| world.streams[&shop()].notices.clone());
            if is_so(&now) {
                return now.tally;
            }
            seen.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), stands).await.expect("they never stood so")
}

fn body(notice: &takt_ports::Notice) -> Value {
    assert_eq!(notice.content_type, "application/cloudevents+json");
    let body: Value = serde_json::from_slice(&notice.bytes).unwrap();
    assert_eq!(body["id"], notice.key.to_string());
    body
}

fn steps(notices: &[takt_ports::Notice]) -> Vec<String> {
    let step = |notice| {
        let data = &body(notice)["data"];
        format!("{} {}", data["alert"].as_str().unwrap(), data["step"].as_str().unwrap())
    };
    notices.iter().map(step).collect()
}

#[tokio::test]
async fn every_receiver_is_told_each_step_of_an_alert_once_and_in_order() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let (chat, pager) = (MemoryNotifier::new("chat"), MemoryNotifier::new("pager"));
    engine.notify(receivers(&[&chat, &pager]));
    line(&engine, pull("a")).await;
    let acknowledge = andon::Order::Acknowledge { alert: "a".into(), hold: Span::from_secs(60) };
    line(&engine, acknowledge).await;
    line(&engine, resolve("a")).await;
    let tally = until(&engine, |it| it.tally.delivered == 6 && it.waiting.is_empty()).await;
    assert_eq!(tally.failed, 0);
    let all = ["a pulled", "a acknowledged", "a resolved"];
    assert_eq!(steps(&chat.seen().tried), all);
    assert_eq!(steps(&pager.seen().tried), all);
    let keys = chat.seen().taken.into_iter().chain(pager.seen().taken).map(|it| it.key);
    assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), 6, "each has its own key");
    let held = body(&chat.seen().taken[1])["data"]["until"].clone();
    assert_eq!(held, "2023-11-14T22:14:20Z", "a minute from when it was acknowledged");
    let last = body(&chat.seen().taken[2]);
    assert_eq!(last["type"], "dev.takt.andon.notice.v1");
    assert_eq!(last["subject"], "a");
    assert_eq!(last["taktstream"], "shop");
    assert_eq!(last["data"]["summary"], "smoke");
    assert_eq!(last["data"]["effect"], "stop");
    assert_eq!(last["data"]["by"], "ann");
    assert_eq!(last["data"]["event"]["countermeasure"], "a bigger fuse");
    // A restart tells nothing again.
    engine.shutdown().await;
    let engine = house.open().await;
    engine.notify(receivers(&[&chat, &pager]));
    line(&engine, pull("b")).await;
    until(&engine, |it| it.tally.delivered == 8).await;
    assert_eq!(chat.seen().tried.len(), 4);
    let history = history(&house).await;
    assert_eq!(of_type(&history, "notice.delivered"), 8);
    let historic = history.iter().filter(|it| it.aggregate.is_system());
    assert!(historic.clone().count() > 8 && historic.clone().all(|it| !it.meta.historical));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_notice_without_an_outcome_is_told_again_under_the_same_key_after_a_restart() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let hanging = MemoryNotifier::hanging("chat");
    engine.notify(receivers(&[&hanging]));
    line(&engine, pull("a")).await;
    let before = hanging.until(|seen| seen.tried.len() == 1).await.tried;
    let began = Instant::now();
    engine.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(5), "a stop waits for no receiver");
    assert_eq!(of_type(&history(&house).await, "notice.requested"), 1);

    let engine = house.open().await;
    let chat = MemoryNotifier::new("chat");
    engine.notify(receivers(&[&chat]));
    let taken = chat.until(|seen| seen.taken.len() == 1).await.taken;
    assert_eq!(taken, before, "key and bytes are the same");
    until(&engine, |it| it.tally.delivered == 1 && it.waiting.is_empty()).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn a_refused_notice_is_tried_again_and_one_that_is_refused_for_good_is_not() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let twice = [refusal(true, "it answered 500"), refusal(true, "it answered 500")];
    let chat = MemoryNotifier::answering("chat", twice);
    let gone = MemoryNotifier::answering("gone", [refusal(false, "it answered 410 Gone")]);
    engine.notify(receivers(&[&chat, &gone]));
    line(&engine, pull("a")).await;
    let tally = until(&engine, |it| it.tally.delivered == 1 && it.waiting.is_empty()).await;
    assert_eq!((chat.seen().tried.len(), gone.seen().tried.len(), tally.failed), (3, 1, 1));
    let mut outcomes = Vec::new();
    for recorded in history(&house).await {
        let Event::System(event) = recorded.event else { continue };
        if let system::Event::NoticeDelivered(it) = event {
            outcomes.push((it.receiver.to_string(), it.attempts, String::new()));
        } else if let system::Event::NoticeFailed(it) = event {
            outcomes.push((it.receiver.to_string(), it.attempts, it.reason.to_string()));
        }
    }
    let gone = ("gone".to_owned(), 1, "it answered 410 Gone".to_owned());
    assert_eq!(outcomes, [gone, ("chat".to_owned(), 3, String::new())]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_notice_is_given_up_after_a_day_and_when_its_receiver_is_no_more() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let again = || refusal(true, "it answered 503");
    let down = MemoryNotifier::answering("down", std::iter::repeat_with(again).take(1000));
    let gone = MemoryNotifier::hanging("gone");
    engine.notify(receivers(&[&down, &gone]));
    line(&engine, pull("a")).await;
    gone.until(|seen| seen.tried.len() == 1).await;
    down.until(|seen| seen.tried.len() == 2).await;
    engine.shutdown().await;
    let engine = house.open().await;
    engine.notify(receivers(&[&down]));
    until(&engine, |it| it.tally.failed == 1).await;
    down.until(|seen| seen.tried.len() > 2).await;
    house.clock.0.fetch_add(24 * 60 * 60 * 1_000_000, Ordering::SeqCst);
    // By then the alert has escalated, of which the receiver is told as well.
    let pulled = |it: &takt_projections::Notices| {
        it.waiting.values().any(|it| it.step == takt_domain::notice::Step::Pulled)
    };
    let tally = until(&engine, |it| !pulled(it)).await;
    assert_eq!((tally.delivered, tally.failed), (0, 2));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_nobody_else_up() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let (hanging, chat) = (MemoryNotifier::hanging("hanging"), MemoryNotifier::new("chat"));
    engine.notify(receivers(&[&hanging, &chat]));
    for n in 0..20 {
        line(&engine, pull(&format!("a{n}"))).await;
    }
    chat.until(|seen| seen.taken.len() == 20).await;
    let now = hanging.seen();
    assert!(now.taken.is_empty() && now.tried.len() <= 4, "{} at once", now.tried.len());
    hanging.answer();
    until(&engine, |it| it.tally.delivered == 40 && it.waiting.is_empty()).await;
    let each: std::collections::BTreeSet<_> =
        hanging.seen().taken.into_iter().map(|it| it.key).collect();
    assert_eq!(each.len(), 20);
    engine.shutdown().await;
}

#[tokio::test]
async fn who_comes_late_is_told_what_is_open_and_not_how_it_went() {
    let house = House::new();
    let engine = with_columns(&house).await;
    line(&engine, pull("over")).await;
    line(&engine, pull("open")).await;
    line(&engine, resolve("over")).await;
    house.clock.0.fetch_add(60 * 60 * 1_000_000, Ordering::SeqCst);
    let chat = MemoryNotifier::new("chat");
    engine.notify(receivers(&[&chat]));
    line(&engine, pull("fresh")).await;
    until(&engine, |it| it.tally.delivered == 2 && it.waiting.is_empty()).await;
    let mut told = steps(&chat.seen().tried);
    told.sort();
    assert_eq!(told, ["fresh pulled", "open pulled"]);
    engine.shutdown().await;
}

#[tokio::test]
async fn history_and_joined_triggers_and_other_streams_are_told_to_nobody() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let chat = MemoryNotifier::new("chat");
    engine.notify(receivers(&[&chat]));
    let quiet: StreamName = "quiet".into();
    let create = stream::Command::Create { name: quiet.clone(), title: "Quiet".into() };
    engine.stream(&quiet, call(), create).await.unwrap();
    engine.andon(&quiet, call(), pull("unwanted")).await.unwrap();
    let red = ["h1 suite:old red 5", "f1 suite:new red 6", "f2 suite:new red 7"];
    engine.publish(&shop(), red.map(Bytes::from).to_vec()).await.unwrap();
    line(&engine, pull("last")).await;
    chat.until(|seen| seen.taken.len() == 2).await;
    until(&engine, |it| it.tally.delivered == 2 && it.waiting.is_empty()).await;
    let bodies: Vec<Value> = chat.seen().tried.iter().map(body).collect();
    let kinds: Vec<_> = bodies.iter().map(|it| it["data"]["cause"]["kind"].clone()).collect();
    assert_eq!(kinds, ["test", "person"]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_pause_that_a_receiver_asks_for_is_kept() {
    let house = House::new();
    let engine = with_columns(&house).await;
    let after = Some(Duration::from_secs(2));
    let busy = NotifyError { after, ..refusal(true, "it answered 429") };
    let chat = MemoryNotifier::answering("chat", [busy]);
    engine.notify(receivers(&[&chat]));
    line(&engine, pull("a")).await;
    chat.until(|seen| seen.tried.len() == 1).await;
    let began = Instant::now();
    chat.until(|seen| seen.taken.len() == 1).await;
    assert!(began.elapsed() >= Duration::from_millis(1900), "after {:?}", began.elapsed());
    engine.shutdown().await;
}

#[tokio::test]
async fn of_two_nodes_the_one_that_holds_the_stream_tells_and_the_other_takes_over() {
    let town = nodes::Town::new(Duration::from_secs(2));
    let (one, two) = (town.node().await, town.node().await);
    nodes::create(&one).await;
    let (by_one, by_two) = (MemoryNotifier::new("chat"), MemoryNotifier::new("chat"));
    one.notify(receivers(&[&by_one]));
    two.notify(receivers(&[&by_two]));
    for n in 0..5 {
        line(if n % 2 == 0 { &one } else { &two }, pull(&format!("a{n}"))).await;
    }
    for node in [&one, &two] {
        until(node, |it| it.tally.delivered == 5 && it.waiting.is_empty()).await;
    }
    let told = by_one.seen().tried.len() + by_two.seen().tried.len();
    assert_eq!(told, 5, "nobody is told twice");
    // Whoever it was that told, goes.
    let one_told = by_two.seen().tried.is_empty();
    let (goes, stays, by_who_stays) =
        if one_told { (&one, &two, &by_two) } else { (&two, &one, &by_one) };
    goes.shutdown().await;
    line(stays, pull("last")).await;
    until(stays, |it| it.tally.delivered == 6 && it.waiting.is_empty()).await;
    let last = by_who_stays.seen().tried;
    assert_eq!(steps(&last).last().unwrap(), "last pulled");
    let requested = of_type(&history(&town.house).await, "notice.requested");
    assert!((1..=6).contains(&requested), "{requested}");
    stays.shutdown().await;
}

/// A log on which another node asks for the notices of a line while this one looks at it.
struct Overtaken {
    log: MemoryLog,
    engine: std::sync::OnceLock<Engine>,
    other: Mutex<Option<takt_ports::Append>>,
}

#[async_trait::async_trait]
impl Oddity for Overtaken {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    async fn read_subject(
        &self,
        of: &takt_ports::Subject,
        from: u64,
        max: usize,
    ) -> Result<Vec<takt_ports::Entry>, takt_ports::LogError> {
        let other = self.other.lock().unwrap().take();
        if let Some(other) = other {
            let seq = self.log.append(other).await.unwrap();
            let engine = self.engine.get().unwrap();
            engine.view(seq, Duration::from_secs(30), |_| ()).await.unwrap();
        }
        self.log.read_subject(of, from, max).await
    }
}

/// What a node asks for that has looked at a line with one alert.
fn asked_by_another(alert: &str, sequence: u64) -> takt_ports::Append {
    use takt_domain::notice::{Asked, Requested, Step};
    use takt_domain::{Aggregate, EventId, Meta};
    let aggregate = Aggregate::Reactor("notify".into());
    let (alert, receiver) = (alert.into(), "chat".into());
    let notices = vec![Asked { sequence, alert, step: Step::Pulled, receiver }];
    let requested = system::Event::NoticeRequested(Requested { through: sequence, notices });
    let id = EventId(uuid::Uuid::now_v7());
    let now = Time::from_micros(1_700_000_000_000_000);
    let meta = Meta::new(id, "urn:takt:other".into(), now);
    let bytes = takt_events::encode(&shop(), &aggregate, &meta, &Event::System(requested));
    let subject = takt_ports::Subject::of(&shop(), &aggregate);
    takt_ports::Append {
        conditions: vec![],
        entries: vec![takt_ports::NewEntry { subject, id, bytes: bytes.into() }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_asked_for_while_this_one_looked_is_not_asked_for_again() {
    let house = House::new();
    let engine = with_columns(&house).await;
    line(&engine, pull("a")).await;
    let pulled = engine.shared().read(|world| world.streams[&shop()].line_seq);
    engine.shutdown().await;
    let log = Arc::new(OddLog::new(Overtaken {
        log: (*house.log).clone(),
        engine: Default::default(),
        other: Mutex::new(Some(asked_by_another("a", pulled))),
    }));
    let engine = Engine::start(house.on(Arc::clone(&log) as _)).await.unwrap();
    assert!(log.0.engine.set(engine.clone()).is_ok());
    let chat = MemoryNotifier::new("chat");
    engine.notify(receivers(&[&chat]));
    until(&engine, |it| it.tally.delivered == 1 && it.waiting.is_empty()).await;
    engine.shutdown().await;
    assert!(log.0.other.lock().unwrap().is_none());
    assert_eq!(of_type(&history(&house).await, "notice.requested"), 1);
    assert_eq!(chat.seen().tried.len(), 1);
}
