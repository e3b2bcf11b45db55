//! A made-up board's history, the same for the same numbers, as an XES file and as facts.

use std::io::{self, Read, Write};

use takt_domain::Time;
use takt_domain::time::Span;
use takt_intake::{Options, ReportEvent, Xes};

const WORK: [&str; 6] = ["Backlog", "Analysis", "Development", "Review", "Test", "Deploy"];
/// The column where finished cards are.
pub(crate) const DONE: &str = "Closed";
const DAY: f64 = 86_400e6;
/// The first card's time: 2016-01-01.
const START: i64 = 1_451_606_400_000_000;
/// All histories span about so many days, at most twice as many, so that none ends in the future.
const DAYS: f64 = 1500.0;

/// How long a history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Moves of cards.
    pub(crate) moves: u64,
    /// About so many cards make them.
    pub(crate) cards: u64,
}

impl Size {
    /// A history with 4.7 moves for each card, as in published help desk and incident logs.
    pub(crate) fn usual(moves: u64) -> Self {
        Self { moves, cards: (moves * 10 / 47).max(1) }
    }
}

/// One card, column after column.
struct Cards {
    size: Size,
    chance: Chance,
    card: u64,
    left: u64,
}

struct Visit {
    column: &'static str,
    time: Time,
}

impl Cards {
    fn new(size: Size) -> Self {
        Self { size, chance: Chance(0x7A6B_7421), card: 0, left: size.moves }
    }
}

impl Iterator for Cards {
    type Item = (u64, Vec<Visit>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.card += 1;
        let mean = self.size.moves as f64 / self.size.cards as f64;
        let wanted = (mean * (0.5 + self.chance.share())).round().max(1.0) as u64;
        let count = wanted.min(self.left);
        self.left -= count;
        let gap = DAYS * DAY / self.size.cards as f64;
        let mut at = START + (self.card as f64 * gap) as i64;
        let mut visits = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for place in 0..count {
            let column = match (place + 1 == count, count <= WORK.len() as u64) {
                (true, _) if self.chance.share() < 0.97 => DONE,
                (_, true) => pick(place),
                (_, false) => pick(self.chance.next() % WORK.len() as u64),
            };
            at += 1 + (-self.chance.share().max(1e-9).ln() * DAY) as i64;
            visits.push(Visit { column, time: Time::EPOCH + Span::from_micros(at) });
        }
        Some((self.card, visits))
    }
}

fn pick(place: u64) -> &'static str {
    usize::try_from(place).ok().and_then(|at| WORK.get(at)).copied().unwrap_or(DONE)
}

/// SplitMix64: small, and the same on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The history as the text of an XES file, made while it is read.
pub(crate) struct XesText {
    cards: Cards,
    text: Vec<u8>,
    at: usize,
    ended: bool,
}

impl XesText {
    pub(crate) fn new(size: Size) -> Self {
        let text =
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<log xes.version=\"1.0\">\n".to_vec();
        Self { cards: Cards::new(size), text, at: 0, ended: false }
    }

    fn more(&mut self) -> io::Result<()> {
        self.text.clear();
        self.at = 0;
        let Some((card, visits)) = self.cards.next() else {
            self.ended = true;
            return writeln!(self.text, "</log>");
        };
        let text = &mut self.text;
        writeln!(text, "<trace>\n<string key=\"concept:name\" value=\"Case {card}\"/>")?;
        for Visit { column, time } in visits {
            writeln!(text, "<event>\n<string key=\"concept:name\" value=\"{column}\"/>")?;
            writeln!(text, "<string key=\"org:resource\" value=\"Value {}\"/>", card % 22)?;
            writeln!(text, "<string key=\"lifecycle:transition\" value=\"complete\"/>")?;
            writeln!(text, "<date key=\"time:timestamp\" value=\"{time}\"/>\n</event>")?;
        }
        writeln!(text, "</trace>")
    }
}

impl Read for XesText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() && !self.ended {
            self.more()?;
        }
        let count = self.text.get(self.at..).unwrap_or_default().read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// The history as the facts that an import publishes: columns as they appear, then moves.
pub(crate) fn facts(
    size: Size,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<ReportEvent>>> {
    let options = Options { done: vec![DONE.into()], ..Options::default() };
    let events = Xes::new(XesText::new(size), options)?;
    Ok(events.map(|event| event.map_err(anyhow::Error::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_make_the_same_history_of_the_length_asked_for() {
        let size = Size::usual(1000);
        let ids = || facts(size).unwrap().map(|it| it.unwrap().id).collect::<Vec<_>>();
        let first = ids();
        assert_eq!(first, ids());
        assert_eq!(first.len(), 1000 + WORK.len() + 1, "each column is reported once");
    }

    #[test]
    fn few_cards_have_long_histories_and_nearly_all_are_done() {
        let cards: Vec<_> = Cards::new(Size { moves: 3000, cards: 100 }).collect();
        assert!((80..=120).contains(&cards.len()), "{}", cards.len());
        let done = cards.iter().filter(|(_, it)| it.last().unwrap().column == DONE).count();
        assert!(done * 10 >= cards.len() * 9, "{done} of {}", cards.len());
    }
}
