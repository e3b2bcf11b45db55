//! What an operator meets: the port and its limits, who may speak to it, metrics and health.

pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod metered_log;
pub(crate) mod port;
pub(crate) mod rpc;
pub(crate) mod seats;
mod socket;
pub(crate) mod telemetry;
