//! What an operator relies on: health, reflection, metrics, one port for all, and a clean stop.

use std::time::Duration;

use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::{ListCardsRequest, PullRequest, ReadRequest};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};
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
async fn one_port_answers_grpc_web_over_http_1_and_tells_its_metrics() {
    let server = Server::start().await;
    server.shop().await;
    // It asks for the state as of sequence 1, which is the creation.
    let call = "POST /takt.v1.StreamService/ListStreams HTTP/1.1\r\nHost: localhost\r\n\
        Content-Type: application/grpc-web+proto\r\nContent-Length: 7\r\nConnection: close\r\n\r\n\
        \0\0\0\0\x02\x08\x01";
    let answer = server.raw(call.as_bytes()).await;
    assert!(answer.contains("shop") && answer.contains("grpc-status:0"), "{answer}");
    let metrics = server.get("/metrics", "").await;
    let counted = "takt_rpcs_total{method=\"takt.v1.StreamService/ListStreams\",code=\"Ok\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("takt_commands_total{outcome=\"accepted\",code=\"\"} 1"), "{metrics}");
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

/// Publishes one card after the other, and gives those that were acknowledged and the end.
async fn until_refused(
    mut events: EventServiceClient<Channel>,
    client: usize,
) -> (Vec<String>, Status) {
    let mut acknowledged = Vec::new();
    loop {
        let id = format!("{client}-{}", acknowledged.len());
        match events.publish(publish(vec![card(&id, "t")])).await {
            Ok(_) => acknowledged.push(id),
            Err(error) => return (acknowledged, error),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let server = Server::start().await;
    let channel = server.shop().await;
    let watched = EventServiceClient::new(channel.clone()).watch(ReadRequest::default()).await;
    let mut watched = watched.unwrap().into_inner();
    let mut clients = JoinSet::new();
    for client in 0..100 {
        clients.spawn(until_refused(EventServiceClient::new(channel.clone()), client));
    }
    for _ in 0..200 {
        assert!(timeout(SOON, watched.message()).await.unwrap().unwrap().is_some());
    }
    server.stop.cancel();
    let mut acknowledged = Vec::new();
    while let Some(ended) = clients.join_next().await {
        let (ids, error) = ended.unwrap();
        assert_eq!(error.code(), Code::Unavailable, "{error:?}");
        acknowledged.extend(ids);
    }
    let told = async {
        while watched.message().await?.is_some() {}
        Ok::<_, tonic::Status>(())
    };
    assert_eq!(timeout(SOON, told).await.unwrap().unwrap_err().code(), Code::Unavailable);
    let data = timeout(SOON, server.stopped()).await.unwrap();
    let server = Server::on(data).await;
    let mut events = EventServiceClient::new(server.channel().await);
    let mut log = events.read(ReadRequest::default()).await.unwrap().into_inner();
    let mut text = String::new();
    while let Some(event) = log.message().await.unwrap() {
        text.push_str(std::str::from_utf8(&event.event).unwrap());
    }
    assert!(acknowledged.len() >= 100, "only {} were acknowledged", acknowledged.len());
    for id in acknowledged {
        assert!(text.contains(&format!("\"c-{id}\"")), "{id} was acknowledged and is not there");
    }
    server.stopped().await;
}

#[tokio::test]
async fn clients_that_neither_read_nor_close_hold_the_stop_for_a_bounded_time() {
    let server = Server::start().await;
    let channel = server.shop().await;
    let watched = EventServiceClient::new(channel).watch(ReadRequest::default()).await.unwrap();
    let mut silent = Vec::new();
    for said in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
        "GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /takt.v1.StreamService/ListStreams HTTP/1.1\r\nHost: localhost\r\n\
            Content-Type: application/grpc-web+proto\r\nContent-Length: 5\r\n\r\n\0",
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        silent.push(socket);
    }
    // The grace of 10 seconds, the last words of 2, and what a busy machine adds.
    timeout(SOON, server.stopped()).await.unwrap();
    drop((watched, silent));
}
