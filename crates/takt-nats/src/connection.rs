//! The connection to the nats-server: made once, kept up, and honest about its state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{Context, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::settings::{Login, Settings};

/// How long a connection, or an answer of JetStream, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the client waits before it tries again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often a silent server is asked whether it is there; two silences in a row end a connection.
const PING: Duration = Duration::from_secs(5);
/// How long something waits for a connection that is away before it is given up unsent.
const AWAY: Duration = Duration::from_secs(2);
/// How many publishes may wait for their acknowledgement.
const IN_FLIGHT: usize = 4096;

/// Whether the nats-server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is.
    Up,
    /// It is not, and what is known of why; it is tried again and again.
    Down(String),
    /// The client has ended for good, and why; only a new connection helps.
    Ended(String),
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// An address, a file or a credential is not what it should be.
    #[error("{what}: {reason}")]
    Given {
        /// Which, as it was given.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers, or not in time.
    #[error("no nats-server is reached at `{servers}`: {reason}")]
    Unreachable {
        /// Where.
        servers: String,
        /// What the network said.
        reason: String,
    },
    /// The server does not let us in.
    #[error("the nats-server at `{servers}` does not let us in: {reason}")]
    Refused {
        /// Where.
        servers: String,
        /// What it said.
        reason: String,
    },
}

/// A connection that comes back by itself; cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection {
    client: Client,
    context: Context,
    link: watch::Receiver<Link>,
}

impl Connection {
    /// Connects under a name that the server's operator sees.
    ///
    /// # Errors
    /// When nobody answers, the server does not let us in, or something given is not right.
    pub async fn open(settings: &Settings, name: &str) -> Result<Self, ConnectError> {
        let servers = shown(&settings.servers);
        let addresses = addresses(&settings.servers)?;
        let (tell, link) = watch::channel(Link::Up);
        let tell = Arc::new(Tell::new(tell, name));
        let options = options(settings).await?.name(name).event_callback(move |event| {
            let tell = Arc::clone(&tell);
            async move { heard(&tell, &event) }
        });
        let client = options.connect(addresses).await.map_err(|error| {
            let reason = error.to_string();
            let refused = ["authorization", "authentication", "certificate", "tls"];
            if refused.iter().any(|word| reason.to_lowercase().contains(word)) {
                ConnectError::Refused { servers, reason }
            } else {
                ConnectError::Unreachable { servers, reason }
            }
        })?;
        let context = ContextBuilder::new()
            .timeout(PATIENCE)
            .ack_timeout(PATIENCE)
            .max_ack_inflight(IN_FLIGHT)
            .build(client.clone());
        Ok(Self { client, context, link })
    }

    /// JetStream over this connection.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// The connection itself.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Whether the server is reached, now and at each change.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Whether its client has ended for good.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(*self.link.borrow(), Link::Ended(_))
    }

    /// Waits for a connection that is away, but not for long: what is not sent then is known not to
    /// be stored, and does not come late when the server is back.
    pub(crate) async fn up(&self) -> Result<(), String> {
        let mut link = self.link.clone();
        let settled = |link: &Link| !matches!(link, Link::Down(_));
        let up = timeout(AWAY, link.wait_for(settled)).await;
        if matches!(up, Ok(Ok(link)) if *link == Link::Up) {
            return Ok(());
        }
        match &*self.link.borrow() {
            Link::Up => Err("the nats-server comes and goes".to_owned()),
            Link::Down(reason) | Link::Ended(reason) => Err(reason.clone()),
        }
    }

    /// Does something until the connection is lost, since an answer does not come on another one.
    pub(crate) async fn unless_lost<R>(&self, work: impl Future<Output = R>) -> Result<R, String> {
        let mut link = self.link.clone();
        link.mark_unchanged();
        tokio::select! {
            done = work => Ok(done),
            _ = link.changed() => Err("the connection was lost on the way".to_owned()),
        }
    }

    /// What of the server's settings differs from what Takt advises; for people, never a reason to
    /// stop. A client cannot see `sync_interval`.
    pub fn advice(&self) -> Vec<String> {
        let info = self.client.server_info();
        let mut advice = Vec::new();
        if info.max_payload < 4_000_000 {
            advice.push(format!(
                "the nats-server takes messages of at most {} bytes; set `max_payload: 4MB`, so that \
                 facts of 1 MiB fit with their envelopes",
                info.max_payload
            ));
        }
        if !at_least(&info.version, (2, 12)) {
            advice.push(format!(
                "the nats-server is version {}, and atomic batches need 2.12 or later",
                info.version
            ));
        }
        advice
    }
}

fn at_least(version: &str, least: (u64, u64)) -> bool {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u64>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found >= least
}

