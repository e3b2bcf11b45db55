//! Lengths of time as people say them: the largest unit that fits and the next one down.

use maud::{Markup, html};
use takt_domain::{Span, Time};

const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];

/// Such as `3 d 4 h`; `< 1 min` for anything shorter. The script says it with the same rule.
pub(super) fn human(span: Span) -> String {
    let seconds = span.micros() / 1_000_000;
    let total = seconds.saturating_abs();
    if total < 60 {
        return "< 1 min".to_owned();
    }
    let mut rest = total;
    let mut parts = Vec::new();
    for (size, unit) in UNITS.into_iter().skip_while(|(size, _)| total < *size).take(2) {
        if rest >= size {
            parts.push(format!("{} {unit}", rest / size));
        }
        rest %= size;
    }
    format!("{}{}", if seconds < 0 { "−" } else { "" }, parts.join(" "))
}

/// The same, from a metric's seconds.
#[expect(clippy::cast_possible_truncation, reason = "a display value; the cast saturates")]
pub(super) fn human_seconds(seconds: f64) -> String {
    human(Span::from_secs(seconds.round() as i64))
}

/// How long it is since an instant; the script keeps it right while the page is open.
pub(super) fn since(at: Time, now: Time) -> Markup {
    html! { time data-at=(at.micros() / 1_000) datetime=(at) { (human(now.since(at))) } }
}
