//! The inbox: one file for each message, until it has been taken in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_domain::{StreamName, Time};
use takt_ports::{Inbox, InboxError, Incoming, Message, stream_token};
use tokio::sync::watch;
use uuid::Uuid;

use crate::error::OpenError;
use crate::files::{Files, blocking};

const FILE: &str = "inbox.json";
const PREFIX: &str = "takt.in.";
/// More than the longest fact, which is refused with its reason when it is read.
const MOST_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// A full inbox refuses what comes, so that publishers know; what is in it stays.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;
const MOST_MESSAGES: usize = 1_000_000;

/// What was published, on files, held by one process.
#[derive(Clone)]
pub struct EmbeddedInbox {
    creation: Uuid,
    inner: Arc<Inner>,
}

struct Inner {
    files: Files,
    kept: Mutex<Kept>,
    /// Tells of the newest message.
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    /// Each token's messages with their lengths.
    by_token: BTreeMap<SmolStr, BTreeMap<u64, u64>>,
    messages: usize,
    bytes: u64,
    last: u64,
}

/// What outlives the messages.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Saved {
    creation: Uuid,
    /// A sequence up to which messages were purged; none is given twice.
    last: u64,
}

/// The first line of a message's file; the payload follows it.
#[derive(Serialize, Deserialize)]
struct Head {
    subject: SmolStr,
    headers: Vec<(SmolStr, SmolStr)>,
    at: Time,
    length: u64,
    crc: u32,
}

impl EmbeddedInbox {
    /// Opens the inbox in a folder of its own, which is made if it is missing.
    ///
    /// # Errors
    /// When another process holds it, the file system refuses, or a file does not read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let files = Files::open(folder)?;
        let io = |source| OpenError::Io { path: folder.to_path_buf(), source };
        let saved = saved(&files).map_err(io)?;
        let mut kept = Kept { last: saved.last, ..Kept::default() };
        for name in files.names().map_err(io)? {
            let Some(seq) = name.strip_suffix(".msg").and_then(|seq| seq.parse().ok()) else {
                continue;
            };
            if let Some(message) = read(&files, seq).map_err(io)?
                && let Some(token) = token(&message.subject)
            {
                kept.add(token, seq, message.bytes.len() as u64);
            }
        }
        let last = watch::Sender::new(kept.last);
        let inner = Inner { files, kept: Mutex::new(kept), last };
        Ok(Self { creation: saved.creation, inner: Arc::new(inner) })
    }

    /// Puts a message, durably, and returns its sequence.
    ///
    /// # Errors
    /// When its subject is not under `takt.in.<stream>.`, when it breaks a limit, or when it cannot
    /// be stored.
    pub async fn put(
        &self,
        subject: &str,
        headers: Vec<(SmolStr, SmolStr)>,
        bytes: Bytes,
    ) -> Result<u64, InboxError> {
        let refused = |reason: String| InboxError { reason: reason.into() };
        let token = token(subject).ok_or_else(|| {
            refused(format!("`{subject}` is not a subject under `{PREFIX}<stream>.`"))
        })?;
        let length = bytes.len();
        if length > MOST_MESSAGE_BYTES {
            let most = MOST_MESSAGE_BYTES;
            return Err(refused(format!("the message has {length} bytes, at most {most} pass")));
        }
        let head = Head {
            subject: subject.into(),
            headers,
            at: now(),
            length: length as u64,
            crc: crc32fast::hash(&bytes),
        };
        let seq = self.with(move |files, kept| kept.put(files, token, head, &bytes)).await?;
        self.inner.last.send_if_modified(|last| {
            let newer = *last < seq;
            *last = seq.max(*last);
            newer
        });
        Ok(seq)
    }

    async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&Files, &mut Kept) -> io::Result<R> + Send + 'static,
    ) -> Result<R, InboxError> {
        let inner = Arc::clone(&self.inner);
        let done = blocking(move || {
            let mut kept = inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
            act(&inner.files, &mut kept)
        });
        let done = done.await.and_then(|done| done);
        done.map_err(|error| InboxError { reason: error.to_string().into() })
    }
}

#[async_trait]
impl Inbox for EmbeddedInbox {
    fn creation(&self) -> Uuid {
        self.creation
    }

