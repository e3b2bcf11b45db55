//! What may befall a log on JetStream: answers that are lost, servers that are killed, streams that
//! are not what they were.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use takt_nats::{Connection, NatsLog, Settings};
use takt_ports::{
    Append, AppendError, Condition, Entry, EventLog, LogError, NewEntry, Subject, Tail, verify_log,
};
use takt_testkit::{board, entry};
use takt_tests::nats::in_the_end;
use takt_tests::{Nats, Proxy};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long a test waits for what must come on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

async fn open_at(url: &str) -> NatsLog {
    let connection = Connection::open(&Settings::new(url), "test").await.unwrap();
    NatsLog::open(connection, 1).await.unwrap()
}

async fn context(nats: &Nats) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

fn batch(subject: &Subject, last_seq: u64, texts: &[&str]) -> Append {
    let entries: Vec<NewEntry> = texts.iter().map(|text| entry(subject, text)).collect();
    Append { conditions: vec![Condition { subject: subject.clone(), last_seq }], entries }
}

fn asked(log: &NatsLog, append: Append) -> JoinHandle<Result<u64, AppendError>> {
    let log = log.clone();
    tokio::spawn(async move { log.append(append).await })
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8(entry.bytes.to_vec()).unwrap()).collect()
}

/// Waits until the log has come so far.
async fn until_head(log: &NatsLog, seq: u64) {
    let deadline = Instant::now() + PATIENCE;
    // While the server is away nobody knows.
    while log.head().await.unwrap_or(0) < seq {
        assert!(Instant::now() < deadline, "the log never came to {seq}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_append_while_an_answer_is_lost_each_is_stored_once() {
    let nats = Nats::start();
    for (round, of_a) in [&["a1"][..], &["a1", "a2", "a3"]].into_iter().enumerate() {
        let subject = board(&format!("round-{round}"));
        let proxy = Proxy::before(nats.address());
        let a = open_at(&format!("nats://{}", proxy.address())).await;
        let b = open_at(&nats.url()).await;
        let before = b.head().await.unwrap();
        proxy.swallow();
        let lost = asked(&a, batch(&subject, 0, of_a));
        let stored = before + of_a.len() as u64;
        until_head(&b, stored).await;
        b.append(batch(&subject, stored, &["b"])).await.unwrap();
        let cut = Instant::now();
        proxy.cut();
        proxy.heal();
        let told = timeout(PATIENCE, lost).await.unwrap().unwrap();
        assert_eq!(told.unwrap(), before + 1, "its own entries are found");
        let took = cut.elapsed();
        assert!(took < Duration::from_secs(3), "a loss is seen at once, not after {took:?}");
        let all = b.read_subject(&subject, 0, 100).await.unwrap();
        assert_eq!(texts(&all), [of_a, &["b"]].concat());
        // Who has lost the answer altogether and asks again is told, or sees that the log went on.
        match a.append(batch(&subject, 0, of_a)).await {
            Ok(first) => assert_eq!(first, before + 1),
            Err(error) => assert!(matches!(error, AppendError::Conflict { .. }), "{error}"),
        }
        assert_eq!(b.read_subject(&subject, 0, 100).await.unwrap().len(), of_a.len() + 1);
    }
    verify_log(&open_at(&nats.url()).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_arrived_is_sent_again_or_told() {
    let nats = Nats::start();
    let proxy = Proxy::before(nats.address());
    let log = open_at(&format!("nats://{}", proxy.address())).await;
    log.append(batch(&board("a"), 0, &["1"])).await.unwrap();
    proxy.cut();
    let asked = asked(&log, batch(&board("a"), 1, &["2", "3"]));
    proxy.heal();
    let told = timeout(PATIENCE, asked).await.unwrap().unwrap();
    let direct = open_at(&nats.url()).await;
    let stored = direct.head().await.unwrap();
    match told {
        Ok(first) => assert_eq!((first, stored), (2, 3)),
        Err(AppendError::Conflict { .. } | AppendError::Log(LogError::Unavailable { .. })) => {}
        Err(error) => panic!("{error}"),
    }
    // Deciding again makes it true, whatever has become of the first time.
    let again = in_the_end(async || match direct.subject_head(&board("a")).await.unwrap().0 {
        3 => Ok(2),
        end => log.append(batch(&board("a"), end, &["2", "3"])).await,
    });
    assert_eq!(again.await, 2);
    assert_eq!(texts(&direct.read(1, 100).await.unwrap()), ["1", "2", "3"]);
}

/// So many entries from the first one on, past what a tail says while the server is away.
async fn followed(log: Arc<NatsLog>, count: usize) -> Vec<Entry> {
    let (mut seen, mut tail) = (Vec::new(), log.tail(1));
    while seen.len() < count {
        match tail.next(7).await {
            Ok(entries) => seen.extend(entries),
            Err(LogError::Unavailable { .. }) => tail = log.tail(seen.len() as u64 + 1),
            Err(damaged) => panic!("{damaged}"),
        }
    }
    seen
}

/// Appends as an engine does: again and again, until it is told, or sees that it is stored.
async fn appended(log: Arc<NatsLog>, append: Append) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match log.append(append.clone()).await {
            Ok(_) | Err(AppendError::Conflict { actual: 1.., .. }) => return,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_is_there_once_and_the_tail_goes_on() {
    let mut nats = Nats::start();
    let log = Arc::new(open_at(&nats.url()).await);
    let follower = tokio::spawn(followed(Arc::clone(&log), 60));
    for round in 0..3_u64 {
        let writers: Vec<_> = (0..10)
            .map(|n| {
                let (subject, text) = (board(&format!("{round}-{n}")), format!("{round} {n}"));
                let append = batch(&subject, 0, &[&text, &format!("{text} more")]);
                tokio::spawn(appended(Arc::clone(&log), append))
            })
            .collect();
        until_head(&log, 20 * round + 2).await;
        nats.kill();
        nats.restart();
        for writer in writers {
            timeout(PATIENCE, writer).await.unwrap().unwrap();
        }
    }
    let seen = timeout(PATIENCE, follower).await.unwrap().unwrap();
    let each: BTreeSet<_> = seen.iter().map(|entry| entry.bytes.clone()).collect();
    assert_eq!((seen.len(), each.len()), (60, 60));
    let log = open_at(&nats.url()).await;
    assert_eq!(log.read(1, 100).await.unwrap(), seen);
    assert_eq!(verify_log(&log).await.unwrap().count, 60);
}

/// What a tail says in the end, past what it says while the server is away.
async fn damage(tail: &mut Box<dyn Tail>) -> (u64, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match timeout(PATIENCE, tail.next(10)).await.unwrap() {
            Err(LogError::Damaged { seq, reason }) => return (seq, reason.to_string()),
            Err(LogError::Unavailable { .. }) => assert!(Instant::now() < deadline),
            Ok(entries) => panic!("{entries:?}"),
        }
    }
}

/// A log with a tail that has read it, whose stream is deleted then.
async fn deleted() -> (Nats, NatsLog, Box<dyn Tail>) {
    let nats = Nats::start();
    let log = open_at(&nats.url()).await;
    log.append(batch(&board("a"), 0, &["1", "2"])).await.unwrap();
    let mut tail = log.tail(1);
    assert_eq!(tail.next(10).await.unwrap().len(), 2);
    context(&nats).await.delete_stream("TAKT_LOG").await.unwrap();
    (nats, log, tail)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_anew_under_a_tail_is_damage() {
    let (nats, log, mut tail) = deleted().await;
    let other = open_at(&nats.url()).await;
    assert_ne!(other.identity(), log.identity());
    other.append(batch(&board("b"), 0, &["x", "y", "z"])).await.unwrap();
    let (_, reason) = damage(&mut tail).await;
    assert!(reason.contains("made anew") || reason.contains("another log"), "{reason}");
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|it| (it.path(), it.file_name())).unwrap();
        if path.is_dir() {
            copied(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_has_lost_its_last_entries_is_damage_at_the_first_of_them() {
    let mut nats = Nats::start();
    let log = open_at(&nats.url()).await;
    log.append(batch(&board("a"), 0, &["1", "2", "3"])).await.unwrap();
    nats.kill();
    let (store, kept) = (nats.folder().join("jetstream"), nats.folder().join("kept"));
    copied(&store, &kept);
    nats.restart();
    let mut tail = log.tail(1);
    let first = in_the_end(async || log.append(batch(&board("a"), 3, &["4", "5"])).await).await;
    assert_eq!(first, 4);
    let mut read = 0;
    while read < 5 {
        read += tail.next(10).await.map_or(0, |entries| entries.len());
    }
    nats.kill();
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&kept, &store).unwrap();
    nats.restart();
    let (seq, reason) = damage(&mut tail).await;
    assert_eq!(seq, 4, "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_itself_keeps_the_entries() {
    let nats = Nats::start();
    let log = open_at(&nats.url()).await;
    log.append(batch(&board("a"), 0, &["1", "2"])).await.unwrap();
    let context = context(&nats).await;
    let stream = context.get_stream("TAKT_LOG").await.unwrap();
    stream.delete_message(2).await.unwrap_err();
    stream.purge().await.unwrap_err();
    let mut config = stream.cached_info().config.clone();
    config.deny_delete = false;
    context.update_stream(&config).await.unwrap_err();
    assert_eq!(texts(&log.read(1, 10).await.unwrap()), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_gone_under_a_tail_is_damage() {
    let (_nats, _log, mut tail) = deleted().await;
    let (seq, reason) = damage(&mut tail).await;
    assert_eq!(seq, 1, "{reason}");
    assert!(reason.contains("`TAKT_LOG` is gone"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_for_another_reason_than_an_expectation_is_no_conflict() {
    let nats = Nats::start();
    let log = open_at(&nats.url()).await;
    log.append(batch(&board("a"), 0, &["1"])).await.unwrap();
    let context = context(&nats).await;
    let stream = context.get_stream("TAKT_LOG").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.allow_atomic_publish = false;
    context.update_stream(&config).await.unwrap();
    let refused = log.append(batch(&board("a"), 1, &["2", "3"])).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Log(LogError::Unavailable { .. })), "{refused:?}");
    config.allow_atomic_publish = true;
    config.max_messages = 1;
    context.update_stream(&config).await.unwrap();
    let refused = log.append(batch(&board("a"), 1, &["2"])).await.unwrap_err();
    let is_told = refused.to_string().contains("maximum messages exceeded");
    assert!(is_told && matches!(&refused, AppendError::Log(_)), "{refused:?}");
}
