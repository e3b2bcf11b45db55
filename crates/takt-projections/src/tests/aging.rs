//! What is said of single cards and columns, for a page that shows what has changed.

use super::metrics::{board, second};
use crate::{came_from, card_at, newest_of, usual_stays};
use takt_domain::{CardId, Span};

#[test]
fn a_usual_stay_is_of_stays_that_have_ended_whatever_the_moves_within_the_column() {
    let moves = [(0, "todo"), (5, "todo"), (10, "doing"), (30, "todo"), (50, "doing"), (60, "")];
    let usual = usual_stays(&board(&[("a", &moves), ("b", &[(0, "todo")])]));
    let todo = usual["todo"];
    assert_eq!((todo.stays, todo.p50), (2, Span::from_secs(15)));
    let doing = usual["doing"];
    assert_eq!((doing.stays, doing.p50), (2, Span::from_secs(15)));
    assert_eq!(doing.p85, Span::from_micros(18_500_000));
    assert!(!usual.contains_key("done"));
}

#[test]
fn the_newest_of_a_column_end_with_the_one_that_came_last() {
    let board = board(&[
        ("a", &[(30, "done")]),
        ("b", &[(10, "done")]),
        ("c", &[(20, "done")]),
        ("d", &[(40, "doing")]),
    ]);
    let newest = newest_of(&board, &"done".into(), 2, second(60));
    let ids: Vec<&str> = newest.iter().map(|card| card.id.as_str()).collect();
    assert_eq!(ids, ["c", "a"]);
    assert_eq!(newest[1].age, Span::from_secs(30));
}

#[test]
fn a_card_tells_where_it_is_and_where_it_was_before() {
    let moves = [(0, "todo"), (10, "done"), (20, "done"), (30, "doing")];
    let board = board(&[("a", &moves), ("b", &[(0, "todo"), (5, "")]), ("c", &[(0, "todo")])]);
    let of = |id: &str| {
        let id = CardId::from(id);
        let here = card_at(&board, &id, second(40)).map(|(column, _)| column.to_string());
        (here, came_from(&board, &id).map(ToString::to_string))
    };
    assert_eq!(of("a"), (Some("doing".into()), Some("done".into())));
    assert_eq!(of("b"), (None, Some("todo".into())));
    assert_eq!(of("c"), (Some("todo".into()), None));
}
