//! JetStream: the job queue on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use takt_nats::NatsJobQueue;
use takt_ports::{Job, JobError, JobQueue};
use takt_testkit::job_queue_contract;
use takt_tests::Nats;
use tokio::time::Instant;

/// How long a test waits for what must come on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

async fn context(nats: &Nats) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_keep_their_contract() {
    let nats = Nats::start();
    let context = context(&nats).await;
    job_queue_contract(async || {
        // There is none before the first rule.
        let _ = context.delete_stream("TAKT_JOBS").await;
        Arc::new(NatsJobQueue::open(context.clone(), 1).await.unwrap()) as Arc<dyn JobQueue>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_in_work_and_one_that_waits_outlive_a_killed_server() {
    let mut nats = Nats::start();
    let jobs = NatsJobQueue::open(context(&nats).await, 1).await.unwrap();
    let (lease, wait) = (Duration::from_secs(60), Duration::from_secs(30));
    for id in ["in work", "waits"] {
        assert!(jobs.put("build", id, Bytes::from_static(b"do it")).await.unwrap());
    }
    let in_work = jobs.take("build", lease, wait).await.unwrap().unwrap();
    nats.kill();
    nats.restart();
    let deadline = Instant::now() + PATIENCE;
    let waited = loop {
        match jobs.take("build", lease, wait).await {
            Ok(job) => break job.unwrap(),
            Err(error) => assert!(Instant::now() < deadline, "no job: {error}"),
        }
    };
    assert_eq!(waited.id, "waits", "the lease of the other holds");
    jobs.renew("build", &in_work).await.unwrap();
    assert_eq!(jobs.count("build").await.unwrap(), 2);
    jobs.done("build", &in_work).await.unwrap();
    jobs.give_back("build", &waited, Duration::ZERO).await.unwrap();
    let again = jobs.take("build", lease, wait).await.unwrap().unwrap();
    assert_eq!((again.id.as_str(), again.attempt > waited.attempt), ("waits", true));
    jobs.done("build", &again).await.unwrap();
    assert_eq!(jobs.count("build").await.unwrap(), 0);
}

async fn taken(jobs: NatsJobQueue) -> Option<Job> {
    jobs.take("build", PATIENCE, Duration::from_secs(1)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_attempts_at_once_one_ends_the_job() {
    let nats = Nats::start();
    let jobs = NatsJobQueue::open(context(&nats).await, 1).await.unwrap();
    let wait = Duration::from_secs(30);
    for round in 0..20 {
        let id = format!("round {round}");
        assert!(jobs.put("build", &id, Bytes::new()).await.unwrap());
        let late = jobs.take("build", Duration::from_millis(20), wait).await.unwrap().unwrap();
        let taking = tokio::spawn(taken(jobs.clone()));
        let ended = jobs.done("build", &late).await;
        let taken = taking.await.unwrap();
        match (&ended, taken) {
            (Ok(()), None) => {}
            (Err(JobError::Superseded { .. }), Some(job)) => {
                jobs.done("build", &job).await.unwrap();
            }
            other => panic!("round {round}: {other:?}"),
        }
        assert_eq!(jobs.count("build").await.unwrap(), 0, "round {round}");
    }
}
