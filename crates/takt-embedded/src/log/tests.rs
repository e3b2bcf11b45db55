//! Tests of the log on files: contract, damage, locks, faults and power loss.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use takt_ports::{Condition, NewEntry, verify_log};
use takt_testkit::{board, entry};

use super::*;
use crate::disk::Disk;
use crate::disk::sim::{Mood, SimDisk};
use crate::segment;
use crate::sidecar;

/// So small that a few batches fill a segment.
const SMALL: Settings = Settings { segment_bytes: 400 };

fn open(disk: &SimDisk) -> Result<EmbeddedLog, Fault> {
    EmbeddedLog::open_on(Arc::new(disk.clone()), SMALL, None)
}

fn batch(texts: &[&str]) -> Append {
    let entries: Vec<NewEntry> = texts.iter().map(|text| entry(&board("a"), text)).collect();
    Append { conditions: vec![], entries }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_on_files_keeps_the_contract() {
    let folders = RefCell::new(Vec::new());
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        folders.borrow_mut().push(folder);
        Arc::new(log) as Arc<dyn EventLog>
    };
    takt_testkit::event_log_contract(make).await;
}

#[tokio::test]
async fn what_was_stored_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), SMALL).unwrap();
    for n in 0..20 {
        log.append(batch(&[&n.to_string(), "pair"])).await.unwrap();
    }
    let before = (log.identity(), log.read(1, 100).await.unwrap(), verify_log(&log).await.unwrap());
    drop(log);
    let log = EmbeddedLog::open(folder.path(), SMALL).unwrap();
    let after = (log.identity(), log.read(1, 100).await.unwrap(), verify_log(&log).await.unwrap());
    assert_eq!(before, after);
    assert_eq!(after.2.count, 40);
    assert_eq!(log.append(batch(&["next"])).await.unwrap(), 41);
}

#[test]
fn a_second_process_is_told_that_the_log_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let first = EmbeddedLog::open(folder.path(), SMALL).unwrap();
    let second = EmbeddedLog::open(folder.path(), SMALL);
    assert!(matches!(second, Err(OpenError::LogInUse { .. })));
    drop(first);
    assert!(EmbeddedLog::open(folder.path(), SMALL).is_ok());
}

#[tokio::test]
async fn a_flipped_byte_is_named_by_its_sequence_and_not_served() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    for text in ["first", "second", "third"] {
        log.append(batch(&[text])).await.unwrap();
    }
    let name = segment::name(1);
    let content = disk.content(&name);
    let at = content.windows(6).position(|window| window == b"second").unwrap();
    disk.flip(&name, at);
    assert_eq!(log.read(1, 10).await.unwrap().len(), 1);
    assert!(matches!(log.read(2, 10).await, Err(LogError::Damaged { seq: 2, .. })));
    assert_eq!(log.read(3, 10).await.unwrap().len(), 1);
    let of_it = log.read_subject(&board("a"), 2, 10).await;
    assert!(matches!(of_it, Err(LogError::Damaged { seq: 2, .. })));
    assert!(matches!(verify_log(&log).await, Err(LogError::Damaged { seq: 2, .. })));
    drop(log);
    // The third entry proves that the second was durable: opening must not cut either.
    assert!(matches!(open(&disk), Err(Fault::Damaged { seq: 2, .. })));
    assert_eq!(disk.content(&name).len(), content.len());
}

async fn of_several_segments() -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    for n in 0..20 {
        log.append(batch(&[&format!("entry-{n}")])).await.unwrap();
    }
    disk
}

#[tokio::test]
async fn damage_in_an_older_segment_is_named_and_not_served() {
    let disk = of_several_segments().await;
    let name = segment::name(1);
    let at = disk.content(&name).len() - 1;
    disk.flip(&name, at);
    // With its sidecar the segment is not read when opening, so reading finds the damage.
    let log = open(&disk).unwrap();
    let good = log.read(1, 100).await.unwrap().len() as u64;
    assert!((2..=4).contains(&good), "{good}");
    let damaged = log.read(good + 1, 100).await;
    assert!(matches!(damaged, Err(LogError::Damaged { seq, .. }) if seq == good + 1));
    assert!(
        matches!(verify_log(&log).await, Err(LogError::Damaged { seq, .. }) if seq == good + 1)
    );
    drop(log);
    // Without its sidecar opening reads it, and finds the same.
    disk.remove(&sidecar::name(1)).unwrap();
    assert!(matches!(open(&disk), Err(Fault::Damaged { seq, .. }) if seq == good + 1));
}

#[tokio::test]
async fn a_damaged_or_missing_sidecar_is_made_anew_and_nothing_else_changes() {
    let disk = of_several_segments().await;
    let log = open(&disk).unwrap();
    let before = (log.read(1, 100).await.unwrap(), verify_log(&log).await.unwrap());
    let of_it = log.read_subject(&board("a"), 7, 9).await.unwrap();
    assert_eq!(of_it, before.0[6..15]);
    drop(log);
    let whole = disk.content(&sidecar::name(1));
    disk.flip(&sidecar::name(1), 30);
    let second = disk.names().unwrap().into_iter().filter(|name| name.ends_with(".idx")).nth(1);
    disk.remove(&second.unwrap()).unwrap();
    let log = open(&disk).unwrap();
    assert_eq!((log.read(1, 100).await.unwrap(), verify_log(&log).await.unwrap()), before);
    assert_eq!(log.read_subject(&board("a"), 7, 9).await.unwrap(), of_it);
    assert_eq!(disk.content(&sidecar::name(1)), whole);
    assert_eq!(log.append(batch(&["next"])).await.unwrap(), 21);
}

