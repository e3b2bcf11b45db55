//! Input that nobody should send: each gets a clear answer, and the server goes on.

use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::board_service_client::BoardServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::metrics_service_client::MetricsServiceClient;
use takt_proto::v1::{AcknowledgeRequest, AddCardRequest, GetLeadTimeRequest, PublishRequest};
use tonic::Code;

use super::{Server, card, publish};

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
    let refused = AndonServiceClient::new(channel.clone()).acknowledge(request).await;
    assert!(refused.unwrap_err().message().contains("`actor` is empty"));
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
