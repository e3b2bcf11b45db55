//! Every kind of identity in the system, in one table.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::text::shown;

/// Why a text cannot be an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{value}` {problem}")]
pub struct IdError {
    /// Which kind of identity was asked for.
    pub kind: &'static str,
    /// The text as it came, cut at 80 characters.
    pub value: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The longest identity, in bytes.
pub const MAX_ID_BYTES: usize = 512;

fn check(kind: &'static str, value: &str) -> Result<(), IdError> {
    let problem = if value.is_empty() {
        "is empty"
    } else if value.len() > MAX_ID_BYTES {
        "is longer than 512 bytes"
    } else if value.chars().any(char::is_control) {
        "holds a control character"
    } else if value.trim() != value {
        "starts or ends with a blank"
    } else {
        return Ok(());
    };
    Err(IdError { kind, value: shown(value).into_owned(), problem })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// What the identity is called in messages.
            pub const KIND: &'static str = $kind;

            /// Checks that the text is 1 to 512 bytes, without control characters or outer blanks.
            ///
            /// # Errors
            /// Names the kind, the value and the problem.
            pub fn parse(value: &str) -> Result<Self, IdError> {
                check($kind, value).map(|()| Self(SmolStr::new(value)))
            }

            /// From a text that is known to be good, such as a constant or one read from the log.
            pub fn new(value: impl Into<SmolStr>) -> Self {
                Self(value.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(SmolStr::new(value))
            }
        }
    )*};
}

ids! {
    /// One stop of the line, from the pull to the resolve.
    AlertId = "alert";
    /// A board of a value stream; `main` is made with the stream.
    BoardId = "board";
    /// A piece of work.
    CardId = "card";
    /// What is integrated.
    ChangeId = "change";
    /// A step of the value stream; its name is its identity.
    ColumnName = "column";
    /// A place that runs artifacts.
    EnvironmentId = "environment";
    /// A production incident.
    IncidentId = "incident";
    /// One passage of an artifact through a pipeline.
    RunId = "run";
    /// A value stream.
    StreamName = "stream";
}

/// One entry of the log; unique within the log. Always a UUID, so that it is small in memory.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EventId(pub uuid::Uuid);

impl EventId {
    /// The id derived from a fact's source and id: the same fact gives the same id for ever.
    /// `ordinal` counts the events that one fact or command becomes, from 0.
    pub fn derive(source: &str, id: &str, ordinal: u32) -> Self {
        let name = format!("{}\u{1f}{source}{id}\u{1f}{ordinal}", source.len());
        Self(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl BoardId {
    /// The board that `stream create` makes.
    pub fn main() -> Self {
        Self(SmolStr::new_static("main"))
    }
}
