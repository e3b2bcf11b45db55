//! The sled-backed keeper of projections; disposable things only.
//!
//! One tree holds the rows and their checkpoint, and one batch changes both. Every value carries a
//! CRC-32 over its key and itself, so that what the disk altered is found and not served. A row may
//! also be lost whole, or stand there as it was before, since sled drops a page that it cannot read;
//! so the checkpoint carries the number of rows and the sum of their checksums.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use takt_ports::{Checkpoint, ReadStore, StoreError, Write};
use uuid::Uuid;

/// Rows stand behind this byte, so that no row can take the checkpoint's place.
const ROW: u8 = b'r';
/// Where the checkpoint stands.
const CHECKPOINT: &[u8] = b"checkpoint";
/// The length of a saved checkpoint: two ids, version, sequence, digest, and the rows' total.
const CHECKPOINT_BYTES: usize = 16 + 4 + 8 + 16 + 32 + 16;
/// How much memory sled may keep pages in.
const CACHE_BYTES: u64 = 1024 * 1024;

/// Projections in a sled database of their own.
#[derive(Debug)]
pub struct SledStore {
    dir: PathBuf,
    /// `None` only while the database is being replaced.
    open: Mutex<Option<Open>>,
}

/// A database that is open.
#[derive(Debug)]
struct Open {
    db: sled::Db,
    file: File,
    total: Total,
}

/// What all rows come to together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    rows: u64,
    /// The sum of the rows' checksums, wrapping.
    sums: u64,
}

impl Total {
    fn add(&mut self, sealed: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.sums = self.sums.wrapping_add(sum_of(sealed));
    }

    fn take(&mut self, sealed: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.sums = self.sums.wrapping_sub(sum_of(sealed));
    }
}

impl SledStore {
    /// Opens the store in a folder, or makes it. A database that does not open is moved aside and a
    /// new one is made; tells where the old one went.
    ///
    /// # Errors
    /// When another process holds it, it cannot be moved, or the new one cannot be made.
    pub fn open(dir: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        let store = |open| Self { dir: dir.to_path_buf(), open: Mutex::new(Some(open)) };
        let error = match Open::new(dir) {
            Ok(open) => return Ok((store(open), None)),
            Err(error) if error.reason.contains("could not acquire lock") => return Err(error),
            Err(error) => error,
        };
        let aside = move_aside(dir)?;
        tracing::warn!(%error, aside = %aside.display(), "the projection store is moved aside");
        Ok((store(Open::new(dir)?), Some(aside)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn new(dir: &Path) -> Result<Self, StoreError> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES);
        // Batches are flushed by hand, so a timer of sled's own would only cost.
        let config = config.flush_every_ms(None);
        // On some damage sled does not fail but panics.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let opened = opened.map_err(|_| StoreError {
            reason: format!("`{}`: sled panicked while opening", dir.display()).into(),
        })?;
        let db = opened.map_err(|error| at(dir, &error))?;
        // sled's flush does not sync on Linux; this handle is for doing that.
        let file = File::options().write(true).open(dir.join("db"));
        let file = file.map_err(|error| at(dir, &error))?;
        let mut open = Self { db, file, total: Total::default() };
        if let Some((_, total)) = open.checkpoint()? {
            open.total = total;
        }
        Ok(open)
    }

    fn checkpoint(&self) -> Result<Option<(Checkpoint, Total)>, StoreError> {
        let Some(value) = self.db.get(CHECKPOINT).map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        let bytes = open_value(CHECKPOINT, &value)?;
        read_checkpoint(bytes).map(Some).ok_or_else(|| damaged(CHECKPOINT))
    }

    fn commit(&mut self, writes: Vec<Write>, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut total = self.total;
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            let key = row_key(&key);
            if let Some(before) = self.db.get(&key).map_err(|error| failed(&error))? {
                total.take(&before);
            }
            match value {
                Some(value) => {
                    let value = seal(&key, &value);
                    total.add(&value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        batch.insert(CHECKPOINT, seal(CHECKPOINT, &write_checkpoint(checkpoint, total)));
        self.db.apply_batch(batch).map_err(|error| failed(&error))?;
        self.db.flush().map_err(|error| failed(&error))?;
        self.file.sync_data().map_err(|error| failed(&error))?;
        self.total = total;
        Ok(())
    }

    fn load(&self, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let mut total = Total::default();
        for entry in self.db.scan_prefix([ROW]) {
            let (key, sealed) = entry.map_err(|error| failed(&error))?;
            let value = open_value(&key, &sealed)?;
            let (_, name) = key.split_first().ok_or_else(|| damaged(&key))?;
            total.add(&sealed);
            row(name, value);
        }
        if total == self.total {
            return Ok(());
        }
        let (found, wanted) = (total.rows, self.total.rows);
        let reason = format!("{found} rows are not the {wanted} that the checkpoint counts");
        Err(StoreError { reason: reason.into() })
    }
}

fn closed() -> StoreError {
    StoreError { reason: "the database could not be opened again; restart takt".into() }
}

impl ReadStore for SledStore {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let open = self.lock();
        let found = open.as_ref().ok_or_else(closed)?.checkpoint()?;
        Ok(found.map(|(checkpoint, _)| checkpoint))
    }

    fn commit(&self, writes: Vec<Write>, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.lock().as_mut().ok_or_else(closed)?.commit(writes, checkpoint)
    }

    fn load(&self, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        self.lock().as_ref().ok_or_else(closed)?.load(row)
    }

    fn reset(&self, damaged: bool) -> Result<Option<PathBuf>, StoreError> {
        let mut open = self.lock();
        // The folder is free to be moved only when the database is closed.
        *open = None;
        let aside = move_aside(&self.dir)?;
        *open = Some(Open::new(&self.dir)?);
        if damaged {
            return Ok(Some(aside));
        }
        std::fs::remove_dir_all(&aside).map_err(|error| at(&aside, &error))?;
        Ok(None)
    }
}

/// Moves the folder to the first name beside it that nothing has yet.
fn move_aside(dir: &Path) -> Result<PathBuf, StoreError> {
    let aside = free_name(dir);
    std::fs::rename(dir, &aside).map_err(|error| at(dir, &error))?;
    Ok(aside)
}

/// The checksum that a sealed value begins with.
fn sum_of(sealed: &[u8]) -> u64 {
    sealed.first_chunk::<4>().map_or(0, |sum| u64::from(u32::from_be_bytes(*sum)))
}

fn row_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.push(ROW);
    bytes.extend_from_slice(key);
    bytes
}

