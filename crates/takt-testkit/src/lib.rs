//! For tests: in-memory ports and contract suites.

mod event_log_contract;
mod memory_log;

pub use event_log_contract::{board, entry, event_log_contract};
pub use memory_log::MemoryLog;
