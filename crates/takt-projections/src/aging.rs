//! How long cards usually stay in a column, so that one that stays longer can be told.

use std::collections::BTreeMap;

use takt_domain::board::Board;
use takt_domain::{ColumnName, Span};

use crate::lead_time::percentile;

/// How long cards have stayed in a column before they went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsualStay {
    /// How many stays have ended.
    pub stays: u64,
    /// The median.
    pub p50: Span,
    /// 85 of 100 were no longer than this.
    pub p85: Span,
}

/// The stays that have ended, by column; a column that nothing has left is absent.
pub fn usual_stays(board: &Board) -> BTreeMap<ColumnName, UsualStay> {
    let mut stays: BTreeMap<&ColumnName, Vec<i64>> = BTreeMap::new();
    for card in board.cards.values() {
        let mut here = None;
        for step in &card.moves {
            let column = step.column.as_ref();
            match here {
                Some((known, _)) if Some(known) == column => continue,
                Some((left, since)) => {
                    stays.entry(left).or_default().push(step.order.time.since(since).micros());
                }
                None => {}
            }
            here = column.map(|column| (column, step.order.time));
        }
    }
    stays.into_iter().map(|(column, stays)| (column.clone(), usual(stays))).collect()
}

fn usual(mut stays: Vec<i64>) -> UsualStay {
    stays.sort_unstable();
    UsualStay {
        stays: stays.len() as u64,
        p50: span(percentile(&stays, 50)),
        p85: span(percentile(&stays, 85)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a value for display; the cast saturates")]
fn span(seconds: Option<f64>) -> Span {
    Span::from_micros((seconds.unwrap_or_default() * 1e6) as i64)
}
