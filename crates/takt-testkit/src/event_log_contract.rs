//! What every log must do, as one suite that each adapter runs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test suite fails by panic")]

use std::sync::Arc;

use takt_domain::{Aggregate, EventId};
use takt_ports::{Append, AppendError, Condition, EventLog, Hash, NewEntry, Subject, chain_hash};

/// The subject of a board in the stream `shop`.
pub fn board(name: &str) -> Subject {
    Subject::of(&"shop".into(), &Aggregate::Board(name.into()))
}

/// An entry whose id is derived from its text.
pub fn entry(subject: &Subject, text: &str) -> NewEntry {
    let id = EventId::derive("urn:takt:test", text, 0);
    NewEntry { subject: subject.clone(), id, bytes: text.to_owned().into() }
}

fn batch(expected: Option<u64>, entries: Vec<NewEntry>) -> Append {
    let subject = entries[0].subject.clone();
    let condition = expected.map(|last_seq| Condition { subject, last_seq });
    Append { conditions: condition.into_iter().collect(), entries }
}

/// Runs every rule on a fresh log each.
///
/// # Panics
/// When a rule does not hold.
pub async fn event_log_contract(make: impl AsyncFn() -> Arc<dyn EventLog>) {
    an_empty_log_has_nothing(make().await).await;
    entries_come_back_as_they_were_stored(make().await).await;
    a_condition_is_exact(make().await).await;
    a_batch_is_stored_whole_or_not_at_all(make().await).await;
    limits_hold(make().await).await;
    a_tail_waits_and_follows(make().await).await;
    of_many_with_the_same_expectation_one_is_stored(make().await).await;
    appenders_at_once_leave_no_gap(make().await).await;
}

async fn an_empty_log_has_nothing(log: Arc<dyn EventLog>) {
    assert_eq!(log.head().await.unwrap(), 0);
    assert!(log.read(0, 10).await.unwrap().is_empty());
    assert!(log.read(1, 10).await.unwrap().is_empty());
    assert_eq!(log.subject_head(&board("a")).await.unwrap(), (0, Hash::default()));
    assert_eq!(log.identity(), log.identity());
}

async fn entries_come_back_as_they_were_stored(log: Arc<dyn EventLog>) {
    let (a, b) = (board("a"), board("b"));
    let first = vec![entry(&a, "1"), entry(&b, "2"), entry(&a, "3")];
    assert_eq!(log.append(batch(Some(0), first)).await.unwrap(), 1);
    assert_eq!(log.append(batch(Some(2), vec![entry(&b, "4")])).await.unwrap(), 4);
    let all = log.read(1, 10).await.unwrap();
    let texts: Vec<_> = all.iter().map(|entry| entry.bytes.to_vec()).collect();
    assert_eq!(texts, [b"1", b"2", b"3", b"4"]);
    assert_eq!(all.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all[0].prev, Hash::default());
    assert_eq!(all[2].prev, chain_hash(&all[0].prev, &all[0].id, b"1"));
    assert_eq!(all[3].prev, chain_hash(&all[1].prev, &all[1].id, b"2"));
    assert_eq!(log.read(2, 2).await.unwrap(), all[1..3]);
    assert!(log.read(5, 10).await.unwrap().is_empty());
    let of_a = log.read_subject(&a, 2, 10).await.unwrap();
    assert_eq!(of_a, all[2..3]);
    assert_eq!(log.read_subject(&a, 0, 1).await.unwrap(), all[0..1]);
    let hash = chain_hash(&all[2].prev, &all[2].id, b"3");
    assert_eq!(log.subject_head(&a).await.unwrap(), (3, hash));
}

