//! gRPC, web board, configuration and wiring.

mod app;
mod backend;
pub mod config;
mod copy;
mod demo;
mod grpc;
mod live;
mod logging;
mod ops;
mod rest;
pub mod web;

pub use app::App;
pub use config::{Config, OpenBind, WebhookConfig, WebhookRefused, WebhookSecret};
pub use copy::{Copied, copy_log};
pub use logging::log_to_stderr;
pub use takt_embedded::OpenError;
