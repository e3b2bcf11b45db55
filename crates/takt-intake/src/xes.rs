//! XES (IEEE 1849) event logs as a board's history, read as a stream in constant memory.

#[cfg(test)]
mod tests;

use std::io::{BufReader, Read};
use std::marker::PhantomData;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use takt_domain::Time;

use crate::emit::{Emitter, ImportError, Options, ReportEvent, Sighting, Trace, instant};
use crate::progress::{Counted, Progress, unpacked};

/// The events of an XES file, gzipped or not: a column at its first appearance, then its cards.
///
/// Only what one trace needs is held. Equal events are counted within their trace: where a case
/// is spread over several traces, equal events of different traces are one.
pub struct Xes<R> {
    reader: Reader<BufReader<Counted<Box<dyn Read + Send>>>>,
    guard: Progress,
    progress: Progress,
    options: Options,
    emitter: Emitter,
    open: Vec<Element>,
    case: Option<String>,
    trace: Trace,
    column: Option<String>,
    time: Option<Time>,
    started: u64,
    root: bool,
    over: bool,
    input: PhantomData<fn() -> R>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Log,
    Trace,
    Event,
    Other,
}

impl<R: Read + Send + 'static> Xes<R> {
    /// Opens a file; whether it is a gzip, its first bytes tell.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn new(input: R, options: Options) -> Result<Self, ImportError> {
        let (input, progress) = unpacked(input).map_err(|error| {
            ImportError::new("byte 0", error.to_string(), "check that the file can be read")
        })?;
        let guard = input.progress.clone();
        Ok(Self {
            reader: Reader::from_reader(BufReader::with_capacity(1 << 16, input)),
            guard,
            progress,
            emitter: Emitter::new("xes", options.done.clone()),
            options,
            open: Vec::new(),
            case: None,
            trace: Trace::default(),
            column: None,
            time: None,
            started: 0,
            root: false,
            over: false,
            input: PhantomData,
        })
    }
}

impl<R> Xes<R> {
    /// Counts the bytes of the file that have been read.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn place(&self) -> String {
        format!("byte {}", self.reader.buffer_position())
    }

    fn wrong(&self, reason: impl Into<String>, remedy: &str) -> ImportError {
        ImportError::new(self.place(), reason, remedy)
    }

    /// Reads one piece of XML; `false` at the end of the file.
    fn step(&mut self, buffer: &mut Vec<u8>) -> Result<bool, ImportError> {
        buffer.clear();
        self.guard.reset();
        let at = self.reader.buffer_position();
        let event = self.reader.read_event_into(buffer).map_err(|error| {
            let remedy = "check that the file is whole, well-formed XML in UTF-8";
            ImportError::new(format!("byte {at}"), format!("the XML is broken: {error}"), remedy)
        })?;
        match event {
            Event::Start(tag) => self.opens(&tag, true, at)?,
            Event::Empty(tag) => self.opens(&tag, false, at)?,
            Event::End(_) => self.closes()?,
            Event::DocType(_) => {
                return Err(self.wrong(
                    "the file has a `DOCTYPE`, whose entities are not expanded",
                    "remove the DOCTYPE and its entities",
                ));
            }
            Event::Eof => return self.ended().map(|()| false),
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {}
        }
        Ok(true)
    }

    fn ended(&self) -> Result<(), ImportError> {
        if !self.open.is_empty() {
            let reason = format!("the file ends within `{}` open elements", self.open.len());
            return Err(self.wrong(reason, "fetch the file again: it has been cut"));
        }
        if !self.root {
            return Err(self.wrong("the file has no `log` element", "give an XES file"));
        }
        Ok(())
    }

    fn opens(&mut self, tag: &BytesStart<'_>, stays: bool, at: u64) -> Result<(), ImportError> {
        let name = tag.local_name();
        let element = match (self.open.last(), name.as_ref()) {
            (None, _) if self.root => {
                let reason = format!("`{}` follows the end of the log", name.as_ref());
                return Err(self.wrong(reason, "give one log in each file"));
            }
            (None, "log") => Element::Log,
            (None, other) => {
                let reason = format!("the file begins with `{other}`, not with `log`");
                return Err(self.wrong(reason, "give an XES file"));
            }
            (Some(Element::Log), "trace") => Element::Trace,
            (Some(Element::Trace), "event") => Element::Event,
            (Some(parent @ (Element::Trace | Element::Event)), _) => {
                self.attribute(tag, *parent)?;
                Element::Other
            }
            (Some(Element::Log | Element::Other), _) => Element::Other,
        };
        if self.open.len() >= crate::MAX_DEPTH {
            return Err(self.wrong("the XML is nested deeper than `64`", "give a flatter file"));
        }
        match element {
            Element::Log => self.root = true,
            Element::Trace => (self.case, self.trace) = (None, Trace::default()),
            Element::Event => (self.column, self.time, self.started) = (None, None, at),
            Element::Other => {}
        }
        self.open.push(element);
        if stays { Ok(()) } else { self.closes() }
    }

    fn attribute(&mut self, tag: &BytesStart<'_>, parent: Element) -> Result<(), ImportError> {
        let key = self.value(tag, "key")?.unwrap_or_default();
        let is_event = parent == Element::Event;
        if is_event && key == "time:timestamp" {
            let value = self.value(tag, "value")?.unwrap_or_default();
            self.time = Some(instant(&value, &self.place())?);
        }
        if is_event && key == self.options.column {
            self.column = self.value(tag, "value")?;
        }
        if parent == Element::Trace && key == "concept:name" {
            self.case = self.value(tag, "value")?;
        }
        Ok(())
    }

    fn value(&self, tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, ImportError> {
        let broken = |error: String| {
            let remedy = "use no entities but `&lt; &gt; &amp; &quot; &apos;`";
            self.wrong(format!("the attribute `{name}` is broken: {error}"), remedy)
        };
        let found = tag.try_get_attribute(name).map_err(|error| broken(error.to_string()))?;
        let text = found.map(|it| it.normalized_value(XmlVersion::Implicit1_0)).transpose();
        text.map(|it| it.map(std::borrow::Cow::into_owned)).map_err(|it| broken(it.to_string()))
    }

    fn closes(&mut self) -> Result<(), ImportError> {
        match self.open.pop() {
            Some(Element::Event) => self.seen(),
            Some(Element::Log | Element::Trace | Element::Other) | None => Ok(()),
        }
    }

    fn seen(&mut self) -> Result<(), ImportError> {
        let place = format!("byte {}", self.started);
        let lacks = |what: &str, remedy: &str| {
            ImportError::new(place.clone(), format!("{what} is missing"), remedy)
        };
        let (Some(case), Some(column), Some(time)) = (&self.case, &self.column, self.time) else {
            return Err(if self.case.is_none() {
                lacks("the trace's `concept:name`", "name each trace before its events")
            } else if self.column.is_none() {
                let what = format!("the event's `{}`", self.options.column);
                lacks(&what, "name another attribute as the column")
            } else {
                lacks("the event's `time:timestamp`", "give each event a date")
            });
        };
        self.emitter.see(&mut self.trace, &Sighting { case, column, time, place })
    }
}

impl<R> Iterator for Xes<R> {
    type Item = Result<ReportEvent, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut buffer = Vec::new();
        loop {
            if let Some(event) = self.emitter.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.over {
                return None;
            }
            match self.step(&mut buffer) {
                Ok(more) => self.over = !more,
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
