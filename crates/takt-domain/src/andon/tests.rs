//! The line's rules as sentences.

use proptest::prelude::*;

use super::*;
use crate::event::Meta;
use crate::ids::EventId;
use crate::rejection::Rejection;

const HOUR: Span = Span::from_secs(3600);

fn at(second: i64) -> Time {
    Time::EPOCH + Span::from_secs(second)
}

fn cause(kind: CauseKind) -> Cause {
    Cause { kind, source: "ci".into(), id: "run-1".into() }
}

fn pull(kind: CauseKind, event: &str, second: i64) -> Order {
    Order::Pull {
        alert: format!("a-{second}").as_str().into(),
        cause: cause(kind),
        stage: None,
        column: None,
        cleared_by: None,
        trigger: Trigger { event: event.into(), at: at(second), summary: "it broke".into() },
    }
}

fn ask(second: i64, order: Order) -> Command {
    Command { asked: Asked { at: at(second), actor: "ann".into() }, order }
}

fn meta(time: Time) -> Meta {
    Meta::new(EventId::default(), "urn:takt:test".into(), time)
}

/// Decides and evolves a day of orders; returns the line and all events with their second.
fn day(orders: &[(i64, Order)]) -> (Line, Vec<Event>) {
    let mut line = Line::default();
    let mut all = vec![];
    for (second, order) in orders {
        for event in decide(&line, &Reruns::default(), ask(*second, order.clone())).unwrap() {
            line = evolve(line, &meta(at(*second)), &event);
            all.push(event);
        }
    }
    (line, all)
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events
        .iter()
        .map(|event| match event {
            Event::Pulled(_) => "pulled",
            Event::Joined(_) => "joined",
            Event::Acknowledged(_) => "acknowledged",
            Event::AcknowledgementExpired(_) => "expired",
            Event::Escalated(_) => "escalated",
            Event::ConditionCleared(_) => "cleared",
            Event::Resolved(_) => "resolved",
        })
        .collect()
}

fn fixed(alert: &str) -> Order {
    Order::Resolve {
        alert: alert.into(),
        category: Category::Fixed,
        cause: "a wrong port".into(),
        countermeasure: "a test of the port".into(),
    }
}

#[test]
fn the_same_cause_pulls_once_and_then_joins() {
    let (line, events) = day(&[
        (1, pull(CauseKind::Test, "e1", 1)),
        (2, pull(CauseKind::Test, "e2", 2)),
        (3, pull(CauseKind::Test, "e2", 2)),
    ]);
    assert_eq!(kinds(&events), ["pulled", "joined"]);
    assert!(line.is_stopped());
}

#[test]
fn only_a_stop_stops_the_line() {
    for (kind, stopped) in [
        (CauseKind::Test, true),
        (CauseKind::Pipeline, true),
        (CauseKind::Deployment, true),
        (CauseKind::Rollback, true),
        (CauseKind::Incident, true),
        (CauseKind::Person, true),
        (CauseKind::WipLimit, false),
        (CauseKind::TimeLimit, false),
        (CauseKind::Drift, false),
    ] {
        assert_eq!(day(&[(1, pull(kind, "e1", 1))]).0.is_stopped(), stopped, "{kind:?}");
    }
}

#[test]
fn a_trigger_after_the_resolve_opens_a_new_alert_and_one_before_it_does_not() {
    let start = [(1, pull(CauseKind::Test, "e1", 1)), (10, fixed("a-1"))];
    let late = [&start[..], &[(11, pull(CauseKind::Test, "e2", 10))]].concat();
    assert_eq!(kinds(&day(&late).1), ["pulled", "resolved"]);
    let new = [&start[..], &[(11, pull(CauseKind::Test, "e2", 11))]].concat();
    assert_eq!(kinds(&day(&new).1), ["pulled", "resolved", "pulled"]);
}

#[test]
fn a_warning_is_told_once_and_ends_with_its_condition() {
    let clear = Order::Clear { cause: cause(CauseKind::WipLimit), at: at(5) };
    let (line, events) = day(&[
        (1, pull(CauseKind::WipLimit, "e1", 1)),
        (2, pull(CauseKind::WipLimit, "e2", 2)),
        (5, clear),
    ]);
    assert_eq!((kinds(&events), line.open.len()), (vec!["pulled", "resolved"], 0));
}

#[test]
fn a_breach_seen_in_an_older_fact_after_the_end_of_the_last_one_is_told_too() {
    let (line, _) = day(&[
        (1, pull(CauseKind::WipLimit, "e1", 1)),
        (5, Order::Clear { cause: cause(CauseKind::WipLimit), at: at(5) }),
        (6, pull(CauseKind::WipLimit, "e2", 3)),
    ]);
    assert_eq!(line.open.len(), 1);
}

