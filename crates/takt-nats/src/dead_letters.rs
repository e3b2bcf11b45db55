//! Dead letters on the stream `TAKT_DEAD`, with what became of those that were removed.
//!
//! A letter is on `takt.dead.<stream>.<id>`, its fate on `takt.dead.$fate.of.<id>`, one level
//! deeper, so that letters are read and counted without the fates. A fate names the sequence of the
//! letter that it ended and is written before the letter goes, so that a removal that was cut short
//! is known as one and is finished by whoever meets it.

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_trait::async_trait;
use bytes::Bytes;
use takt_domain::{StreamName, Time};
use takt_ports::{DeadLetter, DeadLetters, DeadLettersError, Fate, NewDeadLetter, stream_token};
use uuid::Uuid;

use crate::error::OpenError;
use crate::reading::{Reading, count, read};
use crate::streams::{keeping, made_or_checked};
use crate::text::{header, of_header};

const NAME: &str = "TAKT_DEAD";
const STREAM: &str = "takt-stream";
const REASON: &str = "takt-reason";
const PLACE: &str = "takt-place";
const REMEDY: &str = "takt-remedy";
const TIME: &str = "takt-time-micros";
const LENGTH: &str = "takt-length";
const SHA256: &str = "takt-sha256";
/// The sequence of the letter that a fate is of.
const LETTER: &str = "takt-letter";
/// Where the replayed letter is in the log; a fate without it is that of a dropped letter.
const RECORDED: &str = "takt-recorded";
/// How often something is tried while others change it at the same time.
const TRIES: usize = 5;
/// How much one page brings at most, about.
const PAGE: usize = 32 * 1024 * 1024;

/// Dead letters, on JetStream.
#[derive(Clone, Debug)]
pub struct NatsDeadLetters {
    context: Context,
    stream: Stream,
}

impl NatsDeadLetters {
    /// Makes the stream, or checks the one that is there.
    ///
    /// # Errors
    /// When it has other settings, or JetStream does not answer.
    pub async fn open(context: Context, replicas: usize) -> Result<Self, OpenError> {
        let mut config = keeping(NAME, &["takt.dead.>"], replicas);
        config.max_messages_per_subject = 1;
        let stream = made_or_checked(&context, config).await?;
        Ok(Self { context, stream })
    }

    fn reading(&self, filter: String, after: u64) -> Reading {
        Reading { context: self.context.clone(), stream: NAME, filters: vec![filter], after }
    }