    fn follow(&self, stream: &StreamName, after: u64) -> Box<dyn Incoming> {
        let last = self.inner.last.subscribe();
        Box::new(Follower { inbox: self.clone(), token: stream_token(stream), after, last })
    }

    async fn tokens(&self) -> Result<Vec<SmolStr>, InboxError> {
        self.with(|_, kept| Ok(kept.by_token.keys().cloned().collect())).await
    }

    async fn read(
        &self,
        token: &str,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, InboxError> {
        let token = SmolStr::new(token);
        self.with(move |files, kept| {
            let Some(known) = kept.by_token.get(&token) else { return Ok(vec![]) };
            let (mut messages, mut bytes) = (Vec::new(), 0);
            for (seq, length) in known.range(after.saturating_add(1)..).take(max) {
                bytes += length;
                if !messages.is_empty() && bytes > max_bytes as u64 {
                    break;
                }
                messages.extend(read(files, *seq)?);
            }
            Ok(messages)
        })
        .await
    }

    async fn count(&self) -> Result<u64, InboxError> {
        self.with(|_, kept| Ok(kept.messages as u64)).await
    }

    async fn purge(&self, token: &str, through: u64) -> Result<(), InboxError> {
        let (token, creation) = (SmolStr::new(token), self.creation);
        self.with(move |files, kept| kept.purge(files, &token, through, creation)).await
    }
}

impl Kept {
    fn add(&mut self, token: SmolStr, seq: u64, length: u64) {
        self.by_token.entry(token).or_default().insert(seq, length);
        self.messages += 1;
        self.bytes += length;
        self.last = self.last.max(seq);
    }

    fn put(&mut self, files: &Files, token: SmolStr, head: Head, bytes: &Bytes) -> io::Result<u64> {
        if self.messages >= MOST_MESSAGES || self.bytes + head.length > MOST_BYTES {
            let (messages, bytes) = (self.messages, self.bytes);
            let full = format!("it is full with {messages} messages and {bytes} bytes");
            return Err(io::Error::other(full));
        }
        let seq = self.last + 1;
        let first_line = serde_json::to_vec(&head).map_err(io::Error::other)?;
        files.write(&name(seq), &[&first_line, b"\n", bytes])?;
        self.add(token, seq, head.length);
        Ok(seq)
    }

    fn purge(
        &mut self,
        files: &Files,
        token: &SmolStr,
        through: u64,
        creation: Uuid,
    ) -> io::Result<()> {
        let Some(known) = self.by_token.get_mut(token) else { return Ok(()) };
        let later = known.split_off(&through.saturating_add(1));
        let purged = std::mem::replace(known, later);
        let none_is_left = known.is_empty();
        let names: BTreeSet<String> = purged.keys().map(|seq| name(*seq)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // The mark stands before the newest message goes, so that no kill makes a sequence new.
        let removed =
            save(files, Saved { creation, last: self.last }).and_then(|()| files.remove(&names));
        match removed {
            Ok(_) => {
                self.messages -= purged.len();
                self.bytes -= purged.values().sum::<u64>();
            }
            // It is asked for again; messages that are gone already are read as nothing.
            Err(_) => known.extend(purged),
        }
        if removed.is_ok() && none_is_left {
            self.by_token.remove(token);
        }
        removed.map(drop)
    }
}

struct Follower {
    inbox: EmbeddedInbox,
    token: String,
    after: u64,
    last: watch::Receiver<u64>,
}

#[async_trait]
impl Incoming for Follower {
    async fn next(&mut self, max: usize, max_bytes: usize) -> Result<Vec<Message>, InboxError> {
        loop {
            let seen = *self.last.borrow_and_update();
            let messages = self.inbox.read(&self.token, self.after, max.max(1), max_bytes).await?;
            if let Some(last) = messages.last() {
                self.after = last.seq;
                return Ok(messages);
            }
            let closed = |_| InboxError { reason: "the inbox is closed".into() };
            self.last.wait_for(|last| *last > seen).await.map_err(closed)?;
        }
    }
}

fn saved(files: &Files) -> io::Result<Saved> {
    if let Some(bytes) = files.read(FILE)? {
        return serde_json::from_slice(&bytes).map_err(io::Error::other);
    }
    let made = Saved { creation: Uuid::new_v4(), last: 0 };
    save(files, made)?;
    Ok(made)
}

fn save(files: &Files, saved: Saved) -> io::Result<()> {
    files.write(FILE, &[&serde_json::to_vec(&saved).map_err(io::Error::other)?])
}

fn name(seq: u64) -> String {
    format!("{seq:020}.msg")
}

/// The first token after `takt.in.`, where more follows it.
fn token(subject: &str) -> Option<SmolStr> {
    let (token, rest) = subject.strip_prefix(PREFIX)?.split_once('.')?;
    let is_whole = !token.is_empty() && rest.split('.').all(|it| !it.is_empty());
    let is_plain = !subject.contains(|it: char| it.is_whitespace() || it == '*' || it == '>');
    (is_whole && is_plain).then(|| SmolStr::new(token))
}

fn read(files: &Files, seq: u64) -> io::Result<Option<Message>> {
    let name = name(seq);
    let damaged = |reason: &str| {
        let message = format!("`{name}` does not read ({reason}); take it out of the folder");
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let Some(bytes) = files.read(&name)? else { return Ok(None) };
    let bytes = Bytes::from(bytes);
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| damaged("it has no first line"))?;
    let head: Head =
        serde_json::from_slice(&bytes.slice(..end)).map_err(|error| damaged(&error.to_string()))?;
    let bytes = bytes.slice(end + 1..);
    if bytes.len() as u64 != head.length || crc32fast::hash(&bytes) != head.crc {
        return Err(damaged("its bytes have changed"));
    }
    let Head { subject, headers, at, .. } = head;
    Ok(Some(Message { seq, subject, headers, bytes, at, unreadable: None }))
}

fn now() -> Time {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| past.as_micros());
    Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use takt_testkit::Publisher;