#[test]
fn the_end_of_a_condition_resolves_no_stop() {
    let clear = Order::Clear { cause: cause(CauseKind::Test), at: at(5) };
    let (line, events) = day(&[(1, pull(CauseKind::Test, "e1", 1)), (5, clear)]);
    assert_eq!((kinds(&events), line.is_stopped()), (vec!["pulled"], true));
}

#[test]
fn an_alert_that_knows_no_parts_is_cleared_by_its_own_root_only() {
    let rerun = |id: &str, second| Order::Rerun {
        cause: Cause { id: id.into(), ..cause(CauseKind::Test) },
        name: "unit".into(),
        at: at(second),
    };
    let pulled = (3, pull(CauseKind::Test, "e1", 3));
    for (order, expected) in [
        (rerun("run-1", 5), &["pulled", "cleared"][..]),
        (rerun("run-1", 3), &["pulled"]),
        (rerun("run-2", 5), &["pulled"]),
    ] {
        let (line, events) = day(&[pulled.clone(), (5, order.clone()), (6, order)]);
        assert_eq!((kinds(&events), line.is_stopped()), (expected.to_vec(), true));
    }
}

#[test]
fn nobody_without_a_name_acknowledges_or_resolves() {
    let (line, _) = day(&[(1, pull(CauseKind::Test, "e1", 1))]);
    let ack = Order::Acknowledge { alert: "a-1".into(), hold: HOUR };
    for order in [ack, fixed("a-1")] {
        let command = Command { asked: Asked { at: at(2), actor: " ".into() }, order };
        let rejection = decide(&line, &Reruns::default(), command).unwrap_err();
        assert!(rejection.to_string().starts_with("actor is empty"), "{rejection}");
    }
}

#[test]
fn clearing_what_is_not_open_is_no_event() {
    let clear = Order::Clear { cause: cause(CauseKind::Test), at: at(5) };
    assert_eq!(decide(&Line::default(), &Reruns::default(), ask(5, clear)), Ok(vec![]));
}

#[test]
fn a_resolve_says_what_it_was_and_people_do_not_say_cleared() {
    let (line, _) = day(&[(1, pull(CauseKind::Test, "e1", 1))]);
    for (category, cause, field) in
        [(Category::Fixed, " ", "cause"), (Category::Cleared, "it went away", "category")]
    {
        let order = Order::Resolve {
            alert: "a-1".into(),
            category,
            cause: cause.into(),
            countermeasure: "".into(),
        };
        let rejection = decide(&line, &Reruns::default(), ask(2, order)).unwrap_err();
        let Rejection::Invalid { field: named, .. } = rejection else { panic!("{rejection}") };
        assert_eq!(named, field);
    }
}

#[test]
fn an_alert_that_is_not_open_is_not_found_by_its_name() {
    let hold = Order::Acknowledge { alert: "a-9".into(), hold: HOUR };
    for order in [fixed("a-9"), hold] {
        let rejection = decide(&Line::default(), &Reruns::default(), ask(1, order)).unwrap_err();
        assert_eq!(rejection.to_string(), "open alert `a-9` does not exist");
    }
}

#[test]
fn an_acknowledgement_holds_for_a_time_above_zero() {
    let (line, _) = day(&[(1, pull(CauseKind::Test, "e1", 1))]);
    let order = Order::Acknowledge { alert: "a-1".into(), hold: Span::ZERO };
    assert!(decide(&line, &Reruns::default(), ask(2, order)).is_err());
}

#[test]
fn nobody_is_escalated_to_while_somebody_looks_after_it() {
    let ack = Order::Acknowledge { alert: "a-1".into(), hold: HOUR };
    let wake = Order::Wake { escalate_after: Span::from_secs(60) };
    let (line, events) =
        day(&[(1, pull(CauseKind::Test, "e1", 1)), (2, ack), (3599, wake.clone())]);
    assert_eq!(kinds(&events), ["pulled", "acknowledged"]);
    assert_eq!(due(&line, Span::from_secs(60)), Some(at(3602)));
    // A day of downtime: both deadlines have passed, and both are told in one go.
    let told = decide(&line, &Reruns::default(), ask(86_400, wake)).unwrap();
    assert_eq!(kinds(&told), ["expired", "escalated"]);
}

