//! A folder of small files, each written whole or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::disk::{Disk, RealDisk, read_all};
use crate::error::OpenError;

/// What a file is called until it is whole.
const UNFINISHED: &str = "unfinished-";

/// A folder that this process holds.
pub(crate) struct Files {
    path: PathBuf,
    disk: RealDisk,
    _lock: File,
}

impl Files {
    /// Opens a folder, which is made if it is missing; takes away what a kill left unfinished.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_path_buf();
        let io = |source| OpenError::Io { path: path.clone(), source };
        let disk = RealDisk::new(path.clone()).map_err(io)?;
        let Some(lock) = disk.lock().map_err(io)? else {
            return Err(OpenError::LogInUse { path });
        };
        for name in disk.names().map_err(io)? {
            if name.starts_with(UNFINISHED) {
                disk.remove(&name).map_err(io)?;
            }
        }
        Ok(Self { path, disk, _lock: lock })
    }

    /// Where a file stands.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.path
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }

    /// The bytes of a file; `None` when there is none of that name.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.disk.open(name).and_then(|file| read_all(file.as_ref())) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How long a file is; `None` when there is none of that name.
    pub(crate) fn length(&self, name: &str) -> io::Result<Option<u64>> {
        match std::fs::metadata(self.path(name)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a file, durably, in the place of what had its name.
    pub(crate) fn write(&self, name: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let unfinished = format!("{UNFINISHED}{}", Uuid::new_v4());
        let written = self.fill(&unfinished, pieces).and_then(|()| {
            std::fs::rename(self.path(&unfinished), self.path(name))?;
            self.disk.sync_names()
        });
        if written.is_err() {
            // What is left of it is taken away by the next opening, if not now.
            let _ = self.disk.remove(&unfinished);
        }
        written
    }

    fn fill(&self, name: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let file = self.disk.create(name)?;
        let mut at = 0;
        for piece in pieces {
            file.write_at(at, piece)?;
            at += piece.len() as u64;
        }
        file.sync()
    }

    /// Removes files, durably; tells how many there were.
    pub(crate) fn remove(&self, names: &[&str]) -> io::Result<usize> {
        let mut removed = 0;
        for name in names {
            match self.disk.remove(name) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if removed > 0 {
            self.disk.sync_names()?;
        }
        Ok(removed)
    }
}

/// Runs what waits for the disk on a thread that may wait.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<R> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kill_left_unfinished_is_not_there_after_opening() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        files.write("a", &[b"one ", b"two"]).unwrap();
        std::fs::write(files.path("unfinished-x"), b"half").unwrap();
        drop(files);
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(files.read("a").unwrap().unwrap(), b"one two");
        assert_eq!(files.read("unfinished-x").unwrap(), None);
        assert!(matches!(Files::open(folder.path()), Err(OpenError::LogInUse { .. })));
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        std::fs::create_dir(files.path("a")).unwrap();
        assert!(files.write("a", &[b"x"]).is_err(), "a folder is in its place");
        let mut names = files.names().unwrap();
        names.sort();
        assert_eq!(names, ["a", "lock"]);
    }
}
