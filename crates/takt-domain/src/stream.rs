//! A value stream: one product's way from idea to customer, and the policy it works by.

mod decide;
mod evolve;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use decide::decide;
pub use evolve::evolve;

use crate::ids::StreamName;
use crate::time::Span;

/// What is asked of a value stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make the stream and its board `main`; asked again with the same title it changes nothing.
    Create {
        /// The stream's name: the token that subjects and rights carry.
        name: StreamName,
        /// What people call it.
        title: SmolStr,
    },
    /// Replace the policy.
    SetPolicy(Policy),
}

/// What happened to a value stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `dev.takt.stream.created.v1`
    Created(Created),
    /// `dev.takt.stream.policy_set.v1`
    PolicySet(PolicySet),
}

/// A value stream was made, with its board `main`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// What people call it.
    pub title: SmolStr,
}

/// The policy was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySet {
    /// The whole policy.
    pub policy: Policy,
}

/// How strict a condition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Not looked at.
    Off,
    /// Told, not refused.
    Warn,
    /// Refused.
    #[default]
    Require,
}

/// The rules that a value stream works by. A rule that this version does not know is passed over:
/// whoever writes a policy by hand is told by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Whether a stopped line keeps cards out of done and past broken stages.
    pub line: Strictness,
    /// How long an acknowledgement holds, in microseconds, before the alert is open again.
    pub acknowledge_for: Span,
    /// How long an alert stays unacknowledged, in microseconds, before it escalates; 0 = never.
    pub escalate_after: Span,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            line: Strictness::Require,
            acknowledge_for: Span::from_secs(4 * 3600),
            escalate_after: Span::from_secs(1800),
        }
    }
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What people call it; `None` until the stream is made.
    pub title: Option<SmolStr>,
    /// The policy in force.
    pub policy: Policy,
}