/// The checksum covers the key too, so that a value cannot stand under another's name.
fn checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize().to_be_bytes()
}

fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 4);
    bytes.extend_from_slice(&checksum(key, value));
    bytes.extend_from_slice(value);
    bytes
}

fn open_value<'a>(key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], StoreError> {
    match sealed.split_first_chunk::<4>() {
        Some((sum, value)) if *sum == checksum(key, value) => Ok(value),
        Some(_) | None => Err(damaged(key)),
    }
}

fn write_checkpoint(checkpoint: &Checkpoint, total: Total) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CHECKPOINT_BYTES);
    bytes.extend_from_slice(checkpoint.log.as_bytes());
    bytes.extend_from_slice(&checkpoint.version.to_be_bytes());
    bytes.extend_from_slice(&checkpoint.seq.to_be_bytes());
    bytes.extend_from_slice(checkpoint.id.as_bytes());
    bytes.extend_from_slice(&checkpoint.digest);
    bytes.extend_from_slice(&total.rows.to_be_bytes());
    bytes.extend_from_slice(&total.sums.to_be_bytes());
    bytes
}

fn read_checkpoint(bytes: &[u8]) -> Option<(Checkpoint, Total)> {
    let (log, rest) = bytes.split_first_chunk::<16>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let (rows, rest) = rest.split_first_chunk::<8>()?;
    let checkpoint = Checkpoint {
        log: Uuid::from_bytes(*log),
        version: u32::from_be_bytes(*version),
        seq: u64::from_be_bytes(*seq),
        id: Uuid::from_bytes(*id),
        digest: *digest,
    };
    let sums = u64::from_be_bytes(rest.try_into().ok()?);
    Some((checkpoint, Total { rows: u64::from_be_bytes(*rows), sums }))
}

/// The first name beside the folder that nothing has yet.
fn free_name(dir: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let mut name = dir.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let path = PathBuf::from(name);
        if !path.exists() {
            return path;
        }
        number = number.saturating_add(1);
    }
}

fn failed(error: &dyn std::error::Error) -> StoreError {
    StoreError { reason: error.to_string().into() }
}

fn at(dir: &Path, error: &dyn std::error::Error) -> StoreError {
    StoreError { reason: format!("`{}`: {error}", dir.display()).into() }
}

fn damaged(key: &[u8]) -> StoreError {
    let name = String::from_utf8_lossy(key).escape_debug().to_string();
    StoreError { reason: format!("the row `{name}` does not verify").into() }
}

#[cfg(test)]
mod tests;
