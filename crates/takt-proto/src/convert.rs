//! Times and spans between the domain's microseconds and the wire's seconds and nanoseconds.

use prost_types::{Duration, Timestamp};
use takt_domain::{Span, Time};

const MICROS: i64 = 1_000_000;

/// A time for the wire; microseconds are kept.
pub fn timestamp(time: Time) -> Timestamp {
    let micros = time.micros();
    Timestamp { seconds: micros.div_euclid(MICROS), nanos: nanos(micros.rem_euclid(MICROS)) }
}

/// A time from the wire, cut to microseconds, saturating.
pub fn time(stamp: &Timestamp) -> Time {
    let micros = stamp.seconds.saturating_mul(MICROS);
    Time::from_micros(micros.saturating_add(i64::from(stamp.nanos).div_euclid(1000)))
}

/// A span for the wire; both parts have the same sign.
pub fn duration(span: Span) -> Duration {
    Duration { seconds: span.micros() / MICROS, nanos: nanos(span.micros() % MICROS) }
}

/// A span from the wire, cut to microseconds, saturating.
pub fn span(duration: &Duration) -> Span {
    let micros = duration.seconds.saturating_mul(MICROS);
    Span::from_micros(micros.saturating_add(i64::from(duration.nanos) / 1000))
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
            assert_eq!(time(&timestamp(there)), there);
        }
    }

    #[test]
    fn a_negative_span_comes_back_from_the_wire() {
        let there = Span::from_micros(-1_500_001);
        assert_eq!(span(&duration(there)), there);
    }
}
