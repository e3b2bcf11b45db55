//! Lengths of time as people say them: the largest unit that fits and the next one down.

use takt_domain::Span;

const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];

/// Such as `3 d 4 h`; `0 s` for less than a second.
pub(super) fn human(span: Span) -> String {
    let seconds = span.micros() / 1_000_000;
    let sign = if seconds < 0 { "−" } else { "" };
    let total = seconds.saturating_abs();
    let mut rest = total;
    let mut parts = Vec::new();
    for (size, unit) in UNITS.into_iter().skip_while(|(size, _)| total < *size).take(2) {
        if rest >= size {
            parts.push(format!("{} {unit}", rest / size));
        }
        rest %= size;
    }
    if parts.is_empty() { "0 s".to_owned() } else { format!("{sign}{}", parts.join(" ")) }
}

/// The same, from a metric's seconds.
#[expect(clippy::cast_possible_truncation, reason = "a display value; the cast saturates")]
pub(super) fn human_seconds(seconds: f64) -> String {
    human(Span::from_secs(seconds.round() as i64))
}
