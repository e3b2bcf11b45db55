//! Facts that wait as dead letters behind one that could not be applied, by the thing they are about.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::{SmolStr, ToSmolStr, format_smolstr};
use takt_domain::fact::{Fact, Report};
use takt_domain::system::Parked;

use super::Came;
use crate::error::Error;
use crate::mailbox::Mailbox;

/// What a fact is about: the aggregate, and the thing in it.
pub(super) type Thing = (SmolStr, SmolStr);

/// What a fact is about; facts about one thing are recorded in the order in which they came.
pub(super) fn thing(fact: &Fact) -> Thing {
    let whole = |kind: &str, id: &str| (format_smolstr!("{kind}.{id}"), SmolStr::default());
    match &fact.report {
        Report::Card(board, it) => (format_smolstr!("board.{board}"), it.card.as_str().into()),
        Report::Column(board, it) => {
            (format_smolstr!("board.{board}.columns"), it.column.as_str().into())
        }
        Report::Change(it) => whole("change", it.change.as_str()),
        Report::Test(it) => (SmolStr::new_static("tests"), it.run.as_str().into()),
        Report::TestRun(it) => (SmolStr::new_static("tests"), it.run.as_str().into()),
        Report::Service(it) => whole("env", it.environment.as_str()),
        Report::Pipeline(it) => whole("run", it.run.as_str()),
        Report::Deployment(it) => whole("env", it.environment.as_str()),
        Report::Environment(it) => whole("env", it.environment.as_str()),
        Report::Incident(it) => whole("incident", it.incident.as_str()),
        Report::Foreign(it) => (SmolStr::new_static("foreign"), it.kind.to_smolstr()),
    }
}

/// What waits about the things of a batch.
#[derive(Default)]
pub(super) struct Waiting {
    letters: BTreeMap<Thing, Vec<uuid::Uuid>>,
    parked: Vec<Parked>,
    freed: BTreeSet<uuid::Uuid>,
}

impl Waiting {
    /// Looks up which of the letters that facts of the batch would wait behind are still kept.
    pub(super) async fn of(mailbox: &Mailbox, came: &[Came]) -> Result<Self, Error> {
        let mut waiting = Self::default();
        let parked = mailbox.shared.read(|world| {
            world.streams.get(&mailbox.stream).map(|view| view.intake.parked.clone())
        });
        let Some(mut parked) = parked.filter(|parked| !parked.is_empty()) else {
            return Ok(waiting);
        };
        for fact in came.iter().filter_map(|came| came.fact.as_ref().ok()) {
            let Some(letters) = parked.remove(&fact.thing) else { continue };
            let left = waiting.still_kept(mailbox, letters).await?;
            waiting.letters.insert(fact.thing.clone(), left);
        }
        Ok(waiting)
    }

    /// The letters from the first that is kept on; those before it are freed.
    async fn still_kept(
        &mut self,
        mailbox: &Mailbox,
        letters: Vec<uuid::Uuid>,
    ) -> Result<Vec<uuid::Uuid>, Error> {
        for (place, letter) in letters.iter().enumerate() {
            let kept = mailbox.shared.dead.get(*letter).await;
            let kept = kept.map_err(Error::unavailable)?;
            if kept.is_some() {
                return Ok(letters.get(place..).unwrap_or_default().to_vec());
            }
            self.freed.insert(*letter);
        }
        Ok(vec![])
    }

    /// The letter that a thing's facts wait behind, if they wait.
    pub(super) fn first(&self, thing: &Thing) -> Option<uuid::Uuid> {
        self.letters.get(thing)?.first().copied()
    }

    /// Lets a fact wait in a letter of its own.
    pub(super) fn park(&mut self, thing: Thing, letter: uuid::Uuid) {
        let letters = self.letters.entry(thing.clone()).or_default();
        if !letters.contains(&letter) {
            letters.push(letter);
            self.parked.push(Parked { aggregate: thing.0, subject: thing.1, letter });
        }
    }

    /// A letter's fact is recorded.
    pub(super) fn free(&mut self, letter: uuid::Uuid) {
        for letters in self.letters.values_mut().filter(|letters| letters.contains(&letter)) {
            letters.retain(|known| *known != letter);
            self.freed.insert(letter);
        }
    }

    /// What has changed, for the event that tells it.
    pub(super) fn changes(self) -> (Vec<Parked>, Vec<uuid::Uuid>) {
        (self.parked, self.freed.into_iter().collect())
    }
}
