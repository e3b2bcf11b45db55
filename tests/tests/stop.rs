//! A stop by signal: the first is waited for, the second ends the process at once.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use takt_tests::Server;

fn signal(server: &Server, name: &str) {
    let id = server.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

#[test]
fn a_second_signal_ends_the_server_at_once_and_nothing_acknowledged_is_lost() {
    let data = tempfile::tempdir().unwrap();
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let mut server = Server::start(data.path());
        server.ok(&["stream", "create", "shop"]);
        server.ok(&["column", "set", "Todo"]);
        server.ok(&["card", "add", "--id", name, "it is there"]);
        // A request that never ends holds an orderly stop for seconds.
        let mut holding = TcpStream::connect(server.address()).unwrap();
        holding.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").unwrap();
        let begun = Instant::now();
        signal(&server, name);
        while !server.said().contains("a second signal ends it at once") {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", server.said());
            std::thread::yield_now();
        }
        signal(&server, name);
        assert_eq!(server.ended(), code);
        drop(holding);
    }
    let server = Server::start(data.path());
    for card in ["TERM", "INT"] {
        assert_eq!(server.json(&["card", "show", card])["card"], card);
    }
    assert_eq!(server.stop(), 0);
}
