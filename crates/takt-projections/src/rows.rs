//! Rows that keep the read side between runs, and its canonical digest.
//!
//! A row's key is the version of the rows and then a [`Key`] in postcard, so that keys cannot run
//! into each other whatever the names hold. Saved types carry no serde attributes that postcard
//! does not know; where a domain type has some, a mirror stands here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use takt_domain::andon::{Cause, ClearedBy, Line, Part, Trigger};
use takt_domain::board::{Board, Card, Column};
use takt_domain::policy::Intent;
use takt_domain::{
    Aggregate, AlertId, BoardId, CardId, ChangeId, ColumnName, EventId, OrderKey, RunId,
    StreamName, Time, stream,
};

use crate::history::StreamView;
use crate::intake::Intake;
use crate::notices::Tally;
use crate::world::World;

/// The version of the rows' form.
const VERSION: u8 = 4;

/// How many identities one row holds at most.
const IDENTITIES: usize = 250;

/// One row to put (`Some`) or to take away (`None`).
type Write = (Vec<u8>, Option<Vec<u8>>);

/// Why a saved row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a saved row of {bytes} bytes does not read ({reason}); rebuild from the log")]
pub struct RowError {
    /// The length of key and value together.
    pub bytes: usize,
    /// What is wrong with it.
    pub reason: SmolStr,
}

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Key {
    Stream(StreamName),
    Columns(StreamName, BoardId),
    Card(StreamName, BoardId, CardId),
    Line(StreamName),
    Alert(StreamName, AlertId),
    Test(StreamName, RunId),
    Deployment(StreamName, OrderKey),
    Change(StreamName, ChangeId),
    Refusals(StreamName),
    Pending(StreamName, u64),
    Head(StreamName, SmolStr),
    /// Identities saved together, by the first one's sequence.
    Identities(u64),
    Rerun(StreamName, Part),
    Intake(StreamName),
    Notices(StreamName),
    Notice(StreamName, u64, SmolStr),
    Cursors(StreamName),
}

#[derive(Serialize, Deserialize)]
enum SavedIntent {
    Pull(Cause, Option<SmolStr>, Option<ColumnName>, Option<ClearedBy>, (SmolStr, Time, SmolStr)),
    Clear(SmolStr, Cause, Time),
    Rerun(SmolStr, Cause, SmolStr, Time),
}

impl From<&Intent> for SavedIntent {
    fn from(intent: &Intent) -> Self {
        match intent.clone() {
            Intent::Pull { cause, stage, column, cleared_by, trigger } => {
                let trigger = (trigger.event, trigger.at, trigger.summary);
                Self::Pull(cause, stage, column, cleared_by, trigger)
            }
            Intent::Clear { event, cause, at } => Self::Clear(event, cause, at),
            Intent::Rerun { event, cause, name, at } => Self::Rerun(event, cause, name, at),
        }
    }
}

impl From<SavedIntent> for Intent {
    fn from(saved: SavedIntent) -> Self {
        match saved {
            SavedIntent::Pull(cause, stage, column, cleared_by, (event, at, summary)) => {
                let trigger = Trigger { event, at, summary };
                Self::Pull { cause, stage, column, cleared_by, trigger }
            }
            SavedIntent::Clear(event, cause, at) => Self::Clear { event, cause, at },
            SavedIntent::Rerun(event, cause, name, at) => Self::Rerun { event, cause, name, at },
        }
    }
}

type SavedStream = (stream::State, Option<Time>, u64);
type SavedColumns = (BTreeMap<ColumnName, Column>, BTreeMap<ColumnName, u32>, Option<Time>);
type SavedLine = (Line, u64);

/// Values that postcard cannot write do not occur: all are plain sums and products in memory.
fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}

fn key_bytes(key: &Key) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(encode(key));
    bytes
}

