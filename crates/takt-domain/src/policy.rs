//! What follows from what: the intents that an event gives rise to.

#[cfg(test)]
mod reruns;
#[cfg(test)]
mod tests;

use smol_str::{SmolStr, ToSmolStr};

use crate::andon::{Cause, CauseKind, ClearedBy, End, Ended, Part, Trigger};
use crate::board::{self, Board};
use crate::deployment::{self, Outcome};
use crate::event::{Event, Recorded};
use crate::ids::{CardId, ColumnName};
use crate::testing;
use crate::text;
use crate::time::{Span, Time};

/// What should be done because of an event; answered once, by a command on `line`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Intent {
    /// Pull the Andon, or join the open alert of the same cause.
    Pull {
        /// The root.
        cause: Cause,
        /// The broken stage, if known.
        stage: Option<SmolStr>,
        /// The column it is about, for limits.
        column: Option<ColumnName>,
        /// What a later success is matched by, where one clears the condition.
        cleared_by: Option<ClearedBy>,
        /// What pulled.
        trigger: Trigger,
    },
    /// The condition behind a warning ended.
    Clear {
        /// The event behind it.
        event: SmolStr,
        /// The root.
        cause: Cause,
        /// When.
        at: Time,
    },
    /// Something ended well that may have broken before.
    Rerun {
        /// The event behind it.
        event: SmolStr,
        /// The root that a failure of it would have.
        cause: Cause,
        /// The level, pipeline, environment or incident.
        name: SmolStr,
        /// When.
        at: Time,
    },
}

/// What follows from an event. `board` is the event's board after it, if it has one; `before` is
/// where the event's card was until then. Imported history is never reacted to.
pub fn react(
    board: Option<&Board>,
    before: Option<&ColumnName>,
    recorded: &Recorded,
) -> Vec<Intent> {
    if recorded.meta.historical {
        return vec![];
    }
    let told = Told { recorded };
    match (&recorded.event, board) {
        (Event::Board(event), Some(board)) => told.by_board(board, before, event),
        (Event::Testing(testing::Event::Reported(it)), _) => told.by_tests(it),
        (Event::Testing(testing::Event::RunReported(it)), _) => told.by_test_run(it),
        (Event::Deployment(event), _) => told.by_deployment(event),
        (
            Event::Board(_)
            | Event::Stream(_)
            | Event::Andon(_)
            | Event::Change(_)
            | Event::System(_)
            | Event::Unknown(_),
            _,
        ) => vec![],
    }
}

/// How parts of the work ended by an event, for reruns to be matched. Imported history is not
/// looked at, as in [`react`].
pub fn ends(recorded: &Recorded) -> Vec<Ended> {
    if recorded.meta.historical {
        return vec![];
    }
    let told = Told { recorded };
    match &recorded.event {
        Event::Testing(testing::Event::Reported(report)) => told.suite_ends(report),
        Event::Testing(testing::Event::RunReported(it)) => told.run_end(it).into_iter().collect(),
        Event::Deployment(event) => told.end(event).into_iter().collect(),
        Event::Board(_)
        | Event::Stream(_)
        | Event::Andon(_)
        | Event::Change(_)
        | Event::System(_)
        | Event::Unknown(_) => vec![],
    }
}

/// The event that intents are drawn from.
struct Told<'a> {
    recorded: &'a Recorded,
}

