//! The demo as a plan: everything that has happened up to an instant, as a function of it alone.

use serde::Serialize;
use smol_str::{SmolStr, format_smolstr};
use takt_domain::board::{CardReported, ColumnSet, Details, WipLimit};
use takt_domain::deployment::{DeploymentReported, EnvironmentClass, Outcome};
use takt_domain::testing::{Case, CaseOutcome, Level};
use takt_domain::{ChangeId, EnvironmentId, RunId, Span, Time, change, testing};
use takt_intake::ReportEvent;

use super::cast::{self, DONE, FINISHED, OPEN, PROGRESS, REVIEW, SHIP, SOURCE, STEPS, TEST, WORK};
use super::chance::Chance;

/// How far back the demo goes, in minutes: 8 weeks.
const HISTORY: i64 = 8 * 7 * 24 * 60;

/// What the demo's stream is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// The columns, in order.
    pub(super) columns: Vec<ColumnSet>,
    /// What is over; never reacted to.
    pub(super) history: Vec<ReportEvent>,
    /// What led to the present state. It is in order of the work from its end, so that no column
    /// is over its limit on the way to where it stands.
    pub(super) present: Vec<ReportEvent>,
}

/// All that has happened up to `now`; the same for the same instant.
pub(super) fn plan(now: Time) -> Plan {
    let mut tale = Tale { now, chance: Chance::new(0x7a6b_7431), history: vec![], present: vec![] };
    (0..FINISHED).for_each(|at| tale.finished(at));
    (0..OPEN.len()).for_each(|at| tale.open(at));
    tale.changes();
    tale.tests();
    tale.deployments();
    let Tale { mut history, present, .. } = tale;
    history.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    Plan { columns: columns(), history, present }
}

/// The id of a card by its place in `WORK`.
pub(super) fn card_id(at: usize) -> SmolStr {
    format_smolstr!("SHOP-{}", 101 + at)
}

/// A report of the demo; ids are unique within it.
pub(super) fn report(
    kind: &'static str,
    id: impl Into<SmolStr>,
    subject: impl Into<SmolStr>,
    time: Time,
    data: impl Serialize,
) -> ReportEvent {
    // The domain's reports are plain data, so they always have a JSON form.
    let data = serde_json::to_value(data).unwrap_or_default();
    let (source, id, subject) = (SOURCE.into(), id.into(), subject.into());
    ReportEvent { kind, source, id, subject, time, sequence: None, historical: false, data }
}

/// A test report: so many tests of a level on a commit, some of them red.
pub(super) fn tests(id: &str, level: Level, commit: &str, time: Time, red: &[&str]) -> ReportEvent {
    let names = [
        "orders a product as a guest",
        "pays with a saved card",
        "splits a delivery",
        "cancels within the hour",
        "finds a product with a typing error",
        "uses two vouchers",
        "sends an invoice",
        "returns a product",
    ];
    let case = |name: &&str| {
        let broken = red.contains(name);
        Case {
            suite: level.name().into(),
            class: "shop".into(),
            name: (*name).into(),
            outcome: if broken { CaseOutcome::Failed } else { CaseOutcome::Passed },
            duration: Span::from_micros(180_000),
            message: broken.then(|| "expected 2 parcels, found 1".into()),
        }
    };
    let cases = names.iter().map(case).collect();
    let run = RunId::new(id);
    let reported = testing::Reported { run, level, commit: commit.into(), cases };
    report("dev.takt.report.test.v1", format_smolstr!("tests/{id}"), id, time, reported)
}

fn columns() -> Vec<ColumnSet> {
    let column = |(order, step): (i32, &cast::Step)| ColumnSet {
        column: step.name.into(),
        kind: Some(step.kind),
        order: Some(order),
        wip_limit: step.limit.map(|(cards, policy)| WipLimit { cards, policy }),
        time_limit: step.hours.map(|hours| Span::from_secs(hours * 3600)),
        stage: step.stage.map(Into::into),
    };
    (0..).zip(&STEPS).map(column).collect()
}

const fn minutes(minutes: i64) -> Span {
    Span::from_secs(minutes * 60)
}

/// The plan while it is written.
struct Tale {
    now: Time,
    chance: Chance,
    history: Vec<ReportEvent>,
    present: Vec<ReportEvent>,
}

