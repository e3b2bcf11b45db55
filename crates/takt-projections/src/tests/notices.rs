//! Notices as rows: what waits, what became of it, and that nothing of it is left over.

use std::collections::BTreeMap;

use smol_str::SmolStr;
use takt_domain::notice::{Asked, Delivered, Failed, Requested, Step};
use takt_domain::{Aggregate, Event, EventId, Meta, Recorded, Time, system};
use uuid::Uuid;

use crate::{Loading, Tally, World};

fn told(seq: u64, event: system::Event) -> Recorded {
    let id = EventId(Uuid::from_u128(seq.into()));
    let meta = Meta::new(id, "urn:test".into(), Time::from_micros(7));
    let aggregate = Aggregate::Reactor("notify".into());
    Recorded { seq, stream: "shop".into(), aggregate, meta, event: Event::System(event) }
}

fn requested(through: u64, receivers: &[&str]) -> system::Event {
    let asked = |receiver: &&str| Asked {
        sequence: through,
        alert: "a1".into(),
        step: Step::Pulled,
        receiver: SmolStr::new(receiver),
    };
    let notices = receivers.iter().map(asked).collect();
    system::Event::NoticeRequested(Requested { through, notices })
}

fn delivered(sequence: u64, receiver: &str) -> system::Event {
    system::Event::NoticeDelivered(Delivered { sequence, receiver: receiver.into(), attempts: 1 })
}

fn failed(sequence: u64, receiver: &str) -> system::Event {
    let (receiver, reason) = (receiver.into(), "gone".into());
    system::Event::NoticeFailed(Failed { sequence, receiver, attempts: 1, reason })
}

/// Folds events, and the same from rows that are saved and loaded after each.
fn fold(events: Vec<system::Event>) -> World {
    let (mut world, mut rows) = (World::default(), BTreeMap::new());
    for (seq, event) in (1..).zip(events) {
        world.apply(&told(seq, event));
        for (key, value) in world.take_rows() {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        let mut loading = Loading::default();
        rows.iter().for_each(|(key, value)| loading.row(key, value));
        let loaded = loading.finish(seq).unwrap();
        assert_eq!(loaded.hash(), world.hash());
        assert_eq!(loaded.streams, world.streams);
    }
    world
}

#[test]
fn a_notice_waits_from_when_it_is_asked_for_until_it_is_delivered_or_given_up() {
    let notices = |world: &World| world.streams["shop"].notices.clone();
    let asked = vec![requested(41, &["chat", "pager"])];
    let now = notices(&fold(asked.clone()));
    let keys: Vec<_> = now.waiting.keys().map(|(seq, who)| (*seq, who.as_str())).collect();
    assert_eq!(keys, [(41, "chat"), (41, "pager")]);
    let waiting = &now.waiting[&(41, "chat".into())];
    assert_eq!((waiting.alert.as_str(), waiting.step), ("a1", Step::Pulled));
    assert_eq!(waiting.since, Time::from_micros(7));
    let ended = [delivered(41, "chat"), failed(41, "pager"), delivered(41, "chat")];
    let now = notices(&fold(asked.into_iter().chain(ended).collect()));
    assert!(now.waiting.is_empty());
    assert_eq!(now.tally, Tally { through: Some(41), delivered: 1, failed: 1 });
}

#[test]
fn the_hash_tells_what_waits_from_what_does_not() {
    let one = fold(vec![requested(41, &["chat"]), delivered(41, "chat")]);
    let two = fold(vec![requested(41, &["chat"]), delivered(41, "pager")]);
    assert_ne!(one.hash(), two.hash());
}
