//! JetStream: the ports on a real nats-server.

use takt_tests::Nats;

#[test]
fn a_server_that_is_killed_comes_back_on_its_port() {
    let mut nats = Nats::start();
    let (url, before) = (nats.url(), nats.pid());
    nats.kill();
    nats.restart();
    assert_eq!((nats.url(), nats.pid() != before), (url, true));
}
