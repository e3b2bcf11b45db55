//! JUnit XML as test reports.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use serde_json::json;
use smol_str::SmolStr;
use takt_domain::Time;
use takt_domain::ids::RunId;
use takt_domain::testing::{Case, CaseOutcome, Level, Reported};
use takt_domain::time::Span;
use takt_events::{content_digest, text_digest};

use crate::emit::{ImportError, ReportEvent};

const KIND: &str = "dev.takt.report.test.v1";
/// The longest message of a test.
const MESSAGE: usize = 4 << 10;
/// The longest JSON of one test: its names must leave room for others.
const CASE: usize = 64 << 10;
/// The longest JSON of the tests of one fact; with its envelope it stays below 512 KiB.
const PART: usize = 480 << 10;

/// What the file does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The level of the tests.
    pub level: Level,
    /// The commit that was tested.
    pub commit: SmolStr,
    /// The run; without it, the hash of content, level and commit.
    pub run: Option<RunId>,
    /// When the file was written, which is the reports' time. The same file with the same time
    /// gives the same facts; the file's own timestamps lack an offset, so they are not used.
    pub written: Time,
}

impl Options {
    /// Options from the words that people type.
    ///
    /// # Errors
    /// When the level is not known, the commit is empty, or the run cannot be an id.
    pub fn new(
        level: &str,
        commit: &str,
        run: Option<&str>,
        written: SystemTime,
    ) -> Result<Self, ImportError> {
        let known = serde_json::from_value(level.into());
        let level = known.map_err(|_| {
            let remedy = "use `unit`, `acceptance`, `integration` or `custom`";
            ImportError::new("the level", format!("`{level}` is not known"), remedy)
        })?;
        if commit.trim().is_empty() {
            let remedy = "name the commit that was tested";
            return Err(ImportError::new("the commit", "it is empty", remedy));
        }
        let run = run.map(RunId::parse).transpose().map_err(|error| {
            let remedy = "give it 1 to 512 bytes without control characters";
            ImportError::new("the run", error.to_string(), remedy)
        })?;
        Ok(Self { level, commit: commit.trim().into(), run, written: instant(written) })
    }
}

fn instant(at: SystemTime) -> Time {
    let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Time::from_micros(match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}

/// The tests of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The facts; none where the file has no tests.
    pub events: Vec<ReportEvent>,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many could not tell.
    pub errored: usize,
    /// How many did not run.
    pub skipped: usize,
}

/// Reads the JUnit XML files of one run. Without a run in the options it is the hash of all texts
/// with their time, so that tests that ran again to the same end are another run.
///
/// # Errors
/// As [`read`], with the place of the file in the list.
pub fn read_all(texts: &[&[u8]], mut options: Options) -> Result<Report, (usize, ImportError)> {
    let run = options.run.get_or_insert_with(|| {
        let mut parts = vec![format!("{:?}", options.level), options.commit.to_string()];
        parts.push(options.written.to_string());
        parts.extend(texts.iter().map(|text| text_digest(&String::from_utf8_lossy(text)).into()));
        RunId::new(text_digest(&parts.join("\n")))
    });
    let mut whole =
        Report { run: run.clone(), events: vec![], passed: 0, failed: 0, errored: 0, skipped: 0 };
    for (at, text) in texts.iter().enumerate() {
        let report = read(text, &options).map_err(|error| (at, error))?;
        whole.events.extend(report.events);
        whole.passed += report.passed;
        whole.failed += report.failed;
        whole.errored += report.errored;
        whole.skipped += report.skipped;
    }
    Ok(whole)
}

/// Reads a JUnit XML file.
///
/// # Errors
/// XML that is broken or is not JUnit says where, what, and the remedy.
pub fn read(bytes: &[u8], options: &Options) -> Result<Report, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let place = format!("byte {}", error.valid_up_to());
        ImportError::new(place, "the file is not UTF-8", "write the report in UTF-8")
    })?;
    let cases = Parser::new(text).cases()?;
    let level = json!(options.level).as_str().unwrap_or_default().to_owned();
    let run = options.run.clone().unwrap_or_else(|| {
        RunId::new(text_digest(&format!("{level}\n{}\n{text}", options.commit)))
    });
    let mut report =
        Report { run: run.clone(), events: vec![], passed: 0, failed: 0, errored: 0, skipped: 0 };
    for case in &cases {
        match case.outcome {
            CaseOutcome::Passed => report.passed += 1,
            CaseOutcome::Failed => report.failed += 1,
            CaseOutcome::Errored => report.errored += 1,
            CaseOutcome::Skipped => report.skipped += 1,
        }
    }
    let parts = split(cases).into_iter().enumerate();
    report.events = parts.map(|(at, cases)| event(options, &run, at, cases)).collect();
    Ok(report)
}

