//! The way to the server: its address, and the deadline that every call carries.

use std::time::Duration;

use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::exit::{Failure, USAGE};

/// A channel whose calls carry a deadline.
pub(crate) type Wire = InterceptedService<Channel, Deadline>;

/// The longest answer that is taken; a server sends at most half of it.
pub(crate) const MAX_MESSAGE: usize = 16 << 20;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a silent server is asked whether it is there, and how long it may take to answer.
const ALIVE: Duration = Duration::from_secs(20);

/// Gives every call the deadline that the user has set, if any.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<Duration>);

impl Interceptor for Deadline {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(deadline) = self.0 {
            request.set_timeout(deadline);
        }
        Ok(request)
    }
}

/// A way to a server; the connection is made by the first call.
pub(crate) fn to(server: &str, deadline: Option<Duration>) -> Result<Wire, Failure> {
    let address = address(server)?;
    let endpoint = Endpoint::from_shared(address).map_err(|_| misnamed(server))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE)
        .keep_alive_while_idle(true);
    Ok(InterceptedService::new(endpoint.connect_lazy(), Deadline(deadline)))
}

/// The whole address of a server that may be named as a bare `host:port`.
pub(crate) fn address(server: &str) -> Result<String, Failure> {
    if server.starts_with("https://") {
        let hint = "put a proxy that ends TLS beside you, and name it with `http://`";
        return Err(Failure::new(
            USAGE,
            format!("`{server}` asks for TLS, which is not there"),
            hint,
        ));
    }
    let bare = server.strip_prefix("http://").unwrap_or(server);
    if bare.is_empty() || bare.contains("://") || bare.contains(char::is_whitespace) {
        return Err(misnamed(server));
    }
    Ok(format!("http://{bare}"))
}

fn misnamed(server: &str) -> Failure {
    let hint = "give one such as `http://127.0.0.1:7420`";
    Failure::new(USAGE, format!("`{server}` is not a server address"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_named_without_its_scheme() {
        for (text, want) in [
            ("127.0.0.1:7420", Some("http://127.0.0.1:7420")),
            ("http://takt.local", Some("http://takt.local")),
            ("https://takt.local", None),
            ("ftp://takt.local", None),
            ("not a server", None),
            ("", None),
        ] {
            assert_eq!(address(text).ok().as_deref(), want, "{text}");
        }
    }
}
