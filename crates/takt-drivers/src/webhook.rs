//! The webhook: a receiver is told by an HTTP request that is signed by the rule of Standard Webhooks.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use smol_str::{SmolStr, format_smolstr};
use takt_domain::StreamName;
use takt_ports::{Notice, Notifier, NotifyError};

use crate::address::Host;
use crate::secret::Secrets;

mod connection;

/// The longest name of a receiver, in bytes.
const MOST_NAME_BYTES: usize = 64;
/// The longest URL, in bytes.
const MOST_URL_BYTES: usize = 2048;
/// How long one try may take in all.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a webhook is made of.
pub struct Settings {
    /// Where to; `https`, or `http` to an address that is written as such or to `localhost`.
    pub url: String,
    /// What requests are signed with.
    pub secrets: Secrets,
    /// The one value stream that it is told of; all of them without it.
    pub stream: Option<StreamName>,
    /// The receiver's name in keys, in the log and in messages; made of the URL without it. A name
    /// of its own lets the URL change while notices wait.
    pub name: Option<String>,
}

/// Why a webhook cannot be made; shows no more of its URL than the host.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL is none, or not one that may be used.
    #[error("the URL of a webhook {0}")]
    Url(&'static str),
    /// The name is none.
    #[error(
        "`{0}` is no name of a receiver: write 1 to {MOST_NAME_BYTES} letters, digits, `-`, `_` or `.`"
    )]
    Name(String),
    /// The machine has no certificates to trust.
    #[error(
        "no certificates were found to trust a server by ({0}); name a file of them in `SSL_CERT_FILE`"
    )]
    Roots(String),
}

/// A receiver that is told by webhook.
pub struct Webhook {
    name: SmolStr,
    stream: Option<StreamName>,
    secrets: Secrets,
    target: connection::Target,
    path: Uri,
    patience: Duration,
}

impl Webhook {
    /// Checks the settings; connects to nobody.
    ///
    /// # Errors
    /// Names what is wrong with them.
    pub fn new(settings: Settings) -> Result<Self, WebhookError> {
        let url = settings.url.trim();
        if url.len() > MOST_URL_BYTES {
            return Err(WebhookError::Url("is longer than 2048 bytes"));
        }
        let uri: Uri = url.parse().map_err(|_| WebhookError::Url("is no URL"))?;
        let authority = uri.authority().ok_or(WebhookError::Url("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(WebhookError::Url(
                "holds a user; the secret is what the receiver knows us by",
            ));
        }
        let host = Host::of(authority.host());
        let is_secure = match (uri.scheme_str(), &host) {
            (Some("https"), _) => true,
            (Some("http"), Host::Literal(_) | Host::Localhost) => false,
            (Some("http"), Host::Name(_)) => {
                return Err(WebhookError::Url("names a host by `http`; use `https`"));
            }
            (Some(_) | None, _) => return Err(WebhookError::Url("is not `https` or `http`")),
        };
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let name = name(settings.name, url, &host)?;
        Ok(Self {
            name,
            stream: settings.stream,
            secrets: settings.secrets,
            path: path.parse().map_err(|_| WebhookError::Url("has a path that is none"))?,
            target: connection::Target::new(host, port, is_secure)?,
            patience: PATIENCE,
        })
    }

    fn request(
        &self,
        notice: &Notice,
        now: SystemTime,
    ) -> Result<Request<Full<bytes::Bytes>>, http::Error> {
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let id = notice.key.to_string();
        let signature = self.secrets.sign(&id, timestamp, &notice.bytes);
        Request::builder()
            .method(Method::POST)
            .uri(self.path.clone())
            .header(HOST, self.target.authority())
            .header(USER_AGENT, concat!("takt/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, notice.content_type.as_str())
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::new(notice.bytes.clone()))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL may hold a secret of its own in its path.
        let target = self.target.authority();
        f.debug_struct("Webhook").field("name", &self.name).field("host", &target).finish()
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn receiver(&self) -> &str {
        &self.name
    }

    fn wants(&self, stream: &StreamName) -> bool {
        self.stream.as_ref().is_none_or(|only| only == stream)
    }

    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let now = SystemTime::now();
        let request = self.request(notice, now).map_err(|error| again(error.to_string()))?;
        let answered = tokio::time::timeout(self.patience, self.target.send(request)).await;
        let answered = answered.map_err(|_| {
            again(format!("{} did not answer within {:?}", self.target.authority(), self.patience))
        })?;
        let (status, headers) = answered.map_err(|error| again(error.to_string()))?;
        verdict(self.target.authority(), status, &headers, now)
    }
}

/// The receiver's name: as given, or the host with the beginning of the URL's hash, so that two URLs
/// on one host are two receivers and neither is shown.
fn name(given: Option<String>, url: &str, host: &Host) -> Result<SmolStr, WebhookError> {
    let Some(given) = given else {
        let hash = Sha256::digest(url.as_bytes());
        let hash = hash.iter().take(4).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        return Ok(format_smolstr!("{host}~{hash}"));
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if given.is_empty() || given.len() > MOST_NAME_BYTES || !given.bytes().all(is_plain) {
        return Err(WebhookError::Name(given.chars().take(80).collect()));
    }
    Ok(given.into())
}

/// What an answer comes to.
fn verdict(
    host: &str,
    status: StatusCode,
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<(), NotifyError> {
    if status.is_success() {
        return Ok(());
    }
    let reason = if status == StatusCode::GONE {
        format!("{host} answered {status}: it wants no more notices; take the webhook out")
    } else if status.is_redirection() {
        format!(
            "{host} answered {status}, and redirects are not followed; write where it points to"
        )
    } else {
        format!("{host} answered {status}")
    };
    let may_pass = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
    );
    let retry = may_pass || !status.is_client_error();
    let after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
    Err(NotifyError { retry, after, reason: reason.into() })
}

/// The pause that `Retry-After` asks for, in seconds or by a date.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(at.as_second()).ok()?);
    at.duration_since(now).ok()
}

fn again(reason: String) -> NotifyError {
    NotifyError { retry: true, after: None, reason: reason.into() }
}

#[cfg(test)]
mod tests;
