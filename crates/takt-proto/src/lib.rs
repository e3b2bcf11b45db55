//! The wire: generated messages and services, and their translation.

pub mod convert;
pub mod error;
pub mod methods;
mod numbered;

/// The package `takt.v1`, generated from `proto/takt/v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    clippy::large_futures,
    clippy::excessive_nesting,
    reason = "generated code; the interface files document it"
)]
pub mod v1 {
    tonic::include_proto!("takt.v1");

    /// The descriptors of all services, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/takt.v1.bin"));
}
