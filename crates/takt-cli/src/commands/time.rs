//! Times and spans as people type them.

use std::str::FromStr;
use std::time::Duration;

use crate::exit::{Failure, USAGE};

/// A span such as `2d`, `1h30m` or `45s`.
pub(super) fn span<T: TryFrom<Duration>>(text: &str) -> Result<T, Failure> {
    seconds(text).and_then(|span| T::try_from(Duration::from_secs(span)).ok()).ok_or_else(|| {
        Failure::new(USAGE, format!("`{text}` is not a span"), "give one such as `2d` or `1h30m`")
    })
}

/// A time in RFC 3339, or a date.
pub(super) fn time<T: FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| {
        Failure::new(
            USAGE,
            format!("`{text}` is not a time"),
            "give one such as `2026-01-31T12:00:00Z`",
        )
    })
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
}
