//! Webhooks: what they are made of, and how a real receiver on a real connection sees them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, rustls};

use super::*;

fn made(url: &str, name: Option<&str>) -> Result<Webhook, WebhookError> {
    let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let name = name.map(str::to_owned);
    Webhook::new(Settings { url: url.to_owned(), secrets, stream: None, name })
}

#[test]
fn a_url_that_may_not_be_used_is_refused_with_what_is_wrong() {
    for (url, problem) in [
        ("not a url", "is no URL"),
        ("/path", "has no host"),
        ("ftp://127.0.0.1/x", "is not `https` or `http`"),
        ("http://hook.test/x", "names a host by `http`; use `https`"),
        ("https://ann:hunter2@hook.test/x", "holds a user"),
    ] {
        let error = made(url, None).unwrap_err().to_string();
        assert!(error.contains(problem) && !error.contains("hunter2"), "{url}: {error}");
    }
    for name in ["", "a b", &"x".repeat(65)] {
        assert!(matches!(made("http://[::1]:8080/", Some(name)), Err(WebhookError::Name(_))));
    }
}

#[test]
fn a_name_is_as_given_or_tells_hosts_and_urls_apart_without_showing_them() {
    assert_eq!(made("http://localhost/hidden", Some("on-call")).unwrap().receiver(), "on-call");
    let one = made("http://127.0.0.1:9000/T0/hidden", None).unwrap();
    let two = made("http://127.0.0.1:9000/T1/hidden", None).unwrap();
    assert_ne!(one.receiver(), two.receiver());
    assert!(one.receiver().starts_with("127.0.0.1~"));
    let shown = format!("{one:?}");
    assert!(!shown.contains("hidden") && shown.contains("127.0.0.1:9000"), "{shown}");
    assert_eq!(made("http://127.0.0.1:9000/T0/hidden", None).unwrap().receiver(), one.receiver());
}

#[test]
fn a_webhook_of_one_stream_wants_no_other() {
    let mut webhook = made("http://127.0.0.1/", None).unwrap();
    assert!(webhook.wants(&"shop".into()) && webhook.wants(&"bank".into()));
    webhook.stream = Some("shop".into());
    assert!(webhook.wants(&"shop".into()) && !webhook.wants(&"bank".into()));
}

fn answered(status: u16, headers: &[(&'static str, &str)]) -> Result<(), NotifyError> {
    let headers = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
    let status = StatusCode::from_u16(status).unwrap();
    verdict("hook.test", status, &headers.collect(), UNIX_EPOCH + Duration::from_secs(1000))
}

#[test]
fn an_answer_is_final_or_asks_for_another_try() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(answered(status, &[]), Ok(()), "{status}");
    }
    for status in [400, 401, 403, 404, 410, 413, 422] {
        assert!(!answered(status, &[]).unwrap_err().retry, "{status}");
    }
    for status in [301, 302, 307, 408, 425, 429, 500, 502, 503, 504] {
        assert!(answered(status, &[]).unwrap_err().retry, "{status}");
    }
    let gone = answered(410, &[]).unwrap_err().to_string();
    assert!(gone.starts_with("hook.test answered 410 Gone"), "{gone}");
}

#[test]
fn a_pause_is_asked_for_in_seconds_or_until_a_date() {
    let after = |value| answered(503, &[("retry-after", value)]).unwrap_err().after;
    assert_eq!(after("120"), Some(Duration::from_secs(120)));
    assert_eq!(after("Thu, 01 Jan 1970 00:17:40 GMT"), Some(Duration::from_secs(60)));
    assert_eq!(after("Thu, 01 Jan 1970 00:00:00 GMT"), None, "it has passed");
    assert_eq!(after("soon"), None);
    assert_eq!(after("-5"), None);
}

/// A receiver on this machine that answers each request with the next of the answers, as they stand.
struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                // Whoever has heard enough hangs up.
                let _ = stream.write_all(&answer).await;
            }
            // Whoever comes then is let in and hears nothing.
            let mut silent = Vec::new();
            loop {
                silent.push(listener.accept().await.unwrap());
            }
        });
        Self { port, requests }
    }

    fn webhook(&self) -> Webhook {
        made(&format!("http://127.0.0.1:{}/hooks/takt?a=1", self.port), Some("test")).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "it ended before it was whole");
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if body.len() == header(head, "content-length").parse::<usize>().unwrap() {
            return text;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap()
}

fn notice() -> Notice {
    Notice {
        key: uuid::Uuid::from_u128(7),
        stream: "shop".into(),
        content_type: "application/cloudevents+json".into(),
        bytes: Bytes::from_static(b"{\"data\":{\"alert\":\"a\"}}"),
    }
}