impl Tale {
    fn ago(&self, ago: i64) -> Time {
        self.now - minutes(ago)
    }

    fn past(&mut self, report: ReportEvent) {
        self.history.push(ReportEvent { historical: true, ..report });
    }

    /// A finished card: its end is spread over the weeks, its way there goes back from the end.
    fn finished(&mut self, at: usize) {
        let place = i64::try_from(at).unwrap_or_default();
        let spread = (HISTORY - 16_000) / i64::try_from(FINISHED).unwrap_or(1);
        let jitter = i64::try_from(self.chance.between(0, 600)).unwrap_or_default();
        let ended = HISTORY - 15_000 - place * spread - jitter;
        let mut way = way_to(DONE, at);
        if cast::REOPENED.contains(&at) {
            way.extend([PROGRESS, REVIEW, TEST, SHIP, DONE]);
        }
        let sightings = self.walk(&way, ended);
        for (nth, (column, ago)) in sightings.into_iter().enumerate() {
            let seen = self.sighting(at, nth, column, ago);
            self.past(seen);
        }
    }

    /// An open card: only its present stay is news.
    fn open(&mut self, at: usize) {
        let Some((column, age, blocked, _)) = OPEN.get(at).copied() else { return };
        let work = FINISHED + at;
        let mut way = way_to(if at == cast::BACK { DONE } else { column }, work);
        if at == cast::BACK {
            way.push(column);
        }
        let mut sightings = self.walk(&way, age);
        let last = sightings.pop();
        let before = sightings.len();
        for (nth, (column, ago)) in sightings.into_iter().enumerate() {
            let seen = self.sighting(work, nth, column, ago);
            self.past(seen);
        }
        if let Some((column, ago)) = last {
            let seen = self.sighting(work, before, column, ago);
            self.present.push(seen);
        }
        if let Some(reason) = blocked {
            let card = card_id(work);
            let data = CardReported {
                card: card.as_str().into(),
                column: None,
                details: Details::default(),
                blocked: Some(true),
                reason: Some(reason.into()),
                deleted: false,
            };
            let (id, time) = (format_smolstr!("{card}/blocked"), self.ago(age * 2 / 3));
            self.present.push(report("dev.takt.report.card.v1", id, card, time, data));
        }
    }

