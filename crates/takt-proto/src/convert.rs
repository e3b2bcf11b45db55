//! Times and spans between the domain's microseconds and the wire's seconds and nanoseconds.

pub use prost_types::{Duration, Timestamp};
use takt_domain::{Span, Time};

const MICROS: i64 = 1_000_000;
/// The years 1 to 9999, which is what a `Timestamp` may hold.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Ten thousand years either way, which is what a `Duration` may hold.
const LONGEST: u64 = 315_576_000_000;

/// A value of the wire that its type does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{seconds}` seconds and `{nanos}` nanoseconds are {problem}")]
pub struct OutOfRange {
    seconds: i64,
    nanos: i32,
    problem: &'static str,
}

/// A time for the wire; microseconds are kept.
pub fn timestamp(time: Time) -> Timestamp {
    let micros = time.micros();
    Timestamp { seconds: micros.div_euclid(MICROS), nanos: nanos(micros.rem_euclid(MICROS)) }
}

/// A time from the wire, cut to microseconds.
///
/// # Errors
/// When it is outside the years 1 to 9999, or its nanoseconds are no part of a second.
pub fn time(stamp: &Timestamp) -> Result<Time, OutOfRange> {
    let Timestamp { seconds, nanos } = *stamp;
    if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        let problem = "no time in the years 1 to 9999";
        return Err(OutOfRange { seconds, nanos, problem });
    }
    Ok(Time::from_micros(seconds * MICROS + i64::from(nanos) / 1000))
}

/// A span for the wire; both parts have the same sign.
pub fn duration(span: Span) -> Duration {
    Duration { seconds: span.micros() / MICROS, nanos: nanos(span.micros() % MICROS) }
}

/// A span from the wire, cut to microseconds.
///
/// # Errors
/// When it is longer than ten thousand years, or its two parts have different signs.
pub fn span(duration: &Duration) -> Result<Span, OutOfRange> {
    let Duration { seconds, nanos } = *duration;
    let signs = seconds.signum() * i64::from(nanos.signum());
    if seconds.unsigned_abs() > LONGEST || nanos.unsigned_abs() >= 1_000_000_000 || signs < 0 {
        return Err(OutOfRange { seconds, nanos, problem: "no span of at most 10,000 years" });
    }
    Ok(Span::from_micros(seconds * MICROS + i64::from(nanos) / 1000))
}

/// Less than a second of microseconds as nanoseconds.
fn nanos(micros: i64) -> i32 {
    i32::try_from(micros.saturating_mul(1000)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_from_the_wire_to_the_microsecond() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -1_700_000_000_123_456] {
            let there = Time::from_micros(micros);
            assert_eq!(time(&timestamp(there)), Ok(there));
        }
    }

    #[test]
    fn a_negative_span_comes_back_from_the_wire() {
        let there = Span::from_micros(-1_500_001);
        assert_eq!(span(&duration(there)), Ok(there));
    }

    #[test]
    fn a_time_that_no_calendar_holds_is_refused_with_its_value() {
        for (seconds, nanos) in
            [(i64::MAX, 0), (i64::MIN, 0), (8_640_000_000_000, 0), (0, -1), (0, 1_000_000_000)]
        {
            let refused = time(&Timestamp { seconds, nanos }).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{seconds}` seconds")), "{refused}");
        }
    }

    #[test]
    fn a_span_that_no_duration_holds_is_refused() {
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (1, -1), (-1, 1), (0, i32::MIN)] {
            assert!(span(&Duration { seconds, nanos }).is_err(), "{seconds} {nanos}");
        }
    }
}
