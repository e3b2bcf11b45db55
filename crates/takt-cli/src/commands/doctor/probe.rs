//! What the doctor looks at: the server's port over HTTP, the network, the data folder.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most bytes of an answer that are read.
const ANSWER: u64 = 16 << 10;

/// What `/readyz` says.
pub(super) struct Ready {
    /// Whether the server is ready.
    pub(super) ready: bool,
    /// Why not.
    pub(super) reason: String,
    /// How many seconds the server's clock is ahead, if it says.
    pub(super) ahead: Option<i64>,
}

/// The host and port of an address such as `http://127.0.0.1:7420/`.
fn authority(address: &str) -> String {
    let bare = address.strip_prefix("http://").unwrap_or(address);
    let bare = bare.split('/').next().unwrap_or(bare);
    let host_ends = bare.rfind(']').unwrap_or(0);
    let has_port = bare.get(host_ends..).is_some_and(|rest| rest.contains(':'));
    if has_port { bare.to_owned() } else { format!("{bare}:80") }
}

/// Whether an address is this machine's own.
pub(super) fn is_loopback(address: &str) -> bool {
    let authority = authority(address);
    let ip = authority.parse::<SocketAddr>().map(|it| it.ip().to_canonical().is_loopback());
    ip.unwrap_or_else(|_| authority.rsplit_once(':').is_some_and(|(host, _)| host == "localhost"))
}

/// Asks the server whether it is ready.
pub(super) async fn ready(address: &str) -> Result<Ready, String> {
    let authority = authority(address);
    let asked = tokio::time::timeout(PATIENCE, get(&authority, "/readyz")).await;
    let answer = asked.map_err(|_| "it took too long".to_owned())?;
    let answer = answer.map_err(|error| error.to_string().to_lowercase())?;
    parsed(&answer, jiff::Timestamp::now()).ok_or_else(|| "it speaks no HTTP".to_owned())
}

async fn get(authority: &str, path: &str) -> std::io::Result<String> {
    let mut wire = TcpStream::connect(authority).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    wire.write_all(request.as_bytes()).await?;
    let mut answer = vec![];
    wire.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn parsed(answer: &str, now: jiff::Timestamp) -> Option<Ready> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?;
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let date = headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("date"));
    let date = date.and_then(|(_, value)| jiff::fmt::rfc2822::parse(value.trim()).ok());
    Some(Ready {
        ready: status == "200",
        reason: body.trim().to_owned(),
        ahead: date.map(|date| date.timestamp().as_second().saturating_sub(now.as_second())),
    })
}

/// Another address of this machine at which the server answers, if there is one.
pub(super) async fn open_elsewhere(address: &str) -> Option<SocketAddr> {
    let port = authority(address).rsplit_once(':')?.1.parse().ok()?;
    let own = SocketAddr::new(own_address()?, port);
    let reached = tokio::time::timeout(PATIENCE, TcpStream::connect(own)).await;
    matches!(reached, Ok(Ok(_))).then_some(own)
}

/// The address by which this machine would reach the world; nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation (RFC 5737): connecting a datagram socket only asks the routes.
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

/// How many bytes are free in the file system of a folder.
pub(super) fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The permissions of a folder.
pub(super) fn mode(folder: &Path) -> Option<u32> {
    std::fs::metadata(folder).ok().map(|found| found.permissions().mode() & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_address() {
        for (address, own) in [
            ("http://127.0.0.1:7420", true),
            ("http://[::1]:7420/", true),
            ("http://localhost", true),
            ("http://10.0.0.5:7420", false),
            ("http://localhost.example.com:7420", false),
        ] {
            assert_eq!(is_loopback(address), own, "{address}");
        }
    }

    #[test]
    fn an_answer_tells_readiness_and_the_clock() {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        let text = "HTTP/1.1 503 Service Unavailable\r\nDate: Sat, 31 Jan 2026 12:01:00 GMT\r\n\r\n\
                    the log is damaged\n";
        let found = parsed(text, now).unwrap();
        assert_eq!(
            (found.ready, found.reason.as_str(), found.ahead),
            (false, "the log is damaged", Some(60))
        );
        assert!(parsed("HTTP/1.1 200 OK\r\n\r\nready\n", now).unwrap().ready);
        assert!(parsed("SSH-2.0", now).is_none());
    }
}
