//! What importers emit: report events of cards and columns, the same for every way of import.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use smol_str::SmolStr;
use takt_domain::Time;
use takt_domain::board::{ColumnKind, ColumnReported};
use takt_domain::event::normal_sequence;
use takt_domain::ids::{CardId, ColumnName, IdError};
use takt_events::{content_digest, text_digest};

/// Why a file cannot be imported: what is wrong, where, and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}; {remedy}")]
pub struct ImportError {
    /// What is wrong, with the value.
    pub reason: String,
    /// Where: line or byte.
    pub place: String,
    /// What would mend it.
    pub remedy: String,
}

impl ImportError {
    pub(crate) fn new(
        place: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { reason: reason.into(), place: place.into(), remedy: remedy.into() }
    }
}

/// How an event log becomes a board's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The attribute of an XES event that names its column.
    pub column: SmolStr,
    /// The columns that finish work.
    pub done: Vec<SmolStr>,
}

impl Default for Options {
    fn default() -> Self {
        Self { column: SmolStr::new_static("concept:name"), done: Vec::new() }
    }
}

/// A report as it is published: one CloudEvent.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportEvent {
    /// The CloudEvents type.
    pub kind: &'static str,
    /// Who reports.
    pub source: SmolStr,
    /// With the source, the report's identity.
    pub id: SmolStr,
    /// What it is about.
    pub subject: SmolStr,
    /// When it happened.
    pub time: Time,
    /// Its place in the source, normalised.
    pub sequence: Option<SmolStr>,
    /// Whether it is imported history.
    pub historical: bool,
    /// The report.
    pub data: Value,
}

impl ReportEvent {
    /// The event as one line of CloudEvents JSON, without the line's end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut event = json!({
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.kind,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": self.data,
            "sequence": self.sequence,
            "takthistorical": self.historical.then_some(true),
        });
        // An extension without a value is left out: CloudEvents knows no null.
        if let Some(attributes) = event.as_object_mut() {
            attributes.retain(|_, value| !value.is_null());
        }
        event.to_string().into_bytes()
    }
}

/// What is known of one case while it is read.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    place: u64,
    seen: BTreeMap<(SmolStr, Time), u32>,
}

/// One row or event of the source.
pub(crate) struct Sighting<'a> {
    pub(crate) case: &'a str,
    pub(crate) column: &'a str,
    pub(crate) time: Time,
    /// Where it stands in the file, for errors.
    pub(crate) place: String,
}

/// Turns sightings into events, in order of the file.
pub(crate) struct Emitter {
    source: SmolStr,
    done: Vec<SmolStr>,
    columns: BTreeMap<ColumnName, i32>,
    pub(crate) ready: VecDeque<ReportEvent>,
}

impl Emitter {
    pub(crate) fn new(format: &str, done: Vec<SmolStr>) -> Self {
        Self {
            source: format!("urn:takt:import:{format}").into(),
            done,
            columns: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn see(
        &mut self,
        trace: &mut Trace,
        sighting: &Sighting<'_>,
    ) -> Result<(), ImportError> {
        let wrong = |error: IdError| {
            let remedy = "give it 1 to 512 bytes without control characters";
            ImportError::new(sighting.place.clone(), error.to_string(), remedy)
        };
        let card = CardId::parse(sighting.case.trim()).map_err(wrong)?;
        let column = ColumnName::parse(sighting.column.trim()).map_err(wrong)?;
        let time = sighting.time;
        if !self.columns.contains_key(&column) {
            self.column(&column, time);
        }
        let nth = trace.seen.entry((column.as_str().into(), time)).or_default();
        *nth += 1;
        trace.place += 1;
        let (case, name) = (card.as_str(), column.as_str());
        let identity = format!("{}:{case}{}:{name}{}#{nth}", case.len(), name.len(), time.micros());
        self.ready.push_back(ReportEvent {
            kind: "dev.takt.report.card.v1",
            source: self.source.clone(),
            id: text_digest(&identity),
            subject: case.into(),
            time,
            sequence: Some(normal_sequence(&trace.place.to_string())),
            historical: true,
            data: json!({ "card": case, "column": name }),
        });
        Ok(())
    }

    fn column(&mut self, column: &ColumnName, time: Time) {
        let kind = "dev.takt.report.column.v1";
        let order = i32::try_from(self.columns.len()).unwrap_or(i32::MAX);
        self.columns.insert(column.clone(), order);
        let done = self.done.iter().any(|done| done.trim() == column.as_str());
        let kind_of = done.then_some(ColumnKind::Done);
        let data =
            json!(ColumnReported { column: column.clone(), kind: kind_of, order: Some(order) });
        self.ready.push_back(ReportEvent {
            kind,
            source: self.source.clone(),
            id: content_digest(kind, column.as_str(), time, &data),
            subject: column.as_str().into(),
            time,
            sequence: None,
            historical: true,
            data,
        });
    }
}

/// An instant as event logs write it; without an offset it is taken as UTC.
pub(crate) fn instant(text: &str, place: &str) -> Result<Time, ImportError> {
    let text = text.trim();
    let utc = || {
        let date = text.parse::<jiff::civil::DateTime>().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(date).ok()
    };
    let known = text.parse::<Time>().ok();
    known.or_else(|| utc().map(|it| Time::from_micros(it.as_microsecond()))).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        let remedy = "write it in RFC 3339, such as `2026-07-01T12:00:00Z`";
        ImportError::new(place, format!("`{shown}` is not a date"), remedy)
    })
}
