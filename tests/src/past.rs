//! Past work whose figures are known: the help desk's, and a sample of our own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what a test needs fails the test by panicking"
)]

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::Server;

/// What an event log is known to hold.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Completed, reopened, open and reopened_open.
    pub counts: [u64; 4],
    /// p50, p85, p95 and mean, in seconds.
    pub figures: [f64; 4],
}

/// The help desk's, as they were published.
pub const HELPDESK: Known = Known {
    counts: [4557, 1, 23, 2],
    figures: [3_436_439.0, 4_324_005.4, 5_007_053.4, 3_528_560.03],
};

/// Holds a server's answer to what is known.
///
/// # Panics
/// When it is another.
pub fn holds(server: &Server, known: &Known) {
    let found = server.json(&["metrics", "lead-time"]);
    let counts = ["completed", "reopened", "open", "reopened_open"].map(|name| &found[name]);
    assert_eq!(json!(counts), json!(known.counts), "{found}");
    for (name, figure) in ["p50", "p85", "p95", "mean"].iter().zip(known.figures) {
        let value = found[name].as_f64().unwrap();
        assert!((value / figure - 1.0).abs() < 1e-6, "{name}: {value}, wanted {figure}");
    }
}

/// The words that import an event log.
///
/// # Panics
/// When the path is not text.
#[must_use]
pub fn import(file: &Path) -> Vec<String> {
    let file = file.to_str().unwrap();
    ["import", "xes", file, "--column-attribute", "concept:name", "--done", "Closed"]
        .map(str::to_owned)
        .to_vec()
}

/// An event log of our own, with figures that are made by hand: card `n` takes `n` hours, every
/// tenth stays open, every tenth but one comes back from done and goes in again a day later.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn sample(folder: &Path, cards: u64) -> (PathBuf, Known) {
    let mut text = String::from("<log xmlns=\"http://www.xes-standard.org/\">\n");
    let mut spans = vec![];
    for card in 1..=cards {
        let mut steps = vec![("Todo", 0), ("Doing", 1)];
        match card % 10 {
            0 => {}
            1 => steps.extend([("Closed", card), ("Doing", card + 1), ("Closed", card + 24)]),
            _ => steps.push(("Closed", card)),
        }
        match card % 10 {
            0 => {}
            1 => spans.push((card + 24) * 3600),
            _ => spans.push(card * 3600),
        }
        text.push_str(&format!("<trace><string key=\"concept:name\" value=\"{card}\"/>\n"));
        for (column, hour) in steps {
            text.push_str(&format!(
                "<event><string key=\"concept:name\" value=\"{column}\"/>\
                 <date key=\"time:timestamp\" value=\"{}\"/></event>\n",
                instant(hour)
            ));
        }
        text.push_str("</trace>\n");
    }
    text.push_str("</log>\n");
    let file = folder.join("sample.xes");
    std::fs::write(&file, text).unwrap();
    spans.sort_unstable();
    let at = |percent: usize| {
        let place = (spans.len() - 1) * percent;
        let (low, high) = (spans[place / 100], spans[(place / 100 + 1).min(spans.len() - 1)]);
        low as f64 + (high - low) as f64 * (place % 100) as f64 / 100.0
    };
    let mean = spans.iter().sum::<u64>() as f64 / spans.len() as f64;
    let reopened = (1..=cards).filter(|card| card % 10 == 1).count() as u64;
    let known = Known {
        counts: [spans.len() as u64, reopened, cards / 10, 0],
        figures: [at(50), at(85), at(95), mean],
    };
    (file, known)
}

/// The instant so many hours into the year 2024, as text.
fn instant(hours: u64) -> String {
    let (mut month, mut day) = (1, hours / 24);
    let lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= lengths[month - 1] {
        (month, day) = (month + 1, day - lengths[month - 1]);
    }
    format!("2024-{month:02}-{:02}T{:02}:00:00.000+00:00", day + 1, hours % 24)
}
