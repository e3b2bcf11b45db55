//! A whole server on a free port, as an operator and an attacker meet it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod cdevents;
mod dead_letters;
mod hostile;
mod operator;
mod refusals;

use std::net::SocketAddr;
use std::path::Path;

use takt_proto::v1::stream_service_client::StreamServiceClient;
use takt_proto::v1::{CreateStreamRequest, PublishRequest};
use takt_server::{App, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// A server with its own folder, which runs until it is stopped.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    data: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap()).await
    }

    async fn on(data: tempfile::TempDir) -> Self {
        let app = App::build(config(data.path())).await.unwrap();
        let address = app.address().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(app.run(stop.clone().cancelled_owned()));
        Self { address, stop, running, data }
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// A channel to a server that has the stream `shop`.
    async fn shop(&self) -> Channel {
        let channel = self.channel().await;
        let stream = "shop".to_owned();
        let request = CreateStreamRequest { stream, ..CreateStreamRequest::default() };
        StreamServiceClient::new(channel.clone()).create_stream(request).await.unwrap();
        channel
    }

    /// Sends bytes as they are, and reads until the server closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // A server that has seen enough may close before all is written.
        let _ = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, path: &str, headers: &str) -> String {
        let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
        self.raw(
            format!("GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").as_bytes(),
        )
        .await
    }

    async fn stopped(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.data
    }
}

fn config(data: &Path) -> Config {
    Config {
        data: data.to_path_buf(),
        listen: "127.0.0.1:0".parse().unwrap(),
        demo: None,
        insecure_bind: false,
        hosts: vec![],
        nats: None,
        webhook: None,
    }
}

fn card(id: &str, title: &str) -> Vec<u8> {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"urn:test","time":"2026-01-05T09:00:00Z",
        "type":"dev.takt.report.card.v1","subject":"c-{id}",
        "data":{{"card":"c-{id}","column":"Doing","title":"{title}"}}}}"#
    )
    .into_bytes()
}

fn publish(events: Vec<Vec<u8>>) -> PublishRequest {
    PublishRequest {
        stream: "shop".to_owned(),
        events: events.into_iter().map(Into::into).collect(),
        ..PublishRequest::default()
    }
}
