//! Refusals reach the caller whole: they fit into the headers that clients take.

use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::dead_letter_service_client::DeadLetterServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::{
    DeadLetterRequest, ListCardsRequest, ListDeadLettersRequest, MoveCardRequest, PullRequest,
    ReadRequest, SetColumnRequest,
};
use tonic::{Code, Status};

use super::{Server, card, publish};

/// What of a status goes into headers, in bytes, with each byte of the message escaped.
fn headers(status: &Status) -> usize {
    status.message().len() * 3 + status.details().len().div_ceil(3) * 4
}

#[tokio::test]
async fn a_move_that_many_stops_with_long_summaries_hold_is_refused_with_the_reasons() {
    let server = Server::start().await;
    let channel = server.shop().await;
    let stream = || "shop".to_owned();
    EventServiceClient::new(channel.clone()).publish(publish(vec![card("1", "t")])).await.unwrap();
    let mut boards = BoardServiceClient::new(channel.clone());
    let (column, kind) = ("Done".to_owned(), Some("done".to_owned()));
    let done = SetColumnRequest { stream: stream(), column, kind, ..SetColumnRequest::default() };
    boards.set_column(done).await.unwrap();
    let mut andon = AndonServiceClient::new(channel);
    for nth in 0..30 {
        let summary = "ü".repeat(2048);
        let stage = format!("stage-{nth}");
        let request = PullRequest { stream: stream(), summary, stage, ..PullRequest::default() };
        andon.pull(PullRequest { actor: "ada".to_owned(), ..request }).await.unwrap();
    }
    let request = MoveCardRequest { stream: stream(), ..MoveCardRequest::default() };
    let (card, column) = ("c-1".to_owned(), "Done".to_owned());
    let request = MoveCardRequest { card, column, ..request };
    let refused = boards.move_card(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(headers(&refused) < 7 * 1024, "{} bytes", headers(&refused));
    assert!(!takt_proto::error::details(&refused)[0].remedy.is_empty());
    server.stopped().await;
}

#[tokio::test]
async fn a_value_is_shown_by_its_beginning() {
    let server = Server::start().await;
    let channel = server.shop().await;
    let long = "x".repeat(100_000);
    let mut boards = BoardServiceClient::new(channel.clone());
    let mut letters = DeadLetterServiceClient::new(channel.clone());
    let stream = || "shop".to_owned();
    let set = SetColumnRequest {
        stream: stream(),
        column: "Doing".to_owned(),
        kind: Some(long.clone()),
        ..SetColumnRequest::default()
    };
    let cards = ListCardsRequest {
        stream: stream(),
        page_token: long.clone(),
        ..ListCardsRequest::default()
    };
    let page =
        ListDeadLettersRequest { page_token: long.clone(), ..ListDeadLettersRequest::default() };
    let letter = DeadLetterRequest { id: long.clone(), ..DeadLetterRequest::default() };
    for refused in [
        boards.set_column(set).await.unwrap_err(),
        boards.list_cards(cards).await.unwrap_err(),
        letters.list(page).await.unwrap_err(),
        letters.get(letter.clone()).await.unwrap_err(),
        letters.drop(letter).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(&"x".repeat(80)), "{refused}");
        assert!(!refused.message().contains(&"x".repeat(81)), "{refused}");
    }
    server.stopped().await;
}

#[tokio::test]
async fn events_of_a_stream_that_was_never_made_are_not_found() {
    let server = Server::start().await;
    let mut events = EventServiceClient::new(server.shop().await);
    let of = |stream: &str| ReadRequest { stream: stream.to_owned(), ..ReadRequest::default() };
    for refused in [
        events.read(of("shopp")).await.map(|_| ()).unwrap_err(),
        events.watch(of("shopp")).await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::NotFound, "{refused}");
        let remedy = &takt_proto::error::details(&refused)[0].remedy;
        assert!(remedy.contains("takt stream create shopp"), "{remedy}");
    }
    assert!(events.read(of("shop")).await.is_ok() && events.read(of("")).await.is_ok());
    server.stopped().await;
}