    /// The last message of a subject, as the stream's leader has it.
    async fn last(&self, subject: &str) -> Result<Option<Kept>, DeadLettersError> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(last) => Ok(Some(Kept {
                seq: last.sequence,
                subject: last.subject.to_string(),
                headers: last.headers,
                bytes: last.payload,
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn ended(&self, id: Uuid) -> Result<Option<Ended>, DeadLettersError> {
        Ok(self.last(&fate_subject(id)).await?.as_ref().and_then(Ended::of))
    }

    /// Publishes where the subject is as expected; `None` where it is not.
    async fn publish(
        &self,
        subject: String,
        expected: u64,
        headers: HeaderMap,
        bytes: Bytes,
    ) -> Result<Option<u64>, DeadLettersError> {
        let message = PublishMessage::build().headers(headers).payload(bytes);
        let message = message.expected_last_subject_sequence(expected);
        let sent = self.context.send_publish(subject, message).await;
        match sent.map_err(|error| unavailable(&error))?.await {
            Ok(stored) => Ok(Some(stored.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Takes a letter away whose fate is written.
    async fn take_away(&self, letter: &Kept) -> Result<(), DeadLettersError> {
        let purge = self.stream.purge().sequence(letter.seq + 1).filter(letter.subject.as_str());
        purge.await.map(|_| ()).map_err(|error| unavailable(&error))
    }

    /// The letter that is kept, without one whose removal was cut short.
    async fn kept(&self, id: Uuid) -> Result<(Option<Kept>, Option<Ended>), DeadLettersError> {
        let letter = self.last(&format!("takt.dead.*.{id}")).await?;
        let ended = self.ended(id).await?;
        match (letter, ended) {
            (Some(letter), Some(ended)) if ended.letter == letter.seq => {
                self.take_away(&letter).await?;
                Ok((None, Some(ended)))
            }
            both => Ok(both),
        }
    }
}

/// A message that is kept.
struct Kept {
    seq: u64,
    subject: String,
    headers: HeaderMap,
    bytes: Bytes,
}

/// What is written of a letter that was removed.
struct Ended {
    /// The sequence of this note.
    seq: u64,
    letter: u64,
    fate: Fate,
}

impl Ended {
    fn of(kept: &Kept) -> Option<Self> {
        let letter = value(&kept.headers, LETTER)?.parse().ok()?;
        let fate = match value(&kept.headers, RECORDED) {
            Some(sequence) => Fate::Recorded { sequence: sequence.parse().ok()? },
            None => Fate::Dropped,
        };
        Some(Self { seq: kept.seq, letter, fate })
    }
}

fn fate_subject(id: Uuid) -> String {
    format!("takt.dead.$fate.of.{id}")
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.as_str())
}

fn unavailable(reason: &(impl ToString + ?Sized)) -> DeadLettersError {
    DeadLettersError { reason: reason.to_string().into() }
}

fn headers(letter: &NewDeadLetter) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STREAM, header(letter.stream.as_str()));
    headers.insert(REASON, header(&letter.reason));
    headers.insert(PLACE, header(&letter.place));
    headers.insert(REMEDY, header(&letter.remedy));
    headers.insert(TIME, letter.at.micros().to_string());
    headers.insert(LENGTH, letter.length.to_string());
    headers.insert(SHA256, header(&letter.sha256));
    headers
}

fn letter(kept: &Kept) -> Option<DeadLetter> {
    let text = |name| value(&kept.headers, name).and_then(of_header);
    let letter = NewDeadLetter {
        id: kept.subject.rsplit('.').next()?.parse().ok()?,
        stream: text(STREAM)?.as_str().into(),
        reason: text(REASON)?,
        place: text(PLACE)?,
        remedy: text(REMEDY)?,
        at: Time::from_micros(text(TIME)?.parse().ok()?),
        bytes: kept.bytes.clone(),
        length: text(LENGTH)?.parse().ok()?,
        sha256: text(SHA256)?,
    };
    Some(DeadLetter { seq: kept.seq, letter })
}

/// A message that this type did not write is named and not passed over in silence.
fn understood(kept: &Kept) -> Result<DeadLetter, DeadLettersError> {
    letter(kept).ok_or_else(|| {
        let Kept { seq, subject, .. } = kept;
        unavailable(&format!(
            "message {seq} of `{NAME}` on `{subject}` is no dead letter of takt; remove it with \
             `nats stream rmm {NAME} {seq}`"
        ))
    })
}

#[async_trait]
impl DeadLetters for NatsDeadLetters {
    async fn keep(&self, letter: NewDeadLetter) -> Result<u64, DeadLettersError> {
        let subject = format!("takt.dead.{}.{}", stream_token(&letter.stream), letter.id);
        for _ in 0..TRIES {
            if let (Some(known), _) = self.kept(letter.id).await? {
                return Ok(known.seq);
            }
            let (headers, bytes) = (headers(&letter), letter.bytes.clone());
            if let Some(seq) = self.publish(subject.clone(), 0, headers, bytes).await? {
                return Ok(seq);
            }
        }
        Err(unavailable("the letter was kept and removed whenever it was looked for"))
    }

    async fn list(
        &self,
        stream: Option<&StreamName>,
        after: u64,
        max: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let token = stream.map_or_else(|| "*".to_owned(), stream_token);
        let reading = self.reading(format!("takt.dead.{token}.*"), after);
        let read = read(&reading, max, PAGE).await.map_err(|reason| unavailable(&reason))?;
        let mut letters = Vec::with_capacity(read.len());
        for message in read {
            let seq = message.info().map_err(|error| unavailable(&error))?.stream_sequence;
            let message = message.message;
            letters.push(understood(&Kept {
                seq,
                subject: message.subject.to_string(),
                headers: message.headers.unwrap_or_default(),
                bytes: message.payload,
            })?);
        }
        Ok(letters)
    }

    async fn count(&self) -> Result<u64, DeadLettersError> {
        let reading = self.reading("takt.dead.*.*".to_owned(), 0);
        count(&reading).await.map_err(|reason| unavailable(&reason))
    }

    async fn get(&self, id: Uuid) -> Result<Option<DeadLetter>, DeadLettersError> {
        self.kept(id).await?.0.as_ref().map(understood).transpose()
    }

    async fn remove(&self, id: Uuid, fate: Fate) -> Result<bool, DeadLettersError> {
        for _ in 0..TRIES {
            let (Some(letter), ended) = self.kept(id).await? else { return Ok(false) };
            let mut headers = HeaderMap::new();
            headers.insert(LETTER, letter.seq.to_string());
            if let Fate::Recorded { sequence } = fate {
                headers.insert(RECORDED, sequence.to_string());
            }
            let expected = ended.map_or(0, |ended| ended.seq);
            let written = self.publish(fate_subject(id), expected, headers, Bytes::new()).await?;
            if written.is_some() {
                self.take_away(&letter).await?;
                return Ok(true);
            }
        }
        Err(unavailable("the letter was kept and removed whenever it was looked for"))
    }

    async fn fate(&self, id: Uuid) -> Result<Option<Fate>, DeadLettersError> {
        match self.kept(id).await? {
            (None, ended) => Ok(ended.map(|ended| ended.fate)),
            (Some(_), _) => Ok(None),
        }
    }
}
