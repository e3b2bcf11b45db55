//! The local stack: what docker-compose.yml says, and that it comes up, keeps its data and ends.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use takt_tests::{compose, repository};

fn passwords() -> PathBuf {
    repository().join("deploy/example.env")
}

/// The file as compose reads it.
fn config() -> Value {
    let file = repository().join("docker-compose.yml");
    let mut command = Command::new(compose::program());
    command.arg("--env-file").arg(passwords()).arg("--file").arg(file);
    let told = command.args(["config", "--format", "json"]).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).unwrap()
}

#[test]
fn compose_accepts_the_file_and_no_service_has_more_rights_than_it_needs() {
    let config = config();
    let services = config["services"].as_object().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["nats", "takt"]);
    for (name, service) in services {
        assert_eq!(service["user"], "10001:10001", "{name}");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        let options = service["security_opt"].to_string();
        assert!(options.contains("no-new-privileges:true"), "{name}: {options}");
        assert!(service["pids_limit"].as_u64().is_some_and(|it| it <= 512), "{name}");
        assert!(service["mem_limit"].is_string() || service["mem_limit"].is_u64(), "{name}");
        assert!(service["healthcheck"]["test"].is_array(), "{name}");
        assert_eq!((&service["privileged"], &service["cap_add"]), (&Value::Null, &Value::Null));
        for port in service["ports"].as_array().unwrap() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}: {port}");
        }
        for volume in service["volumes"].as_array().unwrap() {
            assert_eq!(volume["type"], "volume", "{name}: {volume}");
        }
    }
    let waits = &services["takt"]["depends_on"]["nats"]["condition"];
    assert_eq!(waits, "service_healthy");
}

#[test]
fn compose_asks_for_the_passwords_that_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(repository().join("docker-compose.yml"), folder.path().join("compose.yml"))
        .unwrap();
    let mut command = Command::new(compose::program());
    for account in ["SERVER", "PUBLISHER", "SUBSCRIBER"] {
        command.env_remove(format!("TAKT_NATS_{account}_PASSWORD"));
    }
    let told = command.arg("config").current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success() && said.contains("deploy/example.env"), "{said}");
}

#[test]
fn no_secret_and_no_leftover_gets_into_an_image() {
    let text = |name: &str| std::fs::read_to_string(repository().join(name)).unwrap();
    let values: Vec<String> = text("deploy/example.env")
        .lines()
        .filter_map(|line| line.split_once("PASSWORD=").map(|(_, value)| value.to_owned()))
        .collect();
    assert_eq!(values.len(), 3);
    for file in [
        "Dockerfile",
        "deploy/nats/Dockerfile",
        "deploy/nats/nats-server.conf",
        "docker-compose.yml",
    ] {
        let text = text(file);
        assert!(values.iter().all(|value| !text.contains(value)), "`{file}` holds a password");
    }
    let ignored = text(".dockerignore");
    for name in [".git", ".env", "**/target"] {
        assert!(ignored.lines().any(|line| line == name), "`{name}` would get into the build");
    }
    for file in ["Dockerfile", "deploy/nats/Dockerfile"] {
        let text = text(file);
        let last = text.rfind("\nFROM ").unwrap_or(0);
        assert!(text[last..].contains("\nUSER 10001:10001"), "`{file}` runs as root");
    }
}
