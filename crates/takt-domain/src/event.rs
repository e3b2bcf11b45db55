//! The sum of all events, their envelope, and the aggregates they belong to.

use std::fmt;

use smol_str::SmolStr;

use crate::ids::{BoardId, ChangeId, EnvironmentId, EventId, IncidentId, RunId, StreamName};
use crate::time::Time;
use crate::{andon, board, change, deployment, stream, system, testing};

/// What happened, by context.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// On the `stream` aggregate.
    Stream(stream::Event),
    /// On a `board.<id>` aggregate.
    Board(board::Event),
    /// On the `line` aggregate.
    Andon(andon::Event),
    /// On the `tests` aggregate.
    Testing(testing::Event),
    /// On a `change.<id>` aggregate.
    Change(change::Event),
    /// On `env.<id>`, `run.<id>` and `incident.<id>` aggregates.
    Deployment(deployment::Event),
    /// Foreign facts, refusals and bookkeeping.
    System(system::Event),
    /// A type this version does not know; kept as it is.
    Unknown(Unknown),
}

/// An event of a type that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The CloudEvents type.
    pub kind: SmolStr,
    /// The JSON text of `data`, as it stands in the log.
    pub data: Box<str>,
}

/// An aggregate of a value stream: one subject of the log, one consistency boundary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregate {
    /// The value stream itself and its policy.
    Stream,
    /// A board with its columns and cards.
    Board(BoardId),
    /// All open alerts of the value stream.
    Line,
    /// Test results.
    Tests,
    /// A change.
    Change(ChangeId),
    /// A pipeline run.
    Run(RunId),
    /// An environment with its deployments.
    Env(EnvironmentId),
    /// An incident.
    Incident(IncidentId),
    /// Facts of types that Takt does not understand.
    Foreign,
    /// Refusals, summed.
    Refusals,
    /// The intake's position; bookkeeping, on `takt.log.$sys.intake.<stream>`.
    Intake,
    /// A reactor's cursor; bookkeeping, on `takt.log.$sys.reactor.<stream>.<name>`.
    Reactor(SmolStr),
    /// An aggregate that this version does not know, by its text form.
    Other(SmolStr),
}

impl Aggregate {
    /// Whether this is bookkeeping, which reads with a stream never show.
    pub const fn is_system(&self) -> bool {
        matches!(self, Self::Intake | Self::Reactor(_))
    }

    /// From its text form; total, since history cannot be refused.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some(("board", id)) => Self::Board(BoardId::new(id)),
            Some(("change", id)) => Self::Change(ChangeId::new(id)),
            Some(("run", id)) => Self::Run(RunId::new(id)),
            Some(("env", id)) => Self::Env(EnvironmentId::new(id)),
            Some(("incident", id)) => Self::Incident(IncidentId::new(id)),
            Some(("$reactor", name)) => Self::Reactor(SmolStr::new(name)),
            Some(_) => Self::Other(SmolStr::new(text)),
            None => match text {
                "stream" => Self::Stream,
                "line" => Self::Line,
                "tests" => Self::Tests,
                "foreign" => Self::Foreign,
                "refusals" => Self::Refusals,
                "$intake" => Self::Intake,
                other => Self::Other(SmolStr::new(other)),
            },
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("stream"),
            Self::Board(id) => write!(f, "board.{id}"),
            Self::Line => f.write_str("line"),
            Self::Tests => f.write_str("tests"),
            Self::Change(id) => write!(f, "change.{id}"),
            Self::Run(id) => write!(f, "run.{id}"),
            Self::Env(id) => write!(f, "env.{id}"),
            Self::Incident(id) => write!(f, "incident.{id}"),
            Self::Foreign => f.write_str("foreign"),
            Self::Refusals => f.write_str("refusals"),
            Self::Intake => f.write_str("$intake"),
            Self::Reactor(name) => write!(f, "$reactor.{name}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// What the envelope says of an event beside its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Unique within the log; derived (UUIDv5) from a fact's source and id, or a command's key.
    pub id: EventId,
    /// Who reported it: a fact's own source, or this Takt.
    pub source: SmolStr,
    /// The thing it is about, such as a card's id.
    pub subject: SmolStr,
    /// When it happened.
    pub time: Time,
    /// When Takt recorded it.
    pub recorded: Time,
    /// The source's own order, normalised by [`normal_sequence`].
    pub sequence: Option<SmolStr>,
    /// Who asked for it.
    pub actor: Option<SmolStr>,
    /// The event that caused this one.
    pub causation: Option<SmolStr>,
    /// What belongs together across events.
    pub correlation: Option<SmolStr>,
    /// W3C trace context.
    pub traceparent: Option<SmolStr>,
    /// Imported history: recorded and measured, never reacted to.
    pub historical: bool,
    /// Digest of the fact or command behind it, on the first event of each; see takt-events.
    pub digest: Option<SmolStr>,
    /// The JSON text of the CDEvent that this event was made of, if it was, as it came.
    pub cdevent: Option<Box<str>>,
}

impl Meta {
    /// An envelope that says when and by whom, and nothing more.
    pub fn new(id: EventId, source: SmolStr, time: Time) -> Self {
        Self {
            id,
            source,
            subject: SmolStr::default(),
            time,
            recorded: time,
            sequence: None,
            actor: None,
            causation: None,
            correlation: None,
            traceparent: None,
            historical: false,
            digest: None,
            cdevent: None,
        }
    }

