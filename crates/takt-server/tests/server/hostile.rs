//! Input that nobody should send: each gets a clear answer, and the server goes on.

use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::dead_letter_service_client::DeadLetterServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::metrics_service_client::MetricsServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::{
    AcknowledgeRequest, AddCardRequest, DeadLetterRequest, GetLeadTimeRequest,
    ListDeadLettersRequest, PublishRequest,
};
use tonic::Code;

use super::{Server, card, publish};

#[tokio::test]
async fn what_is_no_fact_is_a_dead_letter_that_names_place_and_remedy() {
    let server = Server::start().await;
    let channel = server.shop().await;
    let mut events = EventServiceClient::new(channel.clone());
    let whole = String::from_utf8(card("1", "t")).unwrap();
    let reused = card("good", "other");
    let bad: Vec<Vec<u8>> = vec![
        whole[..whole.len() / 2].into(),
        whole.replace(r#""id":"1""#, r#""id":7"#).into(),
        "[".repeat(100_000).into(),
        whole.replace("2026-01-05", "+275760-01-05").into(),
        [whole.as_bytes(), &[0xff, 0xfe]].concat(),
        card("big", &"x".repeat(1024 * 1024)),
        whole.replace("dev.takt.report.card.v1", "dev.takt.andon.resolved.v1").into(),
        whole.replace("dev.takt.report.card.v1", "dev.takt.stream.policy_set.v1").into(),
        reused,
    ];
    let count = bad.len();
    events.publish(publish(vec![card("good", "first")])).await.unwrap();
    let answer = events.publish(publish(bad)).await.unwrap().into_inner();
    assert_eq!(answer.results.len(), count);
    for (place, one) in answer.results.into_iter().enumerate() {
        let Some(Outcome::Dead(dead)) = one.result else { panic!("{place} is {one:?}") };
        assert!(!dead.reason.is_empty() && !dead.remedy.is_empty(), "{place}: {dead:?}");
    }
    let mut letters = DeadLetterServiceClient::new(channel);
    let request = ListDeadLettersRequest { limit: 4, ..ListDeadLettersRequest::default() };
    let first = letters.list(request.clone()).await.unwrap().into_inner();
    let page_token = first.next_page_token.clone();
    let request = ListDeadLettersRequest { page_token, limit: 100, ..request };
    let rest = letters.list(request).await.unwrap().into_inner();
    assert_eq!(first.letters.len() + rest.letters.len(), count);
    assert!(rest.next_page_token.is_empty());
    assert!(first.letters.iter().all(|letter| letter.content.is_empty() && letter.length > 0));
    let id = first.letters[0].id.clone();
    let request = DeadLetterRequest { id, ..DeadLetterRequest::default() };
    assert!(!letters.get(request).await.unwrap().into_inner().content.is_empty());
    server.stopped().await;
}

#[tokio::test]
async fn a_request_over_a_limit_is_refused_with_the_field() {
    let server = Server::start().await;
    let channel = server.shop().await;
    let mut boards = BoardServiceClient::new(channel.clone());
    for title in ["x".repeat(5000), "bell\u{7}".to_owned()] {
        let stream = "shop".to_owned();
        let request = AddCardRequest { stream, title, ..AddCardRequest::default() };
        let refused = boards.add_card(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert_eq!(takt_proto::error::details(&refused)[0].field, "title");
    }
    let since = Some(takt_proto::convert::Timestamp { seconds: i64::MAX, nanos: -1 });
    let stream = "shop".to_owned();
    let request = GetLeadTimeRequest { stream, since, ..GetLeadTimeRequest::default() };
    let refused = MetricsServiceClient::new(channel.clone()).get_lead_time(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let request = AcknowledgeRequest {
        stream: "shop".to_owned(),
        alert: "a-1".to_owned(),
        ..AcknowledgeRequest::default()
    };
    let refused = AndonServiceClient::new(channel.clone()).acknowledge(request).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "`actor` is empty"));
    let mut events = EventServiceClient::new(channel);
    let many = publish(vec![b"{}".to_vec(); 10_001]);
    assert_eq!(events.publish(many).await.unwrap_err().code(), Code::InvalidArgument);
    let huge = publish(vec![vec![b'x'; 9 * 1024 * 1024]]);
    let refused = events.publish(huge).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let nowhere = PublishRequest { stream: "nowhere".to_owned(), ..publish(vec![card("1", "t")]) };
    assert_eq!(events.publish(nowhere).await.unwrap_err().code(), Code::NotFound);
    server.stopped().await;
}

#[tokio::test]
async fn bytes_that_are_no_protocol_leave_the_server_as_it_was() {
    let server = Server::start().await;
    let huge = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(server.raw(huge.as_bytes()).await.contains("431"));
    assert!(server.raw(b"\x16\x03\x01\x02\x00garbage\r\n\r\n").await.contains("400"));
    let traversal = server.get("/assets/../../../../etc/passwd", "").await;
    assert!(!traversal.contains("root:") && traversal.contains("404"), "{traversal}");
    let post = "POST /takt.v1.StreamService/ListStreams HTTP/1.1\r\nHost: localhost\r\n\
        Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    assert!(server.raw(post.as_bytes()).await.contains("415"));
    let web = post.replace("application/json", "application/grpc-web+proto");
    let garbage = server.raw(web.replace("{}", "\u{1}\u{2}").as_bytes()).await;
    assert!(garbage.contains("200 OK") && !garbage.contains("grpc-status:0"), "{garbage}");
    assert!(server.get("/readyz", "").await.contains("ready"));
    server.stopped().await;
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_act_nor_look() {
    let server = Server::start().await;
    for headers in [
        "Host: evil.example\r\n",
        "Origin: http://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        for path in ["/sse", "/metrics", "/takt.v1.StreamService/ListStreams"] {
            let answer = server.get(path, headers).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{path} {headers}: {answer}");
        }
    }
    assert!(server.get("/", "").await.starts_with("HTTP/1.1 200"));
    server.stopped().await;
}
