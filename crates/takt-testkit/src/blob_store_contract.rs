//! What every blob store must do, as one suite that each adapter runs.
#![expect(clippy::unwrap_used, reason = "a test suite fails by panic")]

use std::sync::Arc;

use bytes::Bytes;
use takt_ports::{BlobError, BlobId, BlobStore, MOST_BLOB_BYTES};

/// Runs every rule on a fresh store each.
///
/// # Panics
/// When a rule does not hold.
pub async fn blob_store_contract(make: impl AsyncFn() -> Arc<dyn BlobStore>) {
    what_was_never_put_is_not_there(make().await).await;
    blobs_of_every_size_come_back_whole(make().await).await;
    the_same_bytes_are_one_blob(make().await).await;
    what_is_removed_is_gone_until_it_is_put_again(make().await).await;
    a_blob_over_the_limit_is_refused(make().await).await;
}

fn bytes(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

async fn what_was_never_put_is_not_there(blobs: Arc<dyn BlobStore>) {
    let nobody = BlobId([7; 32]);
    assert_eq!(blobs.get(nobody).await.unwrap(), None);
    assert_eq!(blobs.length(nobody).await.unwrap(), None);
    assert!(!blobs.remove(nobody).await.unwrap());
}

async fn blobs_of_every_size_come_back_whole(blobs: Arc<dyn BlobStore>) {
    // Around the sizes of pieces that adapters use.
    for length in [0, 1, 4096, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 3_000_000] {
        let put = bytes(length);
        let id = blobs.put(put.clone()).await.unwrap();
        assert_eq!(blobs.get(id).await.unwrap(), Some(put), "{length} bytes");
        assert_eq!(blobs.length(id).await.unwrap(), Some(length as u64));
    }
    let id = blobs.put(Bytes::from_static(b"abc")).await.unwrap();
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(id.to_string(), sha256);
    assert_eq!(sha256.parse::<BlobId>().unwrap(), id);
}

async fn the_same_bytes_are_one_blob(blobs: Arc<dyn BlobStore>) {
    let puts: Vec<_> = (0..8)
        .map(|_| {
            let blobs = Arc::clone(&blobs);
            tokio::spawn(async move { blobs.put(bytes(200_000)).await.unwrap() })
        })
        .collect();
    let id = blobs.put(bytes(200_000)).await.unwrap();
    for put in puts {
        assert_eq!(put.await.unwrap(), id);
    }
    assert_ne!(blobs.put(bytes(200_001)).await.unwrap(), id);
    assert!(blobs.remove(id).await.unwrap());
    assert_eq!(blobs.get(id).await.unwrap(), None, "it was kept once");
    assert!(!blobs.remove(id).await.unwrap());
}

async fn what_is_removed_is_gone_until_it_is_put_again(blobs: Arc<dyn BlobStore>) {
    let id = blobs.put(bytes(10)).await.unwrap();
    let other = blobs.put(bytes(11)).await.unwrap();
    assert!(blobs.remove(id).await.unwrap());
    assert_eq!(blobs.length(id).await.unwrap(), None);
    assert_eq!(blobs.get(other).await.unwrap(), Some(bytes(11)));
    assert_eq!(blobs.put(bytes(10)).await.unwrap(), id);
    assert_eq!(blobs.get(id).await.unwrap(), Some(bytes(10)));
}

async fn a_blob_over_the_limit_is_refused(blobs: Arc<dyn BlobStore>) {
    let length = MOST_BLOB_BYTES + 1;
    let refused = blobs.put(vec![0; usize::try_from(length).unwrap()].into()).await;
    let is_told = matches!(
        refused,
        Err(BlobError::TooLarge { length: told, most: MOST_BLOB_BYTES }) if told == length
    );
    assert!(is_told, "{refused:?}");
}
