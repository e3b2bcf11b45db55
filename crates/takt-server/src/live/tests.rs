//! What a browser gets that was away, and what a burst of events is taken for.

use takt_domain::board::{self, CardMoved};
use takt_domain::{Aggregate, BoardId, CardId, Event, EventId, Meta, Recorded, Time};

use super::feed::{Feed, Update};
use super::patch::Touched;

fn feed(base: u64, patches: impl IntoIterator<Item = u64>) -> Feed {
    let feed = Feed::new(base);
    patches.into_iter().for_each(|seq| feed.push(Update { seq, patch: Some("{}".to_owned()) }));
    feed
}

/// The sequences of the patches that are sent; `None` for the order to look again.
fn missed(feed: &Feed, from: Option<u64>, head: u64) -> Vec<Option<u64>> {
    let (missed, _) = feed.subscribe(from, head);
    missed.iter().map(|it| it.patch.as_ref().map(|_| it.seq)).collect()
}

#[test]
fn a_browser_that_was_away_gets_the_patches_that_it_missed_and_no_others() {
    let feed = feed(10, [12, 15, 18]);
    assert_eq!(missed(&feed, Some(12), 20), [Some(15), Some(18)]);
    assert_eq!(missed(&feed, Some(10), 20), [Some(12), Some(15), Some(18)]);
    assert_eq!(missed(&feed, Some(19), 20), []);
}

#[test]
fn a_browser_that_missed_too_much_or_knows_another_log_looks_again() {
    let long = feed(10, 11..=300);
    assert_eq!(missed(&long, Some(20), 300), [None]);
    assert_eq!(missed(&long, Some(44), 300).len(), 256);
    let feed = feed(10, [12]);
    for unknown in [None, Some(9), Some(21)] {
        assert_eq!(missed(&feed, unknown, 20), [None], "{unknown:?}");
    }
}

fn moved(card: usize, board: &str) -> Recorded {
    let moved = CardMoved {
        card: CardId::new(format!("C-{card}")),
        from: "Ready".into(),
        column: "Doing".into(),
    };
    Recorded {
        seq: 1,
        stream: "shop".into(),
        aggregate: Aggregate::Board(BoardId::from(board)),
        meta: Meta::new(EventId::default(), "".into(), Time::EPOCH),
        event: Event::Board(board::Event::CardMoved(moved)),
    }
}

#[test]
fn a_burst_touches_each_card_once_and_a_large_one_the_whole_board() {
    let mut touched = Touched::default();
    (0..300).chain(0..300).for_each(|card| touched.note(&moved(card, "main")));
    assert_eq!((touched.cards.len(), touched.everything), (300, false));
    touched.note(&moved(300, "main"));
    assert!(touched.everything);
}

#[test]
fn another_board_touches_nothing() {
    let mut touched = Touched::default();
    touched.note(&moved(1, "side"));
    assert!(touched.is_nothing());
}
