//! Whatever decodes can be folded, told and measured without a panic.

use serde_json::{Value, json};
use takt_domain::{board, policy};
use takt_projections::{Window, board_view, cycle_time, lead_time, usual_stays};

use super::*;

const GOLDENS: &str = include_str!("../../../takt-events/goldens/v1.jsonl");

/// A value that an event of the log may carry in a place, as hostile as JSON allows.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        prop::sample::select(vec![
            json!(0),
            json!(1),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX)
        ]),
        prop::sample::select(vec![
            "",
            "a",
            "Doing",
            "Done",
            "C-1",
            "C-2",
            "a-1",
            "hard",
            "stop",
            "board.main",
            "line",
            "-009999-01-02T01:59:59Z",
            "9999-12-30T22:00:00.999999Z",
            "1970-01-01T00:00:00Z",
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ]
}

/// A golden event with edits: how far to walk for each, and what to put there.
fn edited() -> impl Strategy<Value = String> {
    let goldens: Vec<&'static str> = GOLDENS.lines().collect();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), value()), 0..3);
    (prop::sample::select(goldens), edits, 0..3_u8).prop_map(|(golden, edits, keep)| {
        let mut event: Value = serde_json::from_str(golden).unwrap();
        for (place, value) in edits {
            // Most edits go into the data; an envelope that does not read is told elsewhere.
            let root = if keep == 0 { &mut event } else { &mut event["data"] };
            let mut pointers = vec![];
            leaves(root, String::new(), &mut pointers);
            if !pointers.is_empty() {
                *root.pointer_mut(place.get::<String>(&pointers)).unwrap() = value;
            }
        }
        event.to_string()
    })
}

fn leaves(value: &Value, at: String, found: &mut Vec<String>) {
    let step = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => map.iter().for_each(|(key, it)| leaves(it, step(key), found)),
        Value::Array(all) => {
            all.iter()
                .zip(0..)
                .for_each(|(it, n): (_, usize)| leaves(it, step(&n.to_string()), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(at),
    }
}

/// Looks at a world as its readers do.
fn look(world: &World) {
    world.hash();
    for view in world.streams.values() {
        andon::due(&view.line, view.state.policy.escalate_after);
        for at in [Time::from_micros(i64::MIN), Time::EPOCH, Time::from_micros(i64::MAX)] {
            let asked = takt_domain::rejection::Asked { at, actor: "takt".into() };
            let escalate_after = view.state.policy.escalate_after;
            let order = andon::Order::Wake { escalate_after };
            andon::decide(&view.line, &view.reruns, andon::Command { asked: asked.clone(), order })
                .unwrap();
            for main in view.boards.values() {
                board_view(main, at);
                let window = Window { since: None, until: Some(at) };
                lead_time(main, window);
                cycle_time(main, window);
                usual_stays(main);
                board::due(main);
                let evidence = board::Evidence {
                    line: &view.line,
                    line_seq: view.line_seq,
                    line_policy: view.state.policy.line,
                };
                let command = board::Command { asked: asked.clone(), order: Order::Wake };
                board::decide(main, evidence, command).unwrap();
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_decodes_is_folded_and_read(events in prop::collection::vec(edited(), 1..20)) {
        // On top of a history that reads well, since an edit must meet cards and alerts to matter.
        let mut world = World::default();
        let history = GOLDENS.lines().map(str::to_owned).chain(events);
        for (seq, bytes) in (1..).zip(history) {
            let Ok(recorded) = takt_events::decode(seq, bytes.as_bytes()) else { continue };
            policy::ends(&recorded);
            policy::react(None, None, &recorded);
            world.apply(&recorded);
            prop_assert_eq!(world.seq, seq);
        }
        look(&world);
    }
}

#[test]
fn every_golden_event_is_folded_and_read_in_any_order() {
    let events: Vec<&str> = GOLDENS.lines().collect();
    for turn in 0..events.len() {
        let mut world = World::default();
        for (seq, line) in (1..).zip(events.iter().cycle().skip(turn).take(events.len())) {
            world.apply(&takt_events::decode(seq, line.as_bytes()).unwrap());
        }
        look(&world);
        assert_eq!(world.seq, events.len() as u64);
    }
}
