//! Jobs on the work-queue stream `TAKT_JOBS`, by one durable consumer for each queue.
//!
//! A job is on `takt.jobs.<queue>.<id>`. JetStream delivers it, counts its attempts and delivers it
//! again in time, but takes an ack from any attempt. So whose word counts is a note of its own, the
//! claim on `takt.jobs.<queue>.<id>.claim`, which is only ever written with the exact expectation of
//! what it was: of an attempt that is late and one that is current, one can end the job.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, RetentionPolicy, Stream};
use async_nats::jetstream::{AckKind, Context, Message};
use async_trait::async_trait;
use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};
use takt_ports::{Job, JobError, JobQueue, token};
use tokio::time::Instant;
use tokio_stream::StreamExt as _;

use crate::error::OpenError;
use crate::streams::{keeping, made_or_checked};
use crate::text::{header, of_header};

const NAME: &str = "TAKT_JOBS";
const ID: &str = "takt-job-id";
/// The most bytes of a job.
const MOST: usize = 1024 * 1024;
/// A job that was delivered to a worker that is gone before it has claimed it waits again after
/// this time.
const UNCLAIMED: Duration = Duration::from_secs(30);
/// Jobs that are worked on or wait for their delay, of one queue.
const MOST_UNDER_WAY: i64 = 100_000;
/// A pull that ends at once would miss what is there.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// How often a claim is tried while another changes it at the same time.
const TRIES: usize = 5;

/// Jobs in named queues, on JetStream.
#[derive(Clone, Debug)]
pub struct NatsJobQueue {
    context: Context,
    stream: Stream,
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Taken,
    GivenBack,
    Done,
}

/// Who may speak for a job: written as `<job> <attempt> <standing>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    /// The sequence of the job, which tells it from an earlier one of the same id.
    job: u64,
    attempt: u32,
    standing: Standing,
}

impl Claim {
    fn text(self) -> String {
        let Self { job, attempt, standing } = self;
        let standing = match standing {
            Standing::Taken => "taken",
            Standing::GivenBack => "given-back",
            Standing::Done => "done",
        };
        format!("{job} {attempt} {standing}")
    }

    fn of(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (job, attempt) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let standing = match words.next()? {
            "taken" => Standing::Taken,
            "given-back" => Standing::GivenBack,
            "done" => Standing::Done,
            _ => return None,
        };
        Some(Self { job, attempt, standing })
    }
}

/// How an attempt is found again: written as `<job> <lease in ms> <where acks go>`.
struct Receipt {
    job: u64,
    lease: Duration,
    acks: String,
}

impl Receipt {
    fn text(&self) -> SmolStr {
        format_smolstr!("{} {} {}", self.job, self.lease.as_millis(), self.acks)
    }

    fn of(job: &Job) -> Result<Self, JobError> {
        let parse = || {
            let mut words = job.receipt.split(' ');
            let (job, lease) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let acks = words.next().filter(|acks| acks.starts_with("$JS.ACK."))?;
            Some(Self { job, lease: Duration::from_millis(lease), acks: acks.to_owned() })
        };
        parse().ok_or_else(|| superseded(job))
    }
}

fn subject(queue: &str, id: &str) -> String {
    format!("takt.jobs.{}.{}", token(queue), token(id))
}

fn claim_subject(queue: &str, id: &str) -> String {
    format!("{}.claim", subject(queue, id))
}

fn superseded(job: &Job) -> JobError {
    JobError::Superseded { id: job.id.clone(), attempt: job.attempt }
}

fn unavailable(reason: &(impl ToString + ?Sized)) -> JobError {
    JobError::Unavailable { reason: reason.to_string().into() }
}