/// The servers without what an address might carry of a password.
fn shown(servers: &str) -> String {
    let bare = |server: &str| match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => server.to_owned(),
    };
    servers.split(',').map(|server| bare(server.trim())).collect::<Vec<_>>().join(",")
}

fn addresses(servers: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    let address = |server: &str| {
        let given = |reason: String| ConnectError::Given {
            what: format!("the address `{}`", shown(server)),
            reason,
        };
        if server.contains('@') {
            // The client would pass over what stands before it.
            return Err(given("it holds a login; give that by options of its own".into()));
        }
        server.parse::<ServerAddr>().map_err(|error| given(error.to_string()))
    };
    servers.split(',').map(|server| address(server.trim())).collect()
}

async fn options(settings: &Settings) -> Result<ConnectOptions, ConnectError> {
    let mut options = match &settings.login {
        Login::Nobody => ConnectOptions::new(),
        Login::User { name, password } => {
            ConnectOptions::with_user_and_password(name.clone(), password.reveal())
        }
        Login::Token(token) => ConnectOptions::with_token(token.reveal()),
        Login::Nkey(seed) => ConnectOptions::with_nkey(seed.reveal()),
        Login::Credentials(file) => {
            ConnectOptions::with_credentials_file(file).await.map_err(|error| {
                let what = format!("the credentials file `{}`", file.display());
                ConnectError::Given { what, reason: error.to_string() }
            })?
        }
    };
    if let Some(ca) = &settings.tls.ca {
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    if let Some((certificate, key)) = &settings.tls.own {
        options = options.add_client_certificate(certificate.clone(), key.clone());
        options = options.require_tls(true);
    }
    let options = options
        .connection_timeout(PATIENCE)
        .ping_interval(PING)
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
            AGAIN.0.saturating_mul(attempts).min(AGAIN.1)
        });
    Ok(options)
}

/// Tells how the connection is; it is dropped with the client's task, whatever ends that.
struct Tell {
    link: watch::Sender<Link>,
    name: String,
    /// Whether the connection that was opened has been told of. That comes when somebody may be
    /// waiting for an answer on it already, who must not take it for another one.
    is_begun: AtomicBool,
}

impl Tell {
    fn new(link: watch::Sender<Link>, name: &str) -> Self {
        Self { link, name: name.to_owned(), is_begun: AtomicBool::new(false) }
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        let reason = format!("the client of the connection `{}` has ended", self.name);
        self.link.send_replace(Link::Ended(reason));
    }
}

fn heard(tell: &Tell, event: &Event) {
    let connection = tell.name.as_str();
    match event {
        Event::Connected if !tell.is_begun.swap(true, Ordering::AcqRel) => {}
        Event::Connected => {
            if tell.link.send_replace(Link::Up) != Link::Up {
                tracing::info!(connection, "the nats-server is reached again");
            }
        }
        Event::Disconnected => {
            let reason = "the nats-server is not reached".to_owned();
            if tell.link.send_replace(Link::Down(reason)) == Link::Up {
                tracing::warn!(
                    connection,
                    "the nats-server is not reached; it is tried again and again"
                );
            }
        }
        // What ends the client is told as it ends.
        Event::Closed => {}
        Event::ServerError(error) => tracing::warn!(%error, "the nats-server refused something"),
        Event::ClientError(error) => tracing::debug!(%error, "the nats-server is not reached yet"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "messages came faster than they were taken");
        }
        Event::LameDuckMode | Event::Draining => {
            tracing::info!("the nats-server is about to stop");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_login_is_refused_and_the_login_not_shown() {
        let refused = addresses("nats://a:4222, nats://me:secret@b:4222").unwrap_err().to_string();
        assert!(refused.contains("`nats://b:4222`") && !refused.contains("secret"), "{refused}");
        assert_eq!(addresses("nats://a:4222,b:4222").unwrap().len(), 2);
    }

    #[test]
    fn the_first_connection_is_no_news_and_every_later_one_is() {
        let (link, mut heard_of) = watch::channel(Link::Up);
        let tell = Tell::new(link, "test");
        let mut is_news = |event: Event| {
            heard(&tell, &event);
            let has_changed = heard_of.has_changed().unwrap();
            heard_of.mark_unchanged();
            has_changed
        };
        assert!(!is_news(Event::Connected));
        assert!(is_news(Event::Disconnected) && is_news(Event::Connected));
        assert!(is_news(Event::Connected), "although nobody has told of the end of the one before");
    }

    #[test]
    fn versions_are_compared_by_number() {
        let old = ["2.9.1", "2.11.0", "", "x"];
        assert!(old.iter().all(|version| !at_least(version, (2, 12))));
        assert!(["2.12.0", "2.15.1-RC.2", "3.0.0"].iter().all(|it| at_least(it, (2, 12))));
    }
}
