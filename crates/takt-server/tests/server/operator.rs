//! What an operator relies on: health, reflection, metrics, one port for all, and a clean stop.

use std::time::Duration;

use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::{ListCardsRequest, PullRequest};
use tokio::time::timeout;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Server, card, publish};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn health_is_told_for_every_service_and_ends_with_the_server() {
    let server = Server::start().await;
    let mut health = HealthClient::new(server.channel().await);
    let mut services = takt_proto::methods::services();
    services.push(String::new());
    for service in services {
        let request = HealthCheckRequest { service: service.clone() };
        let mut watched = health.watch(request).await.unwrap().into_inner();
        // A service that is not known yet is told as such, and then as it is.
        timeout(SOON, serving(&mut watched)).await.unwrap();
        if service.is_empty() {
            server.stop.cancel();
            let ended = timeout(SOON, watched.message()).await.unwrap().unwrap().unwrap();
            assert_eq!(ended.status, 2, "not serving");
        }
    }
}

async fn serving(watched: &mut tonic::Streaming<HealthCheckResponse>) {
    while watched.message().await.unwrap().unwrap().status != 1 {}
}

#[tokio::test]
async fn reflection_lists_every_service_in_both_versions() {
    let server = Server::start().await;
    let channel = server.channel().await;
    macro_rules! listed {
        ($version:ident) => {{
            use tonic_reflection::pb::$version as pb;
            let request = pb::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(
                    String::new(),
                )),
            };
            let mut client =
                pb::server_reflection_client::ServerReflectionClient::new(channel.clone());
            let asked = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
            format!("{:?}", asked.into_inner().message().await.unwrap())
        }};
    }
    for listed in [listed!(v1), listed!(v1alpha)] {
        for service in takt_proto::methods::services() {
            assert!(listed.contains(&service), "{service} in {listed}");
        }
    }
    server.stopped().await;
}

#[tokio::test]
async fn cards_come_in_pages_that_hold_each_once() {
    let server = Server::start().await;
    let channel = server.shop().await;
    let cards = (0..25).map(|at| card(&format!("{at:02}"), "t")).collect();
    let published = EventServiceClient::new(channel.clone()).publish(publish(cards)).await;
    let min_sequence = published.unwrap().into_inner().sequence;
    let mut boards = BoardServiceClient::new(channel);
    let mut request = ListCardsRequest {
        stream: "shop".to_owned(),
        limit: 10,
        min_sequence,
        ..Default::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = boards.list_cards(request.clone()).await.unwrap().into_inner();
        assert!(page.cards.len() <= 10);
        seen.extend(page.cards.into_iter().map(|card| card.card));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let wanted: Vec<String> = (0..25).map(|at| format!("c-{at:02}")).collect();
    assert_eq!(seen, wanted);
    server.stopped().await;
}

#[tokio::test]
async fn a_pull_asked_again_with_its_key_is_the_same_alert() {
    let server = Server::start().await;
    let mut andon = AndonServiceClient::new(server.shop().await);
    let request = PullRequest {
        stream: "shop".to_owned(),
        summary: "the build is broken".to_owned(),
        idempotency_key: "k".to_owned(),
        ..PullRequest::default()
    };
    let first = andon.pull(request.clone()).await.unwrap().into_inner();
    let again = andon.pull(request).await.unwrap().into_inner();
    assert_eq!(again.alert, first.alert);
    assert!(again.duplicate && !first.duplicate);
    server.stopped().await;
}