impl Told<'_> {
    fn by_board(
        &self,
        board: &Board,
        before: Option<&ColumnName>,
        event: &board::Event,
    ) -> Vec<Intent> {
        use board::Event as E;
        match event {
            E::ColumnSet(set) => self.column_set(board, set),
            E::CardAdded(it) => self.seen(board, before, &it.card),
            E::CardMoved(it) => self.seen(board, before, &it.card),
            E::CardReported(it) => self.seen(board, before, &it.card),
            E::CardDeleted(it) => self.seen(board, before, &it.card),
            E::CardOverdue(it) => vec![self.overdue(&it.card, &it.column)],
            E::ImportClosed(_) => self.import_closed(board),
            E::ColumnReported(_) | E::CardBlocked(_) | E::CardUnblocked(_) | E::GatePassed(_) => {
                vec![]
            }
        }
    }

    /// What new limits mean: for the column's count, and for the stays whose breach was told.
    fn column_set(&self, board: &Board, set: &board::ColumnSet) -> Vec<Intent> {
        let count = set.wip_limit.and_then(|_| self.count(board, &set.column));
        let mut intents = Vec::from_iter(count);
        let Some(limit) = set.time_limit else { return intents };
        for (id, card) in &board.cards {
            if card.place() != Some(&set.column) || card.told(&set.column).is_none() {
                continue;
            }
            let over = card.stay().is_some_and(|stay| {
                limit > Span::ZERO
                    && !stay.historical
                    && stay.order.time + limit <= self.recorded.meta.time
            });
            intents.push(if over {
                self.overdue(id, &set.column)
            } else {
                self.clear(self.time_limit(id, &set.column))
            });
        }
        intents
    }

    /// The present state, evaluated once: every column with a limit, and the breaches that
    /// imported moves have ended without a word.
    fn import_closed(&self, board: &Board) -> Vec<Intent> {
        let limited = board.columns.iter().filter(|(_, column)| column.limit().is_some());
        let mut intents: Vec<Intent> =
            limited.filter_map(|(name, _)| self.count(board, name)).collect();
        for (id, card) in &board.cards {
            let told = card.overdue_told.iter().flat_map(|told| told.keys());
            let (here, left): (Vec<_>, Vec<_>) = told.partition(|name| card.place() == Some(*name));
            intents.extend(left.iter().map(|name| self.clear(self.time_limit(id, name))));
            intents.extend(here.iter().filter_map(|_| self.stay_changed(board, id, card)));
        }
        intents
    }

    /// What a sighting means for the limits of the columns the card left and entered.
    fn seen(&self, board: &Board, before: Option<&ColumnName>, id: &CardId) -> Vec<Intent> {
        let Some(card) = board.cards.get(id) else { return vec![] };
        let after = card.place();
        if before == after {
            return self.stay_changed(board, id, card).into_iter().collect();
        }
        let mut intents = vec![];
        // Only the card that brings a column back to its limit ends the breach.
        if let Some(left) = before
            && board.columns.get(left).and_then(board::Column::limit) == Some(board.count(left))
        {
            intents.extend(self.count(board, left));
        }
        if let Some(entered) = after.filter(|entered| board.is_over(entered)) {
            intents.extend(self.count(board, entered));
        }
        if let Some(left) = before.filter(|left| card.told(left).is_some()) {
            intents.push(self.clear(self.time_limit(id, left)));
        }
        intents
    }

    /// A late sighting may show that the stay whose breach was told had ended before, or is
    /// imported history; and that it is not, after all.
    fn stay_changed(&self, board: &Board, id: &CardId, card: &board::Card) -> Option<Intent> {
        let column = card.place().filter(|column| card.told(column).is_some())?;
        let limit = board.columns.get(column)?.time_limit?;
        let imported = card.stay().is_some_and(|stay| stay.historical);
        let ended = imported || card.breaches_at(limit).is_some();
        Some(if ended { self.clear(self.time_limit(id, column)) } else { self.overdue(id, column) })
    }

    /// What a column's count means for its limit.
    fn count(&self, board: &Board, name: &ColumnName) -> Option<Intent> {
        let column = board.columns.get(name)?;
        let cause = self.cause(CauseKind::WipLimit, &self.recorded.aggregate, name.as_str());
        let Some(limit) = column.limit().filter(|_| board.is_over(name)) else {
            return Some(self.clear(cause));
        };
        let summary = format!("column `{name}` holds {} cards, limit {limit}", board.count(name));
        Some(self.warn(cause, name, summary))
    }

    fn overdue(&self, card: &CardId, column: &ColumnName) -> Intent {
        let summary = format!("card `{card}` has been in `{column}` longer than its limit");
        self.warn(self.time_limit(card, column), column, summary)
    }

    fn by_tests(&self, report: &testing::Reported) -> Vec<Intent> {
        let level = report.level.name();
        let source = &self.recorded.meta.source;
        let cause = self.cause(CauseKind::Test, source, &format!("{level}/{}", report.commit));
        let (green, broken) = report.suites();
        let mut intents = vec![];
        if !broken.is_empty() {
            let failed = report.cases.iter().filter(|case| case.outcome.is_broken()).count();
            let all = report.cases.len();
            let summary = format!("{failed} of {all} {level} tests failed on `{}`", report.commit);
            let parts = broken.into_iter().cloned().collect();
            let cleared_by = ClearedBy { name: level.into(), parts };
            intents.push(self.stop(cause.clone(), Some(level.into()), summary, Some(cleared_by)));
        }
        // A suite in which nothing ran says nothing about what was broken.
        if !green.is_empty() {
            intents.push(self.rerun(cause, level.into()));
        }
        intents
    }

    fn suite_ends(&self, report: &testing::Reported) -> Vec<Ended> {
        let (green, broken) = report.suites();
        let suites = green.into_iter().map(|suite| (suite, true));
        let suites = suites.chain(broken.into_iter().map(|suite| (suite, false)));
        let ended = |(suite, green): (&SmolStr, bool)| Ended {
            part: Part {
                kind: CauseKind::Test,
                name: report.level.name().into(),
                part: suite.clone(),
            },
            end: End { at: self.recorded.meta.time, run: report.run.as_str().into() },
            green,
        };
        suites.map(ended).collect()
    }

    fn by_test_run(&self, run: &testing::RunReported) -> Vec<Intent> {
        let Some(Ended { part, green, .. }) = self.run_end(run) else { return vec![] };
        let source = run.source.as_ref().unwrap_or(&self.recorded.meta.source);
        let cause = self.cause(CauseKind::Test, source, run.root().as_str());
        if green {
            return vec![self.rerun(cause, part.name)];
        }
        let what = match (&run.case, &run.suite) {
            (Some(case), _) => format!("test case `{case}`"),
            (None, Some(suite)) => format!("test suite `{suite}`"),
            (None, None) => "a test suite".to_owned(),
        };
        let summary = format!("{what} failed, run `{}`", run.run);
        let cleared_by = ClearedBy { name: part.name, parts: vec![part.part] };
        let stage = run.level.map(|level| level.name().into());
        vec![self.stop(cause, stage, summary, Some(cleared_by))]
    }

    fn run_end(&self, run: &testing::RunReported) -> Option<Ended> {
        let (name, part) = run.name_and_part();
        let part = Part { kind: CauseKind::Test, name, part };
        let end = End { at: self.recorded.meta.time, run: SmolStr::default() };
        Some(Ended { part, end, green: ended_well(Some(run.outcome))? })
    }

    fn by_deployment(&self, event: &deployment::Event) -> Vec<Intent> {
        use deployment::Event as E;
        let source = &self.recorded.meta.source;
        let (cause, stage, summary) = match event {
            E::PipelineReported(run) => (
                self.cause(
                    CauseKind::Pipeline,
                    run.source.as_ref().unwrap_or(source),
                    run.run.as_str(),
                ),
                run.stage.clone(),
                pipeline_failed(run),
            ),
            E::DeploymentReported(it) if it.rollback => {
                let (root, what) = rolled_back_of(it);
                let cause = self.cause(CauseKind::Rollback, source, &root);
                let summary = format!("{what} {}", rolled_back(it.outcome));
                return vec![self.stop(cause, None, summary, None)];
            }
            E::DeploymentReported(it) => (
                self.cause(CauseKind::Deployment, source, &it.deployment),
                Some("deploy".into()),
                format!("deployment `{}` to `{}` failed", it.deployment, it.environment),
            ),
            E::IncidentReported(it) => (
                self.cause(
                    CauseKind::Incident,
                    it.source.as_ref().unwrap_or(source),
                    it.incident.as_str(),
                ),
                None,
                format!(
                    "incident `{}`: {}",
                    it.incident,
                    it.description.as_deref().unwrap_or_default()
                ),
            ),
            E::EnvironmentReported(_) | E::ServiceReported(_) => return vec![],
        };
        let Some(Ended { part, green, .. }) = self.end(event) else { return vec![] };
        if green {
            return vec![self.rerun(cause, part.name)];
        }
        let cleared_by = ClearedBy { name: part.name, parts: vec![part.part] };
        vec![self.stop(cause, stage, summary, Some(cleared_by))]
    }

    /// How a run, a deployment or an incident ended, if it has. A rollback is no end: what it
    /// put back had worked before.
    fn end(&self, event: &deployment::Event) -> Option<Ended> {
        use deployment::Event as E;
        let (kind, name, part, green) = match event {
            E::PipelineReported(run) => {
                let green = ended_well(run.outcome)?;
                (CauseKind::Pipeline, run.pipeline.clone(), run.stage.clone(), green)
            }
            E::DeploymentReported(it) if it.rollback => return None,
            E::DeploymentReported(it) => {
                let environment = it.environment.as_str().into();
                (CauseKind::Deployment, environment, it.service.clone(), ended_well(it.outcome)?)
            }
            E::IncidentReported(it) => {
                let green = it.state == deployment::IncidentState::Resolved;
                let source = it.source.as_ref().unwrap_or(&self.recorded.meta.source).clone();
                (CauseKind::Incident, it.incident.as_str().into(), Some(source), green)
            }
            E::EnvironmentReported(_) | E::ServiceReported(_) => return None,
        };
        let part = Part { kind, name, part: part.unwrap_or_default() };
        let end = End { at: self.recorded.meta.time, run: SmolStr::default() };
        Some(Ended { part, end, green })
    }

    fn time_limit(&self, card: &CardId, column: &ColumnName) -> Cause {
        let id = format!("{card}/{column}");
        self.cause(CauseKind::TimeLimit, &self.recorded.aggregate, &id)
    }

    fn cause(&self, kind: CauseKind, source: &impl ToSmolStr, id: &str) -> Cause {
        Cause { kind, source: source.to_smolstr(), id: id.into() }
    }

    fn warn(&self, cause: Cause, column: &ColumnName, summary: String) -> Intent {
        let (column, trigger) = (Some(column.clone()), self.trigger(summary));
        Intent::Pull { cause, stage: None, column, cleared_by: None, trigger }
    }

    fn stop(
        &self,
        cause: Cause,
        stage: Option<SmolStr>,
        summary: String,
        cleared_by: Option<ClearedBy>,
    ) -> Intent {
        let trigger = self.trigger(summary);
        Intent::Pull { cause, stage, column: None, cleared_by, trigger }
    }

    fn trigger(&self, summary: String) -> Trigger {
        Trigger {
            event: self.recorded.meta.id.to_smolstr(),
            at: self.recorded.meta.time,
            summary: text::cut(&summary, text::LONGEST).into(),
        }
    }

    fn rerun(&self, cause: Cause, name: SmolStr) -> Intent {
        let event = self.recorded.meta.id.to_smolstr();
        Intent::Rerun { event, cause, name, at: self.recorded.meta.time }
    }

    fn clear(&self, cause: Cause) -> Intent {
        let event = self.recorded.meta.id.to_smolstr();
        Intent::Clear { event, cause, at: self.recorded.meta.time }
    }
}