    /// When a card entered each column of its way, in minutes before now; the last one is given.
    fn walk(&mut self, way: &[&'static str], last: i64) -> Vec<(&'static str, i64)> {
        let stays = way.split_last().map(|(_, stays)| stays).unwrap_or_default();
        let pace = self.pace();
        let lengths: Vec<i64> =
            stays.iter().map(|column| (self.stay(column) * pace / 100).max(1)).collect();
        let (room, whole) = ((HISTORY - last).max(1), lengths.iter().sum::<i64>().max(1));
        let mut ago = last + whole.min(room);
        let mut sightings = vec![];
        for (column, length) in way.iter().zip(lengths.into_iter().chain([0])) {
            sightings.push((*column, ago.max(last)));
            ago -= if whole > room { length * room / whole } else { length };
        }
        if let Some(end) = sightings.last_mut() {
            end.1 = last;
        }
        sightings
    }

    /// How long a piece of work takes against what is usual, in percent: most goes quickly and some
    /// drags on, so that lead times have the long tail that they have in life.
    fn pace(&mut self) -> i64 {
        let (low, high) = match self.chance.between(1, 100) {
            ..=60 => (35, 100),
            61..=82 => (100, 190),
            _ => (230, 430),
        };
        i64::try_from(self.chance.between(low, high)).unwrap_or(100)
    }

    fn stay(&mut self, column: &str) -> i64 {
        let (low, high) = STEPS.iter().find(|it| it.name == column).map_or((60, 600), |it| it.stay);
        // Most stays are short and some are long, as in life.
        let length = self.chance.between(low, high).min(self.chance.between(low, high));
        i64::try_from(length.max(1)).unwrap_or(1)
    }

    fn sighting(&self, at: usize, nth: usize, column: &str, ago: i64) -> ReportEvent {
        let card = card_id(at);
        let class = at.checked_sub(FINISHED).and_then(|at| OPEN.get(at)).map(|open| open.3);
        let details = WORK.get(at).filter(|_| nth == 0).map(|(title, kind, size)| Details {
            title: Some((*title).into()),
            kind: Some((*kind).into()),
            class,
            size: Some(*size),
        });
        let data = CardReported {
            card: card.as_str().into(),
            column: Some(column.into()),
            details: details.unwrap_or_default(),
            blocked: None,
            reason: None,
            deleted: false,
        };
        let id = format_smolstr!("{card}/{nth}");
        report("dev.takt.report.card.v1", id, card, self.ago(ago), data)
    }

    fn changes(&mut self) {
        for nth in 0..18_u32 {
            let ago = 200 + i64::from(nth) * 4_200;
            let id = format_smolstr!("change-{}", 340 - nth);
            let data = change::Reported {
                change: ChangeId::new(id.clone()),
                commits: vec![commit(nth)],
                authored_at: Some(self.ago(ago + 900)),
                merged_at: Some(self.ago(ago)),
                files: Some(1 + u32::try_from(self.chance.between(0, 11)).unwrap_or_default()),
                lines: Some(8 + u32::try_from(self.chance.between(0, 340)).unwrap_or_default()),
                cards: [card_id(FINISHED.saturating_sub(1 + nth as usize * 2)).as_str().into()]
                    .into(),
            };
            let time = self.ago(ago);
            let id_of = format_smolstr!("changes/{id}");
            self.past(report("dev.takt.report.change.v1", id_of, id, time, data));
        }
    }

    fn tests(&mut self) {
        for nth in 0..14_u32 {
            let (ago, number) = (180 + i64::from(nth) * 5_300, 512 - nth);
            let red: &[&str] = if nth == 4 { &["uses two vouchers"] } else { &[] };
            let (unit, acceptance) = (format!("unit-{number}"), format!("acceptance-{number}"));
            let run = tests(&unit, Level::Unit, &commit(nth), self.ago(ago + 12), &[]);
            self.past(run);
            let run = tests(&acceptance, Level::Acceptance, &commit(nth), self.ago(ago), red);
            self.past(run);
        }
        self.present.push(tests("unit-513", Level::Unit, cast::RED, self.ago(15), &[]));
        let red = ["splits a delivery", "sends an invoice"];
        let run = tests("acceptance-513", Level::Acceptance, cast::RED, self.ago(11), &red);
        self.present.push(run);
    }

    fn deployments(&mut self) {
        for nth in 0..12_u32 {
            let ago = 900 + i64::from(nth) * 6_100;
            for (to, class, later) in [
                ("staging", EnvironmentClass::Test, 140),
                ("production", EnvironmentClass::Prod, 0),
            ] {
                let id = format_smolstr!("{to}-{}", 117 - nth);
                let success = Some(Outcome::Success);
                let it = self.deployment(&id, to, class, success, nth, ago + later);
                self.past(it);
            }
        }
        let (class, failed) = (EnvironmentClass::Test, Some(Outcome::Failure));
        let it = self.deployment(cast::FAILED, "staging", class, failed, 0, 26);
        self.present.push(it);
    }

    fn deployment(
        &self,
        id: &str,
        to: &str,
        class: EnvironmentClass,
        outcome: Option<Outcome>,
        nth: u32,
        ago: i64,
    ) -> ReportEvent {
        let data = DeploymentReported {
            deployment: id.into(),
            environment: EnvironmentId::new(to),
            class: Some(class),
            service: Some("shop".into()),
            artifact: Some(format_smolstr!("shop:{}", commit(nth))),
            commit: Some(commit(nth)),
            changes: [ChangeId::new(format_smolstr!("change-{}", 340 - nth))].into(),
            outcome,
            rollback: false,
        };
        let id_of = format_smolstr!("deployments/{id}");
        report("dev.takt.report.deployment.v1", id_of, to, self.ago(ago), data)
    }
}

/// The columns that a card goes through; some cards come back from the review once.
fn way_to(column: &str, at: usize) -> Vec<&'static str> {
    let mut way = vec![];
    for step in &STEPS {
        way.push(step.name);
        if step.name == column {
            break;
        }
        if step.name == REVIEW && at % cast::SENT_BACK == 3 {
            way.extend([PROGRESS, REVIEW]);
        }
    }
    way
}

fn commit(nth: u32) -> SmolStr {
    let hash = Chance::new(u64::from(nth)).between(0x100_0000, 0xfff_ffff);
    format_smolstr!("{hash:07x}")
}
