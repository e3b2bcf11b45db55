//! The rules: what may happen, and what it means; pure.
//!
//! Nothing here reads a clock, makes an identity, or does I/O: the shell tells the domain the time
//! and new identities. One module per context, each with its vocabulary, `decide` and `evolve`:
//!
//! - [`stream`]: a value stream and its policy
//! - [`board`]: columns, limits, cards and their moves
//! - [`andon`]: the `line` aggregate: alerts pulled, acknowledged, resolved
//! - [`testing`], [`change`], [`deployment`]: what services report
//! - [`fact`]: a report from outside, before it becomes events
//! - [`notice`]: what people outside are told
//! - [`policy`]: `react`: what follows from what

pub mod andon;
pub mod board;
pub mod change;
pub mod deployment;
pub mod event;
pub mod fact;
pub mod ids;
pub mod notice;
pub mod policy;
pub mod rejection;
pub mod stream;
pub mod system;
pub mod testing;
pub mod text;
pub mod time;

pub use event::{Aggregate, Event, Meta, OrderKey, Recorded, Sequence};
pub use ids::{
    AlertId, BoardId, CardId, ChangeId, ColumnName, EnvironmentId, EventId, IncidentId, RunId,
    StreamName,
};
pub use rejection::{Rejection, Unmet};
pub use time::{Span, Time};
