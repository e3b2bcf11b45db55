//! Jobs on files: the contract, and what is there after a kill.

use std::cell::RefCell;

use super::*;

const LONG: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn jobs_on_files_keep_the_contract() {
    let folders = RefCell::new(Vec::new());
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        let jobs = EmbeddedJobQueue::open(folder.path()).unwrap();
        folders.borrow_mut().push(folder);
        Arc::new(jobs) as Arc<dyn JobQueue>
    };
    takt_testkit::job_queue_contract(make).await;
}

#[tokio::test]
async fn jobs_are_as_they_were_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = EmbeddedJobQueue::open(folder.path()).unwrap();
    for id in ["done", "given back", "taken", "waiting"] {
        jobs.put("build", id, Bytes::from_static(b"work")).await.unwrap();
    }
    let done = jobs.take("build", LONG, MOMENT).await.unwrap().unwrap();
    let given_back = jobs.take("build", LONG, MOMENT).await.unwrap().unwrap();
    let taken = jobs.take("build", LONG, MOMENT).await.unwrap().unwrap();
    jobs.done("build", &done).await.unwrap();
    jobs.give_back("build", &given_back, LONG).await.unwrap();
    drop(jobs);

    let jobs = EmbeddedJobQueue::open(folder.path()).unwrap();
    assert_eq!(jobs.count("build").await.unwrap(), 3);
    let next = jobs.take("build", LONG, MOMENT).await.unwrap().unwrap();
    assert_eq!((next.id.as_str(), next.attempt), ("waiting", 1));
    assert_eq!(jobs.take("build", LONG, MOMENT).await.unwrap(), None, "the others are not free");
    jobs.renew("build", &taken).await.unwrap();
    jobs.done("build", &taken).await.unwrap();
    assert!(!jobs.put("build", "given back", Bytes::new()).await.unwrap());
    jobs.put("build", "new", Bytes::new()).await.unwrap();
    let next = jobs.take("build", LONG, MOMENT).await.unwrap().unwrap();
    assert_eq!(next.id, "new", "it comes after what was there");
}

#[tokio::test]
async fn an_attempt_that_outlives_a_kill_is_followed_by_the_next_number() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = EmbeddedJobQueue::open(folder.path()).unwrap();
    jobs.put("build", "a", Bytes::new()).await.unwrap();
    let first = jobs.take("build", MOMENT, MOMENT).await.unwrap().unwrap();
    drop(jobs);
    let jobs = EmbeddedJobQueue::open(folder.path()).unwrap();
    let second = jobs.take("build", LONG, LONG).await.unwrap().unwrap();
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert!(matches!(jobs.done("build", &first).await, Err(JobError::Superseded { .. })));
    jobs.done("build", &second).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "only the lock is left");
}

#[tokio::test]
async fn a_job_whose_file_has_changed_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = EmbeddedJobQueue::open(folder.path()).unwrap();
    jobs.put("build", "a", Bytes::from_static(b"work")).await.unwrap();
    drop(jobs);
    let path = folder.path().join("00000000000000000001.job");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("work", "walk")).unwrap();
    let Err(OpenError::Io { source, .. }) = EmbeddedJobQueue::open(folder.path()) else {
        panic!("it was opened");
    };
    assert!(source.to_string().contains("00000000000000000001.job"), "{source}");
}
