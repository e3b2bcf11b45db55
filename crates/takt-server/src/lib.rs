//! gRPC, web board, configuration and wiring.

pub mod config;

pub use config::{Config, OpenBind};
