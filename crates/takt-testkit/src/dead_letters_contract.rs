//! What every keeper of dead letters must do, as one suite that each adapter runs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test suite fails by panic")]

use std::sync::Arc;

use takt_domain::{EventId, Time};
use takt_ports::{DeadLetters, Fate, NewDeadLetter};

/// A letter of a stream whose id is derived from its text.
pub fn letter(stream: &str, text: &str) -> NewDeadLetter {
    NewDeadLetter {
        id: EventId::derive("urn:takt:dead", text, 0).0,
        stream: stream.into(),
        reason: "not json".into(),
        place: "line 1 column 1".into(),
        remedy: "send a CloudEvent".into(),
        at: Time::from_micros(1_700_000_000_000_001),
        bytes: text.to_owned().into(),
        length: text.len() as u64,
        sha256: "00".into(),
    }
}

/// Runs every rule on a fresh keeper.
///
/// # Panics
/// When a rule does not hold.
pub async fn dead_letters_contract(make: impl AsyncFn() -> Arc<dyn DeadLetters>) {
    let letters = make().await;
    assert!(letters.list(None, 0, 10).await.unwrap().is_empty());
    let a = letters.keep(letter("shop", "a")).await.unwrap();
    let b = letters.keep(letter("bank", "b")).await.unwrap();
    let c = letters.keep(letter("shop", "c")).await.unwrap();
    assert!(0 < a && a < b && b < c);
    assert_eq!(letters.keep(letter("shop", "a")).await.unwrap(), a, "an id is kept once");

    let all = letters.list(None, 0, 10).await.unwrap();
    assert_eq!(all.iter().map(|known| known.seq).collect::<Vec<_>>(), [a, b, c]);
    assert_eq!(all[0].letter, letter("shop", "a"));
    assert_eq!(letters.list(None, a, 1).await.unwrap(), all[1..2]);
    assert_eq!(letters.list(Some(&"shop".into()), a, 10).await.unwrap(), all[2..3]);
    assert_eq!(letters.get(all[1].letter.id).await.unwrap().as_ref(), Some(&all[1]));
    assert_eq!(letters.get(uuid::Uuid::nil()).await.unwrap(), None);

    let recorded = Fate::Recorded { sequence: 7 };
    assert_eq!(letters.fate(all[0].letter.id).await.unwrap(), None, "it is kept");
    assert!(letters.remove(all[0].letter.id, recorded).await.unwrap());
    assert!(!letters.remove(all[0].letter.id, Fate::Dropped).await.unwrap());
    assert_eq!(letters.fate(all[0].letter.id).await.unwrap(), Some(recorded), "the first counts");
    assert_eq!(letters.fate(uuid::Uuid::nil()).await.unwrap(), None);
    assert_eq!(letters.get(all[0].letter.id).await.unwrap(), None);
    assert_eq!(letters.list(None, 0, 10).await.unwrap(), all[1..]);
    let again = letters.keep(letter("shop", "a")).await.unwrap();
    assert!(again > c, "a removed letter that comes again is seen again");
    assert_eq!(letters.fate(all[0].letter.id).await.unwrap(), None, "it is kept again");
}
