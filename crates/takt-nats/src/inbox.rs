//! The inbox on the stream `TAKT_IN`: what services publish to `takt.in.<stream>.>`.

use std::collections::{BTreeSet, VecDeque};

use async_nats::jetstream::stream::SubjectTransform;
use async_nats::jetstream::{self, Context};
use async_trait::async_trait;
use smol_str::SmolStr;
use takt_domain::{StreamName, Time};
use takt_ports::{Inbox, InboxError, Incoming, Message, stream_token};
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use crate::apart::Apart;
use crate::careful;
use crate::error::OpenError;
use crate::reading::{Following, Reading, read};
use crate::settings::Settings;
use crate::streams::{keeping, made_or_checked, made_with};

const NAME: &str = "TAKT_IN";
const ID: &str = "takt-inbox-id";
/// Everything that is published.
const ALL: &str = "takt.in.>";
/// How many subjects are listed at most: as many as the server tells at once.
const MOST_SUBJECTS: usize = 100_000;
/// How much may wait in the inbox unless an operator says otherwise, in bytes.
pub const MOST_INBOX_BYTES: i64 = 1024 * 1024 * 1024;
/// The longest message with its headers, in bytes: what one request for messages can bring.
const MOST_MESSAGE_BYTES: i32 = 4 * 1024 * 1024;
/// How much is looked through at once for messages that no filter finds, in messages and bytes.
const PAGE: (usize, usize) = (1000, 4 * 1024 * 1024);
/// How many messages are read with care at once, and how many bytes.
const CAREFUL: (usize, usize) = (200, 4 * 1024 * 1024);

/// What services publish, on JetStream.
#[derive(Clone, Debug)]
pub struct NatsInbox {
    context: Context,
    creation: Uuid,
    apart: Apart,
}

impl NatsInbox {
    /// Makes the stream, or checks the one that is there.
    ///
    /// # Errors
    /// When it has other settings, or JetStream does not answer.
    pub async fn open(
        context: Context,
        replicas: usize,
        max_bytes: i64,
    ) -> Result<Self, OpenError> {
        let mut config = keeping(NAME, &[ALL], replicas);
        config.max_bytes = max_bytes;
        config.max_message_size = MOST_MESSAGE_BYTES;
        // A message to `takt.in.shop` alone is kept as one to `takt.in.shop._`, so that one filter
        // finds all of a value stream: the server reads by two less than half as fast.
        config.subject_transform = Some(SubjectTransform {
            source: "takt.in.*".to_owned(),
            destination: "takt.in.{{wildcard(1)}}._".to_owned(),
        });
        config.metadata.insert(ID.to_owned(), Uuid::new_v4().to_string());
        let stream = made_or_checked(&context, config).await?;
        let creation = made_with(&stream, ID, "a UUID made with the stream")?;
        Ok(Self { context, creation, apart: Apart::shared() })
    }

    /// Reads by a connection of its own, so that a message that ends it ends nothing else.
    #[must_use]
    pub fn apart(self, settings: &Settings, name: &str) -> Self {
        Self { apart: self.apart.under(settings, name), ..self }
    }

    async fn reading(&self, filter: String, after: u64) -> Result<Reading, InboxError> {
        let context = self.apart.context(&self.context).await.map_err(|it| unavailable(&it))?;
        Ok(Reading { context, stream: NAME, filters: vec![filter], after })
    }

    /// What comes next where it could not be read twice; none where nothing was in the way.
    async fn careful(
        &self,
        filter: &str,
        after: u64,
        (max, max_bytes): (usize, usize),
    ) -> Result<Vec<Message>, InboxError> {
        if !self.apart.is_hard(filter, after) {
            return Ok(vec![]);
        }
        let most = (max.clamp(1, CAREFUL.0), max_bytes.clamp(1, CAREFUL.1));
        let read = careful::read(&self.context.client(), NAME, filter, after, most).await;
        let read = read.map_err(|reason| unavailable(&reason))?;
        self.apart.passed(filter);
        if let Some(odd) = read.iter().find(|message| message.unreadable.is_some()) {
            let reason = odd.unreadable.as_deref().unwrap_or_default();
            tracing::warn!(seq = odd.seq, reason, "a message's headers do not read");
        }
        Ok(read)
    }

