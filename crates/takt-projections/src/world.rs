//! The whole read side: every value stream, and where the log stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use takt_domain::andon;
use takt_domain::board::{self, Board};
use takt_domain::deployment;
use takt_domain::policy;
use takt_domain::system;
use takt_domain::{
    Aggregate, BoardId, CardId, ColumnName, Event, EventId, Recorded, StreamName, change, stream,
    testing,
};

use crate::history::{CHANGES, Change, DEPLOYMENTS, StreamView, TEST_RUNS, TestRun};
use crate::identities::Identities;
use crate::notices::NoticeKey;
use crate::rows::Key;

/// All value streams, folded up to `seq`.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// By name.
    pub streams: BTreeMap<StreamName, StreamView>,
    /// The last sequence folded in; 0 = nothing yet.
    pub seq: u64,
    /// By event id, mixed with the stream's salt: two streams may record the same fact.
    pub(crate) identities: Identities,
    /// Each stream's salt, worked out once.
    salts: BTreeMap<StreamName, u128>,
    pub(crate) heads: BTreeMap<StreamName, BTreeMap<Aggregate, u64>>,
    pub(crate) dirty: BTreeSet<Key>,
    pub(crate) unsaved: Vec<(EventId, u64)>,
}

impl World {
    /// Where an event of a stream stands in the log, if it is there.
    pub fn sequence_of(&self, stream: &StreamName, id: &EventId) -> Option<u64> {
        self.identities.get(&mixed(*id, salt(stream)))
    }

    /// The last sequence of an aggregate; 0 if it has none.
    pub fn head_of(&self, stream: &StreamName, aggregate: &Aggregate) -> u64 {
        let heads = self.heads.get(stream);
        heads.and_then(|heads| heads.get(aggregate)).copied().unwrap_or(0)
    }

    /// Takes an entry of the log in; total. An entry that has been folded before changes nothing.
    pub fn apply(&mut self, recorded: &Recorded) {
        if recorded.seq <= self.seq {
            return;
        }
        self.seq = recorded.seq;
        let known = self.salts.get(&recorded.stream).copied();
        let salt = known.unwrap_or_else(|| salt(&recorded.stream));
        if known.is_none() {
            self.salts.insert(recorded.stream.clone(), salt);
        }
        let identity = mixed(recorded.meta.id, salt);
        self.identities.add(identity, recorded.seq);
        self.unsaved.push((identity, recorded.seq));
        let heads = self.heads.entry(recorded.stream.clone()).or_default();
        let is_first = heads.insert(recorded.aggregate.clone(), recorded.seq).is_none();
        let name = &recorded.stream;
        self.dirty.insert(Key::Head(name.clone(), recorded.aggregate.to_string().into()));
        // An unknown event makes no stream: what cannot be read belongs to nobody.
        if matches!(recorded.event, Event::Unknown(_)) && !self.streams.contains_key(name) {
            return;
        }
        if !self.streams.contains_key(name) {
            // The rows that every stream has, so that a stream loaded from rows is whole.
            self.dirty.extend([Key::Stream, Key::Line, Key::Refusals].map(|key| key(name.clone())));
        }
        let view = self.streams.entry(name.clone()).or_default();
        let mut fold = Fold { view, dirty: &mut self.dirty, recorded, before: None };
        fold.event(is_first);
        fold.react();
    }
}

/// What a stream's event ids are mixed with in the index of identities.
fn salt(stream: &StreamName) -> u128 {
    EventId::derive("urn:takt:stream", stream.as_str(), 0).0.as_u128()
}

fn mixed(id: EventId, salt: u128) -> EventId {
    EventId(uuid::Uuid::from_u128(id.0.as_u128() ^ salt))
}

/// One event being folded into its stream.
struct Fold<'a> {
    view: &'a mut StreamView,
    dirty: &'a mut BTreeSet<Key>,
    recorded: &'a Recorded,
    /// Where the event's card was until then, if it is about one.
    before: Option<ColumnName>,
}

