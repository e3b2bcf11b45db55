//! Dead letters in memory, for tests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use takt_domain::StreamName;
use takt_ports::{DeadLetter, DeadLetters, DeadLettersError, NewDeadLetter};

/// Dead letters in memory.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters(Mutex<(u64, Vec<DeadLetter>)>);

impl MemoryDeadLetters {
    fn letters(&self) -> MutexGuard<'_, (u64, Vec<DeadLetter>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn keep(&self, letter: NewDeadLetter) -> Result<u64, DeadLettersError> {
        let mut letters = self.letters();
        if let Some(known) = letters.1.iter().find(|known| known.letter.id == letter.id) {
            return Ok(known.seq);
        }
        letters.0 += 1;
        let seq = letters.0;
        letters.1.push(DeadLetter { seq, letter });
        Ok(seq)
    }

    async fn list(
        &self,
        stream: Option<&StreamName>,
        after: u64,
        max: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let letters = self.letters();
        let newer = letters.1.iter().filter(|letter| letter.seq > after);
        let of_it = newer.filter(|known| stream.is_none_or(|of| *of == known.letter.stream));
        Ok(of_it.take(max).cloned().collect())
    }

    async fn count(&self) -> Result<u64, DeadLettersError> {
        Ok(self.letters().1.len() as u64)
    }

    async fn get(&self, id: uuid::Uuid) -> Result<Option<DeadLetter>, DeadLettersError> {
        Ok(self.letters().1.iter().find(|known| known.letter.id == id).cloned())
    }

    async fn drop_letter(&self, id: uuid::Uuid) -> Result<bool, DeadLettersError> {
        let mut letters = self.letters();
        let before = letters.1.len();
        letters.1.retain(|known| known.letter.id != id);
        Ok(letters.1.len() < before)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn dead_letters_in_memory_keep_the_contract() {
        let make = async || Arc::new(MemoryDeadLetters::default()) as Arc<dyn DeadLetters>;
        crate::dead_letters_contract(make).await;
    }
}
