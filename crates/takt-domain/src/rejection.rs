//! Why a command was refused, with every unmet condition and its remedy.

use smol_str::SmolStr;

use crate::time::Time;

/// One condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// A stable name for machines, such as `wip_limit`.
    pub code: &'static str,
    /// What is not met, with the values; lowercase, no full stop.
    pub message: String,
    /// What would meet it, as a command where there is one.
    pub remedy: String,
}

/// Why a command was refused. It changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A field has a value it cannot have.
    #[error("{field} {problem}")]
    Invalid {
        /// The field's name on the wire.
        field: &'static str,
        /// The value and what is wrong with it.
        problem: String,
        /// What would be right.
        remedy: String,
    },
    /// The thing named is not there.
    #[error("{kind} `{name}` does not exist")]
    NotFound {
        /// Which kind of thing.
        kind: &'static str,
        /// Its name as it was asked for.
        name: SmolStr,
        /// What would help.
        remedy: String,
    },
    /// The rules say no.
    #[error("{}", first_message(.0))]
    Refused(Vec<Unmet>),
}

impl Rejection {
    /// Refused for one condition.
    pub fn refused(
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Refused(vec![Unmet { code, message: message.into(), remedy: remedy.into() }])
    }

    /// The remedies, one for each thing that stands in the way.
    pub fn remedies(&self) -> Vec<&str> {
        match self {
            Self::Invalid { remedy, .. } | Self::NotFound { remedy, .. } => vec![remedy],
            Self::Refused(unmet) => unmet.iter().map(|one| one.remedy.as_str()).collect(),
        }
    }
}

fn first_message(unmet: &[Unmet]) -> String {
    unmet.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// What the shell tells a decision: when it is asked, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The time of asking.
    pub at: Time,
    /// Who asks; shown in the history.
    pub actor: SmolStr,
}