impl Fold<'_> {
    fn mark(&mut self, key: impl FnOnce(StreamName) -> Key) {
        self.dirty.insert(key(self.recorded.stream.clone()));
    }

    fn event(&mut self, is_first: bool) {
        let recorded = self.recorded;
        if recorded.aggregate == Aggregate::Line {
            self.view.line_seq = recorded.seq;
            self.mark(Key::Line);
        }
        match &recorded.event {
            Event::Stream(event) => self.stream(event),
            Event::Board(event) => self.board(event),
            Event::Andon(event) => self.andon(event),
            Event::Testing(testing::Event::Reported(event)) => self.tests(event),
            // As with runs of pipelines: its meaning for the line comes out of `react`.
            Event::Testing(testing::Event::RunReported(_)) => {}
            Event::Change(change::Event::Reported(event)) => self.change(event, is_first),
            Event::Deployment(event) => self.deployment(event),
            Event::System(event) => self.system(event),
            Event::Unknown(_) => {}
        }
    }

    fn stream(&mut self, event: &stream::Event) {
        self.view.state = stream::evolve(std::mem::take(&mut self.view.state), event);
        if matches!(event, stream::Event::Created(_)) {
            self.view.created_at.get_or_insert(self.recorded.meta.time);
            self.view.boards.entry(BoardId::main()).or_default();
            self.mark(|stream| Key::Columns(stream, BoardId::main()));
        }
        self.mark(Key::Stream);
    }

    fn board(&mut self, event: &board::Event) {
        let Aggregate::Board(id) = &self.recorded.aggregate else { return };
        let slot = self.view.boards.entry(id.clone()).or_default();
        if let Some(card) = touched(event) {
            self.before = slot.cards.get(card).and_then(board::Card::place).cloned();
        }
        *slot = board::evolve(std::mem::take(slot), &self.recorded.meta, event);
        if let Some(card) = touched(event) {
            self.mark(|stream| Key::Card(stream, id.clone(), card.clone()));
        }
        self.mark(|stream| Key::Columns(stream, id.clone()));
    }

    fn andon(&mut self, event: &andon::Event) {
        let line = Arc::make_mut(&mut self.view.line);
        *line = andon::evolve(std::mem::take(line), &self.recorded.meta, event);
        let alert = self.view.alerts.apply(&self.recorded.meta, event);
        self.mark(Key::Line);
        self.mark(|stream| Key::Alert(stream, alert));
    }

    fn tests(&mut self, event: &testing::Reported) {
        let order = self.recorded.meta.order();
        let tests = &mut self.view.tests;
        let new = || TestRun::new(order.clone(), event);
        tests.entry(event.run.clone()).or_insert_with(new).add(order.clone(), event);
        let oldest = (tests.len() > TEST_RUNS)
            .then(|| tests.iter().min_by_key(|(_, run)| run.order.clone()))
            .flatten()
            .map(|(id, _)| id.clone());
        self.mark(|stream| Key::Test(stream, event.run.clone()));
        if let Some(oldest) = oldest {
            self.view.tests.remove(&oldest);
            self.mark(|stream| Key::Test(stream, oldest));
        }
    }

    fn change(&mut self, event: &change::Reported, is_first: bool) {
        let order = self.recorded.meta.order();
        self.view.changes_count += u64::from(is_first);
        self.mark(Key::Stream);
        let changes = &mut self.view.changes;
        changes
            .entry(event.change.clone())
            .and_modify(|known| known.add(order.clone(), event))
            .or_insert_with(|| Change::new(order, event));
        let oldest = (changes.len() > CHANGES)
            .then(|| changes.iter().min_by_key(|(_, change)| change.order.clone()))
            .flatten()
            .map(|(id, _)| id.clone());
        self.mark(|stream| Key::Change(stream, event.change.clone()));
        if let Some(oldest) = oldest {
            self.view.changes.remove(&oldest);
            self.mark(|stream| Key::Change(stream, oldest));
        }
    }

    fn deployment(&mut self, event: &deployment::Event) {
        match event {
            deployment::Event::DeploymentReported(it) => {
                self.deployed(it);
            }
            // Their meaning for the line comes out of `react`; nothing is asked of them yet.
            deployment::Event::PipelineReported(_)
            | deployment::Event::EnvironmentReported(_)
            | deployment::Event::ServiceReported(_)
            | deployment::Event::IncidentReported(_) => {}
        }
    }

    /// A deployment is one row, at its latest report; reports come late and in any order.
    fn deployed(&mut self, event: &deployment::DeploymentReported) {
        let order = self.recorded.meta.order();
        let deployments = &mut self.view.deployments;
        let known = deployments
            .iter()
            .find(|(_, it)| {
                it.deployment == event.deployment && it.environment == event.environment
            })
            .map(|(known, _)| known.clone());
        if known.as_ref().is_some_and(|known| *known >= order) {
            return;
        }
        if let Some(known) = &known {
            deployments.remove(known);
        }
        deployments.insert(order.clone(), event.into());
        let is_full = deployments.len() > DEPLOYMENTS;
        let oldest = is_full.then(|| deployments.pop_first()).flatten().map(|(oldest, _)| oldest);
        for order in [Some(order), known, oldest].into_iter().flatten() {
            self.mark(|stream| Key::Deployment(stream, order));
        }
    }

    fn system(&mut self, event: &system::Event) {
        match event {
            system::Event::ForeignRecorded(_) => {}
            system::Event::RefusalsSummed(sum) => {
                for row in &sum.refusals {
                    let key = (row.column.clone(), row.reason.clone());
                    let count = self.view.refusals.entry(key).or_default();
                    *count = count.saturating_add(row.count);
                }
                self.mark(Key::Refusals);
            }
            system::Event::IntakeAdvanced(it) => {
                self.view.intake.apply(it);
                self.mark(Key::Intake);
            }
            system::Event::NoticeRequested(it) => {
                let keys = self.view.notices.request(self.recorded.meta.recorded, it);
                self.mark_notices(keys);
            }
            system::Event::NoticeDelivered(it) => {
                let key = self.view.notices.deliver(it);
                self.mark_notices([key]);
            }
            system::Event::NoticeFailed(it) => {
                let key = self.view.notices.fail(it);
                self.mark_notices([key]);
            }
            system::Event::ReactorAdvanced(it) => self.advanced(it.through),
        }
    }

    /// The reactor on the line has answered what was pending; others only keep their place.
    fn advanced(&mut self, through: u64) {
        let Aggregate::Reactor(name) = &self.recorded.aggregate else { return };
        if name != "andon" {
            self.view.cursors.insert(name.clone(), through);
            self.mark(Key::Cursors);
            return;
        }
        let waiting = self.view.pending.split_off(&through.saturating_add(1));
        let answered = std::mem::replace(&mut self.view.pending, waiting);
        for seq in answered.into_keys() {
            self.mark(|stream| Key::Pending(stream, seq));
        }
    }

    fn mark_notices(&mut self, keys: impl IntoIterator<Item = NoticeKey>) {
        self.mark(Key::Notices);
        for (sequence, receiver) in keys {
            self.mark(|stream| Key::Notice(stream, sequence, receiver));
        }
    }

    fn react(&mut self) {
        for ended in policy::ends(self.recorded) {
            let part = ended.part.clone();
            let forgotten = Arc::make_mut(&mut self.view.reruns).take(ended);
            for part in forgotten.into_iter().chain([part]) {
                self.mark(|stream| Key::Rerun(stream, part));
            }
        }
        let board: Option<&Board> = if let Aggregate::Board(id) = &self.recorded.aggregate {
            self.view.boards.get(id)
        } else {
            None
        };
        let intents = policy::react(board, self.before.as_ref(), self.recorded);
        if !intents.is_empty() {
            self.view.pending.insert(self.recorded.seq, intents);
            let seq = self.recorded.seq;
            self.mark(|stream| Key::Pending(stream, seq));
        }
    }
}

/// The card that an event may change, beside the board's columns and counts.
const fn touched(event: &board::Event) -> Option<&CardId> {
    use board::Event as E;
    match event {
        E::ColumnSet(_) | E::ColumnReported(_) | E::ImportClosed(_) => None,
        E::CardAdded(it) => Some(&it.card),
        E::CardMoved(it) => Some(&it.card),
        E::CardReported(it) => Some(&it.card),
        E::CardBlocked(it) => Some(&it.card),
        E::CardUnblocked(it) => Some(&it.card),
        E::CardDeleted(it) => Some(&it.card),
        E::CardOverdue(it) => Some(&it.card),
        E::GatePassed(it) => Some(&it.card),
    }
}