    /// What is there under a filter: as the client reads it until its connection is lost, and with
    /// care where that has failed.
    async fn page(
        &self,
        filter: &str,
        after: u64,
        most: (usize, usize),
    ) -> Result<Vec<Message>, InboxError> {
        let careful = self.careful(filter, after, most).await?;
        if !careful.is_empty() {
            return Ok(careful);
        }
        let reading = self.reading(filter.to_owned(), after).await?;
        let read = read(&reading, most.0, most.1);
        let read = match self.apart.connection().await.map_err(|it| unavailable(&it))? {
            Some(connection) => connection.unless_lost(read).await.flatten(),
            None => read.await,
        };
        let read = read.map_err(|reason| {
            self.apart.failed(filter, after);
            unavailable(&reason)
        })?;
        read.into_iter().map(message).collect()
    }

    /// Asks whether the stream is still the one that was opened, and still holds what was read.
    async fn check(&self, after: u64) -> Result<(), InboxError> {
        let stream = self.context.get_stream(NAME).await.map_err(|error| unavailable(&error))?;
        let info = stream.cached_info();
        if info.config.metadata.get(ID).and_then(|id| id.parse().ok()) != Some(self.creation) {
            return Err(unavailable(&format!(
                "the stream `{NAME}` was made anew since it was opened; restart takt"
            )));
        }
        let last = info.state.last_sequence;
        if last < after {
            return Err(unavailable(&format!(
                "the stream `{NAME}` ends at {last}, but was taken in up to {after}: it lost \
                 messages; have them published again after `nats stream purge {NAME} --seq {}`",
                after.saturating_add(1)
            )));
        }
        Ok(())
    }

    /// Messages whose own token is one that no filter can say, found among all that are there.
    async fn found(
        &self,
        token: &str,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, InboxError> {
        let stream = self.context.get_stream(NAME).await.map_err(|error| unavailable(&error))?;
        let end = stream.cached_info().state.last_sequence;
        let (mut found, mut bytes, mut at) = (Vec::<Message>::new(), 0, after);
        while at < end {
            let page = self.page(ALL, at, PAGE).await?;
            let Some(last) = page.last() else { break };
            at = last.seq;
            found.extend(page.into_iter().filter(|it| token_of(&it.subject) == Some(token)));
            if found.len() >= max {
                break;
            }
        }
        let fitting = found.iter().take(max).take_while(|message| {
            bytes += message.bytes.len();
            bytes <= max_bytes
        });
        let fitting = fitting.count();
        found.truncate(fitting.max(1));
        Ok(found)
    }

    /// Removes such messages one by one.
    async fn remove(&self, token: &str, through: u64) -> Result<(), InboxError> {
        let stream = self.context.get_stream_no_info(NAME).await;
        let stream = stream.map_err(|error| unavailable(&error))?;
        let mut after = 0;
        while after < through {
            let found = self.found(token, after, PAGE.0, PAGE.1).await?;
            for seq in found.iter().map(|message| message.seq).filter(|seq| *seq <= through) {
                stream.delete_message(seq).await.map_err(|error| unavailable(&error))?;
            }
            after = found.last().map_or(through, |last| last.seq);
        }
        Ok(())
    }
}

/// Whether a filter with this token is for it alone. The server keeps what is published to the
/// literal subject `takt.in.*.x`, and as a filter that token is for everybody's messages.
fn is_plain(token: &str) -> bool {
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=~".contains(&byte);
    !token.is_empty() && token.bytes().all(is_of_a_name)
}

fn token_of(subject: &str) -> Option<&str> {
    subject.split('.').nth(2)
}

/// The subjects under one token.
fn filter(token: &str) -> String {
    format!("takt.in.{token}.>")
}

fn unavailable(reason: &(impl ToString + ?Sized)) -> InboxError {
    InboxError { reason: reason.to_string().into() }
}

#[async_trait]
impl Inbox for NatsInbox {
    fn creation(&self) -> Uuid {
        self.creation
    }

    fn follow(&self, stream: &StreamName, after: u64) -> Box<dyn Incoming> {
        let (inbox, filter) = (self.clone(), filter(&stream_token(stream)));
        Box::new(NatsIncoming { inbox, filter, after, following: None, ready: VecDeque::new() })
    }

    async fn tokens(&self) -> Result<Vec<SmolStr>, InboxError> {
        let stream = self.context.get_stream_no_info(NAME).await;
        let stream = stream.map_err(|error| unavailable(&error))?;
        let subjects = stream.info_builder().subjects(ALL).fetch().await;
        let mut subjects = subjects.map_err(|error| unavailable(&error))?;
        let mut tokens = BTreeSet::new();
        let mut left = MOST_SUBJECTS;
        while left > 0
            && let Some(subject) = subjects.next().await
        {
            left -= 1;
            let (subject, _) = subject.map_err(|error| unavailable(&error))?;
            tokens.extend(token_of(&subject).map(SmolStr::from));
        }
        Ok(tokens.into_iter().collect())
    }

