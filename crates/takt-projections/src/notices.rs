//! The notices of a value stream: how far its line was looked at, and which are under way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_domain::notice::{Delivered, Failed, Requested, Step};
use takt_domain::{AlertId, Time};

/// A notice by the sequence of its step and its receiver.
pub type NoticeKey = (u64, SmolStr);

/// The notices of a value stream. Every notice that was asked for is told or given up within a day,
/// and one receiver has so many at most, so what is kept here does not grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// How far, and how many.
    pub tally: Tally,
    /// Those without an outcome, oldest first.
    pub waiting: BTreeMap<NoticeKey, Waiting>,
}

/// How far the line was looked at, and what became of its notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Steps up to this sequence have been looked at; none before the first look.
    pub through: Option<u64>,
    /// How many notices were delivered.
    pub delivered: u64,
    /// How many were given up.
    pub failed: u64,
}

/// A notice without an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The alert.
    pub alert: AlertId,
    /// The step.
    pub step: Step,
    /// When it was asked for.
    pub since: Time,
}

impl Notices {
    /// Takes in what was asked for, and names what waits since.
    pub(crate) fn request(&mut self, at: Time, requested: &Requested) -> Vec<NoticeKey> {
        let through = self.tally.through.unwrap_or(0).max(requested.through);
        self.tally.through = Some(through);
        let mut keys = Vec::with_capacity(requested.notices.len());
        for asked in &requested.notices {
            let key = (asked.sequence, asked.receiver.clone());
            let (alert, step) = (asked.alert.clone(), asked.step);
            self.waiting.insert(key.clone(), Waiting { alert, step, since: at });
            keys.push(key);
        }
        keys
    }

    /// A notice was delivered; told twice, it counts once.
    pub(crate) fn deliver(&mut self, delivered: &Delivered) -> NoticeKey {
        let key = (delivered.sequence, delivered.receiver.clone());
        self.tally.delivered += u64::from(self.waiting.remove(&key).is_some());
        key
    }

    /// A notice was given up, perhaps before it was asked for.
    pub(crate) fn fail(&mut self, failed: &Failed) -> NoticeKey {
        let key = (failed.sequence, failed.receiver.clone());
        self.waiting.remove(&key);
        self.tally.failed += 1;
        key
    }
}