fn split(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let (mut parts, mut size) = (Vec::<Vec<Case>>::new(), PART);
    for case in cases {
        let length = json!(case).to_string().len() + 1;
        size += length;
        match parts.last_mut() {
            Some(part) if size <= PART => part.push(case),
            Some(_) | None => {
                size = length;
                parts.push(vec![case]);
            }
        }
    }
    parts
}

fn event(options: &Options, run: &RunId, part: usize, cases: Vec<Case>) -> ReportEvent {
    let (level, commit) = (options.level, options.commit.clone());
    let data = json!(Reported { run: run.clone(), level, commit, cases });
    let digest = content_digest(KIND, run.as_str(), options.written, &data);
    ReportEvent {
        kind: KIND,
        source: SmolStr::new_static("urn:takt:report:junit"),
        // Two parts may hold the same tests, so the id also tells which part it is.
        id: format!("{digest}-{part}").into(),
        subject: run.as_str().into(),
        time: options.written,
        sequence: None,
        historical: false,
        data,
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    open: Vec<String>,
    suites: Vec<String>,
    case: Option<Case>,
    said: Option<String>,
    cases: Vec<Case>,
    root: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            reader: Reader::from_reader(text.as_bytes()),
            open: Vec::new(),
            suites: Vec::new(),
            case: None,
            said: None,
            cases: Vec::new(),
            root: false,
        }
    }

    fn wrong(&self, reason: impl Into<String>, remedy: &str) -> ImportError {
        ImportError::new(format!("byte {}", self.reader.buffer_position()), reason, remedy)
    }

    fn cases(mut self) -> Result<Vec<Case>, ImportError> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let event = self.reader.read_event_into(&mut buffer);
            let event = event.map_err(|error| {
                let remedy = "check that the test run wrote the whole report";
                self.wrong(format!("the XML is broken: {error}"), remedy)
            })?;
            match event {
                Event::Start(tag) => self.opens(&tag)?,
                Event::Empty(tag) => {
                    self.opens(&tag)?;
                    self.closes()?;
                }
                Event::End(_) => self.closes()?,
                Event::Text(text) => self.say(&text.xml10_content()),
                Event::CData(text) => self.say(&text.xml10_content()),
                Event::GeneralRef(name) => self.reference(&name)?,
                Event::DocType(_) => {
                    let reason = "the file has a `DOCTYPE`, whose entities are not expanded";
                    return Err(self.wrong(reason, "remove the DOCTYPE"));
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
        if let Some(open) = self.open.last() {
            let reason = format!("the file ends within `{open}`");
            return Err(self.wrong(reason, "check that the test run wrote the whole report"));
        }
        if !self.root {
            return Err(self.wrong("the file has no element", "give a JUnit XML report"));
        }
        Ok(self.cases)
    }

    fn reference(&mut self, name: &quick_xml::events::BytesRef<'_>) -> Result<(), ImportError> {
        let sign = name.resolve_char_ref().ok().flatten();
        match (sign, resolve_predefined_entity(name)) {
            (Some(sign), _) => self.say(sign.encode_utf8(&mut [0; 4])),
            (None, Some(text)) => self.say(text),
            (None, None) => {
                let reason = format!("the entity `{}` is not known", &**name);
                return Err(self.wrong(reason, "use no entities of your own"));
            }
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        if let Some(said) = self.said.as_mut().filter(|said| said.len() <= 2 * MESSAGE) {
            said.push_str(text);
        }
    }

    fn opens(&mut self, tag: &BytesStart<'_>) -> Result<(), ImportError> {
        let name = tag.local_name().as_ref().to_owned();
        if self.open.is_empty() && !matches!(name.as_str(), "testsuites" | "testsuite") {
            let reason = format!("the file begins with `{name}`, so it is not JUnit XML");
            return Err(self.wrong(reason, "give a file that begins with `testsuites`"));
        }
        if self.open.is_empty() && self.root {
            let reason = format!("`{name}` follows the end of the report");
            return Err(self.wrong(reason, "give one report in each file"));
        }
        if self.open.len() >= crate::MAX_DEPTH {
            return Err(self.wrong("the XML is nested deeper than `64`", "give a flatter file"));
        }
        let parent = self.open.last().map(String::as_str);
        match (parent, name.as_str()) {
            (None | Some("testsuites" | "testsuite"), "testsuite") => {
                let suite = self.value(tag, "name")?.unwrap_or_default();
                self.suites.push(suite);
            }
            (Some("testsuites" | "testsuite"), "testcase") => self.case = Some(self.start(tag)?),
            (Some("testcase"), "failure") => self.ends(tag, CaseOutcome::Failed)?,
            (Some("testcase"), "error") => self.ends(tag, CaseOutcome::Errored)?,
            (Some("testcase"), "skipped") => self.ends(tag, CaseOutcome::Skipped)?,
            (_, _) => {}
        }
        self.root = true;
        self.open.push(name);
        Ok(())
    }

    fn start(&self, tag: &BytesStart<'_>) -> Result<Case, ImportError> {
        let name = self.value(tag, "name")?.filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| self.wrong("a `testcase` has no `name`", "give every test a name"))?;
        let ran = !matches!(
            self.value(tag, "status")?.as_deref(),
            Some("notrun" | "skipped" | "disabled")
        );
        let suites: Vec<_> =
            self.suites.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        Ok(Case {
            suite: suites.join("/").into(),
            class: self.value(tag, "classname")?.unwrap_or_default().into(),
            name: name.into(),
            outcome: if ran { CaseOutcome::Passed } else { CaseOutcome::Skipped },
            duration: self.duration(tag)?,
            message: None,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "the value is within 0 and 1e15")]
    fn duration(&self, tag: &BytesStart<'_>) -> Result<Span, ImportError> {
        let Some(text) = self.value(tag, "time")?.filter(|text| !text.trim().is_empty()) else {
            return Ok(Span::ZERO);
        };
        // Some tools write thousands with a comma.
        match text.trim().replace(',', "").parse::<f64>() {
            Ok(seconds) if seconds.is_finite() => {
                Ok(Span::from_micros((seconds.clamp(0.0, 1e9) * 1e6).round() as i64))
            }
            Ok(_) | Err(_) => {
                let shown: String = text.chars().take(80).collect();
                let remedy = "write `time` in seconds, such as `0.25`";
                Err(self.wrong(format!("`{shown}` is not a duration"), remedy))
            }
        }
    }

    /// The first definite outcome of a test holds; a failure goes before all.
    fn ends(&mut self, tag: &BytesStart<'_>, outcome: CaseOutcome) -> Result<(), ImportError> {
        let message = self.value(tag, "message")?.unwrap_or_default();
        let Some(case) = self.case.as_mut() else { return Ok(()) };
        let weight = |outcome| match outcome {
            CaseOutcome::Passed => 0,
            CaseOutcome::Skipped => 1,
            CaseOutcome::Errored => 2,
            CaseOutcome::Failed => 3,
        };
        if weight(outcome) > weight(case.outcome) {
            case.outcome = outcome;
            case.message = Some(message.into());
            self.said = Some(String::new());
        }
        Ok(())
    }

    fn closes(&mut self) -> Result<(), ImportError> {
        match self.open.pop().as_deref() {
            Some("failure" | "error" | "skipped") => self.spoken(),
            Some("testsuite") => {
                self.suites.pop();
            }
            Some("testcase") => {
                let Some(case) = self.case.take() else { return Ok(()) };
                if json!(case).to_string().len() > CASE {
                    let reason = format!("a `testcase` takes more than `{CASE}` bytes");
                    return Err(self.wrong(reason, "give the test a shorter name"));
                }
                self.cases.push(case);
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn spoken(&mut self) {
        let (Some(said), Some(case)) = (self.said.take(), self.case.as_mut()) else { return };
        let (message, said) = (case.message.take().unwrap_or_default(), said.trim());
        let whole = match (message.trim(), said) {
            ("", said) => said.to_owned(),
            (message, "") => message.to_owned(),
            (message, said) if said.starts_with(message) => said.to_owned(),
            (message, said) => format!("{message}\n{said}"),
        };
        let cut = (0..=MESSAGE.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at));
        let text = whole.get(..cut.unwrap_or(0)).unwrap_or_default();
        case.message = (!text.is_empty()).then(|| text.into());
    }

    fn value(&self, tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, ImportError> {
        let broken = |error: String| {
            let reason = format!("the attribute `{name}` is broken: {error}");
            self.wrong(reason, "check that the test run wrote well-formed XML")
        };
        let found = tag.try_get_attribute(name).map_err(|error| broken(error.to_string()))?;
        let text = found.map(|it| it.normalized_value(XmlVersion::Implicit1_0)).transpose();
        text.map(|it| it.map(std::borrow::Cow::into_owned)).map_err(|it| broken(it.to_string()))
    }
}
