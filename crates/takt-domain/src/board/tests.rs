//! The board's rules as sentences.

use proptest::prelude::*;

use super::*;
use crate::andon::{Alert, Cause, CauseKind, Effect, Line};
use crate::event::Meta;
use crate::ids::EventId;
use crate::rejection::Rejection;
use crate::stream::Strictness;

fn at(second: i64) -> Time {
    Time::EPOCH + Span::from_secs(second)
}

fn meta(id: u128, second: i64) -> Meta {
    Meta::new(EventId(uuid::Uuid::from_u128(id)), "test".into(), at(second))
}

fn column(name: &str) -> ColumnSet {
    ColumnSet {
        column: name.into(),
        kind: None,
        order: None,
        wip_limit: None,
        time_limit: None,
        stage: None,
    }
}

fn hard(name: &str, cards: u32) -> Order {
    let wip_limit = Some(WipLimit { cards, policy: WipPolicy::Hard });
    Order::SetColumn(ColumnSet { wip_limit, ..column(name) })
}

fn done(name: &str) -> Order {
    Order::SetColumn(ColumnSet { kind: Some(ColumnKind::Done), ..column(name) })
}

fn add(card: &str) -> Order {
    Order::AddCard { card: card.into(), column: None, details: Details::default(), fixes: None }
}

fn to(card: &str, column: &str) -> Order {
    Order::MoveCard { card: card.into(), column: column.into(), fixes: None }
}

fn seen(card: &str, column: &str) -> CardReported {
    CardReported {
        card: card.into(),
        column: Some(column.into()),
        details: Details::default(),
        blocked: None,
        reason: None,
        deleted: false,
    }
}

fn on(line: &Line) -> Evidence<'_> {
    Evidence { line, line_seq: 0, line_policy: Strictness::Require }
}

fn ask(board: &Board, second: i64, order: Order) -> Result<Vec<Event>, Rejection> {
    let asked = Asked { at: at(second), actor: "ann".into() };
    decide(board, on(&Line::default()), Command { asked, order })
}

/// Decides and evolves orders one second apart, starting at second 1.
fn given(orders: impl IntoIterator<Item = Order>) -> Board {
    let mut board = Board::default();
    for (second, order) in (1..).zip(orders) {
        for event in ask(&board, second, order).unwrap() {
            board = evolve(board, &meta(second as u128, second), &event);
        }
    }
    board
}

