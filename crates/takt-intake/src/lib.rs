//! From the world's formats to facts: CloudEvents, CDEvents, JUnit XML, XES, CSV.

mod cdevent;
mod emit;
mod fact;
pub mod junit;
mod message;
mod nesting;
pub mod outlet;
mod progress;
mod report;
mod table;
mod xes;

pub use emit::{ImportError, Options, ReportEvent};
pub use fact::{MAX_BYTES, MAX_DEPTH, Misfit, parse};
pub use message::{parse_message, structured};
pub use progress::Progress;
pub use table::{Csv, CsvOptions};
pub use xes::Xes;