#[test]
fn who_looks_after_an_alert_last_does_and_until_then_only() {
    let (line, _) = day(&[(1, pull(CauseKind::Test, "e1", 1))]);
    let by = |line: &Line, actor: &str, second, hold| {
        let asked = Asked { at: at(second), actor: actor.into() };
        let order = Order::Acknowledge { alert: "a-1".into(), hold };
        let events = decide(line, &Reruns::default(), Command { asked, order }).unwrap();
        events.iter().fold(line.clone(), |line, event| evolve(line, &meta(at(second)), event))
    };
    let line = by(&line, "ann", 2, HOUR);
    let line = by(&line, "bob", 3, Span::from_secs(60));
    let alert = &line.open[&AlertId::from("a-1")];
    assert_eq!(alert.acknowledged, Some(("bob".into(), at(63))));
    assert_eq!(due(&line, HOUR), Some(at(63)));
}

#[test]
fn an_alert_may_be_resolved_before_anybody_has_acknowledged_it() {
    let ack = Order::Acknowledge { alert: "a-1".into(), hold: HOUR };
    let (line, events) = day(&[(1, pull(CauseKind::Test, "e1", 1)), (2, fixed("a-1"))]);
    assert_eq!((kinds(&events), due(&line, HOUR)), (vec!["pulled", "resolved"], None));
    assert!(decide(&line, &Reruns::default(), ask(3, ack)).is_err());
}

#[test]
fn two_pulls_of_one_person_are_two_alerts_unless_they_are_about_the_same() {
    let mut other = pull(CauseKind::Person, "", 2);
    let Order::Pull { cause, .. } = &mut other else { panic!("a pull") };
    cause.id = "another".into();
    let first = (1, pull(CauseKind::Person, "", 1));
    assert_eq!(kinds(&day(&[first.clone(), (2, other)]).1), ["pulled", "pulled"]);
    let same = (2, pull(CauseKind::Person, "", 2));
    assert_eq!(kinds(&day(&[first, same]).1), ["pulled", "joined"]);
}

proptest! {
    #[test]
    fn what_is_due_is_told_once_however_the_clock_steps(
        steps in prop::collection::vec(-3600_i64..7200, 1..60),
    ) {
        let ack = Order::Acknowledge { alert: "a-1".into(), hold: HOUR };
        let escalate_after = Span::from_secs(600);
        let (mut line, _) = day(&[(1, pull(CauseKind::Test, "e1", 1)), (2, ack)]);
        let mut now = 2;
        let mut latest = now;
        let mut told = vec![];
        for step in steps {
            now += step;
            latest = latest.max(now);
            for event in decide(&line, &Reruns::default(), ask(now, Order::Wake { escalate_after })).unwrap() {
                line = evolve(line, &meta(at(now)), &event);
                told.push(event);
            }
        }
        let expected: &[&str] = match latest {
            ..3602 => &[],
            3602..4202 => &["expired"],
            4202.. => &["expired", "escalated"],
        };
        prop_assert_eq!(kinds(&told), expected);
        if latest >= 4202 {
            prop_assert_eq!(due(&line, escalate_after), None);
        }
    }
}

#[test]
fn only_a_stop_is_remembered_once_it_is_resolved() {
    let clear = Order::Clear { cause: cause(CauseKind::WipLimit), at: at(5) };
    let (line, _) = day(&[(1, pull(CauseKind::WipLimit, "e1", 1)), (5, clear)]);
    assert_eq!(line, Line::default());
    let (line, _) = day(&[(1, pull(CauseKind::Test, "e1", 1)), (5, fixed("a-1"))]);
    assert_eq!(line.resolved.len(), 1);
}

#[test]
fn an_alert_remembers_the_newest_events_that_joined_it_and_no_more() {
    let orders: Vec<_> =
        (1..=250).map(|n| (n, pull(CauseKind::Test, &format!("e{n}"), n))).collect();
    let (line, events) = day(&orders);
    assert_eq!(events.len(), 250);
    let known = &line.open[&AlertId::from("a-1")].events;
    assert_eq!((known.len(), known[0].as_str(), known[99].as_str()), (100, "e151", "e250"));
    let again = ask(251, pull(CauseKind::Test, "e250", 250));
    assert_eq!(decide(&line, &Reruns::default(), again), Ok(vec![]));
}

#[test]
fn what_fell_due_of_many_alerts_is_told_in_turns() {
    let pulls: Vec<_> = (1..=600)
        .map(|n| {
            let mut order = pull(CauseKind::Person, "", n);
            let Order::Pull { cause, .. } = &mut order else { panic!("a pull") };
            cause.id = format!("p{n}").into();
            (n, order)
        })
        .collect();
    let (mut line, _) = day(&pulls);
    let mut told = vec![];
    for _ in 0..3 {
        let wake = Order::Wake { escalate_after: HOUR };
        let events = decide(&line, &Reruns::default(), ask(9_000, wake)).unwrap();
        told.push(events.len());
        line = events.iter().fold(line, |line, event| evolve(line, &meta(at(9_000)), event));
    }
    assert_eq!(told, [500, 100, 0]);
}
