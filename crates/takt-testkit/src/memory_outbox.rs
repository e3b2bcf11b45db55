//! An outbox in memory, for tests of what is sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use takt_ports::{OutMessage, Outbox, OutboxError};

/// An outbox in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryOutbox(Arc<Mutex<Sent>>);

#[derive(Debug, Default)]
struct Sent {
    messages: Vec<OutMessage>,
    down: bool,
}

impl MemoryOutbox {
    /// All that was sent, in order.
    pub fn sent(&self) -> Vec<OutMessage> {
        self.state().messages.clone()
    }

    /// Cuts it off, or lets it be reached again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    fn state(&self) -> MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn send(&self, messages: Vec<OutMessage>) -> Result<(), OutboxError> {
        let mut state = self.state();
        if state.down {
            return Err(OutboxError { reason: "it is cut off".into() });
        }
        state.messages.extend(messages);
        Ok(())
    }
}
