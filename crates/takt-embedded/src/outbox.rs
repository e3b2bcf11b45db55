//! The outbox: one file of JSON lines a day, which subscribers on the machine follow.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smol_str::SmolStr;
use takt_domain::{Span, Time};
use takt_ports::{OutMessage, Outbox, OutboxError};

use crate::error::OpenError;
use crate::files::{Files, blocking};

/// The name under which today's file is found, so that `tail -F` follows from day to day.
const TODAY: &str = "today.jsonl";
const DAY: Span = Span::from_secs(24 * 60 * 60);
/// How many days are kept, today with them.
const DAYS: i64 = 7;

/// What is sent, on files, held by one process.
pub struct EmbeddedOutbox {
    writing: Arc<Mutex<Writing>>,
}

struct Writing {
    files: Files,
    clock: fn() -> Time,
    open: Option<Day>,
}

/// The file of a day.
struct Day {
    name: String,
    file: File,
    length: u64,
}

/// A message as a line of a file.
#[derive(Serialize, Deserialize)]
struct Line {
    subject: SmolStr,
    key: SmolStr,
    seq: u64,
    content_type: SmolStr,
    /// The payload, where it is JSON on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    /// The payload, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl EmbeddedOutbox {
    /// Opens the outbox in a folder of its own, which is made if it is missing.
    ///
    /// # Errors
    /// When another process holds it or the file system refuses.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_at(folder, now)
    }

    fn open_at(folder: &Path, clock: fn() -> Time) -> Result<Self, OpenError> {
        let mut writing = Writing { files: Files::open(folder)?, clock, open: None };
        let io = |source| OpenError::Io { path: folder.to_path_buf(), source };
        writing.roll().map_err(io)?;
        Ok(Self { writing: Arc::new(Mutex::new(writing)) })
    }

    /// Every message that a folder keeps, in order; for who reads it without following it.
    ///
    /// # Errors
    /// When a file or a line does not read.
    pub fn messages(folder: &Path) -> io::Result<Vec<OutMessage>> {
        let mut names = Vec::new();
        for file in std::fs::read_dir(folder)? {
            names.extend(file?.file_name().into_string());
        }
        names.retain(|name| is_day(name));
        names.sort();
        let mut messages = Vec::new();
        for name in names {
            for line in io::BufReader::new(File::open(folder.join(name))?).lines() {
                messages.push(read(&line?)?);
            }
        }
        Ok(messages)
    }
}

#[async_trait]
impl Outbox for EmbeddedOutbox {
    async fn send(&self, messages: Vec<OutMessage>) -> Result<(), OutboxError> {
        if messages.is_empty() {
            return Ok(());
        }
        let writing = Arc::clone(&self.writing);
        let sent = blocking(move || {
            writing.lock().unwrap_or_else(PoisonError::into_inner).send(&messages)
        });
        sent.await
            .and_then(|sent| sent)
            .map_err(|error| OutboxError { reason: error.to_string().into() })
    }
}

impl Writing {
    fn send(&mut self, messages: &[OutMessage]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            serde_json::to_writer(&mut bytes, &line(message)).map_err(io::Error::other)?;
            bytes.push(b'\n');
        }
        let day = self.roll()?;
        let written = day.file.write_all(&bytes).and_then(|()| day.file.sync_data());
        if written.is_ok() {
            day.length += bytes.len() as u64;
        } else {
            // The day is opened anew, and what stands half written behind its last line is cut.
            self.open = None;
        }
        written
    }

    /// Today's file. At the first of a day those that are too old go.
    fn roll(&mut self) -> io::Result<&mut Day> {
        let today = (self.clock)();
        let name = format!("{}.jsonl", date(today));
        if self.open.as_ref().is_none_or(|day| day.name != name) {
            self.open = None;
            let oldest = today - Span::from_micros(DAY.micros() * (DAYS - 1));
            let oldest = format!("{}.jsonl", date(oldest));
            let names = self.files.names()?;
            let old = names.iter().map(String::as_str);
            let old: Vec<&str> = old.filter(|it| is_day(it) && **it < *oldest).collect();
            self.files.remove(&old)?;
            let day = open_day(&self.files, name)?;
            return Ok(self.open.insert(day));
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("no file is open"))
    }
}

fn open_day(files: &Files, name: String) -> io::Result<Day> {
    let path = files.path(&name);
    let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
    let length = whole_lines(&file)?;
    if length < file.metadata()?.len() {
        tracing::warn!(file = %path.display(), "a message that was never whole is cut off");
        file.set_len(length)?;
    }
    file.sync_all()?;
    let link = files.path("unfinished-today");
    match std::fs::remove_file(&link) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(&name, &link)?;
    std::fs::rename(&link, files.path(TODAY))?;
    File::open(files.folder())?.sync_all()?;
    Ok(Day { name, file, length })
}

