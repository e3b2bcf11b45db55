//! Times and lengths of time as people say them.

const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];

/// A length of time in seconds, such as `3 d 4 h`: the largest unit that fits and the next.
pub(crate) fn span(seconds: i64) -> String {
    let sign = if seconds < 0 { "−" } else { "" };
    let total = seconds.saturating_abs();
    let (mut rest, mut parts) = (total, vec![]);
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
pub(crate) fn seconds(seconds: f64) -> String {
    span(seconds.round() as i64)
}

/// How long something has lasted, in the largest unit that fits.
pub(crate) fn age(seconds: i64) -> String {
    if (-59..60).contains(&seconds) {
        return "now".to_owned();
    }
    let sign = if seconds < 0 { "in " } else { "" };
    let total = seconds.saturating_abs();
    let found = UNITS.into_iter().find(|(size, _)| total >= *size);
    found.map_or_else(String::new, |(size, unit)| format!("{sign}{} {unit}", total / size))
}

/// When something was, seen from now.
pub(crate) fn ago(seconds: i64) -> String {
    match age(seconds).as_str() {
        "now" => "just now".to_owned(),
        later if seconds < 0 => later.to_owned(),
        past => format!("{past} ago"),
    }
}

/// A point in time in UTC to the second, as `--since` reads it.
pub(crate) fn clock(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(stamp) => stamp.to_string(),
        Err(_) => "out of time".to_owned(),
    }
}

/// A point in time, and how long ago it was.
pub(crate) fn when(seconds: i64, now: i64) -> String {
    format!("{} ({})", clock(seconds), ago(now.saturating_sub(seconds)))
}

/// A count with its noun, such as `1 card` or `3 cards`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_at_most_two_units() {
        for (seconds, want) in
            [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (93_784, "1 d 2 h"), (-61, "−1 min 1 s")]
        {
            assert_eq!(span(seconds), want);
        }
    }

    #[test]
    fn an_age_has_one_unit_and_knows_the_future() {
        for (seconds, want) in
            [(0, "just now"), (59, "just now"), (60, "1 min ago"), (90_000, "1 d ago")]
        {
            assert_eq!(ago(seconds), want);
        }
        assert_eq!(ago(-7200), "in 2 h");
        assert_eq!(age(7200), "2 h");
    }

    #[test]
    fn a_clock_is_what_the_options_for_times_read() {
        assert_eq!(when(1_700_000_000, 1_700_000_060), "2023-11-14T22:13:20Z (1 min ago)");
        assert_eq!(clock(i64::MAX), "out of time");
    }
}