fn codes(result: Result<Vec<Event>, Rejection>) -> Vec<&'static str> {
    match result {
        Err(Rejection::Refused(unmet)) => unmet.iter().map(|one| one.code).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

fn stopped(stage: Option<&str>) -> Line {
    let alert = Alert {
        effect: Effect::Stop,
        cause: Cause { kind: CauseKind::Test, source: "ci".into(), id: "1".into() },
        stage: stage.map(Into::into),
        column: None,
        name: Default::default(),
        parts: Default::default(),
        seen_at: at(0),
        pulled_at: at(0),
        summary: "2 tests failed".into(),
        events: vec![],
        acknowledged: None,
        unattended_since: at(0),
        escalated: false,
        cleared: false,
    };
    Line { open: [("a-1".into(), alert)].into(), ..Line::default() }
}

#[test]
fn a_full_column_refuses_the_next_card_with_its_count_and_limit() {
    let board = given([hard("todo", 9), hard("doing", 1), add("a"), add("b"), to("a", "doing")]);
    let rejection = ask(&board, 9, to("b", "doing")).unwrap_err();
    assert_eq!(rejection.to_string(), "column `doing` is full: 1 cards, hard limit 1");
    assert_eq!(codes(ask(&board, 9, to("b", "doing"))), ["wip_limit"]);
}

#[test]
fn a_new_card_goes_into_the_first_column_and_needs_one() {
    assert_eq!(codes(ask(&Board::default(), 1, add("a"))), ["no_columns"]);
    let board = given([hard("todo", 9), hard("doing", 1), add("a")]);
    assert_eq!(board.cards[&CardId::from("a")].place(), Some(&"todo".into()));
    assert_eq!(codes(ask(&board, 4, add("a"))), ["card_exists"]);
}

#[test]
fn a_move_to_where_the_card_is_already_is_no_event() {
    let board = given([hard("todo", 1), add("a")]);
    assert_eq!(ask(&board, 3, to("a", "todo")), Ok(vec![]));
}

#[test]
fn what_is_not_there_is_not_found_by_its_name() {
    let board = given([hard("todo", 9), add("a")]);
    for (order, message) in [
        (to("z", "todo"), "card `z` does not exist"),
        (to("a", "nowhere"), "column `nowhere` does not exist"),
        (Order::Delete { card: "z".into() }, "card `z` does not exist"),
    ] {
        assert_eq!(ask(&board, 3, order).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_deleted_card_is_off_the_board_and_may_come_back() {
    let board = given([hard("todo", 1), add("a"), Order::Delete { card: "a".into() }, add("a")]);
    assert_eq!(board.count(&"todo".into()), 1);
}

#[test]
fn a_limit_of_zero_and_a_negative_time_are_invalid() {
    let time_limit = Some(Span::from_secs(-1));
    for order in [hard("todo", 0), Order::SetColumn(ColumnSet { time_limit, ..column("todo") })] {
        let rejection = ask(&Board::default(), 1, order).unwrap_err();
        assert!(matches!(rejection, Rejection::Invalid { .. }), "{rejection}");
    }
}

#[test]
fn lowering_a_limit_below_the_count_is_allowed_and_the_column_is_over() {
    let board = given([hard("todo", 3), add("a"), add("b"), hard("todo", 1)]);
    assert!(board.is_over(&"todo".into()));
}

#[test]
fn a_fact_enters_any_column_and_commands_are_refused_until_there_is_room() {
    let mut board = given([hard("todo", 9), hard("doing", 1), add("a")]);
    for n in 0..2 {
        let event = Event::CardReported(seen(&format!("f{n}"), "doing"));
        board = evolve(board, &meta(100 + n, 50), &event);
    }
    assert_eq!(board.count(&"doing".into()), 2);
    assert_eq!(codes(ask(&board, 60, to("a", "doing"))), ["wip_limit"]);
}

#[test]
fn a_fact_about_an_unknown_column_makes_it_at_the_end_unplanned() {
    let board = given([hard("todo", 9)]);
    let board = evolve(board, &meta(9, 9), &Event::CardReported(seen("a", "limbo")));
    let names: Vec<&str> = board.column_order().iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["todo", "limbo"]);
    assert!(board.columns[&ColumnName::from("limbo")].is_unplanned());
}

#[test]
fn a_late_older_fact_changes_history_and_not_the_place() {
    let board = given([hard("todo", 9), hard("doing", 9), add("a"), to("a", "doing")]);
    let board = evolve(board, &meta(9, -5), &Event::CardReported(seen("a", "todo")));
    let card = &board.cards[&CardId::from("a")];
    assert_eq!(card.place(), Some(&"doing".into()));
    assert_eq!(card.first_seen(), Some(at(-5)));
}

#[test]
fn a_stopped_line_keeps_cards_out_of_done_and_says_which_alert() {
    let board = given([hard("todo", 9), done("done"), add("a")]);
    let line = stopped(None);
    let asked = Asked { at: at(9), actor: "ann".into() };
    let command = Command { asked, order: to("a", "done") };
    let rejection = decide(&board, on(&line), command.clone()).unwrap_err();
    assert_eq!(rejection.to_string(), "the line is stopped by alert `a-1`: 2 tests failed");
    assert!(rejection.remedies()[0].starts_with("`takt andon resolve a-1"));
    assert_eq!(passed_over(&board, on(&line), &command.order), []);
    let off = Evidence { line_policy: Strictness::Off, ..on(&line) };
    assert_eq!(passed_over(&board, off, &command.order), []);
    assert_eq!(decide(&board, off, command.clone()).unwrap().len(), 1);
    // A policy that warns lets the card go, and tells what it passed over.
    let warn = Evidence { line_policy: Strictness::Warn, ..on(&line) };
    assert_eq!(passed_over(&board, warn, &command.order)[0].code, "line_stopped");
    assert_eq!(decide(&board, warn, command).unwrap().len(), 2);
    let add = |column: &str, fixes: Option<AlertId>| Order::AddCard {
        card: "b".into(),
        column: Some(column.into()),
        details: Details::default(),
        fixes,
    };
    for (order, expected) in
        [(add("todo", None), 0), (add("done", None), 1), (add("done", Some("a-1".into())), 0)]
    {
        assert_eq!(passed_over(&board, warn, &order).len(), expected, "{order:?}");
    }
}

#[test]
fn a_move_past_a_stage_is_held_by_an_alert_of_that_stage_only() {
    let staged = Order::SetColumn(ColumnSet { stage: Some("unit".into()), ..column("test") });
    let board = given([hard("todo", 9), staged, hard("ship", 9), add("a")]);
    let try_with = |stage| {
        let asked = Asked { at: at(9), actor: "ann".into() };
        decide(&board, on(&stopped(stage)), Command { asked, order: to("a", "ship") })
    };
    assert_eq!(codes(try_with(Some("unit"))), ["line_stopped"]);
    let events = try_with(Some("acceptance")).unwrap();
    assert!(matches!(events[..], [Event::CardMoved(_), Event::GatePassed(_)]), "{events:?}");
}

#[test]
fn work_marked_as_the_fix_passes_its_own_alert_and_no_other() {
    let board = given([hard("todo", 9), done("done"), add("a")]);
    let mut line = stopped(None);
    let as_fix = |line: &Line, alert: &str| {
        let asked = Asked { at: at(9), actor: "ann".into() };
        let fixes = Some(alert.into());
        let order = Order::MoveCard { card: "a".into(), column: "done".into(), fixes };
        decide(&board, on(line), Command { asked, order })
    };
    let events = as_fix(&line, "a-1").unwrap();
    let [Event::CardMoved(_), Event::GatePassed(passed)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(passed.fixes, Some("a-1".into()));
    let unknown = as_fix(&line, "a-9").unwrap_err();
    assert_eq!(unknown.to_string(), "open alert `a-9` does not exist");
    line.open.insert("a-2".into(), line.open[&AlertId::from("a-1")].clone());
    let rejection = as_fix(&line, "a-1").unwrap_err();
    assert!(rejection.to_string().contains("`a-2`"), "{rejection}");
    assert!(rejection.remedies()[0].contains("`takt card move a 'done' --fixes a-2`"));
}

#[test]
fn an_import_is_closed_once_by_command_or_a_minute_after_its_last_fact() {
    let historical = Meta { historical: true, recorded: at(100), ..meta(9, 2) };
    let board = given([hard("todo", 1)]);
    assert_eq!(ask(&board, 3, Order::CloseImport), Ok(vec![]));
    let board = evolve(board, &historical, &Event::CardReported(seen("a", "todo")));
    assert_eq!(due(&board), Some(at(160)));
    assert_eq!(ask(&board, 159, Order::Wake), Ok(vec![]));
    let closed = ask(&board, 160, Order::Wake).unwrap();
    assert_eq!(ask(&board, 101, Order::CloseImport).unwrap(), closed);
    let board = evolve(board, &meta(10, 160), &closed[0]);
    assert_eq!((due(&board), ask(&board, 999, Order::Wake)), (None, Ok(vec![])));
}

#[test]
fn a_longer_limit_gives_a_stay_a_later_deadline_and_a_shorter_one_tells_nothing_twice() {
    let limit = |seconds| {
        let time_limit = Some(Span::from_secs(seconds));
        Order::SetColumn(ColumnSet { time_limit, ..column("todo") })
    };
    let mut board = given([limit(10), add("a")]);
    let mut step = |second: i64, order: Order| {
        let events = ask(&board, second, order).unwrap();
        for event in &events {
            board = evolve(board.clone(), &meta(second as u128, second), event);
        }
        (events.len(), due(&board))
    };
    assert_eq!(step(12, Order::Wake), (1, None));
    assert_eq!(step(13, limit(5)), (1, None));
    assert_eq!(step(14, limit(0)), (1, None));
    assert_eq!(step(15, limit(50)), (1, Some(at(52))));
    assert_eq!(step(60, Order::Wake), (1, None));
}

#[test]
fn every_unmet_condition_is_told_at_once() {
    let wip_limit = Some(WipLimit { cards: 1, policy: WipPolicy::Hard });
    let full = ColumnSet { kind: Some(ColumnKind::Done), wip_limit, ..column("done") };
    let orders = [hard("todo", 9), Order::SetColumn(full), add("a"), add("b"), to("a", "done")];
    let board = given(orders);
    let asked = Asked { at: at(9), actor: "ann".into() };
    let refused = decide(&board, on(&stopped(None)), Command { asked, order: to("b", "done") });
    assert_eq!(codes(refused), ["wip_limit", "line_stopped"]);
}

#[test]
fn a_stay_begun_by_a_historical_fact_never_fires_its_time_limit() {
    let limit = Some(Span::from_secs(10));
    let board = given([Order::SetColumn(ColumnSet { time_limit: limit, ..column("todo") })]);
    let historical = Meta { historical: true, ..meta(9, 2) };
    let old = evolve(board.clone(), &historical, &Event::CardReported(seen("a", "todo")));
    let closed = Event::ImportClosed(ImportClosed { over_limit: BTreeMap::new() });
    assert_eq!(due(&evolve(old, &meta(10, 3), &closed)), None);
    let live = evolve(board, &meta(9, 2), &Event::CardReported(seen("a", "todo")));
    assert_eq!(due(&live), Some(at(12)));
}

#[test]
fn a_command_is_dated_after_the_cards_latest_move() {
    let board = given([hard("todo", 9), add("a")]);
    assert_eq!(event_time(&board, &"a".into(), at(1)), at(2) + Span::from_micros(1));
    assert_eq!(event_time(&board, &"a".into(), at(99)), at(99));
}

#[test]
fn an_unblock_holds_although_the_clock_has_stepped_back() {
    let board = given([hard("todo", 9), add("a")]);
    let blocked = Event::CardBlocked(CardBlocked { card: "a".into(), reason: "data".into() });
    let board = evolve(board, &meta(50, 1000), &blocked);
    let time = event_time(&board, &"a".into(), at(500));
    let later = Meta { time, ..meta(51, 500) };
    let free = evolve(board, &later, &Event::CardUnblocked(CardUnblocked { card: "a".into() }));
    assert_eq!(free.cards[&CardId::from("a")].blocked(), None);
}

const COLUMNS: [&str; 3] = ["todo", "doing", "done"];

fn facts() -> impl Strategy<Value = Vec<(Meta, Event)>> {
    let fact = (0..4_usize, 0..3_usize, -3_i64..20, 0..8_u8);
    prop::collection::vec(fact, 1..40).prop_map(|rows| {
        let fact = |(n, (card, column, second, twist)): (usize, (usize, usize, i64, u8))| {
            let report = CardReported {
                blocked: (twist == 1).then_some(true),
                deleted: twist == 2,
                details: Details {
                    title: (twist == 3).then(|| format!("t{n}").into()),
                    ..Details::default()
                },
                ..seen(&format!("c{card}"), COLUMNS[column])
            };
            let event = match twist {
                4 => Event::ColumnReported(ColumnReported {
                    column: COLUMNS[column].into(),
                    kind: Some(ColumnKind::Done),
                    order: Some(card as i32),
                }),
                _ => Event::CardReported(report),
            };
            (meta(n as u128 + 1, second), event)
        };
        rows.into_iter().enumerate().map(fact).collect()
    })
}

fn fold<'a>(facts: impl IntoIterator<Item = &'a (Meta, Event)>) -> Board {
    facts.into_iter().fold(Board::default(), |board, (meta, event)| evolve(board, meta, event))
}

/// What comes of one of the things that may happen to a card and a column; nothing if refused.
fn happen(
    board: &Board,
    second: i64,
    what: u8,
    (card, name): (&str, &str),
    limit: u32,
) -> Vec<Event> {
    let order = match what {
        0 | 1 => return vec![Event::CardReported(seen(card, name))],
        2 | 3 => Order::AddCard {
            card: card.into(),
            column: Some(name.into()),
            details: Details::default(),
            fixes: None,
        },
        4 | 5 => to(card, name),
        6 => Order::Delete { card: card.into() },
        _ => hard(name, limit),
    };
    ask(board, second, order).unwrap_or_default()
}

fn counted(board: &Board) -> BTreeMap<ColumnName, u32> {
    let mut counts = BTreeMap::new();
    for place in board.cards.values().filter_map(Card::place) {
        *counts.entry(place.clone()).or_default() += 1;
    }
    counts
}

proptest! {
    #[test]
    fn facts_in_any_order_and_doubled_make_the_same_board(
        (facts, shuffled) in facts().prop_flat_map(|facts| {
            let doubled: Vec<_> = facts.iter().chain(&facts).cloned().collect();
            (Just(facts), Just(doubled).prop_shuffle())
        })
    ) {
        let board = fold(&facts);
        prop_assert_eq!(&fold(&shuffled), &board);
        prop_assert_eq!(counted(&board), board.counts);
    }

    #[test]
    fn no_command_enters_a_column_at_or_above_its_hard_limit(
        steps in prop::collection::vec((0..2_usize, 0..8_u8, 0..6_u8, 0..3_usize, 0..4_u32), 1..150),
    ) {
        let board = || given([hard("todo", 2), hard("doing", 1), hard("done", 3)]);
        let mut boards = [board(), board()];
        for (n, (on, what, card, place, limit)) in (10..).zip(steps) {
            let before = boards[on].clone();
            let events = happen(&before, n, what, (&format!("c{card}"), COLUMNS[place]), limit);
            let by_fact = what < 2;
            let after = events.iter().zip(0..).fold(before.clone(), |board, (event, part)| {
                // The clock may stand behind a fact; a command is dated after it all the same.
                let time = if by_fact { at(n + 30) } else { event_time(&board, &format!("c{card}").as_str().into(), at(n)) };
                evolve(board, &Meta { time, ..meta(n as u128 * 10 + part, n) }, event)
            });
            prop_assert_eq!(counted(&after), after.counts.clone());
            for (name, column) in &before.columns {
                let (was, is) = (before.count(name), after.count(name));
                prop_assert!(by_fact || is <= was || is <= column.wip_limit.cards, "{events:?}: {name} {is}");
            }
            boards[on] = after;
        }
    }

    #[test]
    fn a_breach_is_told_once_across_downtime_and_clock_steps(
        steps in prop::collection::vec(-3600_i64..7200, 1..40),
    ) {
        let limit = Some(Span::from_secs(3600));
        let mut board = given([
            Order::SetColumn(ColumnSet { time_limit: limit, ..column("todo") }),
            add("a"),
            add("b"),
        ]);
        let (mut now, mut latest, mut told) = (3, 3, vec![]);
        for (n, step) in (10..).zip(steps) {
            now += step;
            latest = latest.max(now);
            for event in ask(&board, now, Order::Wake).unwrap() {
                board = evolve(board, &meta(n, now), &event);
                told.push(event);
            }
        }
        let expected = [3602, 3603].iter().filter(|deadline| **deadline <= latest).count();
        prop_assert_eq!(told.len(), expected);
    }
}
