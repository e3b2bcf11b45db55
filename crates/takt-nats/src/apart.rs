//! The connection of the inbox alone, and what to do when a message ends it.
//!
//! The client reads headers while it reads the connection, and drops the connection over a message
//! whose headers it cannot read, or ends for good. So messages of others come by a connection of
//! their own; and where it fails twice at one place, what comes next is read as JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::jetstream::Context;
use tokio::sync::Mutex as Turn;

use crate::connection::Connection;
use crate::settings::Settings;

/// After how many failures at one place the next messages are read with care.
const ENOUGH: u32 = 2;

/// What the inbox is read by.
#[derive(Clone, Debug)]
pub(crate) struct Apart {
    own: Option<Own>,
    failures: Arc<Mutex<BTreeMap<String, (u64, u32)>>>,
}

#[derive(Clone, Debug)]
struct Own {
    settings: Settings,
    name: String,
    connection: Arc<Turn<Option<Connection>>>,
}

impl Apart {
    /// Reads by the connection that everything goes by.
    pub(crate) fn shared() -> Self {
        Self { own: None, failures: Arc::default() }
    }

    /// Reads by a connection of its own, which is made when it is first needed.
    pub(crate) fn under(self, settings: &Settings, name: &str) -> Self {
        let (settings, name) = (settings.clone(), name.to_owned());
        Self { own: Some(Own { settings, name, connection: Arc::default() }), ..self }
    }

    /// Its own connection, made anew where the client of the one before has ended.
    pub(crate) async fn connection(&self) -> Result<Option<Connection>, String> {
        let Some(own) = &self.own else { return Ok(None) };
        let mut current = own.connection.lock().await;
        if let Some(connection) = current.as_ref().filter(|it| !it.is_ended()) {
            return Ok(Some(connection.clone()));
        }
        let opened = Connection::open(&own.settings, &own.name).await;
        let opened = opened.map_err(|error| error.to_string())?;
        *current = Some(opened.clone());
        Ok(Some(opened))
    }

    /// JetStream over it, or over the one that is shared.
    pub(crate) async fn context(&self, shared: &Context) -> Result<Context, String> {
        let own = self.connection().await?;
        Ok(own.map_or_else(|| shared.clone(), |connection| connection.context()))
    }

    /// Notes that reading failed after a sequence.
    pub(crate) fn failed(&self, filter: &str, after: u64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, count) = failures.entry(filter.to_owned()).or_default();
        *count = if *at == after { count.saturating_add(1) } else { 1 };
        *at = after;
    }

    /// Whether what comes after a sequence is to be read with care.
    pub(crate) fn is_hard(&self, filter: &str, after: u64) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(filter).is_some_and(|&(at, count)| at == after && count >= ENOUGH)
    }

    /// Forgets the failures, since what was in the way is read.
    pub(crate) fn passed(&self, filter: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_at_one_place_make_it_hard() {
        let apart = Apart::shared();
        for (after, is_hard) in [(7, false), (8, false), (8, true), (8, true), (9, false)] {
            apart.failed("shop", after);
            assert_eq!(apart.is_hard("shop", after), is_hard, "{after}");
        }
        assert!(!apart.is_hard("other", 9));
        apart.failed("shop", 9);
        apart.passed("shop");
        assert!(!apart.is_hard("shop", 9));
    }
}
