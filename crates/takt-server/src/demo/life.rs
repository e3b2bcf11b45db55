//! What happens next in the demo, decided from what its board shows now.

use smol_str::{SmolStr, format_smolstr};
use takt_domain::andon::{Cause, CauseKind, Effect};
use takt_domain::board::{ColumnKind, Details, WipPolicy};
use takt_domain::testing::Level;
use takt_domain::{AlertId, CardId, ColumnName, Time};
use takt_intake::ReportEvent;
use takt_projections::{AlertRecord, BoardView, CardView, ColumnView};

use super::cast::{PEOPLE, REASONS, SOURCE, THINGS, VERBS};
use super::chance::Chance;
use super::plan;

/// How many cards the demo makes in all; when the last is finished, it has come to rest.
const CARDS: u32 = 1_200;
/// How many cards are on their way at most.
const OPEN: u32 = 28;

/// What the demo can see.
pub(super) struct Scene {
    pub(super) board: BoardView,
    pub(super) alerts: Vec<(AlertId, AlertRecord)>,
    /// The last sequence of the log, from which new ids are made.
    pub(super) seq: u64,
    pub(super) now: Time,
}

/// Something that a person or a service does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    Add { card: CardId, details: Details },
    Move { card: CardId, column: ColumnName },
    Block { card: CardId, reason: &'static str },
    Unblock { card: CardId },
    Acknowledge { alert: AlertId },
    Resolve { alert: AlertId, cause: &'static str, countermeasure: &'static str },
    Report(Box<ReportEvent>),
}

/// Who does it: the same person for the same entry of the log.
pub(super) fn actor(scene: &Scene) -> SmolStr {
    Chance::new(scene.seq).pick(&PEOPLE).map_or("mara", |name| *name).into()
}

/// What happens next, if anything can.
pub(super) fn next(scene: &Scene, chance: &mut Chance) -> Option<Deed> {
    let stop = scene.alerts.iter().find(|(_, alert)| alert.effect == Effect::Stop);
    if let Some(deed) = stop.and_then(|(id, alert)| mend(scene, id, alert, chance)) {
        return Some(deed);
    }
    if stop.is_none() && scene.open() > 0 && chance.percent(2) {
        return Some(break_tests(scene));
    }
    match chance.between(1, 100) {
        1..=6 => block(scene, chance).or_else(|| unblock(scene, chance)),
        7..=14 => unblock(scene, chance).or_else(|| add(scene, chance)),
        15..=32 => add(scene, chance).or_else(|| advance(scene, stop.is_some(), chance)),
        33..=35 => back(scene, chance),
        _ => advance(scene, stop.is_some(), chance),
    }
    .or_else(|| add(scene, chance))
    .or_else(|| unblock(scene, chance))
}

/// A stopped line is first acknowledged, then mended, then resolved with what was learned.
fn mend(scene: &Scene, id: &AlertId, alert: &AlertRecord, chance: &mut Chance) -> Option<Deed> {
    let alert_id = id.clone();
    if alert.acknowledged.is_none() {
        return chance.percent(40).then_some(Deed::Acknowledge { alert: alert_id });
    }
    if alert.cleared_at.is_none() && alert.cause.kind == CauseKind::Test {
        return chance.percent(8).then(|| green(scene, &alert.cause)).flatten();
    }
    chance.percent(30).then_some(Deed::Resolve {
        alert: alert_id,
        cause: "two deliveries shared one parcel number",
        countermeasure: "the number is made where the parcel is, and a unit test says so",
    })
}

/// The same tests on the same commit, and this time nothing is red.
fn green(scene: &Scene, cause: &Cause) -> Option<Deed> {
    // What others have reported is theirs to mend.
    let commit = cause.id.strip_prefix("acceptance/").filter(|_| cause.source == SOURCE)?;
    let id = format!("acceptance-live-{}", scene.seq);
    let run = plan::tests(&id, Level::Acceptance, commit, scene.now, &[]);
    Some(Deed::Report(Box::new(run)))
}

fn break_tests(scene: &Scene) -> Deed {
    let commit = format!("{:07x}", Chance::new(scene.seq).between(0x100_0000, 0xfff_ffff));
    let id = format!("acceptance-live-{}", scene.seq);
    let red = ["returns a product"];
    Deed::Report(Box::new(plan::tests(&id, Level::Acceptance, &commit, scene.now, &red)))
}

