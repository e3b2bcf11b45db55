//! Output: data on stdout, as a table for people or as JSON for programs.

use std::io::{ErrorKind, Write};

use serde_json::{Map, Value};

use crate::exit::{Failure, INTERNAL};

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

/// Writes data; a reader that has gone away is no failure.
pub(crate) fn show(format: Format, data: &Value) -> Result<(), Failure> {
    write(&render(format, data)).map(|_| ())
}

/// Writes text as it is, and says whether somebody still reads.
pub(crate) fn write(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
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

/// A text without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|one| !one.is_control()).collect()
}

fn render(format: Format, data: &Value) -> String {
    match (format, data) {
        (Format::Json, _) => format!("{data}\n"),
        (Format::Jsonl, Value::Array(rows)) => rows.iter().map(|row| format!("{row}\n")).collect(),
        (Format::Jsonl, _) => format!("{data}\n"),
        (Format::Table, Value::Array(rows)) => table(rows),
        (Format::Table, Value::Object(fields)) => sheet(fields),
        (Format::Table, _) => format!("{}\n", cell(data)),
    }
}

/// The fields one a line; after them, each list of objects as a table.
fn sheet(fields: &Map<String, Value>) -> String {
    let (mut text, mut tables) = (String::new(), String::new());
    for (name, value) in fields {
        let rows = value.as_array().filter(|rows| rows.first().is_some_and(Value::is_object));
        match rows {
            Some(rows) => tables.push_str(&format!("\n{name}\n{}", table(rows))),
            None => text.push_str(&format!("{name:<16}{}\n", cell(value))),
        }
    }
    text + &tables
}

fn table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else {
        return String::new();
    };
    let heads: Vec<&String> = first.keys().collect();
    let mut lines: Vec<Vec<String>> = vec![heads.iter().map(|name| name.to_uppercase()).collect()];
    for row in rows {
        lines.push(
            heads.iter().map(|name| row.get(name.as_str()).map(cell).unwrap_or_default()).collect(),
        );
    }
    let widths: Vec<usize> = (0..heads.len())
        .map(|at| {
            lines
                .iter()
                .filter_map(|line| line.get(at))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A value as people read it; control characters cannot move the cursor.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => plain(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_lines_up_and_ends_each_line_without_blanks() {
        let rows = json!([{"card": "A-1", "column": "Doing"}, {"card": "A-100", "column": null}]);
        assert_eq!(render(Format::Table, &rows), "CARD   COLUMN\nA-1    Doing\nA-100  –\n");
    }

    #[test]
    fn jsonl_is_one_document_a_line() {
        assert_eq!(render(Format::Jsonl, &json!([{"a": 1}, {"a": 2}])), "{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn a_list_inside_an_object_is_a_table_below_its_fields() {
        let data = json!({"a": [{"b": 1}], "name": "x"});
        assert_eq!(render(Format::Table, &data), "name            x\n\na\nB\n1\n");
    }
}
