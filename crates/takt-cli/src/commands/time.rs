//! Times and spans as people type them.

use std::time::{Duration, SystemTime};

use crate::exit::{Failure, USAGE};

/// A span such as `2d`, `1h30m` or `45s`.
pub(super) fn span<T: TryFrom<Duration>>(text: &str) -> Result<T, Failure> {
    seconds(text).and_then(|span| T::try_from(Duration::from_secs(span)).ok()).ok_or_else(|| {
        Failure::new(USAGE, format!("`{text}` is not a span"), "give one such as `2d` or `1h30m`")
    })
}

/// A span, for the parser of the command line.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let found = seconds(text).filter(|span| *span > 0).map(Duration::from_secs);
    found.ok_or_else(|| "give a span such as `30s` or `5m`".to_owned())
}

/// A time in RFC 3339, a date (its first moment in UTC), or a span before now.
pub(super) fn time<T: From<SystemTime>>(text: &str) -> Result<T, Failure> {
    instant(text, jiff::Timestamp::now()).map(|at| T::from(system(at))).ok_or_else(|| {
        Failure::new(
            USAGE,
            format!("`{text}` is not a time"),
            "give one such as `2026-01-31T12:00:00Z`, `2026-01-31`, or `2w` for two weeks ago",
        )
    })
}

fn system(at: jiff::Timestamp) -> SystemTime {
    let micros = Duration::from_micros(at.as_microsecond().unsigned_abs());
    if at.as_microsecond() < 0 {
        SystemTime::UNIX_EPOCH - micros
    } else {
        SystemTime::UNIX_EPOCH + micros
    }
}

fn instant(text: &str, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok();
    }
    let past = i64::try_from(seconds(text)?).ok()?;
    now.checked_sub(jiff::SignedDuration::from_secs(past)).ok()
}

fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0_u64, text.trim());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|one: char| !one.is_ascii_digit())?;
        let (count, tail) = rest.split_at(end);
        let mut letters = tail.chars();
        let unit = match letters.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(count.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = letters.as_str();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_the_sum_of_its_parts_and_needs_units() {
        assert_eq!(seconds("2d"), Some(172_800));
        assert_eq!(seconds("1h30m"), Some(5400));
        for bad in ["", "2", "d", "2x", "2d3", "99999999999999999999d", "é"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_is_an_instant_a_date_or_a_span_before_now() {
        let now: jiff::Timestamp = "2026-03-03T12:00:00Z".parse().unwrap();
        for (text, want) in [
            ("2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("1d", "2026-03-02T12:00:00Z"),
        ] {
            assert_eq!(instant(text, now), Some(want.parse().unwrap()), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "999999999999w"] {
            assert_eq!(instant(bad, now), None, "{bad}");
        }
    }
}