fn answer(head: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// HMAC-SHA256 as RFC 2104 writes it down, by other code than what signs.
fn hmac_by_hand(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = key.to_vec();
    block.resize(64, 0);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = Sha256::digest([&padded(0x36), message].concat());
    Sha256::digest([padded(0x5c).as_slice(), inner.as_slice()].concat()).to_vec()
}

#[tokio::test]
async fn a_receiver_that_fails_twice_is_sent_the_same_notice_with_a_good_signature_each_time() {
    let failed = || answer("500 Internal Server Error");
    let receiver = Receiver::start(vec![failed(), failed(), answer("200 OK")]).await;
    let webhook = receiver.webhook();
    for _ in 0..2 {
        let error = webhook.notify(&notice()).await.unwrap_err();
        let host = format!("127.0.0.1:{}", receiver.port);
        assert!(error.retry && error.to_string().starts_with(&host), "{error}");
        assert!(!error.to_string().contains("hooks"), "a path may be a secret: {error}");
    }
    webhook.notify(&notice()).await.unwrap();
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /hooks/takt?a=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(head, "host"), format!("127.0.0.1:{}", receiver.port));
        assert_eq!(header(head, "content-type"), "application/cloudevents+json");
        assert_eq!(body.as_bytes(), notice().bytes);
        let (id, at) = (header(head, "webhook-id"), header(head, "webhook-timestamp"));
        assert_eq!(id, notice().key.to_string());
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
            - at.parse::<u64>().unwrap();
        assert!(age < 60, "{age} seconds");
        use base64::Engine;
        let base64 = base64::engine::general_purpose::STANDARD;
        let key = base64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let good = hmac_by_hand(&key, format!("{id}.{at}.{body}").as_bytes());
        assert_eq!(header(head, "webhook-signature"), format!("v1,{}", base64.encode(good)));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start(vec![answer("200 OK")]).await;
    let to = format!("307 Temporary Redirect\r\nlocation: http://127.0.0.1:{}/", elsewhere.port);
    let receiver = Receiver::start(vec![answer(&to)]).await;
    let error = receiver.webhook().notify(&notice()).await.unwrap_err();
    assert!(error.to_string().contains("redirects are not followed"), "{error}");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_for_now() {
    let receiver = Receiver::start(vec![]).await;
    let mut webhook = receiver.webhook();
    webhook.patience = Duration::from_millis(300);
    let error = webhook.notify(&notice()).await.unwrap_err();
    assert!(error.retry && error.to_string().contains("did not answer within 300ms"), "{error}");
}

#[tokio::test]
async fn nothing_that_a_receiver_sends_is_read_without_bound() {
    let endless_head =
        ["HTTP/1.1 200 OK\r\n".to_owned(), "x: yyyyyyy\r\n".repeat(100_000)].concat();
    let body = ["HTTP/1.1 200 OK\r\n\r\n".to_owned(), "y".repeat(10_000_000)].concat();
    let noise = b"\x15\x03\x01 this is no HTTP at all\r\n\r\n".to_vec();
    let receiver = Receiver::start(vec![endless_head.into(), body.into(), noise]).await;
    let webhook = receiver.webhook();
    let error = webhook.notify(&notice()).await.unwrap_err();
    assert!(error.retry && error.to_string().contains("did not answer as HTTP"), "{error}");
    webhook.notify(&notice()).await.unwrap();
    assert!(webhook.notify(&notice()).await.unwrap_err().retry);
}

#[tokio::test]
async fn a_port_where_nobody_listens_and_an_address_that_is_never_meant_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let closed = made(&format!("http://localhost:{port}/"), None).unwrap();
    let error = closed.notify(&notice()).await.unwrap_err();
    assert!(error.retry && error.to_string().contains("could not be connected to"), "{error}");
    let metadata = made("http://169.254.169.254/latest/meta-data", None).unwrap();
    let error = metadata.notify(&notice()).await.unwrap_err();
    assert!(error.to_string().contains("is not connected to"), "{error}");
}

/// A receiver that speaks TLS as `localhost`, and the certificate that it shows.
async fn secure() -> (u16, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            read_request(&mut stream).await;
            let _ = stream.write_all(&answer("204 No Content")).await;
            let _ = stream.flush().await;
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    (port, roots)
}

#[tokio::test]
async fn a_receiver_is_told_by_tls_only_when_its_certificate_is_trusted_and_names_it() {
    let (port, roots) = secure().await;
    let to = |host: &str, roots: RootCertStore| {
        let mut webhook = made("http://localhost/", None).unwrap();
        webhook.target = connection::Target::trusting(Host::of(host), port, roots).unwrap();
        webhook
    };
    to("localhost", roots.clone()).notify(&notice()).await.unwrap();
    let error = to("127.0.0.1", roots).notify(&notice()).await.unwrap_err();
    assert!(error.retry && error.to_string().contains("certificate"), "{error}");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut others = rustls::RootCertStore::empty();
    others.add(other.cert.der().clone()).unwrap();
    let error = to("localhost", others).notify(&notice()).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
