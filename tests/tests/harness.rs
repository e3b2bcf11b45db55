//! What the other tests stand on: the server that is really there, and the stranger's tools.

use takt_tests::server::steady_address;
use takt_tests::{Server, tools};

#[test]
fn a_server_that_was_killed_comes_back_at_its_address_with_its_data() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(data.path(), &steady_address());
    server.ok(&["stream", "create", "shop"]);
    let (before, first) = (server.url.clone(), server.id());
    server.kill_and_restart();
    assert_eq!(server.url, before);
    assert_ne!(server.id(), first);
    assert_eq!(server.json(&["stream", "list"])[0]["stream"], "shop");
}

#[test]
fn the_strangers_tools_speak_grpc_and_know_json_schema() {
    let asked = "import grpc, grpc_reflection, jsonschema; print(grpc.__version__)";
    let answer = std::process::Command::new(tools::python()).args(["-c", asked]).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}
