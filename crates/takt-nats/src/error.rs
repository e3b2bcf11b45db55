//! Why a stream cannot be used, with what to do about it.

use std::fmt;

/// One setting of a stream that is not what Takt needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The setting, as the server's JSON calls it.
    pub setting: String,
    /// What it is, in JSON.
    pub is: String,
    /// What it must be, in JSON.
    pub must_be: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, is, must_be } = self;
        write!(f, "`{setting}` is `{is}` and must be `{must_be}`")
    }
}

/// Why a port cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The stream was made by somebody else, or with other settings; it is left as it is.
    #[error(
        "the JetStream stream `{stream}` is not as takt needs it: {}; change it with `nats stream \
         edit {stream}`, or remove it if nothing in it is needed",
        listed(.differences)
    )]
    Differs {
        /// Which.
        stream: String,
        /// In what.
        differences: Vec<Difference>,
    },
    /// The server refused it or did not answer.
    #[error("the JetStream stream `{stream}` cannot be opened: {reason}; {remedy}")]
    Unavailable {
        /// Which.
        stream: String,
        /// What the server or the network said.
        reason: String,
        /// What would help.
        remedy: String,
    },
}

impl OpenError {
    /// A stream that is there and could not be opened.
    pub(crate) fn unavailable(stream: &str, error: &dyn std::error::Error) -> Self {
        Self::Unavailable {
            stream: stream.to_owned(),
            reason: error.to_string(),
            remedy: "look whether JetStream runs there".to_owned(),
        }
    }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join(", ")
}
