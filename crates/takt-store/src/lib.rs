//! The sled-backed keeper of projections; disposable things only.
//!
//! One tree holds the rows and their checkpoint, and one batch changes both. Every value carries a
//! CRC-32 over its key and itself, so that what the disk altered is found and not served.

use std::fs::File;
use std::path::{Path, PathBuf};

use takt_ports::{Checkpoint, ReadStore, StoreError, Write};
use uuid::Uuid;

/// Rows stand behind this byte, so that no row can take the checkpoint's place.
const ROW: u8 = b'r';
/// Where the checkpoint stands.
const CHECKPOINT: &[u8] = b"checkpoint";
/// The length of a saved checkpoint: two ids, version, sequence and digest.
const CHECKPOINT_BYTES: usize = 16 + 4 + 8 + 16 + 32;
/// How much memory sled may keep pages in.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Projections in a sled database of their own.
#[derive(Debug)]
pub struct SledStore {
    db: sled::Db,
    file: File,
}

impl SledStore {
    /// Opens the store in a folder, or makes it.
    ///
    /// # Errors
    /// When sled cannot open it, or another process holds it.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES);
        // Batches are flushed by hand, so a timer of sled's own would only cost.
        let db = config.flush_every_ms(None).open().map_err(|error| at(dir, &error))?;
        // sled's flush does not sync on Linux; this handle is for doing that.
        let file = File::options().write(true).open(dir.join("db"));
        Ok(Self { db, file: file.map_err(|error| at(dir, &error))? })
    }

    /// Opens the store; if it does not open or does not verify, moves it aside and makes a new
    /// one. Tells where the old one went.
    ///
    /// # Errors
    /// When it cannot be moved, or the new one cannot be made.
    pub fn open_or_move_aside(dir: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        let opened = Self::open(dir).and_then(|store| store.verify().map(|()| store));
        let error = match opened {
            Ok(store) => return Ok((store, None)),
            Err(error) => error,
        };
        if error.reason.contains("could not acquire lock") {
            return Err(error);
        }
        let aside = free_name(dir);
        tracing::warn!(%error, aside = %aside.display(), "the projection store is moved aside");
        std::fs::rename(dir, &aside).map_err(|error| at(dir, &error))?;
        Ok((Self::open(dir)?, Some(aside)))
    }

    /// Reads everything once.
    fn verify(&self) -> Result<(), StoreError> {
        self.checkpoint()?;
        self.scan(&[], &mut |_, _| {})
    }

    fn make_durable(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| failed(&error))?;
        self.file.sync_data().map_err(|error| failed(&error))
    }
}

impl ReadStore for SledStore {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let Some(value) = self.db.get(CHECKPOINT).map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        let bytes = open_value(CHECKPOINT, &value)?;
        read_checkpoint(bytes).map(Some).ok_or_else(|| damaged(CHECKPOINT))
    }

    fn commit(&self, writes: Vec<Write>, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            let key = row_key(&key);
            match value {
                Some(value) => {
                    let value = seal(&key, &value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        batch.insert(CHECKPOINT, seal(CHECKPOINT, &write_checkpoint(checkpoint)));
        self.db.apply_batch(batch).map_err(|error| failed(&error))?;
        self.make_durable()
    }

    fn scan(&self, prefix: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        for entry in self.db.scan_prefix(row_key(prefix)) {
            let (key, value) = entry.map_err(|error| failed(&error))?;
            let value = open_value(&key, &value)?;
            let (_, name) = key.split_first().ok_or_else(|| damaged(&key))?;
            row(name, value);
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.db.clear().map_err(|error| failed(&error))?;
        self.make_durable()
    }
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

fn write_checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CHECKPOINT_BYTES);
    bytes.extend_from_slice(checkpoint.log.as_bytes());
    bytes.extend_from_slice(&checkpoint.version.to_be_bytes());
    bytes.extend_from_slice(&checkpoint.seq.to_be_bytes());
    bytes.extend_from_slice(checkpoint.id.as_bytes());
    bytes.extend_from_slice(&checkpoint.digest);
    bytes
}

fn read_checkpoint(bytes: &[u8]) -> Option<Checkpoint> {
    let (log, rest) = bytes.split_first_chunk::<16>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    Some(Checkpoint {
        log: Uuid::from_bytes(*log),
        version: u32::from_be_bytes(*version),
        seq: u64::from_be_bytes(*seq),
        id: Uuid::from_bytes(*id),
        digest: rest.try_into().ok()?,
    })
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
