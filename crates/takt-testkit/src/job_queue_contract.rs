//! What every job queue must do, as one suite that each adapter runs.
#![expect(clippy::unwrap_used, reason = "a test suite fails by panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use takt_ports::{Job, JobError, JobQueue};

/// A lease that passes within a test.
const SHORT: Duration = Duration::from_millis(500);
/// A lease that no test outlives, and a wait that is long enough for what must come.
const LONG: Duration = Duration::from_secs(30);
/// A wait for what must not come.
const MOMENT: Duration = Duration::from_millis(100);

/// Runs every rule on a fresh queue each.
///
/// # Panics
/// When a rule does not hold.
pub async fn job_queue_contract(make: impl AsyncFn() -> Arc<dyn JobQueue>) {
    jobs_are_taken_oldest_first_and_done_once(make().await).await;
    a_known_id_is_put_once_until_it_is_done(make().await).await;
    queues_are_apart(make().await).await;
    a_job_whose_lease_has_passed_has_a_next_attempt(make().await).await;
    a_renewed_lease_holds(make().await).await;
    a_job_given_back_waits_for_its_delay(make().await).await;
    who_waits_is_handed_what_is_put(make().await).await;
    of_many_workers_one_takes_a_job(make().await).await;
    a_job_over_the_limit_is_refused(make().await).await;
}

async fn put(jobs: &Arc<dyn JobQueue>, id: &str) {
    assert!(jobs.put("build", id, Bytes::from(format!("do {id}"))).await.unwrap(), "`{id}`");
}

async fn take(jobs: &Arc<dyn JobQueue>, lease: Duration) -> Job {
    jobs.take("build", lease, LONG).await.unwrap().unwrap()
}

fn is_superseded(result: &Result<(), JobError>, job: &Job) -> bool {
    matches!(result, Err(JobError::Superseded { id, attempt })
        if *id == job.id && *attempt == job.attempt)
}

async fn jobs_are_taken_oldest_first_and_done_once(jobs: Arc<dyn JobQueue>) {
    assert_eq!(jobs.take("build", LONG, MOMENT).await.unwrap(), None);
    assert_eq!(jobs.count("build").await.unwrap(), 0);
    for id in ["c", "a", "b/with *odd* > text"] {
        put(&jobs, id).await;
    }
    assert_eq!(jobs.count("build").await.unwrap(), 3);
    for id in ["c", "a", "b/with *odd* > text"] {
        let job = take(&jobs, LONG).await;
        assert_eq!((job.id.as_str(), job.attempt), (id, 1));
        assert_eq!(job.bytes, format!("do {id}"));
        jobs.done("build", &job).await.unwrap();
        let again = jobs.done("build", &job).await;
        assert!(is_superseded(&again, &job), "a job is done once: {again:?}");
    }
    assert_eq!(jobs.count("build").await.unwrap(), 0);
    assert_eq!(jobs.take("build", LONG, MOMENT).await.unwrap(), None);
}

async fn a_known_id_is_put_once_until_it_is_done(jobs: Arc<dyn JobQueue>) {
    put(&jobs, "a").await;
    assert!(!jobs.put("build", "a", Bytes::from_static(b"other")).await.unwrap());
    let job = take(&jobs, LONG).await;
    assert_eq!(job.bytes, "do a", "what was put first holds");
    assert!(!jobs.put("build", "a", Bytes::new()).await.unwrap(), "it is worked on");
    assert_eq!(jobs.count("build").await.unwrap(), 1);
    jobs.done("build", &job).await.unwrap();
    put(&jobs, "a").await;
    let job = take(&jobs, LONG).await;
    assert_eq!((job.id.as_str(), job.attempt), ("a", 1), "it is another job");
}

async fn queues_are_apart(jobs: Arc<dyn JobQueue>) {
    put(&jobs, "a").await;
    assert!(jobs.put("deploy", "a", Bytes::from_static(b"other")).await.unwrap());
    let other = jobs.take("deploy", LONG, LONG).await.unwrap().unwrap();
    assert_eq!(other.bytes, "other");
    jobs.done("deploy", &other).await.unwrap();
    assert_eq!(jobs.count("deploy").await.unwrap(), 0);
    assert_eq!(jobs.count("build").await.unwrap(), 1);
    assert_eq!(take(&jobs, LONG).await.bytes, "do a");
}

