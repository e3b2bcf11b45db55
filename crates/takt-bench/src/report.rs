//! What a benchmark found: tables, targets and what they were measured on.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::machine::Machine;

/// What a benchmark found. Printed, it is Markdown that is pleasant on a terminal too.
#[derive(Clone, Debug)]
pub struct Report {
    /// The benchmark's name.
    pub name: &'static str,
    /// The command as it was typed.
    pub command: String,
    /// What it ran on.
    pub machine: Machine,
    /// The figures.
    pub table: Table,
    /// What the figures must be measured against.
    pub targets: Vec<Target>,
    /// What one must know to read the figures, a sentence each.
    pub notes: Vec<String>,
}

/// Rows of figures under names that carry their units.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

/// A limit, and what was measured.
#[derive(Clone, Debug)]
pub struct Target {
    what: String,
    limit: Limit,
    measured: f64,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Least(f64),
    Most(f64),
}

impl Table {
    pub(crate) fn new<const N: usize>(columns: [&'static str; N]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [Value; N]) {
        self.rows.push(cells.to_vec());
    }

    fn to_json(&self) -> Value {
        let row = |cells: &Vec<Value>| {
            let cells = self.columns.iter().map(|name| (*name).to_owned()).zip(cells.clone());
            Value::Object(cells.collect::<Map<_, _>>())
        };
        self.rows.iter().map(row).collect()
    }
}

impl Target {
    pub(crate) fn least(what: impl Into<String>, limit: f64, measured: f64) -> Self {
        Self { what: what.into(), limit: Limit::Least(limit), measured }
    }

    pub(crate) fn most(what: impl Into<String>, limit: f64, measured: f64) -> Self {
        Self { what: what.into(), limit: Limit::Most(limit), measured }
    }

    /// Whether it was reached.
    pub fn is_met(&self) -> bool {
        match self.limit {
            Limit::Least(limit) => self.measured >= limit,
            Limit::Most(limit) => self.measured <= limit,
        }
    }

    fn to_json(&self) -> Value {
        let (bound, limit) = match self.limit {
            Limit::Least(limit) => ("at_least", limit),
            Limit::Most(limit) => ("at_most", limit),
        };
        json!({"what": self.what, bound: limit, "measured": self.measured, "met": self.is_met()})
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, limit) = match self.limit {
            Limit::Least(limit) => ('≥', limit),
            Limit::Most(limit) => ('≤', limit),
        };
        let verdict = if self.is_met() { "reached" } else { "MISSED" };
        write!(f, "{} {sign} {}: {}, {verdict}", self.what, number(limit), number(self.measured))
    }
}

impl Report {
    /// Whether every target was reached.
    pub fn is_met(&self) -> bool {
        self.targets.iter().all(Target::is_met)
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "benchmark": self.name,
            "command": self.command,
            "machine": self.machine.to_json(),
            "figures": self.table.to_json(),
            "targets": self.targets.iter().map(Target::to_json).collect::<Value>(),
            "notes": self.notes,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n\n`{}`\n\n{}\n", self.name, self.command, self.machine)?;
        write!(f, "{}", self.table)?;
        if !self.targets.is_empty() {
            writeln!(f)?;
        }
        for target in &self.targets {
            writeln!(f, "- {target}")?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.columns.iter().map(|name| (*name).to_owned()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(cell).collect());
        let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
        let width =
            |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|it| chars(it)).max();
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| width(at).unwrap_or(0)).collect();
        for (number, line) in lines.iter().enumerate() {
            let cells = line.iter().zip(&widths).enumerate();
            let cells: Vec<String> =
                cells.map(|(at, (cell, width))| padded(at, cell, *width)).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if number == 0 {
                let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
                writeln!(f, "|{}|", rules.join("|"))?;
            }
        }
        Ok(())
    }
}

/// Names stand on the left, figures on the right.
fn padded(at: usize, cell: &str, width: usize) -> String {
    let blanks = " ".repeat(width.saturating_sub(chars(cell)));
    if at == 0 { format!("{cell}{blanks}") } else { format!("{blanks}{cell}") }
}

fn rule((at, width): (usize, &usize)) -> String {
    if at == 0 { "-".repeat(width + 2) } else { "-".repeat(width + 1) + ":" }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(it) => it.as_f64().map_or_else(|| it.to_string(), number),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A figure with its thousands apart, and no more decimals than it needs.
fn number(value: f64) -> String {
    let decimals = if value.fract() == 0.0 || value.abs() >= 1000.0 { 0 } else { 2 };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_with_figures_on_the_right() {
        let mut table = Table::new(["what", "events_per_s"]);
        table.row([json!("takt"), json!(212_345.0)]);
        table.row([json!("naive"), Value::Null]);
        let text = "| what  | events_per_s |\n|-------|-------------:|\n\
                    | takt  |      212,345 |\n| naive |            – |\n";
        assert_eq!(table.to_string(), text);
    }

    #[test]
    fn figures_keep_their_thousands_apart_and_two_decimals_at_most() {
        for (value, text) in [
            (0.0, "0"),
            (2.256, "2.26"),
            (999.0, "999"),
            (1_234_567.8, "1,234,568"),
            (-1000.0, "-1,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_target_says_its_limit_and_whether_it_was_reached() {
        let reached = Target::least("replay over naive", 10.0, 12.5);
        assert_eq!(reached.to_string(), "replay over naive ≥ 10: 12.50, reached");
        let missed = Target::most("p99 in ms", 5.0, 7.0);
        assert_eq!(missed.to_string(), "p99 in ms ≤ 5: 7, MISSED");
        assert_eq!(missed.to_json()["at_most"], 5.0);
    }
}
