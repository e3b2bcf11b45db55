//! Notices: which steps of an alert people outside are told, and when a failed telling is tried again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::andon;
use crate::ids::AlertId;
use crate::time::{Span, Time};

/// How long a notice is tried before it is given up.
pub const GIVE_UP_AFTER: Span = Span::from_secs(24 * 60 * 60);
/// A step that is come to later than this is told only where it still matters.
pub const LATE: Span = Span::from_secs(10 * 60);
/// How many notices of a value stream may wait for one receiver.
pub const MOST_WAITING: usize = 1000;

/// The first pause after a failed try; each further one is twice as long.
const FIRST_PAUSE: Span = Span::from_secs(1);
/// The longest pause that is not asked for.
const LONGEST_PAUSE: Span = Span::from_secs(15 * 60);

/// A step in an alert's life that people are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It was pulled.
    Pulled,
    /// Someone looks after it.
    Acknowledged,
    /// Nobody looks after it any more.
    AcknowledgementExpired,
    /// It has been unattended for too long.
    Escalated,
    /// It is over.
    Resolved,
}

impl Step {
    /// The step that an event of the line is, with its alert. What joins an open alert is grouped
    /// with it, and a condition that ended changes nothing for who was called.
    pub const fn of(event: &andon::Event) -> Option<(Self, &AlertId)> {
        use andon::Event as E;
        match event {
            E::Pulled(it) => Some((Self::Pulled, &it.alert)),
            E::Acknowledged(it) => Some((Self::Acknowledged, &it.alert)),
            E::AcknowledgementExpired(it) => Some((Self::AcknowledgementExpired, &it.alert)),
            E::Escalated(it) => Some((Self::Escalated, &it.alert)),
            E::Resolved(it) => Some((Self::Resolved, &it.alert)),
            E::Joined(_) | E::ConditionCleared(_) => None,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pulled => "pulled",
            Self::Acknowledged => "acknowledged",
            Self::AcknowledgementExpired => "acknowledgement_expired",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
        }
    }
}

/// Notices were asked for: `dev.takt.notice.requested.v1`. From here on each is told at least once,
/// or its failure is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// Every step up to this sequence of the log has been looked at.
    pub through: u64,
    /// What is to be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Asked>,
}

/// One notice that was asked for; (alert, step, receiver) is its key, and the sequence tells two
/// steps of the same name apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The sequence of the step's event.
    pub sequence: u64,
    /// The alert.
    pub alert: AlertId,
    /// The step.
    pub step: Step,
    /// Who is to be told.
    pub receiver: SmolStr,
}

/// A receiver took a notice: `dev.takt.notice.delivered.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The sequence of the step's event.
    pub sequence: u64,
    /// Who took it.
    pub receiver: SmolStr,
    /// How often it was tried since the node was started.
    pub attempts: u32,
}

/// A notice was given up: `dev.takt.notice.failed.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The sequence of the step's event.
    pub sequence: u64,
    /// Who was to be told.
    pub receiver: SmolStr,
    /// How often it was tried since the node was started; 0 = never.
    pub attempts: u32,
    /// Why, without anything that is secret.
    pub reason: SmolStr,
}

/// A step that stands in the log and has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// The sequence of its event.
    pub sequence: u64,
    /// The alert.
    pub alert: AlertId,
    /// The step.
    pub step: Step,
    /// When it was recorded.
    pub recorded: Time,
    /// Whether it is imported history.
    pub historical: bool,
}