async fn a_job_whose_lease_has_passed_has_a_next_attempt(jobs: Arc<dyn JobQueue>) {
    put(&jobs, "a").await;
    let first = take(&jobs, SHORT).await;
    let second = take(&jobs, LONG).await;
    assert_eq!((second.id.as_str(), second.attempt), ("a", 2));
    assert_eq!(second.bytes, first.bytes);
    for late in [
        jobs.renew("build", &first).await,
        jobs.done("build", &first).await,
        jobs.give_back("build", &first, Duration::ZERO).await,
    ] {
        assert!(is_superseded(&late, &first), "only the current attempt's word counts: {late:?}");
    }
    assert_eq!(jobs.count("build").await.unwrap(), 1);
    jobs.done("build", &second).await.unwrap();
    assert_eq!(jobs.count("build").await.unwrap(), 0);
}

async fn a_renewed_lease_holds(jobs: Arc<dyn JobQueue>) {
    put(&jobs, "a").await;
    let job = take(&jobs, SHORT * 2).await;
    // Far longer than the lease in all, and each wait far shorter than it.
    for _ in 0..10 {
        assert_eq!(jobs.take("build", LONG, SHORT / 2).await.unwrap(), None);
        jobs.renew("build", &job).await.unwrap();
    }
    jobs.done("build", &job).await.unwrap();
}

async fn a_job_given_back_waits_for_its_delay(jobs: Arc<dyn JobQueue>) {
    put(&jobs, "a").await;
    let first = take(&jobs, LONG).await;
    jobs.give_back("build", &first, Duration::ZERO).await.unwrap();
    let late = jobs.done("build", &first).await;
    assert!(is_superseded(&late, &first), "{late:?}");
    let second = take(&jobs, LONG).await;
    assert_eq!(second.attempt, 2);
    let asked = std::time::Instant::now();
    jobs.give_back("build", &second, SHORT).await.unwrap();
    put(&jobs, "b").await;
    let other = take(&jobs, LONG).await;
    assert_eq!(other.id, "b", "others go on meanwhile");
    let third = take(&jobs, LONG).await;
    assert_eq!((third.id.as_str(), third.attempt), ("a", 3));
    assert!(asked.elapsed() >= SHORT, "it came after {:?}", asked.elapsed());
}

async fn who_waits_is_handed_what_is_put(jobs: Arc<dyn JobQueue>) {
    let waiting = {
        let jobs = Arc::clone(&jobs);
        tokio::spawn(async move { take(&jobs, LONG).await })
    };
    tokio::task::yield_now().await;
    put(&jobs, "a").await;
    assert_eq!(waiting.await.unwrap().id, "a");
}

async fn of_many_workers_one_takes_a_job(jobs: Arc<dyn JobQueue>) {
    for n in 0..20 {
        put(&jobs, &n.to_string()).await;
    }
    let workers: Vec<_> = (0..5)
        .map(|_| {
            let jobs = Arc::clone(&jobs);
            tokio::spawn(async move {
                let mut done = Vec::new();
                while let Some(job) = jobs.take("build", LONG, SHORT).await.unwrap() {
                    assert_eq!(job.attempt, 1);
                    jobs.done("build", &job).await.unwrap();
                    done.push(job.id);
                }
                done
            })
        })
        .collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    let each: BTreeSet<_> = done.iter().collect();
    assert_eq!((done.len(), each.len()), (20, 20));
    assert_eq!(jobs.count("build").await.unwrap(), 0);
}

async fn a_job_over_the_limit_is_refused(jobs: Arc<dyn JobQueue>) {
    let refused = jobs.put("build", "a", vec![b'x'; 1024 * 1024 + 1].into()).await;
    assert!(matches!(refused, Err(JobError::TooLarge { .. })), "{refused:?}");
    let longest = Bytes::from(vec![b'x'; 1024 * 1024]);
    assert!(jobs.put("build", "a", longest.clone()).await.unwrap());
    assert_eq!(take(&jobs, LONG).await.bytes, longest);
}