fn pipeline_failed(run: &deployment::PipelineReported) -> String {
    let (pipeline, run_id) = (&run.pipeline, &run.run);
    match &run.stage {
        Some(task) if pipeline.is_empty() => format!("task `{task}` failed, run `{run_id}`"),
        Some(_) | None => format!("pipeline `{pipeline}` failed, run `{run_id}`"),
    }
}

/// What was rolled back: a service where it is named, so that a second try is the same trouble.
fn rolled_back_of(it: &deployment::DeploymentReported) -> (String, String) {
    let environment = &it.environment;
    match &it.service {
        Some(service) => {
            (format!("{service}@{environment}"), format!("service `{service}` in `{environment}`"))
        }
        None => (
            it.deployment.to_string(),
            format!("deployment `{}` to `{environment}`", it.deployment),
        ),
    }
}

/// What a rollback with an outcome has come to; whichever it is, people must look at it.
const fn rolled_back(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "is being rolled back",
        Some(Outcome::Success) => "was rolled back",
        Some(Outcome::Failure | Outcome::Error) => "could not be rolled back",
        Some(Outcome::Cancel) => "was being rolled back until somebody cancelled it",
    }
}

/// Whether an outcome is a good end or a bad one; neither while it runs, or when it was cancelled.
const fn ended_well(outcome: Option<Outcome>) -> Option<bool> {
    match outcome {
        Some(Outcome::Success) => Some(true),
        Some(Outcome::Failure | Outcome::Error) => Some(false),
        Some(Outcome::Cancel) | None => None,
    }
}
