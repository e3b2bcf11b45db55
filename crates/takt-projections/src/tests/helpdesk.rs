//! Lead time against figures that were computed elsewhere, from a real board's history.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::{LeadTime, Window, lead_time};
use takt_domain::board::{Board, ColumnKind, Move};
use takt_domain::{EventId, OrderKey, Sequence};
use uuid::Uuid;

fn attribute<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let from = text.split_once(&format!("key=\"{key}\" value=\""))?.1;
    Some(from.split_once('"')?.0)
}

#[expect(clippy::disallowed_methods, reason = "the figures come from a file of real data")]
fn history() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/helpdesk.xes.gz");
    let file = std::fs::File::open(path).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    Some(text)
}

fn board(text: &str) -> Board {
    let mut board = Board::default();
    for trace in text.split("<trace>").skip(1) {
        let mut parts = trace.split("<event>");
        let case = attribute(parts.next().unwrap(), "concept:name").unwrap();
        let card = board.cards.entry(case.into()).or_default();
        for (place, event) in parts.enumerate() {
            let column = attribute(event, "concept:name").unwrap();
            board.columns.entry(column.into()).or_default();
            let order = OrderKey {
                time: attribute(event, "time:timestamp").unwrap().parse().unwrap(),
                sequence: Sequence::Number(place as u64),
                id: EventId(Uuid::from_u128(place as u128)),
            };
            card.moves.push(Move {
                order,
                column: Some(Arc::new(column.into())),
                historical: true,
            });
        }
        card.moves.sort_by(|a, b| a.order.cmp(&b.order));
    }
    board.columns.entry("Closed".into()).or_default().kind_set = Some(ColumnKind::Done);
    board
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 0.01, "{found} instead of {expected}");
}

#[test]
fn the_help_desk_has_the_published_lead_times() {
    let Some(text) = history() else {
        println!("SKIPPED: no shared/data/helpdesk.xes.gz beside the checkout");
        return;
    };
    let board = board(&text);
    let LeadTime { completed, reopened, reopened_open, open, p50, p85, p95, mean, .. } =
        lead_time(&board, Window::default());
    assert_eq!((completed, reopened, open, reopened_open), (4557, 1, 23, 2));
    near(p50, 3_436_439.0);
    near(p85, 4_324_005.4);
    near(p95, 5_007_053.4);
    near(mean, 3_528_560.03);
}
