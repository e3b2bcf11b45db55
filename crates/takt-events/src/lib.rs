//! The language of the log: type to struct, CloudEvents JSON, golden corpus; pure.

mod dictionary;
mod digest;
mod envelope;
mod notice;
mod origin;

pub use dictionary::{TYPES, misfit, type_of};
pub use digest::{content_digest, hex, text_digest};
pub use envelope::{DecodeError, decode, encode, recorded_digest};
pub use notice::{About, notice, step};
pub use origin::origin;
