//! Dead letters asked for again: a retry whose first answer was lost is told what became of it.

use takt_domain::{EventId, Time};
use takt_embedded::EmbeddedDeadLetters;
use takt_ports::{DeadLetters, NewDeadLetter};
use takt_proto::v1::dead_letter_service_client::DeadLetterServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::{DeadLetterRequest, PublishResult, ReadRequest};
use tonic::Code;

use super::{Server, card};

/// A letter that is understood now, as after an upgrade of the server.
fn letter(id: &str) -> NewDeadLetter {
    let bytes = card(id, "t");
    NewDeadLetter {
        id: EventId::derive("urn:takt:dead", id, 0).0,
        stream: "shop".into(),
        reason: "type not known".into(),
        place: "type".into(),
        remedy: "use a newer server".into(),
        at: Time::EPOCH,
        length: bytes.len() as u64,
        bytes: bytes.into(),
        sha256: "00".into(),
    }
}

fn by(id: &str) -> DeadLetterRequest {
    DeadLetterRequest { id: letter(id).id.to_string(), ..DeadLetterRequest::default() }
}

async fn with_letters(ids: &[&str]) -> Server {
    let data = tempfile::tempdir().unwrap();
    let letters = EmbeddedDeadLetters::open(&data.path().join("dead")).await.unwrap();
    for id in ids {
        letters.keep(letter(id)).await.unwrap();
    }
    drop(letters);
    Server::on(data).await
}

/// Where it was recorded, and whether that had been done before.
fn recorded(result: PublishResult) -> (u64, bool) {
    match result.result.unwrap() {
        Outcome::Recorded(it) => (it.sequence, false),
        Outcome::Duplicate(it) => (it.sequence, true),
        Outcome::Dead(dead) => panic!("{dead:?}"),
    }
}

#[tokio::test]
async fn a_replay_asked_twice_at_once_and_after_a_restart_is_recorded_once() {
    let server = with_letters(&["1"]).await;
    let channel = server.shop().await;
    let mut letters = DeadLetterServiceClient::new(channel.clone());
    let mut twin = letters.clone();
    let (first, second) = tokio::join!(letters.replay(by("1")), twin.replay(by("1")));
    let first = recorded(first.unwrap().into_inner());
    let second = recorded(second.unwrap().into_inner());
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1, "one of the two recorded it");
    letters.drop(by("1")).await.unwrap();

    let server = Server::on(server.stopped().await).await;
    let channel = server.channel().await;
    let again = DeadLetterServiceClient::new(channel.clone()).replay(by("1")).await.unwrap();
    assert_eq!(recorded(again.into_inner()), (first.0, true));
    let mut log = EventServiceClient::new(channel).read(ReadRequest::default()).await.unwrap();
    let mut times = 0;
    while let Some(event) = log.get_mut().message().await.unwrap() {
        times += usize::from(event.r#type == "dev.takt.board.card_reported.v1");
    }
    assert_eq!(times, 1);
    server.stopped().await;
}

#[tokio::test]
async fn a_drop_asked_again_has_succeeded_and_what_never_was_is_not_found() {
    let server = with_letters(&["1"]).await;
    let mut letters = DeadLetterServiceClient::new(server.shop().await);
    for _ in 0..2 {
        letters.drop(by("1")).await.unwrap();
    }
    assert_eq!(letters.replay(by("1")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(letters.drop(by("2")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(letters.replay(by("2")).await.unwrap_err().code(), Code::NotFound);
    server.stopped().await;
}