impl NatsJobQueue {
    /// Makes the stream, or checks the one that is there.
    ///
    /// # Errors
    /// When it has other settings, or JetStream does not answer.
    pub async fn open(context: Context, replicas: usize) -> Result<Self, OpenError> {
        let mut config = keeping(NAME, &["takt.jobs.>"], replicas);
        config.retention = RetentionPolicy::WorkQueue;
        config.max_messages_per_subject = 1;
        let stream = made_or_checked(&context, config).await?;
        Ok(Self { context, stream })
    }

    async fn consumer(&self, queue: &str) -> Result<Consumer<pull::Config>, JobError> {
        let name = format!("takt-{}", token(queue));
        let config = pull::Config {
            durable_name: Some(name.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: UNCLAIMED,
            max_ack_pending: MOST_UNDER_WAY,
            filter_subject: format!("takt.jobs.{}.*", token(queue)),
            ..pull::Config::default()
        };
        let consumer = self.stream.get_or_create_consumer(&name, config).await;
        consumer.map_err(|error| unavailable(&error))
    }

    /// The claim on a job with its own sequence, which is 0 where there is none.
    async fn claim(&self, subject: &str) -> Result<(u64, Option<Claim>), JobError> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(last) => {
                let claim = std::str::from_utf8(&last.payload).ok().and_then(Claim::of);
                Ok((last.sequence, claim))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok((0, None)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Publishes where the subject is as expected; `None` where it is not.
    async fn publish(
        &self,
        subject: String,
        expected: u64,
        message: PublishMessage,
    ) -> Result<Option<u64>, JobError> {
        let message = message.expected_last_subject_sequence(expected);
        let sent = self.context.send_publish(subject, message).await;
        match sent.map_err(|error| unavailable(&error))?.await {
            Ok(stored) => Ok(Some(stored.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn write(
        &self,
        subject: &str,
        expected: u64,
        claim: Claim,
    ) -> Result<Option<u64>, JobError> {
        let message = PublishMessage::build().payload(claim.text().into());
        self.publish(subject.to_owned(), expected, message).await
    }

    /// Tells the consumer about a delivery, and waits until it has heard it.
    async fn tell(&self, acks: &str, word: AckKind) -> Result<(), JobError> {
        let heard = self.context.client().request(acks.to_owned(), word.into()).await;
        heard.map(|_| ()).map_err(|error| unavailable(&error))
    }

    /// Removes a job that is done, and then the claim that says so.
    async fn clear(&self, subject: &str, claim: u64, acks: &str) -> Result<(), JobError> {
        self.tell(acks, AckKind::Ack).await?;
        let purge = self.stream.purge().sequence(claim.saturating_add(1)).filter(subject);
        purge.await.map(|_| ()).map_err(|error| unavailable(&error))
    }

    /// Claims a job that was delivered; `None` when this delivery does not count.
    async fn claimed(
        &self,
        queue: &str,
        lease: Duration,
        delivered: Message,
    ) -> Result<Option<Job>, JobError> {
        let info = delivered.info().map_err(|error| unavailable(&error))?;
        let (job, attempt) = (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(1));
        let id = delivered.headers.as_ref().and_then(|headers| headers.get(ID));
        let id = id.and_then(|id| of_header(id.as_str()));
        let (Some(id), Some(acks)) = (id, &delivered.reply) else {
            return Err(unavailable(&format!(
                "message {job} of `{NAME}` is no job of takt; remove it with `nats stream rmm \
                 {NAME} {job}`"
            )));
        };
        let receipt = Receipt { job, lease, acks: acks.to_string() };
        let subject = claim_subject(queue, &id);
        for _ in 0..TRIES {
            let (expected, known) = self.claim(&subject).await?;
            let known = known.filter(|known| known.job == job);
            if known.is_some_and(|known| known.standing == Standing::Done) {
                self.clear(&subject, expected, &receipt.acks).await?;
                return Ok(None);
            }
            if known.is_some_and(|known| known.attempt >= attempt) {
                return Ok(None);
            }
            let claim = Claim { job, attempt, standing: Standing::Taken };
            if self.write(&subject, expected, claim).await?.is_some() {
                self.tell(&receipt.acks, AckKind::Nak(Some(lease))).await?;
                let (receipt, bytes) = (receipt.text(), delivered.message.payload);
                return Ok(Some(Job { id, attempt, bytes, receipt }));
            }
        }
        Ok(None)
    }

    /// Ends this attempt by writing how it stands; `Superseded` when it is not the current one.
    async fn end(
        &self,
        queue: &str,
        job: &Job,
        standing: Standing,
    ) -> Result<(String, u64, Receipt), JobError> {
        let receipt = Receipt::of(job)?;
        let subject = claim_subject(queue, &job.id);
        let (expected, known) = self.claim(&subject).await?;
        let mine = Claim { job: receipt.job, attempt: job.attempt, standing };
        if known == Some(mine) {
            // It was written before, and what follows it may not have been done.
            return Ok((subject, expected, receipt));
        }
        if known != Some(Claim { standing: Standing::Taken, ..mine }) {
            return Err(superseded(job));
        }
        let written = self.write(&subject, expected, mine).await?;
        let written = written.ok_or_else(|| superseded(job))?;
        Ok((subject, written, receipt))
    }
}

#[async_trait]
impl JobQueue for NatsJobQueue {
    async fn put(&self, queue: &str, id: &str, bytes: Bytes) -> Result<bool, JobError> {
        if bytes.len() > MOST {
            let problem = format!("has {} bytes, more than {MOST}", bytes.len());
            return Err(JobError::TooLarge { problem });
        }
        let id_header = header(id);
        if of_header(&id_header).as_deref() != Some(id) {
            let problem = format!("has an id of {} bytes, more than a header holds", id.len());
            return Err(JobError::TooLarge { problem });
        }
        let message = PublishMessage::build().payload(bytes).header(ID, id_header);
        Ok(self.publish(subject(queue, id), 0, message).await?.is_some())
    }

    async fn take(
        &self,
        queue: &str,
        lease: Duration,
        wait: Duration,
    ) -> Result<Option<Job>, JobError> {
        let deadline = Instant::now() + wait;
        let consumer = self.consumer(queue).await?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT);
            let pull = consumer.batch().max_messages(1).expires(left).messages().await;
            let next = pull.map_err(|error| unavailable(&error))?.next().await;
            let Some(delivered) = next else { return Ok(None) };
            let delivered = delivered.map_err(|error| unavailable(&error))?;
            if let Some(job) = self.claimed(queue, lease, delivered).await? {
                return Ok(Some(job));
            }
        }
    }

    async fn renew(&self, queue: &str, job: &Job) -> Result<(), JobError> {
        let receipt = Receipt::of(job)?;
        let (_, known) = self.claim(&claim_subject(queue, &job.id)).await?;
        let (attempt, standing) = (job.attempt, Standing::Taken);
        if known != Some(Claim { job: receipt.job, attempt, standing }) {
            return Err(superseded(job));
        }
        self.tell(&receipt.acks, AckKind::Nak(Some(receipt.lease))).await
    }

    async fn done(&self, queue: &str, job: &Job) -> Result<(), JobError> {
        let (subject, claim, receipt) = self.end(queue, job, Standing::Done).await?;
        self.clear(&subject, claim, &receipt.acks).await
    }

    async fn give_back(&self, queue: &str, job: &Job, delay: Duration) -> Result<(), JobError> {
        let (_, _, receipt) = self.end(queue, job, Standing::GivenBack).await?;
        let delay = Some(delay).filter(|delay| !delay.is_zero());
        self.tell(&receipt.acks, AckKind::Nak(delay)).await
    }

    async fn count(&self, queue: &str) -> Result<u64, JobError> {
        let consumer = self.consumer(queue).await?;
        let info = consumer.cached_info();
        Ok(info.num_pending.saturating_add(info.num_ack_pending as u64))
    }
}
