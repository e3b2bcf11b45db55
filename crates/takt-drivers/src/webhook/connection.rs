//! One connection for one request: only to addresses that may be connected to, and not a byte more
//! read than the head of the answer.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use smol_str::{SmolStr, format_smolstr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::WebhookError;
use crate::address::{Host, Refused};

/// How long one address may take to be connected to.
const CONNECT: Duration = Duration::from_secs(5);
/// The most that the head of an answer may have, in bytes.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// Where requests go.
pub(super) struct Target {
    host: Host,
    port: u16,
    authority: SmolStr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("{0} is not connected to: {1}")]
    Refused(SmolStr, #[source] Refused),
    #[error("{0} could not be connected to: {1}")]
    Connect(SmolStr, #[source] io::Error),
    #[error("{0} did not answer as HTTP: {1}")]
    Http(SmolStr, #[source] hyper::Error),
}

impl Target {
    /// With the certificates that this machine trusts, where the connection is to be secure.
    pub(super) fn new(host: Host, port: u16, is_secure: bool) -> Result<Self, WebhookError> {
        if is_secure {
            return Self::trusting(host, port, roots()?);
        }
        let authority = format_smolstr!("{host}:{port}");
        Ok(Self { host, port, authority, tls: None })
    }

    /// A secure one with certificates to trust.
    pub(super) fn trusting(
        host: Host,
        port: u16,
        roots: RootCertStore,
    ) -> Result<Self, WebhookError> {
        let authority = format_smolstr!("{host}:{port}");
        let tls = Some((connector(roots)?, server_name(&host)?));
        Ok(Self { host, port, authority, tls })
    }

    /// The host and the port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request on a connection of its own, and returns the head of the answer.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap), SendError> {
        let stream = self.connect().await?;
        let Some((tls, name)) = &self.tls else { return self.exchange(stream, request).await };
        let stream = tls.connect(name.clone(), stream).await.map_err(|error| self.cut(error))?;
        self.exchange(stream, request).await
    }

    async fn connect(&self) -> Result<TcpStream, SendError> {
        let found = self.resolve().await.map_err(|error| self.cut(error))?;
        let refused = |refused| SendError::Refused(self.authority.clone(), refused);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        // The addresses that were looked at are the ones that are connected to: the name is not
        // asked for again in between.
        for address in self.host.admit(found).map_err(refused)? {
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(self.cut(last))
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            Host::Literal(address) => Ok(vec![SocketAddr::new(*address, self.port)]),
            Host::Localhost => lookup("localhost", self.port).await,
            Host::Name(name) => lookup(name, self.port).await,
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap), SendError> {
        let failed = |error| SendError::Http(self.authority.clone(), error);
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(MOST_HEAD_BYTES);
        let (mut sender, connection) =
            http1.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let mut answer = pin!(sender.send_request(request));
        // The connection lives as long as this call; the answer's body is not read.
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            // Who hangs up as soon as it has answered has answered.
            ended = connection => match (answer.await, ended) {
                (Err(_), Err(why)) => Err(why),
                (answer, _) => answer,
            },
        };
        let (head, _) = answer.map_err(failed)?.into_parts();
        Ok((head.status, head.headers))
    }

    fn cut(&self, error: io::Error) -> SendError {
        SendError::Connect(self.authority.clone(), error)
    }
}

async fn lookup(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, port)).await?.collect())
}

fn server_name(host: &Host) -> Result<ServerName<'static>, WebhookError> {
    match host {
        Host::Literal(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Localhost => "localhost".try_into().map_err(|_| WebhookError::Url("has no host")),
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| WebhookError::Url("has a host that no certificate can name")),
    }
}

fn roots() -> Result<RootCertStore, WebhookError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let told =
            found.errors.first().map_or_else(|| "none is installed".into(), ToString::to_string);
        return Err(WebhookError::Roots(told));
    }
    Ok(roots)
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, WebhookError> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WebhookError::Roots(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