/// The steps of which people are told, out of all that have not been looked at, oldest first.
///
/// Fresh steps are told, each. Of those that are come to late, since no node was there or no
/// receiver was known, only an alert's newest is told: who comes back from an outage needs to know
/// where things stand and not how they went. What is over is told to those only who were told that
/// it began, and what is older than a day, or imported, to nobody.
pub fn to_tell(happened: &[Happened], now: Time) -> Vec<&Happened> {
    let mut later: BTreeSet<&AlertId> = BTreeSet::new();
    let begun: BTreeSet<&AlertId> =
        happened.iter().filter(|it| it.step == Step::Pulled).map(|it| &it.alert).collect();
    let mut told: Vec<&Happened> = happened
        .iter()
        .rev()
        .filter(|it| {
            let is_newest = later.insert(&it.alert);
            let age = now.since(it.recorded);
            let is_known = !begun.contains(&it.alert);
            let matters = is_newest && (it.step != Step::Resolved || is_known);
            !it.historical && age < GIVE_UP_AFTER && (age < LATE || matters)
        })
        .collect();
    told.reverse();
    told
}

/// How long to wait after the `attempt`th failed try, the first being 1. `chance` is any number,
/// so that receivers that failed together are not tried together; `asked` is what the receiver
/// asked for.
pub fn pause(attempt: u32, chance: u32, asked: Option<Span>) -> Span {
    let doublings = attempt.saturating_sub(1).min(20);
    let whole = FIRST_PAUSE.micros() << doublings;
    let half = whole.min(LONGEST_PAUSE.micros()) / 2;
    let own = half + half * i64::from(chance) / i64::from(u32::MAX);
    let asked = asked.map_or(0, Span::micros).min(GIVE_UP_AFTER.micros());
    Span::from_micros(own.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(sequence: u64, alert: &str, step: Step, second: i64) -> Happened {
        let recorded = Time::EPOCH + Span::from_secs(second);
        Happened { sequence, alert: alert.into(), step, recorded, historical: false }
    }

    fn told(happened: &[Happened], second: i64) -> Vec<u64> {
        let now = Time::EPOCH + Span::from_secs(second);
        to_tell(happened, now).iter().map(|it| it.sequence).collect()
    }

    #[test]
    fn every_fresh_step_is_told_in_order() {
        let steps = [
            happened(1, "a", Step::Pulled, 0),
            happened(2, "b", Step::Pulled, 1),
            happened(3, "a", Step::Acknowledged, 2),
            happened(4, "a", Step::Resolved, 3),
        ];
        assert_eq!(told(&steps, 599), [1, 2, 3, 4]);
    }

    #[test]
    fn of_what_is_come_to_late_only_what_still_matters_is_told() {
        let steps = [
            happened(1, "over", Step::Pulled, 0),
            happened(2, "open", Step::Pulled, 1),
            happened(3, "open", Step::Escalated, 2),
            happened(4, "over", Step::Resolved, 3),
            happened(5, "told before", Step::Resolved, 4),
        ];
        assert_eq!(told(&steps, 3600), [3, 5]);
    }

    #[test]
    fn a_fresh_end_of_an_alert_is_told_and_its_late_beginning_is_not() {
        let steps = [happened(1, "a", Step::Pulled, 0), happened(2, "a", Step::Resolved, 3600)];
        assert_eq!(told(&steps, 3601), [2]);
    }

    #[test]
    fn history_and_what_is_older_than_a_day_is_told_to_nobody() {
        let mut imported = happened(2, "b", Step::Pulled, 100_000);
        imported.historical = true;
        let steps = [happened(1, "a", Step::Pulled, 0), imported];
        assert!(told(&steps, 100_000).is_empty());
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour_and_lie_between_half_and_whole() {
        let seconds = |attempt, chance| pause(attempt, chance, None).seconds();
        assert_eq!([seconds(1, 0), seconds(1, u32::MAX)], [0.5, 1.0]);
        assert_eq!([seconds(4, 0), seconds(4, u32::MAX)], [4.0, 8.0]);
        assert_eq!([seconds(u32::MAX, 0), seconds(u32::MAX, u32::MAX)], [450.0, 900.0]);
    }

    #[test]
    fn a_receiver_is_given_the_pause_it_asks_for_up_to_a_day() {
        let asked = |seconds| pause(1, 0, Some(Span::from_secs(seconds))).seconds();
        assert_eq!([asked(0), asked(30), asked(1_000_000)], [0.5, 30.0, 86400.0]);
    }
}
