//! What a long run found, for docs/reliability.md.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

/// Says what was proven, how often and with what measure; `.ci/soak` gathers the rows.
///
/// # Panics
/// When `TAKT_SUMMARY` names a file that cannot be written.
pub fn row(what: &str, times: u64, measured: &str) {
    crate::tools::say(&format!("{what}: {times} times; {measured}"));
    let Some(file) = std::env::var_os("TAKT_SUMMARY") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    writeln!(file, "| {what} | {times} | {measured} |").unwrap();
}

/// Median and maximum of spans, in words.
#[must_use]
pub fn spans(mut spans: Vec<Duration>) -> String {
    spans.sort_unstable();
    let of = |at: usize| spans.get(at).map_or(0, Duration::as_millis);
    format!("p50 {} ms, most {} ms", of(spans.len() / 2), of(spans.len().saturating_sub(1)))
}
