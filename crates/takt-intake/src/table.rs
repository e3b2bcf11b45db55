//! CSV event logs as a board's history: one row for each sighting of a case.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::marker::PhantomData;

use csv::StringRecord;
use smol_str::SmolStr;

use crate::emit::{Emitter, ImportError, ReportEvent, Sighting, Trace, instant};
use crate::progress::{Counted, Progress, unpacked};

/// Which columns of the table say what; without a name, common ones are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// The header of the case, which becomes the card.
    pub case: Option<SmolStr>,
    /// The header of the activity, which becomes the column.
    pub activity: Option<SmolStr>,
    /// The header of the time.
    pub timestamp: Option<SmolStr>,
    /// The activities that finish work.
    pub done: Vec<SmolStr>,
}

const CASE: &[&str] = &["case", "case id", "case:concept:name", "card", "ticket", "issue"];
const ACTIVITY: &[&str] = &["activity", "concept:name", "column", "status", "event"];
const TIMESTAMP: &[&str] =
    &["timestamp", "time:timestamp", "time", "complete timestamp", "date", "start timestamp"];

/// The events of a CSV file, gzipped or not. Rows of a case may stand anywhere, so what has been
/// seen of each case is kept.
pub struct Csv<R> {
    rows: csv::Reader<Counted<Box<dyn Read + Send>>>,
    guard: Progress,
    progress: Progress,
    emitter: Emitter,
    traces: BTreeMap<SmolStr, Trace>,
    at: [usize; 3],
    over: bool,
    input: PhantomData<fn() -> R>,
}

impl<R: Read + Send + 'static> Csv<R> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When the header cannot be read or lacks a column that is needed.
    pub fn new(input: R, options: CsvOptions) -> Result<Self, ImportError> {
        let (input, progress) = unpacked(input).map_err(|error| {
            ImportError::new("line 1", error.to_string(), "check that the file can be read")
        })?;
        let guard = input.progress.clone();
        let mut rows = csv::Reader::from_reader(input);
        let header = rows.headers().map_err(broken)?.clone();
        let at = [
            find(&header, "case", options.case.as_deref(), CASE)?,
            find(&header, "activity", options.activity.as_deref(), ACTIVITY)?,
            find(&header, "timestamp", options.timestamp.as_deref(), TIMESTAMP)?,
        ];
        Ok(Self {
            rows,
            guard,
            progress,
            emitter: Emitter::new("csv", options.done),
            traces: BTreeMap::new(),
            at,
            over: false,
            input: PhantomData,
        })
    }
}

fn plain(header: &str) -> String {
    header.trim_start_matches('\u{feff}').trim().to_lowercase().replace(['_', '-'], " ")
}

fn find(
    header: &StringRecord,
    what: &str,
    name: Option<&str>,
    common: &[&str],
) -> Result<usize, ImportError> {
    let place = |wanted: &str| header.iter().position(|it| plain(it) == plain(wanted));
    let found = match name {
        Some(name) => place(name),
        None => common.iter().find_map(|name| place(name)),
    };
    found.ok_or_else(|| {
        let header: String =
            header.iter().collect::<Vec<_>>().join(", ").chars().take(200).collect();
        let wanted = name.unwrap_or(what);
        ImportError::new(
            "line 1",
            format!("the header `{header}` has no column `{wanted}`"),
            format!("name the column that holds the {what}"),
        )
    })
}

fn broken(error: csv::Error) -> ImportError {
    let line = error.position().map_or(1, csv::Position::line);
    let remedy = "check that the file is whole, in UTF-8, with one field for each header";
    ImportError::new(format!("line {line}"), format!("the row is broken: {error}"), remedy)
}

impl<R> Csv<R> {
    /// Counts the bytes of the file that have been read.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn step(&mut self, row: &mut StringRecord) -> Result<bool, ImportError> {
        self.guard.reset();
        if !self.rows.read_record(row).map_err(broken)? {
            return Ok(false);
        }
        let place = format!("line {}", row.position().map_or(0, csv::Position::line));
        let [case, column, time] = self.at.map(|at| row.get(at).unwrap_or_default());
        let time = instant(time, &place)?;
        let trace = self.traces.entry(case.trim().into()).or_default();
        self.emitter.see(trace, &Sighting { case, column, time, place })?;
        Ok(true)
    }
}

impl<R> Iterator for Csv<R> {
    type Item = Result<ReportEvent, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.emitter.ready.is_empty() && !self.over {
            match self.step(&mut StringRecord::new()) {
                Ok(more) => self.over = !more,
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        self.emitter.ready.pop_front().map(Ok)
    }
}