#[tokio::test]
async fn a_read_of_large_entries_ends_early_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
    let large = "x".repeat(1024 * 1024);
    for n in 0..20 {
        log.append(batch(&[&format!("{n}{large}")])).await.unwrap();
    }
    let (mut next, mut reads) = (1, 0);
    while next <= 20 {
        let entries = log.read(next, 1000).await.unwrap();
        assert!((1..=9).contains(&entries.len()), "{} entries at once", entries.len());
        assert_eq!(entries[0].seq, next);
        next += entries.len() as u64;
        reads += 1;
    }
    assert!(reads >= 3);
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_works_again_with_space() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        let disk = SimDisk::new();
        let log = open(&disk).unwrap();
        log.append(batch(&["kept"])).await.unwrap();
        let length = disk.content(&segment::name(1)).len();
        disk.set(Mood::Failing(kind));
        let refused = log.append(batch(&["lost", "lost too"])).await;
        assert!(matches!(refused, Err(AppendError::Log(LogError::Unavailable { .. }))));
        assert_eq!(disk.content(&segment::name(1)).len(), length);
        assert_eq!(log.read(1, 10).await.unwrap().len(), 1);
        disk.set(Mood::Good);
        let condition = Condition { subject: board("a"), last_seq: 1 };
        let again = Append { conditions: vec![condition], ..batch(&["again"]) };
        assert_eq!(log.append(again).await.unwrap(), 2);
        drop(log);
        assert_eq!(verify_log(&open(&disk).unwrap()).await.unwrap().count, 2);
    }
}

#[tokio::test]
async fn a_disk_that_became_read_only_still_serves() {
    let disk = SimDisk::new();
    drop({
        let log = open(&disk).unwrap();
        log.append(batch(&["kept"])).await.unwrap();
        log
    });
    disk.set(Mood::Failing(std::io::ErrorKind::ReadOnlyFilesystem));
    let log = open(&disk).unwrap();
    assert_eq!(log.read(1, 10).await.unwrap().len(), 1);
    let refused = log.append(batch(&["no"])).await;
    assert!(matches!(refused, Err(AppendError::Log(LogError::Unavailable { .. }))));
}

#[tokio::test]
async fn a_tail_ends_when_the_log_is_closed() {
    let log = open(&SimDisk::new()).unwrap();
    let mut tail = log.tail(1);
    drop(log);
    assert!(matches!(tail.next(1).await, Err(LogError::Unavailable { .. })));
}

/// Appends until the power goes; what was asked for, and how many of these were acknowledged.
async fn append_until_dark(disk: &SimDisk, round: usize, asked: &mut Vec<Vec<String>>) -> usize {
    let Ok(log) = open(disk) else { return 0 };
    for n in 0..40 {
        let size = n % 3 + 1;
        let texts: Vec<String> =
            (0..size).map(|part| format!("{round}-{n}-{part}-{}", "x".repeat(n * 5))).collect();
        let entries = texts.iter().map(|text| entry(&board("a"), text)).collect();
        asked.push(texts);
        if log.append(Append { conditions: vec![], entries }).await.is_err() {
            return n;
        }
    }
    40
}

/// What is in the log must be what was acknowledged, then at most the one batch asked for last.
async fn check(disk: &SimDisk, kept: &mut Vec<String>, asked: &[Vec<String>], acknowledged: usize) {
    let log = open(disk).unwrap();
    let entries = log.read(1, 10_000).await.unwrap();
    let found: Vec<String> =
        entries.iter().map(|entry| String::from_utf8(entry.bytes.to_vec()).unwrap()).collect();
    kept.extend(asked[..acknowledged].iter().flatten().cloned());
    let mut with_last = kept.clone();
    with_last.extend(asked.get(acknowledged).into_iter().flatten().cloned());
    assert!(found == *kept || found == with_last, "{found:?} is neither {kept:?} nor one more");
    assert_eq!(verify_log(&log).await.unwrap().count, found.len() as u64);
    *kept = found;
}

async fn lose_power(seed: u64, steps: Vec<usize>) {
    let mut seed_bytes = [0; 32];
    seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
    let mut chance = move || rng.next_u32() & 1 == 0;
    let (mut disk, mut kept) = (SimDisk::new(), Vec::new());
    for (round, steps) in steps.into_iter().enumerate() {
        let mut asked = Vec::new();
        disk.set(Mood::DiesAfter(steps));
        let acknowledged = append_until_dark(&disk, round, &mut asked).await;
        disk = disk.after_power_loss(&mut chance);
        // The power goes again while the log is being opened.
        for again in 1..6 {
            disk.set(Mood::DiesAfter(again));
            drop(open(&disk));
            disk = disk.after_power_loss(&mut chance);
        }
        check(&disk, &mut kept, &asked, acknowledged).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn power_loss_keeps_what_was_acknowledged_and_invents_nothing(
        seed: u64,
        steps in prop::collection::vec(0_usize..120, 1..5),
    ) {
        runtime().block_on(lose_power(seed, steps));
    }
}
