//! For tests: in-memory ports and contract suites.

mod blob_store_contract;
mod dead_letters_contract;
mod event_log_contract;
mod inbox_contract;
mod job_queue_contract;
mod lease_contract;
mod memory_dead_letters;
mod memory_inbox;
mod memory_lease;
mod memory_log;
mod memory_notifier;
mod memory_outbox;
mod memory_relay;
mod odd_log;
mod outbox_contract;

pub use blob_store_contract::blob_store_contract;
pub use dead_letters_contract::{dead_letters_contract, letter};
pub use event_log_contract::{board, entry, event_log_contract};
pub use inbox_contract::{Publisher, inbox_contract};
pub use job_queue_contract::job_queue_contract;
pub use lease_contract::{lease_contract, leases_between_nodes_contract};
pub use memory_dead_letters::MemoryDeadLetters;
pub use memory_inbox::MemoryInbox;
pub use memory_lease::{MemoryLease, MemoryLeases};
pub use memory_log::MemoryLog;
pub use memory_notifier::{MemoryNotifier, Seen, refusal};
pub use memory_outbox::MemoryOutbox;
pub use memory_relay::{MemoryRelay, MemoryRelays};
pub use odd_log::{OddLog, Oddity};
pub use outbox_contract::{Subscriber, out_message, outbox_contract};
