//! For tests: in-memory ports and contract suites.

mod dead_letters_contract;
mod event_log_contract;
mod memory_dead_letters;
mod memory_log;

pub use dead_letters_contract::{dead_letters_contract, letter};
pub use event_log_contract::{board, entry, event_log_contract};
pub use memory_dead_letters::MemoryDeadLetters;
pub use memory_log::MemoryLog;
