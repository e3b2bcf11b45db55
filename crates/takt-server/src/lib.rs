//! gRPC, web board, configuration and wiring.

mod app;
pub mod config;
mod grpc;
mod live;
pub mod web;

pub use app::App;
pub use config::{Config, OpenBind};