fn add(scene: &Scene, chance: &mut Chance) -> Option<Deed> {
    let made = scene.board.columns.iter().map(|column| column.count).sum::<u32>();
    if made >= CARDS || scene.open() >= OPEN {
        return None;
    }
    let title = format_smolstr!("{} {}", chance.pick(&VERBS)?, chance.pick(&THINGS)?);
    let kind = if chance.percent(25) { "bug" } else { "feature" };
    let size = u32::try_from(chance.between(1, 5)).ok();
    let card = CardId::new(plan::card_id(usize::try_from(made).ok()?));
    let details = Details { title: Some(title), kind: Some(kind.into()), class: None, size };
    // Somebody else may have used the number; then the next one above the log is free.
    let taken = scene.cards().any(|(_, known)| known.id == card);
    let card = if taken { CardId::new(format_smolstr!("SHOP-N{}", scene.seq)) } else { card };
    Some(Deed::Add { card, details })
}

fn block(scene: &Scene, chance: &mut Chance) -> Option<Deed> {
    if scene.cards().filter(|(_, card)| card.blocked.is_some()).count() >= 3 {
        return None;
    }
    let active = |column: &ColumnView| column.kind == Some(ColumnKind::Active);
    let free: Vec<_> = scene
        .cards()
        .filter(|(column, card)| active(column) && card.blocked.is_none())
        .map(|(_, card)| card.id.clone())
        .collect();
    Some(Deed::Block { card: chance.pick(&free)?.clone(), reason: chance.pick(&REASONS)? })
}

fn unblock(scene: &Scene, chance: &mut Chance) -> Option<Deed> {
    let blocked = scene.cards().filter(|(_, card)| card.blocked.is_some());
    let blocked: Vec<_> = blocked.map(|(_, card)| card.id.clone()).collect();
    Some(Deed::Unblock { card: chance.pick(&blocked)?.clone() })
}

/// A card goes on, from a column where one can; the one that waits longest goes first.
fn advance(scene: &Scene, stopped: bool, chance: &mut Chance) -> Option<Deed> {
    let pairs = scene.board.columns.iter().zip(scene.board.columns.iter().skip(1));
    let moves: Vec<(CardId, ColumnName)> = pairs
        .filter(|(from, to)| !is_done(from) && has_room(to))
        // While the line is stopped, nobody tries to go past the broken stage or into done.
        .filter(|(from, to)| !(stopped && (from.stage.is_some() || is_done(to))))
        .filter_map(|(from, to)| {
            let card = from.cards.iter().find(|card| card.blocked.is_none())?;
            Some((card.id.clone(), to.name.clone()))
        })
        .collect();
    let (card, column) = chance.pick(&moves)?.clone();
    Some(Deed::Move { card, column })
}

/// A card goes one column back, as a review or a test may send it.
fn back(scene: &Scene, chance: &mut Chance) -> Option<Deed> {
    let pairs = scene.board.columns.iter().zip(scene.board.columns.iter().skip(1));
    let active = |column: &ColumnView| column.kind == Some(ColumnKind::Active);
    let moves: Vec<(CardId, ColumnName)> = pairs
        .filter(|(to, from)| active(to) && active(from) && has_room(to))
        .filter_map(|(to, from)| Some((from.cards.last()?.id.clone(), to.name.clone())))
        .collect();
    let (card, column) = chance.pick(&moves)?.clone();
    Some(Deed::Move { card, column })
}

fn is_done(column: &ColumnView) -> bool {
    column.kind == Some(ColumnKind::Done)
}

fn has_room(column: &ColumnView) -> bool {
    let limit = column.wip_limit;
    limit.policy == WipPolicy::Off || column.count < limit.cards
}

impl Scene {
    /// The cards that are not in done, with their columns.
    fn cards(&self) -> impl Iterator<Item = (&ColumnView, &CardView)> {
        let columns = self.board.columns.iter().filter(|column| !is_done(column));
        columns.flat_map(|column| column.cards.iter().map(move |card| (column, card)))
    }

    fn open(&self) -> u32 {
        let columns = self.board.columns.iter().filter(|column| !is_done(column));
        columns.map(|column| column.count).sum()
    }
}
