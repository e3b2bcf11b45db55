//! What lead time, cycle time and the board view say of small boards.

use std::sync::Arc;

use crate::{Window, board_view, cycle_time, lead_time};
use takt_domain::board::{Board, ColumnKind, Move, WipLimit, WipPolicy};
use takt_domain::{CardId, EventId, OrderKey, Sequence, Span, Time};
use uuid::Uuid;

pub(super) fn second(seconds: i64) -> Time {
    Time::EPOCH + Span::from_secs(seconds)
}

fn set_kind(board: &mut Board, column: &str, order: i32, kind: ColumnKind) {
    let column = board.columns.entry(column.into()).or_default();
    column.kind_set = Some(kind);
    column.order_set = Some(order);
}

/// A board with `todo`, `doing`, `done` and `shipped`, both last ones done; "" = deleted.
pub(super) fn board(cards: &[(&str, &[(i64, &str)])]) -> Board {
    let mut board = Board::default();
    set_kind(&mut board, "todo", 1, ColumnKind::Queue);
    set_kind(&mut board, "doing", 2, ColumnKind::Active);
    set_kind(&mut board, "done", 3, ColumnKind::Done);
    set_kind(&mut board, "shipped", 4, ColumnKind::Done);
    for (id, moves) in cards {
        let card = board.cards.entry(CardId::from(*id)).or_default();
        card.moves = moves
            .iter()
            .map(|(at, column)| Move {
                order: OrderKey {
                    time: second(*at),
                    sequence: Sequence::None,
                    id: EventId(Uuid::from_u128(1)),
                },
                column: (!column.is_empty()).then(|| Arc::new((*column).into())),
                historical: false,
            })
            .collect();
    }
    board
}

#[test]
fn a_move_between_done_columns_ends_no_stay() {
    let board = board(&[("a", &[(0, "todo"), (10, "done"), (50, "shipped")])]);
    let lead = lead_time(&board, Window::default());
    assert_eq!((lead.completed, lead.reopened, lead.p50), (1, 0, Some(10.0)));
}

#[test]
fn a_reopened_card_is_open_until_it_is_back_in_done() {
    let moves = [(0, "todo"), (10, "done"), (20, "doing"), (30, "done")];
    let open = lead_time(&board(&[("a", &moves[..3])]), Window::default());
    assert_eq!((open.completed, open.open, open.reopened_open, open.p50), (0, 1, 1, None));
    let back = lead_time(&board(&[("a", &moves)]), Window::default());
    assert_eq!((back.completed, back.reopened, back.open), (1, 1, 0));
    assert_eq!((back.reopened_open, back.mean), (0, Some(30.0)));
}

#[test]
fn a_card_deleted_after_done_counts_and_one_deleted_before_does_not() {
    let after: &[(i64, &str)] = &[(0, "todo"), (10, "done"), (20, "")];
    let before: &[(i64, &str)] = &[(0, "todo"), (20, "")];
    let lead = lead_time(&board(&[("a", after), ("b", before)]), Window::default());
    assert_eq!((lead.completed, lead.open, lead.p95), (1, 0, Some(10.0)));
}

#[test]
fn a_card_first_seen_in_done_counts_with_zero_and_is_listed() {
    let lead = lead_time(&board(&[("a", &[(7, "done")])]), Window::default());
    assert_eq!((lead.completed, lead.quality.first_seen_in_done, lead.p50), (1, 1, Some(0.0)));
}

#[test]
fn a_window_takes_its_first_instant_and_not_its_last() {
    let board = board(&[("a", &[(0, "todo"), (10, "done")]), ("b", &[(0, "todo"), (20, "done")])]);
    let window = Window { since: Some(second(10)), until: Some(second(20)) };
    let lead = lead_time(&board, window);
    assert_eq!((lead.completed, lead.open, lead.p50), (1, 1, Some(10.0)));
}

#[test]
fn cycle_time_begins_in_the_first_active_column() {
    let a: &[(i64, &str)] = &[(0, "todo"), (4, "doing"), (6, "todo"), (8, "doing"), (10, "done")];
    let cycle =
        cycle_time(&board(&[("a", a), ("b", &[(0, "todo"), (9, "done")])]), Window::default());
    assert_eq!((cycle.completed, cycle.quality.never_active, cycle.p50), (2, 1, Some(6.0)));
}

#[test]
fn percentiles_lie_on_the_line_between_two_neighbours() {
    let board = board(&[("a", &[(0, "todo"), (10, "done")]), ("b", &[(0, "todo"), (20, "done")])]);
    let lead = lead_time(&board, Window::default());
    assert_eq!((lead.p50, lead.p85, lead.p95), (Some(15.0), Some(18.5), Some(19.5)));
}

#[test]
fn the_board_view_has_columns_in_order_and_the_oldest_card_first() {
    let mut board = board(&[("a", &[(5, "todo")]), ("b", &[(1, "todo"), (3, "todo")])]);
    let todo = board.columns.get_mut("todo").unwrap();
    todo.wip_limit = WipLimit { cards: 1, policy: WipPolicy::Soft };
    let view = board_view(&board, second(11));
    let names: Vec<_> = view.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["todo", "doing", "done", "shipped"]);
    let todo = &view.columns[0];
    assert!(todo.over);
    let cards: Vec<_> = todo.cards.iter().map(|card| (card.id.as_str(), card.age)).collect();
    assert_eq!(cards, [("b", Span::from_secs(10)), ("a", Span::from_secs(6))]);
}

#[test]
fn a_removal_told_before_the_first_sighting_begins_no_lead_time() {
    let late: &[(i64, &str)] = &[(0, ""), (10, "todo"), (30, "done")];
    let found: &[(i64, &str)] = &[(0, ""), (10, "done")];
    let lead = lead_time(&board(&[("a", late), ("b", found)]), Window::default());
    assert_eq!((lead.completed, lead.quality.first_seen_in_done), (2, 1));
    assert_eq!(lead.mean, Some(10.0));
}

#[test]
fn a_span_that_ends_before_it_begins_by_the_source_s_own_order_counts_and_is_listed() {
    let mut board = board(&[("a", &[(0, "todo"), (10, "done")])]);
    for (first, last, expected) in [(1, 2, 0), (2, 1, 1)] {
        let moves = &mut board.cards.get_mut("a").unwrap().moves;
        moves[0].order.sequence = Sequence::Number(first);
        moves[1].order.sequence = Sequence::Number(last);
        let lead = lead_time(&board, Window::default());
        assert_eq!((lead.quality.negative_spans, lead.p50), (expected, Some(10.0)));
    }
}
