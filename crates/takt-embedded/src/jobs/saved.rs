//! The files of a job: `<place>.job` with what is to be done, `<place>.try` with its attempt.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Kept, Queues};
use crate::files::Files;

/// The first line of a job's file; the job's bytes follow it.
#[derive(Serialize, Deserialize)]
struct Head {
    queue: SmolStr,
    id: SmolStr,
    length: usize,
    crc: u32,
}

/// The file of an attempt.
#[derive(Serialize, Deserialize)]
enum Attempt {
    /// It is under way.
    Taken { attempt: u32, receipt: SmolStr, lease: Duration },
    /// It was given back, and the job waits until then.
    GivenBack { attempt: u32, since_epoch: Duration },
}

fn job(place: u64) -> String {
    format!("{place:020}.job")
}

fn attempt(place: u64) -> String {
    format!("{place:020}.try")
}

/// Writes a job that was put.
pub(super) fn put(
    files: &Files,
    place: u64,
    queue: &SmolStr,
    id: &SmolStr,
    bytes: &Bytes,
) -> io::Result<()> {
    let (queue, id) = (queue.clone(), id.clone());
    let head = Head { queue, id, length: bytes.len(), crc: crc32fast::hash(bytes) };
    files.write(&job(place), &[&json(&head)?, b"\n", bytes])
}

/// Writes that an attempt has begun.
pub(super) fn take(
    files: &Files,
    place: u64,
    number: u32,
    receipt: &SmolStr,
    lease: Duration,
) -> io::Result<()> {
    let taken = Attempt::Taken { attempt: number, receipt: receipt.clone(), lease };
    files.write(&attempt(place), &[&json(&taken)?])
}

/// Writes that an attempt was given back.
pub(super) fn give_back(files: &Files, place: u64, number: u32, delay: Duration) -> io::Result<()> {
    let since_epoch = since_epoch() + delay;
    let given = Attempt::GivenBack { attempt: number, since_epoch };
    files.write(&attempt(place), &[&json(&given)?])
}

/// Removes a job; a kill in between leaves an attempt without a job, which the next opening removes.
pub(super) fn remove(files: &Files, place: u64) -> io::Result<()> {
    files.remove(&[&job(place), &attempt(place)]).map(drop)
}

/// What is to be done.
pub(super) fn bytes(files: &Files, place: u64) -> io::Result<Bytes> {
    read(files, place)?
        .map(|(_, bytes)| bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("`{}` is gone", job(place))))
}

/// Every job in the folder.
pub(super) fn load(files: &Files) -> io::Result<Queues> {
    let mut queues = Queues::default();
    let names = files.names()?;
    let places = |end: &str| -> Vec<u64> {
        names.iter().filter_map(|name| name.strip_suffix(end)?.parse().ok()).collect()
    };
    let (mut jobs, attempts) = (places(".job"), places(".try"));
    jobs.sort_unstable();
    for place in attempts.into_iter().filter(|place| jobs.binary_search(place).is_err()) {
        files.remove(&[&attempt(place)])?;
    }
    for place in jobs {
        if let Some((head, _)) = read(files, place)? {
            queues.keep(head.queue, place, kept(files, place, head.id)?);
        }
    }
    Ok(queues)
}

fn kept(files: &Files, place: u64, id: SmolStr) -> io::Result<Kept> {
    let now = Instant::now();
    let receipt = SmolStr::default();
    let Some(bytes) = files.read(&attempt(place))? else {
        return Ok(Kept { id, attempt: 0, receipt, lease: None, free_at: now });
    };
    let found = serde_json::from_slice(&bytes).map_err(|error| damaged(&attempt(place), &error))?;
    Ok(match found {
        Attempt::Taken { attempt, receipt, lease } => {
            Kept { id, attempt, receipt, lease: Some(lease), free_at: now + lease }
        }
        Attempt::GivenBack { attempt, since_epoch: until } => {
            let left = until.saturating_sub(since_epoch());
            Kept { id, attempt, receipt, lease: None, free_at: now + left }
        }
    })
}

fn read(files: &Files, place: u64) -> io::Result<Option<(Head, Bytes)>> {
    let name = job(place);
    let Some(bytes) = files.read(&name)? else { return Ok(None) };
    let bytes = Bytes::from(bytes);
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| damaged(&name, &"it has no first line"))?;
    let head: Head =
        serde_json::from_slice(&bytes.slice(..end)).map_err(|error| damaged(&name, &error))?;
    let bytes = bytes.slice(end + 1..);
    if bytes.len() != head.length || crc32fast::hash(&bytes) != head.crc {
        return Err(damaged(&name, &"its bytes have changed"));
    }
    Ok(Some((head, bytes)))
}

fn damaged(name: &str, reason: &dyn std::fmt::Display) -> io::Error {
    let message = format!("`{name}` does not read ({reason}); take it out of the folder");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