impl World {
    /// The rows that have changed since this was last asked for.
    pub fn take_rows(&mut self) -> Vec<Write> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut rows: Vec<Write> =
            dirty.iter().map(|key| (key_bytes(key), self.row(key))).collect();
        for some in std::mem::take(&mut self.unsaved).chunks(IDENTITIES) {
            if let Some((_, first)) = some.first() {
                rows.push((key_bytes(&Key::Identities(*first)), Some(encode(some))));
            }
        }
        rows
    }

    /// How many changes wait to be saved.
    pub fn unsaved(&self) -> usize {
        self.dirty.len() + self.unsaved.len()
    }

    /// Takes every row as changed, for a store that is empty.
    pub fn mark_all(&mut self) {
        self.dirty = self.keys().collect();
        self.unsaved = self.identities.iter().collect();
    }

    /// Lets changes go that will not be saved one by one.
    pub fn forget_changes(&mut self) {
        self.dirty.clear();
        self.unsaved.clear();
    }

    /// A digest of everything that queries and decisions see; the same for live and rebuilt.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        add(&self.seq.to_be_bytes());
        for key in self.keys() {
            add(&encode(&key));
            add(&self.row(&key).unwrap_or_default());
        }
        for (id, seq) in self.identities.iter() {
            add(id.0.as_bytes());
            add(&seq.to_be_bytes());
        }
        hasher.finalize().into()
    }

    /// The key of every row that there is, except identities.
    fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        let heads = self.heads.iter().flat_map(|(stream, heads)| {
            heads.keys().map(|head| Key::Head(stream.clone(), head.to_string().into()))
        });
        heads.chain(self.streams.iter().flat_map(|(name, view)| stream_keys(name, view)))
    }

    fn row(&self, key: &Key) -> Option<Vec<u8>> {
        let view = |name: &StreamName| self.streams.get(name);
        match key {
            Key::Stream(name) => {
                view(name).map(|it| encode(&(&it.state, it.created_at, it.changes_count)))
            }
            Key::Columns(name, board) => {
                let board = view(name)?.boards.get(board)?;
                Some(encode(&(&board.columns, &board.counts, board.import)))
            }
            Key::Card(name, board, card) => {
                view(name)?.boards.get(board)?.cards.get(card).map(encode)
            }
            Key::Line(name) => view(name).map(|it| encode(&(it.line.as_ref(), it.line_seq))),
            Key::Alert(name, alert) => view(name)?.alerts.all.get(alert).map(encode),
            Key::Test(name, run) => view(name)?.tests.get(run).map(encode),
            Key::Deployment(name, order) => view(name)?.deployments.get(order).map(encode),
            Key::Change(name, change) => view(name)?.changes.get(change).map(encode),
            Key::Refusals(name) => view(name).map(|it| encode(&it.refusals)),
            Key::Pending(name, seq) => {
                let intents = view(name)?.pending.get(seq)?;
                Some(encode(&intents.iter().map(SavedIntent::from).collect::<Vec<_>>()))
            }
            Key::Head(name, aggregate) => {
                self.heads.get(name)?.get(&Aggregate::parse(aggregate)).map(encode)
            }
            Key::Rerun(name, part) => view(name)?.reruns.ends.get(part).map(encode),
            Key::Intake(name) => view(name).map(|it| encode(&it.intake)),
            Key::Notices(name) => view(name).map(|it| encode(&it.notices.tally)),
            Key::Notice(name, sequence, receiver) => {
                view(name)?.notices.waiting.get(&(*sequence, receiver.clone())).map(encode)
            }
            Key::Cursors(name) => view(name).map(|it| encode(&it.cursors)),
            // Chunks are written once, by `take_rows`.
            Key::Identities(_) => None,
        }
    }
}

fn stream_keys<'a>(name: &'a StreamName, view: &'a StreamView) -> impl Iterator<Item = Key> + 'a {
    let stream = move || name.clone();
    let boards = view.boards.iter().flat_map(move |(id, board)| {
        let cards =
            board.cards.keys().map(move |card| Key::Card(stream(), id.clone(), card.clone()));
        cards.chain([Key::Columns(stream(), id.clone())])
    });
    [Key::Stream(stream()), Key::Line(stream()), Key::Refusals(stream())]
        .into_iter()
        .chain(boards)
        .chain(view.alerts.all.keys().map(move |id| Key::Alert(stream(), id.clone())))
        .chain(view.tests.keys().map(move |id| Key::Test(stream(), id.clone())))
        .chain(view.deployments.keys().map(move |id| Key::Deployment(stream(), id.clone())))
        .chain(view.changes.keys().map(move |id| Key::Change(stream(), id.clone())))
        .chain(view.reruns.ends.keys().map(move |part| Key::Rerun(stream(), part.clone())))
        .chain((view.intake != Intake::default()).then(|| Key::Intake(stream())))
        .chain((view.notices.tally != Tally::default()).then(|| Key::Notices(stream())))
        .chain(
            view.notices.waiting.keys().map(move |(sequence, receiver)| {
                Key::Notice(stream(), *sequence, receiver.clone())
            }),
        )
        .chain((!view.cursors.is_empty()).then(|| Key::Cursors(stream())))
        .chain(view.pending.keys().map(move |seq| Key::Pending(stream(), *seq)))
}

