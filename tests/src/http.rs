//! HTTP as plain as it goes: a request over a socket, an answer, or a stream of server-sent events.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// How long an answer may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer with its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in small letters.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header, if there is one.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Sends a request as HTTP/1.0, whose answers come in one piece, and gives the head of the answer.
fn send(
    address: &str,
    request: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (String, BufReader<TcpStream>) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{request} HTTP/1.0\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    // A server that refuses a body without reading it closes its end early.
    let _ = socket.write_all(body);
    let mut answer = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(answer.read_line(&mut head).unwrap() > 0, "the head ends early: {head}");
    }
    (head.to_lowercase().replace("\r\n", "\n"), answer)
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Asks, such as `GET /v1/events`, and waits for the whole answer.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn ask(address: &str, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let (head, mut rest) = send(address, request, headers, body);
    let mut body = String::new();
    rest.read_to_string(&mut body).unwrap();
    Answer { status: status(&head), head, body }
}

/// A server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Its id; empty if it has none.
    pub id: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// Server-sent events as they come.
#[derive(Debug)]
pub struct Watch {
    answer: BufReader<TcpStream>,
}

impl Watch {
    /// Opens a stream of events.
    ///
    /// # Panics
    /// When the answer is something else.
    #[must_use]
    pub fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let (head, mut answer) = send(address, &format!("GET {path}"), headers, b"");
        if status(&head) != 200 || header(&head, "content-type") != Some("text/event-stream") {
            let mut body = String::new();
            answer.read_to_string(&mut body).unwrap();
            panic!("`{path}` is no stream of events: {head}{body}");
        }
        Self { answer }
    }

    /// The next event with data; none once the server has ended or broken off.
    ///
    /// # Panics
    /// When it is silent for too long, even of heartbeats.
    pub fn next_event(&mut self) -> Option<Sent> {
        let mut sent = Sent::default();
        loop {
            let mut line = String::new();
            match self.answer.read_line(&mut line) {
                Ok(0) => return None,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                read => read.unwrap(),
            };
            match line.trim_end_matches('\n').split_once(':') {
                None if sent.data.is_empty() => sent = Sent::default(),
                None => return Some(sent),
                Some(("id", value)) => value.trim_start().clone_into(&mut sent.id),
                Some(("event", value)) => value.trim_start().clone_into(&mut sent.name),
                Some(("data", value)) => sent.data.push_str(value.trim_start()),
                // Comments are heartbeats.
                Some(_) => {}
            }
        }
    }
}
