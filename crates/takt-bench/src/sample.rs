//! Many measurements of one thing: percentiles, and the middle of several runs.

use std::time::Duration;

use serde_json::{Value, json};

/// Durations, in the order they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// The given percentiles in milliseconds, by the nearest rank; 100 is the largest.
    pub(crate) fn percentiles<const N: usize>(&self, wanted: [f64; N]) -> [Value; N] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        wanted.map(|percent| {
            let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
            let found = sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1)));
            found.map_or(Value::Null, |it| json!(milliseconds(*it)))
        })
    }
}

/// Milliseconds with three decimals.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3, 1e3)
}

/// Seconds with three decimals.
pub(crate) fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64(), 1e3)
}

/// How many a second, whole.
pub(crate) fn rate(count: u64, duration: Duration) -> f64 {
    rounded(count as f64 / duration.as_secs_f64().max(1e-9), 1.0)
}

/// A quotient with two decimals.
pub(crate) fn ratio(over: f64, under: f64) -> f64 {
    rounded(over / under.max(1e-9), 1e2)
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// The least, the middle and the greatest of several runs.
pub(crate) fn spread(runs: &[f64]) -> [f64; 3] {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    [0, sorted.len() / 2, sorted.len().saturating_sub(1)]
        .map(|at| sorted.get(at).copied().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values_by_rank() {
        let mut sample = Sample::default();
        (1..=200).rev().for_each(|it| sample.add(Duration::from_millis(it)));
        assert_eq!(sample.percentiles([50.0, 99.0, 100.0]), [100.0, 198.0, 200.0].map(Value::from));
        assert_eq!(Sample::default().percentiles([50.0]), [Value::Null]);
    }

    #[test]
    fn a_spread_is_least_middle_and_greatest() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), [1.0, 2.0, 3.0]);
    }
}
