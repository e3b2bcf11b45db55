//! Who may speak to the port: on loopback anyone may act without a token, so a page from
//! elsewhere in somebody's browser must not.
//!
//! - The name that the caller used must be a loopback name or address, or the address that was
//!   configured: a name from elsewhere that resolves to 127.0.0.1 (DNS rebinding) is refused.
//! - A browser says where a request comes from; only this server's own pages, and links that
//!   are followed, are let in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::rest::Problem;

/// Where the server listens, and the names by which it is called there.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) bound: SocketAddr,
    /// The names besides those of loopback; without any, a server off loopback answers to all.
    pub(crate) hosts: Arc<[String]>,
}

impl Names {
    /// Whether a caller used a name of this server.
    fn hold(&self, named: &str) -> bool {
        let any = !self.bound.ip().to_canonical().is_loopback() && self.hosts.is_empty();
        any || is_own(named, self.bound) || self.hosts.iter().any(|host| is_host(named, host))
    }
}

/// Whether a name with or without a port is this host.
fn is_host(named: &str, host: &str) -> bool {
    let Ok(authority) = named.parse::<Authority>() else { return false };
    let name = authority.host().trim_end_matches('.');
    !authority.as_str().contains('@') && name.eq_ignore_ascii_case(host)
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses callers that came by another name or from another page.
pub(crate) async fn check(State(names): State<Names>, request: Request, next: Next) -> Response {
    let Err(why) = admit(&names, &request) else { return next.run(request).await };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/grpc")) {
        return tonic::Status::permission_denied(why).into_http();
    }
    if request.uri().path().starts_with("/v1/") {
        return Problem::forbidden(&why).into_response();
    }
    (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // A value that is no text is no name of ours either.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn admit(names: &Names, request: &Request) -> Result<(), String> {
    let headers = request.headers();
    let named = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => text(headers, &header::HOST).unwrap_or_default(),
    };
    if !names.hold(named) {
        let named: String = named.chars().take(80).collect();
        return Err(if names.hosts.is_empty() {
            format!(
                "host `{named}` is not a name of this server, which listens on loopback only; use \
                 http://{}/",
                names.bound
            )
        } else {
            format!("host `{named}` is not a name of this server; start it with `--host {named}`")
        });
    }
    let same = |origin: &str| {
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        from.is_some_and(|from| from.eq_ignore_ascii_case(named))
    };
    if let Some(origin) = text(headers, &header::ORIGIN).filter(|origin| !same(origin)) {
        let origin: String = origin.chars().take(80).collect();
        return Err(format!("origin `{origin}` is another site; use the pages of this server"));
    }
    let link =
        request.method() == Method::GET && text(headers, &MODE).is_some_and(|it| it == "navigate");
    match text(headers, &SITE) {
        Some("cross-site" | "same-site") if !link => {
            Err("the request comes from a page of another site".to_owned())
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a name with or without a port is loopback, or the address that was bound.
fn is_own(named: &str, bound: SocketAddr) -> bool {
    let Ok(authority) = named.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    ip.is_ok_and(|ip| ip.to_canonical().is_loopback() || ip == bound.ip())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn names(bound: &str, hosts: &[&str]) -> Names {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        Names { bound: bound.parse().unwrap(), hosts }
    }

    #[test]
    fn a_server_that_is_told_its_names_answers_to_them_and_to_loopback() {
        let names = names("0.0.0.0:7420", &["takt.example"]);
        for own in ["takt.example:7420", "TAKT.example.", "localhost:7420", "127.0.0.1"] {
            assert!(names.hold(own), "{own}");
        }
        for other in ["evil.example", "takt.example.evil", "x@takt.example", "", "10.0.0.1"] {
            assert!(!names.hold(other), "{other}");
        }
    }

    fn admitted(bound: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut request = Request::builder().method("POST").uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        admit(&names(bound, &[]), &request.body(Body::empty()).unwrap())
    }

    #[test]
    fn a_loopback_server_answers_to_loopback_names_only() {
        for host in ["localhost", "localhost:7420", "127.0.0.1:1", "[::1]:7420", "a.localhost"] {
            assert_eq!(admitted("127.0.0.1:7420", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "10.0.0.1:7420", "localhost.evil.example", "", "a@localhost"] {
            let refused = admitted("127.0.0.1:7420", &[("host", host)]).unwrap_err();
            assert!(refused.contains("http://127.0.0.1:7420/"), "{refused}");
        }
    }

    #[test]
    fn a_server_on_a_network_answers_to_the_names_it_has_there() {
        assert_eq!(admitted("10.0.0.5:7420", &[("host", "takt.example:7420")]), Ok(()));
    }

    #[test]
    fn a_page_of_another_origin_is_refused_and_the_own_page_is_not() {
        let from = |origin| admitted("127.0.0.1:7420", &[("host", "localhost:7420"), origin]);
        assert_eq!(from(("origin", "http://localhost:7420")), Ok(()));
        assert_eq!(from(("sec-fetch-site", "same-origin")), Ok(()));
        for origin in ["http://evil.example", "null", "http://localhost:3000", "file://"] {
            assert!(from(("origin", origin)).is_err(), "{origin}");
        }
        assert!(from(("sec-fetch-site", "cross-site")).is_err());
        assert!(from(("sec-fetch-site", "same-site")).is_err());
    }

    #[test]
    fn a_link_on_another_page_may_be_followed() {
        let request = Request::builder()
            .uri("/")
            .header("host", "localhost:7420")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate");
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(admit(&names("127.0.0.1:7420", &[]), &request), Ok(()));
    }
}
