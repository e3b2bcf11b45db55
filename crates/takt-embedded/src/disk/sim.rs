//! A disk in memory that loses power: what was not synced survives as any subset of its blocks.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile};

const BLOCK: usize = 64;

/// What the next operations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// All works.
    Good,
    /// Writes and creations fail with this kind, after half of the bytes were taken.
    Failing(io::ErrorKind),
    /// Everything fails once this many more operations were made: the power is gone.
    DiesAfter(usize),
}

/// A disk; clones share it.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

struct State {
    /// Names as they are seen, and as they survive, each to an inode.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    inodes: Vec<Inode>,
    mood: Mood,
}

#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl SimDisk {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            inodes: vec![],
            mood: Mood::Good,
        })))
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// The disk as it is after the power came back; `chance` decides what survived.
    pub(crate) fn after_power_loss(&self, chance: &mut dyn FnMut() -> bool) -> Self {
        let state = self.state();
        let mut names = state.durable_names.clone();
        for (name, inode) in &state.names {
            if names.get(name) != Some(inode) && chance() {
                names.insert(name.clone(), *inode);
            }
        }
        names.retain(|name, _| state.names.contains_key(name) || chance());
        let inodes = state.inodes.iter().map(|inode| inode.survive(chance)).collect();
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(State { names, durable_names, inodes, mood: Mood::Good })))
    }

    /// Changes one byte of a file in place.
    pub(crate) fn flip(&self, name: &str, offset: usize) {
        let mut state = self.state();
        let inode = state.names[name];
        state.inodes[inode].seen[offset] ^= 0x20;
        state.inodes[inode].durable[offset] ^= 0x20;
    }

    /// What a file holds.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if let Mood::DiesAfter(left) = state.mood {
            if left == 0 {
                return Err(io::Error::other("the power is gone"));
            }
            state.mood = Mood::DiesAfter(left - 1);
        }
        Ok(state)
    }
}

impl Inode {
    fn survive(&self, chance: &mut dyn FnMut() -> bool) -> Self {
        let (from, to) = (self.durable.len(), self.seen.len());
        // The length may be the old one, the new one, or between.
        let length = match (chance(), chance()) {
            (true, _) => to,
            (false, true) => from,
            (false, false) => usize::midpoint(from, to),
        };
        let mut bytes = self.durable.clone();
        bytes.resize(length, 0);
        for start in (0..length).step_by(BLOCK) {
            let end = length.min(start + BLOCK).min(to);
            if start < end && chance() {
                bytes[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
        Self { seen: bytes.clone(), durable: bytes }
    }
}

impl Disk for SimDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.step()?.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.step()?;
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.step()?;
        if let Mood::Failing(kind) = state.mood {
            return Err(kind.into());
        }
        let fresh = state.inodes.len();
        let inode = *state.names.entry(name.to_owned()).or_insert(fresh);
        if inode == fresh {
            state.inodes.push(Inode::default());
        }
        state.inodes[inode].seen.clear();
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?.names.remove(name);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.step()?;
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.step()?.inodes[self.inode].seen.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.disk.step()?;
        let start = usize::try_from(offset).unwrap();
        let bytes = state.inodes[self.inode].seen.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let mood = state.mood;
        let seen = &mut state.inodes[self.inode].seen;
        let failing = matches!(mood, Mood::Failing(_));
        let taken = if failing { &bytes[..bytes.len() / 2] } else { bytes };
        let start = usize::try_from(offset).unwrap();
        seen.resize(seen.len().max(start + taken.len()), 0);
        seen[start..start + taken.len()].copy_from_slice(taken);
        if let Mood::Failing(kind) = mood { Err(kind.into()) } else { Ok(()) }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.step()?;
        state.inodes[self.inode].seen.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let inode = &mut state.inodes[self.inode];
        inode.durable = inode.seen.clone();
        Ok(())
    }
}
