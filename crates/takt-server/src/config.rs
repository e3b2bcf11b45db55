//! What a server is told before it starts, and the refusal to stand open to a network.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a server is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of the log and of the projections.
    pub data: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How often the demo's value stream moves, if there is to be one; at zero it stands still.
    pub demo: Option<Duration>,
    /// Whether an address off loopback is allowed although anyone who reaches it may act.
    pub insecure_bind: bool,
    /// The names by which it may be called beside those of loopback; off loopback without any,
    /// every name. They keep pages out whose own name leads to this address.
    pub hosts: Vec<String>,
    /// Where the log is, if it is on JetStream; else it is in the data folder.
    pub nats: Option<takt_nats::Settings>,
    /// Who is told of alerts by webhook, if anybody.
    pub webhook: Option<WebhookConfig>,
}

/// Who is told of alerts by webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where to.
    pub url: String,
    /// What requests are signed with.
    pub secret: WebhookSecret,
    /// The one value stream that it is told of; all of them without it.
    pub stream: Option<String>,
    /// The receiver's name in the log and in keys; made of the URL without it.
    pub name: Option<String>,
}

/// Where the secret of a webhook comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookSecret {
    /// A file with a secret on each line.
    File(PathBuf),
    /// The secret itself, as an environment holds it.
    Text(String),
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

/// Why a webhook cannot be used; for who configures it.
#[derive(Debug, thiserror::Error)]
#[error("the webhook cannot be used")]
pub struct WebhookRefused(#[source] anyhow::Error);

impl WebhookConfig {
    /// The receiver.
    ///
    /// # Errors
    /// When URL, secret, name or value stream are not what they should be.
    pub(crate) fn receiver(&self) -> Result<takt_drivers::Webhook, WebhookRefused> {
        let made = || {
            let secrets = match &self.secret {
                WebhookSecret::File(file) => takt_drivers::Secrets::read(file)?,
                WebhookSecret::Text(text) => takt_drivers::Secrets::parse(text)?,
            };
            let stream = self.stream.as_deref().map(takt_domain::StreamName::parse).transpose()?;
            let (url, name) = (self.url.clone(), self.name.clone());
            let settings = takt_drivers::Settings { url, secrets, stream, name };
            Ok::<_, anyhow::Error>(takt_drivers::Webhook::new(settings)?)
        };
        made().map_err(WebhookRefused)
    }
}

impl Config {
    /// The address to bind.
    ///
    /// # Errors
    /// When it is off loopback and `insecure_bind` is not set, because there are no tokens yet.
    pub fn address(&self) -> Result<SocketAddr, OpenBind> {
        if self.insecure_bind || self.listen.ip().to_canonical().is_loopback() {
            return Ok(self.listen);
        }
        Err(OpenBind { listen: self.listen })
    }
}

/// An address that others could reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBind {
    /// The address.
    pub listen: SocketAddr,
}

impl fmt::Display for OpenBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen } = self;
        write!(
            f,
            "`{listen}` is not a loopback address, and anyone who reaches it could act without a \
             token; listen on `127.0.0.1:{}` or pass `--insecure-bind`",
            listen.port()
        )
    }
}

impl std::error::Error for OpenBind {}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, insecure_bind: bool) -> Config {
        let listen = listen.parse().unwrap();
        Config {
            data: PathBuf::from("data"),
            listen,
            demo: None,
            insecure_bind,
            hosts: vec![],
            nats: None,
            webhook: None,
        }
    }

    #[test]
    fn a_loopback_address_is_bound_without_a_word() {
        for listen in ["127.0.0.1:7420", "127.9.9.9:0", "[::1]:7420", "[::ffff:127.0.0.1]:7420"] {
            assert_eq!(config(listen, false).address(), Ok(listen.parse().unwrap()));
        }
    }

    #[test]
    fn an_address_others_can_reach_is_refused_with_the_remedy() {
        for listen in ["0.0.0.0:7420", "[::]:7420", "10.0.0.5:7420"] {
            let refused = config(listen, false).address().unwrap_err().to_string();
            assert!(refused.contains(listen) && refused.contains("`--insecure-bind`"), "{refused}");
        }
    }

    #[test]
    fn an_address_others_can_reach_is_bound_when_that_is_said() {
        assert!(config("0.0.0.0:7420", true).address().is_ok());
    }
}
