//! Blobs: one file each, named by the sha256 of its bytes.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use takt_ports::{BlobError, BlobId, BlobStore, MOST_BLOB_BYTES};

use crate::error::OpenError;
use crate::files::{Files, blocking};

/// How much of a blob is read at once.
const PIECE: usize = 64 * 1024;

/// Blobs on files, held by one process.
pub struct EmbeddedBlobs {
    files: Arc<Files>,
}

impl EmbeddedBlobs {
    /// Opens the blobs in a folder of their own, which is made if it is missing.
    ///
    /// # Errors
    /// When another process holds it or the file system refuses.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self { files: Arc::new(Files::open(folder)?) })
    }

    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<R, BlobError> + Send + 'static,
    ) -> Result<R, BlobError> {
        let files = Arc::clone(&self.files);
        blocking(move || work(&files)).await.map_err(unavailable)?
    }
}

#[async_trait]
impl BlobStore for EmbeddedBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobId, BlobError> {
        let length = bytes.len() as u64;
        if length > MOST_BLOB_BYTES {
            return Err(BlobError::TooLarge { length, most: MOST_BLOB_BYTES });
        }
        self.with(move |files| {
            let id = BlobId(Sha256::digest(&bytes).into());
            match read(files, id) {
                Ok(Some(_)) => return Ok(id),
                // What is damaged is put anew.
                Ok(None) | Err(BlobError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
            files.write(&name(id), &[&bytes]).map_err(unavailable)?;
            Ok(id)
        })
        .await
    }

    async fn get(&self, id: BlobId) -> Result<Option<Bytes>, BlobError> {
        self.with(move |files| read(files, id)).await
    }

    async fn length(&self, id: BlobId) -> Result<Option<u64>, BlobError> {
        self.with(move |files| files.length(&name(id)).map_err(unavailable)).await
    }

    async fn remove(&self, id: BlobId) -> Result<bool, BlobError> {
        self.with(move |files| {
            let removed = files.remove(&[&name(id)]).map_err(unavailable)?;
            Ok(removed > 0)
        })
        .await
    }
}

fn name(id: BlobId) -> String {
    format!("{id}.blob")
}

fn read(files: &Files, id: BlobId) -> Result<Option<Bytes>, BlobError> {
    let name = name(id);
    let Some(length) = files.length(&name).map_err(unavailable)? else { return Ok(None) };
    let damaged = |reason: &str| BlobError::Damaged { id, reason: reason.into() };
    if length > MOST_BLOB_BYTES {
        return Err(damaged("its file is longer than a blob may be"));
    }
    let mut file = match std::fs::File::open(files.path(&name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unavailable(error)),
    };
    let (mut bytes, mut sha256) = (Vec::new(), Sha256::new());
    loop {
        let start = bytes.len();
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut bytes);
        read.map_err(unavailable)?;
        let piece = bytes.get(start..).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        sha256.update(piece);
        if bytes.len() as u64 > MOST_BLOB_BYTES {
            return Err(damaged("its file is longer than a blob may be"));
        }
    }
    if sha256.finalize().as_slice() != id.0 {
        return Err(damaged("its bytes have another hash"));
    }
    Ok(Some(bytes.into()))
}

fn unavailable(error: io::Error) -> BlobError {
    BlobError::Unavailable { reason: error.to_string().into() }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn blobs_on_files_keep_the_contract() {
        let folders = RefCell::new(Vec::new());
        let make = async || {
            let folder = tempfile::tempdir().unwrap();
            let blobs = EmbeddedBlobs::open(folder.path()).unwrap();
            folders.borrow_mut().push(folder);
            Arc::new(blobs) as Arc<dyn BlobStore>
        };
        takt_testkit::blob_store_contract(make).await;
    }

    #[tokio::test]
    async fn a_blob_is_there_after_opening_again_and_a_changed_one_is_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = EmbeddedBlobs::open(folder.path()).unwrap();
        let bytes = Bytes::from_static(b"compiled");
        let id = blobs.put(bytes.clone()).await.unwrap();
        drop(blobs);
        let blobs = EmbeddedBlobs::open(folder.path()).unwrap();
        assert_eq!(blobs.get(id).await.unwrap(), Some(bytes.clone()));
        std::fs::write(folder.path().join(name(id)), b"compilex").unwrap();
        let served = blobs.get(id).await;
        let is_told = matches!(&served, Err(BlobError::Damaged { id: of, .. }) if *of == id);
        assert!(is_told, "{served:?}");
        assert_eq!(blobs.put(bytes.clone()).await.unwrap(), id);
        assert_eq!(blobs.get(id).await.unwrap(), Some(bytes), "putting it anew mends it");
    }
}
