//! Hands: what Takt does outside itself.
//!
//! - [`Webhook`]: tells a receiver of alerts by signed HTTP requests
//! - `address`: which addresses may be connected to

mod address;
mod secret;
mod webhook;

pub use secret::{Secrets, SecretsError};
pub use webhook::{Settings, Webhook, WebhookError};
