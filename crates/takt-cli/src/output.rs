//! Output: data on stdout, for people as text or for programs as JSON; talk on stderr.

pub(crate) mod human;
pub(crate) mod page;
pub(crate) mod table;

use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;

use crate::exit::{Failure, INTERNAL};
use page::Page;

/// The form of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

/// What a command did, with the place of its last event in the log.
#[derive(Serialize)]
pub(crate) struct Done<T> {
    /// What it is about.
    #[serde(flatten)]
    pub(crate) what: T,
    /// The log's sequence of the last event.
    pub(crate) sequence: u64,
    /// Whether the same command had been recorded before.
    pub(crate) duplicate: bool,
}

/// Writes one answer: as JSON, or as the text that people read.
pub(crate) fn one<T: Serialize>(
    format: Format,
    data: &T,
    text: impl FnOnce(&Page) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Table => styled(&text(&Page::of_stdout())),
        Format::Json | Format::Jsonl => write(&json(data)?).map(|_| ()),
    }
}

/// Writes a list; an empty one says on stderr how it would be filled.
pub(crate) fn many<T: Serialize>(
    format: Format,
    rows: &[T],
    nothing: &str,
    text: impl FnOnce(&Page) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Table if rows.is_empty() => {
            talk(nothing);
            Ok(())
        }
        Format::Table => styled(&text(&Page::of_stdout())),
        Format::Json => write(&json(&rows)?).map(|_| ()),
        Format::Jsonl => write(&rows.iter().map(json).collect::<Result<String, _>>()?).map(|_| ()),
    }
}

/// Writes what a command did: a sentence for people, the receipt for programs.
pub(crate) fn receipt<T: Serialize>(
    format: Format,
    done: &Done<T>,
    sentence: &str,
) -> Result<(), Failure> {
    let again = if done.duplicate { "; it had been done before, nothing was added" } else { "" };
    one(format, done, |_| format!("{}{again}\n", plain(sentence)))
}

fn json<T: Serialize>(data: &T) -> Result<String, Failure> {
    let text = serde_json::to_string(data);
    text.map(|text| text + "\n").map_err(|error| {
        Failure::new(INTERNAL, format!("the answer cannot be written as JSON: {error}"), "")
    })
}

/// Writes text with styles; they are left out where stdout is no terminal.
fn styled(text: &str) -> Result<(), Failure> {
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    ended(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
}

/// Writes text as it is, and says whether somebody still reads.
pub(crate) fn write(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    ended(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A reader that has gone away is no failure.
fn ended(result: std::io::Result<()>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(INTERNAL, format!("cannot write to stdout: {error}"), "")),
    }
}

/// Says something to people, on stderr; it cannot move the cursor.
pub(crate) fn talk(line: &str) {
    let text = plain(line);
    // When nobody reads stderr, the data and the exit code still tell.
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Whether a person reads stdout, who may be told things beside the data.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A text without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|one| !one.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Card {
        card: &'static str,
        blocked: bool,
    }

    #[test]
    fn a_receipt_keeps_the_order_of_its_fields() {
        let what = Card { card: "A-1", blocked: true };
        let text = json(&Done { what, sequence: 7, duplicate: false }).unwrap();
        assert_eq!(
            text,
            "{\"card\":\"A-1\",\"blocked\":true,\"sequence\":7,\"duplicate\":false}\n"
        );
    }

    #[test]
    fn control_characters_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n"), "a[2Jb");
    }
}