async fn a_condition_is_exact(log: Arc<dyn EventLog>) {
    let a = board("a");
    log.append(batch(Some(0), vec![entry(&a, "1")])).await.unwrap();
    for wrong in [0, 2, u64::MAX] {
        let refused = log.append(batch(Some(wrong), vec![entry(&a, "2")])).await;
        assert!(
            matches!(refused, Err(AppendError::Conflict { actual: 1, expected, .. }) if expected == wrong)
        );
    }
    // A condition on a subject that is only looked at holds the batch back as well; it rides on an
    // entry that is not the first of its subject.
    let mut looked = batch(Some(1), vec![entry(&a, "2"), entry(&a, "3")]);
    looked.conditions.push(Condition { subject: board("b"), last_seq: 7 });
    let refused = log.append(looked).await;
    assert!(
        matches!(refused, Err(AppendError::Conflict { subject, actual: 0, .. }) if subject == board("b"))
    );
    assert_eq!(log.head().await.unwrap(), 1);
}

async fn a_batch_is_stored_whole_or_not_at_all(log: Arc<dyn EventLog>) {
    let (a, b) = (board("a"), board("b"));
    log.append(batch(None, vec![entry(&b, "1")])).await.unwrap();
    let mut append = batch(Some(0), vec![entry(&a, "2"), entry(&b, "3")]);
    append.conditions.push(Condition { subject: b, last_seq: 0 });
    assert!(matches!(log.append(append).await, Err(AppendError::Conflict { .. })));
    assert_eq!(log.head().await.unwrap(), 1);
    assert_eq!(log.subject_head(&a).await.unwrap().0, 0);
}

async fn limits_hold(log: Arc<dyn EventLog>) {
    let a = board("a");
    let many = |count: usize| (0..count).map(|n| entry(&a, &n.to_string())).collect::<Vec<_>>();
    let refused = log.append(batch(Some(0), many(1001))).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    let mut big = entry(&a, "big");
    big.bytes = vec![b'x'; 8 * 1024 * 1024 + 1].into();
    let refused = log.append(batch(Some(0), vec![big])).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    let refused = log.append(Append::default()).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    assert_eq!(log.append(batch(Some(0), many(1000))).await.unwrap(), 1);
    assert_eq!(log.read(1, 2000).await.unwrap().len(), 1000);
}

async fn a_tail_waits_and_follows(log: Arc<dyn EventLog>) {
    let a = board("a");
    let mut tail = log.tail(2);
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let entries = tail.next(2).await.unwrap();
            assert!(!entries.is_empty() && entries.len() <= 2);
            seen.extend(entries.into_iter().map(|entry| entry.seq));
        }
        seen
    });
    log.append(batch(Some(0), vec![entry(&a, "1"), entry(&a, "2")])).await.unwrap();
    log.append(batch(Some(2), vec![entry(&a, "3"), entry(&a, "4")])).await.unwrap();
    assert_eq!(follower.await.unwrap(), [2, 3, 4]);
}

async fn of_many_with_the_same_expectation_one_is_stored(log: Arc<dyn EventLog>) {
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let log = Arc::clone(&log);
            let append = batch(Some(0), vec![entry(&board("a"), &n.to_string())]);
            tokio::spawn(async move { log.append(append).await.is_ok() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += usize::from(task.await.unwrap());
    }
    assert_eq!(stored, 1);
    assert_eq!(log.head().await.unwrap(), 1);
}

async fn appenders_at_once_leave_no_gap(log: Arc<dyn EventLog>) {
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let log = Arc::clone(&log);
            let subject = board(&(n % 7).to_string());
            let entries =
                vec![entry(&subject, &format!("{n}a")), entry(&subject, &format!("{n}b"))];
            tokio::spawn(async move { (n, log.append(batch(None, entries)).await.unwrap()) })
        })
        .collect();
    for task in tasks {
        let (n, first) = task.await.unwrap();
        let stored = log.read(first, 2).await.unwrap();
        assert_eq!(stored[0].bytes, format!("{n}a"));
        assert_eq!(stored[1].bytes, format!("{n}b"));
    }
    let all = log.read(1, 1000).await.unwrap();
    assert_eq!(
        all.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (1..=200).collect::<Vec<_>>()
    );
}
