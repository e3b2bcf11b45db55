//! Entries that this version does not understand are kept, and told once.

use takt_domain::{Aggregate, EventId};
use takt_ports::{Append, NewEntry, Subject};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber, subscriber};

use super::*;

/// Keeps the warnings of a thread, as `field=value` texts.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

/// Appends an entry as it stands on the subject of the board `main`.
async fn append_raw(house: &House, id: u128, bytes: String) -> u64 {
    let subject = Subject::of(&shop(), &Aggregate::Board(BoardId::main()));
    let entry = NewEntry { subject, id: EventId(uuid::Uuid::from_u128(id)), bytes: bytes.into() };
    house.log.append(Append { conditions: vec![], entries: vec![entry] }).await.unwrap()
}

#[tokio::test]
async fn an_entry_that_is_not_understood_is_told_once_with_its_sequence_type_and_fault() {
    let warnings = Warnings::default();
    let _guard = subscriber::set_default(warnings.clone());
    let house = House::new();
    let engine = with_columns(&house).await;
    let last = house.log.read(house.log.head().await.unwrap(), 1).await.unwrap().remove(0);
    let set = String::from_utf8(last.bytes.to_vec()).unwrap();
    let misfit = append_raw(&house, 1, set.replace("\"cards\":3", "\"cards\":\"many\"")).await;
    let broken = append_raw(&house, 2, set.replace("\"time\":\"", "\"time\":\"x")).await;
    append_raw(&house, 3, set.replace("column_set.v1", "column_sung.v1")).await;
    board(&engine, add("a")).await.unwrap();
    engine.verify().await.unwrap();
    engine.shutdown().await;
    house.open().await.shutdown().await;

    let told = warnings.0.lock().unwrap().clone();
    assert_eq!(told.len(), 2, "{told:?}");
    for (text, seq, fault) in [
        (&told[0], misfit, "data of type `dev.takt.board.column_set.v1` does not read"),
        (&told[1], broken, "attribute `time` is"),
    ] {
        assert!(text.contains(&format!("seq={seq} ")) && text.contains(fault), "{text}");
    }
}
