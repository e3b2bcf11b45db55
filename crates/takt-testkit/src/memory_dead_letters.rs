//! Dead letters in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use takt_domain::StreamName;
use takt_ports::{DeadLetter, DeadLetters, DeadLettersError, Fate, NewDeadLetter};

/// Dead letters in memory.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters(Mutex<Letters>);

#[derive(Debug, Default)]
struct Letters {
    last: u64,
    kept: Vec<DeadLetter>,
    gone: BTreeMap<uuid::Uuid, Fate>,
}

impl MemoryDeadLetters {
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn keep(&self, letter: NewDeadLetter) -> Result<u64, DeadLettersError> {
        let mut letters = self.letters();
        if let Some(known) = letters.kept.iter().find(|known| known.letter.id == letter.id) {
            return Ok(known.seq);
        }
        letters.last += 1;
        let seq = letters.last;
        letters.gone.remove(&letter.id);
        letters.kept.push(DeadLetter { seq, letter });
        Ok(seq)
    }

    async fn list(
        &self,
        stream: Option<&StreamName>,
        after: u64,
        max: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let letters = self.letters();
        let newer = letters.kept.iter().filter(|letter| letter.seq > after);
        let of_it = newer.filter(|known| stream.is_none_or(|of| *of == known.letter.stream));
        Ok(of_it.take(max).cloned().collect())
    }

    async fn count(&self) -> Result<u64, DeadLettersError> {
        Ok(self.letters().kept.len() as u64)
    }

    async fn get(&self, id: uuid::Uuid) -> Result<Option<DeadLetter>, DeadLettersError> {
        Ok(self.letters().kept.iter().find(|known| known.letter.id == id).cloned())
    }

    async fn remove(&self, id: uuid::Uuid, fate: Fate) -> Result<bool, DeadLettersError> {
        let mut letters = self.letters();
        let before = letters.kept.len();
        letters.kept.retain(|known| known.letter.id != id);
        let removed = letters.kept.len() < before;
        if removed {
            letters.gone.insert(id, fate);
        }
        Ok(removed)
    }

    async fn fate(&self, id: uuid::Uuid) -> Result<Option<Fate>, DeadLettersError> {
        Ok(self.letters().gone.get(&id).copied())
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
