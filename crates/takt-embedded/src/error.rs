//! Why the files cannot be opened, and how file errors read in the ports.

use std::io;
use std::path::PathBuf;

use takt_ports::LogError;

/// Why a log or the dead letters could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the folder.
    #[error("the log in `{}` is in use by another process", .path.display())]
    LogInUse {
        /// The folder.
        path: PathBuf,
    },
    /// Acknowledged bytes have changed; nothing is cut, restore them from a backup.
    #[error("the log in `{}` does not open", .path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// Which entry.
        #[source]
        source: LogError,
    },
    /// The file system refused.
    #[error("could not open the files in `{}`", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// A fault found while opening, before the folder's name is known.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file system refused.
    Io(io::Error),
    /// Acknowledged bytes have changed.
    Damaged { seq: u64, reason: String },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    /// The fault as the caller of `open` sees it.
    pub(crate) fn at(self, path: PathBuf) -> OpenError {
        match self {
            Self::Io(source) => OpenError::Io { path, source },
            Self::Damaged { seq, reason } => {
                OpenError::Damaged { path, source: damaged(seq, &reason) }
            }
        }
    }
}

/// The file system refused, in the words of the port.
pub(crate) fn unavailable(reason: &(impl ToString + ?Sized)) -> LogError {
    LogError::Unavailable { reason: reason.to_string().into() }
}

/// An entry cannot be served, in the words of the port.
pub(crate) fn damaged(seq: u64, reason: &str) -> LogError {
    LogError::Damaged { seq, reason: reason.into() }
}