/// The length of a file up to and with its last line feed.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut reader = io::BufReader::new(file);
    let (mut at, mut whole) = (0, 0);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(whole);
        }
        let read = buffer.len();
        if let Some(last) = buffer.iter().rposition(|byte| *byte == b'\n') {
            whole = at + last as u64 + 1;
        }
        at += read as u64;
        reader.consume(read);
    }
}

fn is_day(name: &str) -> bool {
    name != TODAY && name.ends_with(".jsonl")
}

/// The day of an instant, in UTC.
fn date(time: Time) -> String {
    time.to_string().chars().take("2026-01-01".len()).collect()
}

fn now() -> Time {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| past.as_micros());
    Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn line(message: &OutMessage) -> Line {
    let text = std::str::from_utf8(&message.bytes).ok();
    // What stands in the line must be the payload's bytes exactly.
    let data = text
        .filter(|text| !text.contains(['\n', '\r']))
        .and_then(|text| serde_json::from_str::<Box<RawValue>>(text).ok())
        .filter(|data| data.get().as_bytes() == message.bytes);
    Line {
        subject: message.subject.clone(),
        key: message.key.clone(),
        seq: message.seq,
        content_type: message.content_type.clone(),
        data_base64: data.is_none().then(|| STANDARD.encode(&message.bytes)),
        data,
    }
}

fn read(line: &str) -> io::Result<OutMessage> {
    let line: Line = serde_json::from_str(line).map_err(io::Error::other)?;
    let bytes = match (line.data, line.data_base64) {
        (Some(data), _) => data.get().as_bytes().to_vec(),
        (None, Some(text)) => STANDARD.decode(text).map_err(io::Error::other)?,
        (None, None) => return Err(io::Error::other("a message has no payload")),
    };
    let (subject, key, seq) = (line.subject, line.key, line.seq);
    Ok(OutMessage { subject, key, seq, content_type: line.content_type, bytes: Bytes::from(bytes) })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicI64, Ordering};

    use takt_testkit::{Subscriber, out_message};

    use super::*;

    struct Reader(tempfile::TempDir);

    #[async_trait]
    impl Subscriber for Reader {
        async fn messages(&self) -> Vec<OutMessage> {
            EmbeddedOutbox::messages(self.0.path()).unwrap()
        }
    }

    #[tokio::test]
    async fn an_outbox_on_files_keeps_the_contract() {
        let make = async || {
            let folder = tempfile::tempdir().unwrap();
            let outbox = EmbeddedOutbox::open(folder.path()).unwrap();
            (Arc::new(outbox) as Arc<dyn Outbox>, Arc::new(Reader(folder)) as Arc<dyn Subscriber>)
        };
        takt_testkit::outbox_contract(make).await;
    }

    #[tokio::test]
    async fn what_stands_half_written_is_cut_and_the_lines_before_it_stay() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = EmbeddedOutbox::open(folder.path()).unwrap();
        outbox.send(vec![out_message(1, b"{}")]).await.unwrap();
        drop(outbox);
        let today = folder.path().join(TODAY);
        let mut file = OpenOptions::new().append(true).open(&today).unwrap();
        file.write_all(b"{\"subject\":\"takt.an").unwrap();
        let outbox = EmbeddedOutbox::open(folder.path()).unwrap();
        outbox.send(vec![out_message(2, b"{}")]).await.unwrap();
        let kept = EmbeddedOutbox::messages(folder.path()).unwrap();
        assert_eq!(kept, [out_message(1, b"{}"), out_message(2, b"{}")]);
        let text = std::fs::read_to_string(&today).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with(r#"{"subject":"takt.andon.shop","key":"key-1","seq":1,"#));
    }

    static CLOCK: AtomicI64 = AtomicI64::new(0);

    #[tokio::test]
    async fn seven_days_are_kept_and_the_name_of_today_goes_with_the_day() {
        let clock = || Time::from_micros(CLOCK.load(Ordering::SeqCst));
        let first: Time = "2026-02-26T23:59:59Z".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        CLOCK.store(first.micros(), Ordering::SeqCst);
        let outbox = EmbeddedOutbox::open_at(folder.path(), clock).unwrap();
        for day in 0..9_u64 {
            let at = first + Span::from_micros(DAY.micros() * i64::try_from(day).unwrap());
            CLOCK.store(at.micros(), Ordering::SeqCst);
            outbox.send(vec![out_message(day + 1, b"{}")]).await.unwrap();
        }
        let target = std::fs::read_link(folder.path().join(TODAY)).unwrap();
        assert_eq!(target, PathBuf::from("2026-03-06.jsonl"));
        let kept = EmbeddedOutbox::messages(folder.path()).unwrap();
        let kept: Vec<u64> = kept.iter().map(|message| message.seq).collect();
        assert_eq!(kept, (3..=9).collect::<Vec<_>>());
    }
}
