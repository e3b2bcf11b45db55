//! What ended well, so that a green rerun is matched with what broke, in whatever order both come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Alert, CauseKind};
use crate::testing::SUITE;
use crate::time::Time;

/// What a later success is matched by, to clear the condition behind an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearedBy {
    /// The level of tests, the suite, the pipeline, the environment or the incident; empty where a
    /// part does not tell of what it is one.
    pub name: SmolStr,
    /// What broke of it: suites, cases, stages, services, or the incident's source; an empty text
    /// for a part without a name, and for the whole run of a pipeline or a suite.
    pub parts: Vec<SmolStr>,
}

/// Something that can run again and end otherwise: a suite at a level, a stage of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// Which kind of thing.
    pub kind: CauseKind,
    /// The level, pipeline, environment or incident.
    pub name: SmolStr,
    /// The suite, stage, service or source; may be empty.
    pub part: SmolStr,
}

/// When something ended, and in which run; later times are greater, then run names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Time,
    /// The run it belongs to; empty where a part is never split over reports.
    pub run: SmolStr,
}

/// How a part last ended, well and badly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The latest good end.
    pub green: Option<End>,
    /// The latest bad end.
    pub broken: Option<End>,
}

/// One end of a part, as a report tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of what.
    pub part: Part,
    /// When and in which run.
    pub end: End,
    /// Whether it ended well.
    pub green: bool,
}

/// How parts have last ended. What it holds follows from the set of reports, not their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reruns {
    /// By part.
    pub ends: BTreeMap<Part, Ends>,
}

/// How many parts are remembered; the ones that ended longest ago are forgotten first.
const REMEMBERED: usize = 10_000;

impl Ends {
    /// Whether it ended well after an instant. A run in which it broke too is no good end: reports
    /// may tell one run in parts.
    fn is_green_after(&self, at: Time) -> bool {
        self.green.as_ref().is_some_and(|green| {
            let same_run = |broken: &End| !green.run.is_empty() && broken.run == green.run;
            green.at > at && !self.broken.as_ref().is_some_and(same_run)
        })
    }

    fn latest(&self) -> Option<Time> {
        self.green.iter().chain(&self.broken).map(|end| end.at).max()
    }
}

impl Reruns {
    /// Takes an end in; returns a part that is forgotten in its place, if one is.
    pub fn take(&mut self, ended: Ended) -> Option<Part> {
        let ends = self.ends.entry(ended.part).or_default();
        let slot = if ended.green { &mut ends.green } else { &mut ends.broken };
        *slot = slot.take().max(Some(ended.end));
        if self.ends.len() <= REMEMBERED {
            return None;
        }
        let oldest = self.ends.iter().min_by_key(|(part, ends)| (ends.latest(), *part));
        let oldest = oldest.map(|(part, _)| part.clone())?;
        self.ends.remove(&oldest);
        Some(oldest)
    }

    /// Whether all that broke behind an alert has ended well since.
    pub fn clear(&self, alert: &Alert) -> bool {
        let kind = alert.cause.kind;
        !alert.parts.is_empty()
            && alert.parts.iter().all(|(part, broken)| self.is_green(kind, alert, part, *broken))
    }

    fn is_green(&self, kind: CauseKind, alert: &Alert, part: &SmolStr, broken: Time) -> bool {
        let after = |part: &SmolStr| {
            let part = Part { kind, name: alert.name.clone(), part: part.clone() };
            self.ends.get(&part).is_some_and(|ends| ends.is_green_after(broken))
        };
        // A whole pipeline that ends well has passed all its stages, and a suite all its cases.
        let is_suite = kind == CauseKind::Test && alert.name.starts_with(SUITE);
        let has_whole = kind == CauseKind::Pipeline || is_suite;
        after(part) || (has_whole && after(&SmolStr::default()))
    }
}