/// A read side being loaded from its rows, in any order.
#[derive(Debug, Default)]
pub struct Loading {
    world: World,
    failed: Option<RowError>,
}

impl Loading {
    /// Takes one row in; a row that does not read is told by `finish`.
    pub fn row(&mut self, key: &[u8], value: &[u8]) {
        if self.failed.is_none()
            && let Err(reason) = self.take(key, value)
        {
            self.failed = Some(RowError { bytes: key.len() + value.len(), reason });
        }
    }

    /// The read side, as it was at `seq`.
    ///
    /// # Errors
    /// When a row did not read.
    pub fn finish(mut self, seq: u64) -> Result<World, RowError> {
        self.world.seq = seq;
        self.failed.map_or(Ok(self.world), Err)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), SmolStr> {
        let key = match key.split_first() {
            Some((&VERSION, key)) => decode::<Key>(key)?,
            Some(_) | None => return Err("its version is another".into()),
        };
        match key {
            Key::Head(name, aggregate) => {
                let heads = self.world.heads.entry(name).or_default();
                heads.insert(Aggregate::parse(&aggregate), decode(value)?);
            }
            Key::Identities(_) => decode::<Vec<(EventId, u64)>>(value)?
                .into_iter()
                .for_each(|(id, seq)| self.world.identities.add(id, seq)),
            Key::Stream(name) => {
                let (state, created_at, changes_count) = decode::<SavedStream>(value)?;
                let view = self.view(name);
                (view.state, view.created_at, view.changes_count) =
                    (state, created_at, changes_count);
            }
            Key::Columns(name, board) => {
                let (columns, counts, import) = decode::<SavedColumns>(value)?;
                let board = self.board(name, board);
                (board.columns, board.counts, board.import) = (columns, counts, import);
            }
            Key::Card(name, board, card) => {
                add_card(self.board(name, board), card, decode(value)?);
            }
            Key::Line(name) => {
                let (line, line_seq) = decode::<SavedLine>(value)?;
                let view = self.view(name);
                (view.line, view.line_seq) = (Arc::new(line), line_seq);
            }
            Key::Alert(name, id) => {
                self.view(name).alerts.all.insert(id, decode(value)?);
            }
            Key::Test(name, id) => {
                self.view(name).tests.insert(id, decode(value)?);
            }
            Key::Deployment(name, id) => {
                self.view(name).deployments.insert(id, decode(value)?);
            }
            Key::Change(name, id) => {
                self.view(name).changes.insert(id, decode(value)?);
            }
            Key::Refusals(name) => self.view(name).refusals = decode(value)?,
            Key::Intake(name) => self.view(name).intake = decode(value)?,
            Key::Notices(name) => self.view(name).notices.tally = decode(value)?,
            Key::Notice(name, sequence, receiver) => {
                let waiting = &mut self.view(name).notices.waiting;
                waiting.insert((sequence, receiver), decode(value)?);
            }
            Key::Cursors(name) => self.view(name).cursors = decode(value)?,
            Key::Rerun(name, part) => {
                Arc::make_mut(&mut self.view(name).reruns).ends.insert(part, decode(value)?);
            }
            Key::Pending(name, seq) => {
                let intents = decode::<Vec<SavedIntent>>(value)?.into_iter().map(Intent::from);
                self.view(name).pending.insert(seq, intents.collect());
            }
        }
        Ok(())
    }

    fn view(&mut self, name: StreamName) -> &mut StreamView {
        self.world.streams.entry(name).or_default()
    }

    fn board(&mut self, name: StreamName, board: BoardId) -> &mut Board {
        self.view(name).boards.entry(board).or_default()
    }
}

/// Puts a card on its board, with its moves' column names as the board shares them.
fn add_card(board: &mut Board, id: CardId, mut card: Card) {
    for column in card.moves.iter_mut().filter_map(|step| step.column.as_mut()) {
        *column = board.shared(column);
    }
    board.cards.insert(id, card);
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SmolStr> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(SmolStr::from(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(SmolStr::from(error.to_string())),
    }
}