    /// The key that orders facts about one thing.
    pub fn order(&self) -> OrderKey {
        OrderKey {
            time: self.time,
            sequence: self.sequence.as_deref().map_or(Sequence::None, Sequence::of),
            id: self.id,
        }
    }
}

/// Orders facts about one thing: time, then the source's sequence, then the event's id.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct OrderKey {
    /// When it happened.
    pub time: Time,
    /// The source's own order.
    pub sequence: Sequence,
    /// The event's id, so that the order is total.
    pub id: EventId,
}

impl OrderKey {
    /// Whether no fact has set it yet.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The source's own order, ordered as the normalised text is. It is nearly always a number, and a
/// board keeps one for every move, so a number is kept as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Sequence {
    /// It gave none.
    #[default]
    None,
    /// Digits that a number holds.
    Number(u64),
    /// Any other text.
    Text(Box<SmolStr>),
}

impl Sequence {
    /// From a text, normalised or not.
    pub fn of(text: &str) -> Self {
        let digits =
            !text.is_empty() && text.len() <= 20 && text.bytes().all(|it| it.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Self::Number(number),
            Ok(_) | Err(_) if text.is_empty() => Self::None,
            Ok(_) | Err(_) => Self::Text(Box::new(text.into())),
        }
    }

    fn text(&self) -> SmolStr {
        match self {
            Self::None => SmolStr::default(),
            Self::Number(number) => smol_str::format_smolstr!("{number:020}"),
            Self::Text(text) => SmolStr::clone(text),
        }
    }
}

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => one.cmp(two),
            (Self::None, Self::None) => std::cmp::Ordering::Equal,
            (one, two) => one.text().cmp(&two.text()),
        }
    }
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Digits are padded to 20 so that text order is number order; other texts stay as they are.
pub fn normal_sequence(text: &str) -> SmolStr {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && text.len() < 20 { format!("{text:0>20}").into() } else { text.into() }
}

/// An event at its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The log's sequence, from 1.
    pub seq: u64,
    /// The value stream.
    pub stream: StreamName,
    /// The aggregate within the stream.
    pub aggregate: Aggregate,
    /// The envelope.
    pub meta: Meta,
    /// What happened.
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_ordered_as_their_normalised_texts_are() {
        let texts = [
            "",
            "7",
            "10",
            "18446744073709551616",
            "99999999999999999999",
            "a",
            "1a",
            " ",
            "000000000000000000000",
        ];
        for one in texts {
            for two in texts {
                let by_text = normal_sequence(one).cmp(&normal_sequence(two));
                let (kept, other) = (Sequence::of(&normal_sequence(one)), Sequence::of(two));
                assert_eq!(kept.cmp(&other), by_text, "`{one}` and `{two}`");
            }
        }
    }
}
