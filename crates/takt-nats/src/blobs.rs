//! Blobs in the object store `TAKT_BLOBS`, each under the sha256 of its bytes.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectInfo, ObjectStore};
use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use takt_ports::{BlobError, BlobId, BlobStore, MOST_BLOB_BYTES};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::error::OpenError;
use crate::streams::{keeping, made_or_checked};

const BUCKET: &str = "TAKT_BLOBS";
const NAME: &str = "OBJ_TAKT_BLOBS";
const SUBJECTS: &[&str] = &["$O.TAKT_BLOBS.C.>", "$O.TAKT_BLOBS.M.>"];
/// How long the server may take for the next piece.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes by their hash, on JetStream.
pub struct NatsBlobs {
    store: ObjectStore,
    /// One at a time, so that the same bytes are not stored twice and one copy left behind.
    putting: Mutex<()>,
}

impl NatsBlobs {
    /// Makes the object store, or checks the one that is there.
    ///
    /// # Errors
    /// When it has other settings, or JetStream does not answer.
    pub async fn open(context: Context, replicas: usize) -> Result<Self, OpenError> {
        let mut config = keeping(NAME, SUBJECTS, replicas);
        // What makes a stream an object store.
        config.allow_rollup = true;
        made_or_checked(&context, config).await?;
        let store = context.get_object_store(BUCKET).await;
        let store = store.map_err(|error| OpenError::unavailable(NAME, &error))?;
        Ok(Self { store, putting: Mutex::default() })
    }

    async fn info(&self, id: BlobId) -> Result<Option<ObjectInfo>, BlobError> {
        match self.store.info(id.to_string()).await {
            Ok(info) => Ok(Some(info).filter(|info| !info.deleted)),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn read(&self, id: BlobId) -> Result<Option<Bytes>, BlobError> {
        let mut object = match self.store.get(id.to_string()).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(&error)),
        };
        let damaged = |reason: String| BlobError::Damaged { id, reason: reason.into() };
        let length = object.info().size as u64;
        if length > MOST_BLOB_BYTES {
            return Err(damaged(format!("it claims to have {length} bytes")));
        }
        let mut bytes = Vec::new();
        loop {
            let piece = timeout(PATIENCE, object.read_buf(&mut bytes)).await;
            let Ok(piece) = piece else {
                let read = bytes.len();
                return Err(unavailable(&format!("nothing came after byte {read} of blob {id}")));
            };
            match piece {
                Ok(0) => break,
                Ok(_) if bytes.len() as u64 > length => {
                    return Err(damaged(format!("it has more than its {length} bytes")));
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    return Err(damaged(error.to_string()));
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
        if Sha256::digest(&bytes).as_slice() != id.0.as_slice() {
            return Err(damaged(format!("its {} bytes are not those of its name", bytes.len())));
        }
        Ok(Some(bytes.into()))
    }
}

fn unavailable(reason: &(impl ToString + ?Sized)) -> BlobError {
    BlobError::Unavailable { reason: reason.to_string().into() }
}

#[async_trait]
impl BlobStore for NatsBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobId, BlobError> {
        let length = bytes.len() as u64;
        if length > MOST_BLOB_BYTES {
            return Err(BlobError::TooLarge { length, most: MOST_BLOB_BYTES });
        }
        let id = BlobId(Sha256::digest(&bytes).into());
        let _alone = self.putting.lock().await;
        if self.info(id).await?.is_some_and(|info| info.size as u64 == length) {
            return Ok(id);
        }
        let put = self.store.put(id.to_string().as_str(), &mut bytes.as_ref()).await;
        put.map_err(|error| unavailable(&error))?;
        Ok(id)
    }

    async fn get(&self, id: BlobId) -> Result<Option<Bytes>, BlobError> {
        match self.read(id).await {
            // Another node may have put the same bytes anew just then.
            Err(BlobError::Damaged { .. }) => self.read(id).await,
            read => read,
        }
    }

    async fn length(&self, id: BlobId) -> Result<Option<u64>, BlobError> {
        Ok(self.info(id).await?.map(|info| info.size as u64))
    }

    async fn remove(&self, id: BlobId) -> Result<bool, BlobError> {
        let _alone = self.putting.lock().await;
        if self.info(id).await?.is_none() {
            return Ok(false);
        }
        self.store.delete(id.to_string()).await.map_err(|error| unavailable(&error))?;
        Ok(true)
    }
}
