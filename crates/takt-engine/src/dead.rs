//! Keeps what could not be understood as dead letters, under ids that follow from what came.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use smol_str::ToSmolStr;
use takt_domain::StreamName;
use takt_ports::NewDeadLetter;

use crate::error::Error;
use crate::facts::{Misfit, Published};
use crate::shared::Shared;

/// The most bytes of a dead letter that are kept when it is over the limit.
const KEPT_BYTES: usize = 64 * 1024;
/// The size of a fact from which only the first [`KEPT_BYTES`] are kept.
pub(crate) const MAX_FACT_BYTES: usize = 1024 * 1024;

/// The id of a fact's letter that came by a call: from the stream and the fact's identity and
/// content, or from the bytes where they are no fact, so that the same one is kept once however it
/// is spelt and however often it comes.
pub(crate) fn id_of(stream: &StreamName, bytes: &[u8], name: Option<&String>) -> uuid::Uuid {
    let sha256;
    let name = match name {
        Some(name) => name,
        None => {
            sha256 = takt_events::hex(&Sha256::digest(bytes));
            &sha256
        }
    };
    let name = format!("{stream}/{name}");
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes())
}

/// Keeps bytes as a dead letter.
pub(crate) async fn keep(
    shared: &Shared,
    stream: &StreamName,
    id: uuid::Uuid,
    bytes: &Bytes,
    misfit: Misfit,
) -> Result<Published, Error> {
    let kept = if bytes.len() > MAX_FACT_BYTES { bytes.slice(..KEPT_BYTES) } else { bytes.clone() };
    let letter = NewDeadLetter {
        id,
        stream: stream.clone(),
        reason: misfit.reason.to_smolstr(),
        place: misfit.place.to_smolstr(),
        remedy: misfit.remedy.to_smolstr(),
        at: shared.clock.now(),
        bytes: kept,
        length: bytes.len() as u64,
        sha256: takt_events::hex(&Sha256::digest(bytes)).into(),
    };
    match shared.dead.keep(letter).await {
        Ok(_) => Ok(misfit.dead(id)),
        Err(error) => Err(Error::unavailable(error)),
    }
}