    async fn count(&self) -> Result<u64, InboxError> {
        let stream = self.context.get_stream(NAME).await.map_err(|error| unavailable(&error))?;
        Ok(stream.cached_info().state.messages)
    }

    async fn read(
        &self,
        token: &str,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, InboxError> {
        if !is_plain(token) {
            return self.found(token, after, max, max_bytes).await;
        }
        self.page(&filter(token), after, (max, max_bytes)).await
    }

    async fn purge(&self, token: &str, through: u64) -> Result<(), InboxError> {
        if !is_plain(token) {
            return self.remove(token, through).await;
        }
        let stream = self.context.get_stream_no_info(NAME).await;
        let stream = stream.map_err(|error| unavailable(&error))?;
        // The server keeps the sequence that is named.
        let purge = stream.purge().sequence(through.saturating_add(1)).filter(filter(token));
        purge.await.map(|_| ()).map_err(|error| unavailable(&error))
    }
}

struct NatsIncoming {
    inbox: NatsInbox,
    filter: String,
    /// The last message that was returned.
    after: u64,
    following: Option<Following>,
    /// Taken from the server, and not returned yet.
    ready: VecDeque<Message>,
}

#[async_trait]
impl Incoming for NatsIncoming {
    async fn next(&mut self, max: usize, max_bytes: usize) -> Result<Vec<Message>, InboxError> {
        if self.ready.is_empty() {
            // Nothing is awaited after it is kept, so that it is not lost with the future.
            self.ready = self.some().await?;
        }
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while messages.len() < max.max(1) {
            let Some(message) = self.here().await else { break };
            bytes += message.bytes.len();
            if bytes > max_bytes && !messages.is_empty() {
                self.ready.push_front(message);
                break;
            }
            self.after = message.seq;
            messages.push(message);
        }
        Ok(messages)
    }
}

impl NatsIncoming {
    async fn some(&mut self) -> Result<VecDeque<Message>, InboxError> {
        if self.following.is_none() {
            self.inbox.check(self.after).await?;
            let careful = self.inbox.careful(&self.filter, self.after, CAREFUL).await?;
            if !careful.is_empty() {
                return Ok(careful.into());
            }
            let reading = self.inbox.reading(self.filter.clone(), self.after).await?;
            match Following::open(&reading).await {
                Ok(opened) => self.following = Some(opened),
                Err(reason) => return Err(self.failed(&reason)),
            }
        }
        let next = match &mut self.following {
            Some(following) => following.next().await,
            None => Err("it was not opened".to_owned()),
        };
        let next = next.and_then(|next| message(next).map_err(|error| error.reason.to_string()));
        match next {
            Ok(message) => Ok(VecDeque::from([message])),
            Err(reason) => Err(self.failed(&reason)),
        }
    }

    fn failed(&mut self, reason: &str) -> InboxError {
        self.following = None;
        self.inbox.apart.failed(&self.filter, self.after);
        unavailable(reason)
    }

    /// What has come already; never waits, so that nothing is lost with a future that is dropped.
    async fn here(&mut self) -> Option<Message> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        let next = self.following.as_mut()?.next_here().await;
        let read = |next| message(next).map_err(|error| error.reason.to_string());
        match next.and_then(|next| next.map(read).transpose()) {
            Ok(next) => next,
            Err(reason) => {
                // It is followed anew from the last message that was returned.
                tracing::debug!(%reason, "the inbox is followed anew");
                self.failed(&reason);
                None
            }
        }
    }
}

/// The client keeps the order of one header's values, not that between headers; so names are in
/// alphabetical order, which makes a message the same whenever it is read.
fn message(message: jetstream::Message) -> Result<Message, InboxError> {
    let info = message.info().map_err(|error| unavailable(&error))?;
    let (seq, at) = (info.stream_sequence, info.published.unix_timestamp_nanos() / 1000);
    let mut headers: Vec<(SmolStr, SmolStr)> = message
        .headers
        .iter()
        .flat_map(|headers| headers.iter())
        .flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            values.iter().map(move |value| (name.into(), value.as_str().into()))
        })
        .collect();
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Message {
        seq,
        subject: message.subject.as_str().into(),
        headers,
        bytes: message.message.payload,
        at: Time::from_micros(i64::try_from(at).unwrap_or(i64::MAX)),
        unreadable: None,
    })
}