    use super::*;

    #[async_trait]
    impl Publisher for EmbeddedInbox {
        async fn publish(&self, subject: &str, headers: &[(&str, &str)], bytes: &[u8]) -> u64 {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let headers = headers.collect();
            self.put(subject, headers, Bytes::copy_from_slice(bytes)).await.unwrap()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_inbox_on_files_keeps_the_contract() {
        let folders = RefCell::new(Vec::new());
        let make = async || {
            let folder = tempfile::tempdir().unwrap();
            let inbox = Arc::new(EmbeddedInbox::open(folder.path()).unwrap());
            folders.borrow_mut().push(folder);
            (Arc::clone(&inbox) as Arc<dyn Inbox>, inbox as Arc<dyn Publisher>)
        };
        takt_testkit::inbox_contract(make).await;
    }

    #[tokio::test]
    async fn messages_and_their_place_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = EmbeddedInbox::open(folder.path()).unwrap();
        let a = inbox.publish("takt.in.shop.x", &[("ce-id", "1")], b"a").await;
        let b = inbox.publish("takt.in.shop.x", &[], b"b").await;
        let (creation, kept) = (inbox.creation(), inbox.read("shop", 0, 9, 99).await.unwrap());
        drop(inbox);
        let inbox = EmbeddedInbox::open(folder.path()).unwrap();
        assert_eq!(inbox.creation(), creation);
        assert_eq!(inbox.read("shop", 0, 9, 99).await.unwrap(), kept);
        inbox.purge("shop", b).await.unwrap();
        drop(inbox);
        let inbox = EmbeddedInbox::open(folder.path()).unwrap();
        assert_eq!(inbox.tokens().await.unwrap(), Vec::<SmolStr>::new());
        assert!(a < b && b < inbox.publish("takt.in.shop.x", &[], b"c").await);
    }

    #[tokio::test]
    async fn what_is_no_subject_of_a_stream_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = EmbeddedInbox::open(folder.path()).unwrap();
        for subject in ["takt.in.shop", "takt.in..x", "takt.log.shop.x", "takt.in.shop.>", "x"] {
            assert!(inbox.put(subject, vec![], Bytes::new()).await.is_err(), "`{subject}`");
        }
        let long = vec![0; MOST_MESSAGE_BYTES + 1];
        assert!(inbox.put("takt.in.shop.x", vec![], long.into()).await.is_err());
        assert!(inbox.tokens().await.unwrap().is_empty());
    }
}
