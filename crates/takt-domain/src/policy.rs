//! What follows from what: the intents that an event gives rise to.

#[cfg(test)]
mod tests;

use smol_str::{SmolStr, ToSmolStr};

use crate::andon::{Cause, CauseKind, Trigger};
use crate::board::{self, Board};
use crate::deployment::{self, Outcome};
use crate::event::{Event, Recorded};
use crate::ids::{CardId, ColumnName};
use crate::testing;
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
        /// What pulled.
        trigger: Trigger,
    },
    /// The condition behind a cause ended.
    Clear {
        /// The root.
        cause: Cause,
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
            E::CardOverdue(it) => vec![self.pull(
                self.time_limit(&it.card, &it.column),
                None,
                Some(&it.column),
                format!("card `{}` has been in `{}` longer than its limit", it.card, it.column),
            )],
            E::ImportClosed(closed) => {
                closed.over_limit.keys().filter_map(|column| self.limit(board, column)).collect()
            }
            E::ColumnReported(_) | E::CardBlocked(_) | E::CardUnblocked(_) | E::GatePassed(_) => {
                vec![]
            }
        }
    }

    /// What a new limit means: for the count, and for breaches of a time limit that is no more.
    fn column_set(&self, board: &Board, set: &board::ColumnSet) -> Vec<Intent> {
        let mut intents: Vec<Intent> = self.limit(board, &set.column).into_iter().collect();
        if set.time_limit == Some(Span::ZERO) {
            let here = board.cards.iter().filter(|(_, card)| card.place() == Some(&set.column));
            let told = here.filter(|(_, card)| card.overdue_told.is_some());
            intents.extend(told.map(|(id, _)| self.clear(self.time_limit(id, &set.column))));
        }
        intents
    }

    /// What a sighting means for the limits of the columns the card left and entered.
    fn seen(&self, board: &Board, before: Option<&ColumnName>, card: &CardId) -> Vec<Intent> {
        let after = board.cards.get(card).and_then(board::Card::place);
        if before == after {
            return vec![];
        }
        // Leaving a column is never news of its breach, even when it is still over its limit.
        let eased = before.filter(|left| !board.is_over(left));
        let mut intents: Vec<Intent> =
            eased.into_iter().chain(after).filter_map(|column| self.limit(board, column)).collect();
        // The limit may have been taken away since it was breached, so a told breach counts too.
        let told = board.cards.get(card).is_some_and(|card| card.overdue_told.is_some());
        let limited = |column: &&ColumnName| {
            told || board.columns.get(*column).is_some_and(|column| column.time_limit.is_some())
        };
        if let Some(left) = before.filter(limited) {
            intents.push(self.clear(self.time_limit(card, left)));
        }
        intents
    }

    /// What a column's count means for its limit; nothing when no command has spoken of it.
    fn limit(&self, board: &Board, name: &ColumnName) -> Option<Intent> {
        board.columns.get(name)?.set_at?;
        let cause = self.cause(CauseKind::WipLimit, &self.recorded.aggregate, name.as_str());
        if !board.is_over(name) {
            return Some(self.clear(cause));
        }
        let limit = board.columns.get(name).and_then(board::Column::limit).unwrap_or(0);
        let summary = format!("column `{name}` holds {} cards, limit {limit}", board.count(name));
        Some(self.pull(cause, None, Some(name), summary))
    }

    fn by_tests(&self, report: &testing::Reported) -> Vec<Intent> {
        let level = report.level.name();
        let source = &self.recorded.meta.source;
        let cause = self.cause(CauseKind::Test, source, &format!("{level}/{}", report.commit));
        if !report.is_broken() {
            // A report in which nothing ran says nothing about what was broken.
            return if report.is_green() { vec![self.clear(cause)] } else { vec![] };
        }
        let broken = report.cases.iter().filter(|case| case.outcome.is_broken()).count();
        let all = report.cases.len();
        let summary = format!("{broken} of {all} {level} tests failed on `{}`", report.commit);
        vec![self.pull(cause, Some(level.into()), None, summary)]
    }

    fn by_deployment(&self, event: &deployment::Event) -> Vec<Intent> {
        use deployment::Event as E;
        let source = &self.recorded.meta.source;
        match event {
            E::PipelineReported(run) => {
                let cause = self.cause(CauseKind::Pipeline, source, run.run.as_str());
                let summary = format!("pipeline `{}` failed, run `{}`", run.pipeline, run.run);
                self.outcome(run.outcome, cause, run.stage.clone(), summary)
            }
            E::DeploymentReported(it) => {
                let (kind, verb) = if it.rollback {
                    (CauseKind::Rollback, "was rolled back")
                } else {
                    (CauseKind::Deployment, "failed")
                };
                let cause = self.cause(kind, source, &it.deployment);
                let summary =
                    format!("deployment `{}` to `{}` {verb}", it.deployment, it.environment);
                if it.rollback {
                    return vec![self.pull(cause, None, None, summary)];
                }
                self.outcome(it.outcome, cause, Some("deploy".into()), summary)
            }
            E::IncidentReported(it) => {
                let cause = self.cause(CauseKind::Incident, source, it.incident.as_str());
                match it.state {
                    deployment::IncidentState::Detected => {
                        let what = it.description.clone().unwrap_or_default();
                        let summary = format!("incident `{}`: {what}", it.incident);
                        vec![self.pull(cause, None, None, summary)]
                    }
                    deployment::IncidentState::Resolved => vec![self.clear(cause)],
                }
            }
            E::EnvironmentReported(_) => vec![],
        }
    }

    fn outcome(
        &self,
        outcome: Option<Outcome>,
        cause: Cause,
        stage: Option<SmolStr>,
        summary: String,
    ) -> Vec<Intent> {
        match outcome {
            Some(Outcome::Failure | Outcome::Error) => {
                vec![self.pull(cause, stage, None, summary)]
            }
            Some(Outcome::Success) => vec![self.clear(cause)],
            Some(Outcome::Cancel) | None => vec![],
        }
    }

    fn time_limit(&self, card: &CardId, column: &ColumnName) -> Cause {
        let id = format!("{card}/{column}");
        self.cause(CauseKind::TimeLimit, &self.recorded.aggregate, &id)
    }

    fn cause(&self, kind: CauseKind, source: &impl ToSmolStr, id: &str) -> Cause {
        Cause { kind, source: source.to_smolstr(), id: id.into() }
    }

    fn pull(
        &self,
        cause: Cause,
        stage: Option<SmolStr>,
        column: Option<&ColumnName>,
        summary: String,
    ) -> Intent {
        let trigger = Trigger {
            event: self.recorded.meta.id.to_smolstr(),
            at: self.recorded.meta.time,
            summary: summary.into(),
        };
        Intent::Pull { cause, stage, column: column.cloned(), trigger }
    }

    fn clear(&self, cause: Cause) -> Intent {
        Intent::Clear { cause, at: self.recorded.meta.time }
    }
}
