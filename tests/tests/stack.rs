//! The local stack: what docker-compose.yml says, and that it comes up, keeps its data and ends.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use takt_tests::docker::{Engine, busybox, done};
use takt_tests::{Ended, binary, compose, nats, repository, tools};

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

/// The stack as the file describes it, under names and on ports of its own; gone with its data at
/// the end.
struct Stack {
    engine: Engine,
    project: String,
    images: [String; 2],
    ports: [String; 2],
}

impl Stack {
    /// Makes the images from what is on this machine; nothing comes from a registry.
    fn new(engine: Engine) -> Self {
        let project = format!("takt-test-{}", std::process::id());
        let images = ["nats", "takt"].map(|name| format!("{project}-{name}:test"));
        let [nats_image, takt_image] = &images;
        let folder = tempfile::tempdir().unwrap();
        let mut make = engine.command(repository().join("tests/stack/stand-ins.sh"));
        make.arg(folder.path()).arg(nats::server()).arg(busybox()).arg(binary::takt());
        done(make.args([nats_image, takt_image]));
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports = [free().to_string(), free().to_string()];
        Self { engine, project, images, ports }
    }

    fn compose(&self, args: &[&str]) -> String {
        let mut command = self.engine.command(compose::program());
        command.args(["--project-name", &self.project, "--env-file"]).arg(passwords());
        command.arg("--file").arg(repository().join("docker-compose.yml")).args(args);
        command.env("TAKT_NATS_IMAGE", &self.images[0]).env("TAKT_IMAGE", &self.images[1]);
        command.env("TAKT_NATS_PORT", &self.ports[0]).env("TAKT_PORT", &self.ports[1]);
        done(&mut command)
    }

    fn up(&self) {
        self.compose(&["up", "--detach", "--wait", "--no-build", "--pull", "never"]);
    }

    /// Kills a service with -9.
    fn kill(&self, service: &str) {
        self.compose(&["kill", "--signal", "KILL", service]);
    }

    /// A command of a user, from outside.
    fn takt(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(binary::takt());
        command.args(args).env("TAKT_STREAM", "shop");
        command.env("TAKT_SERVER", format!("http://127.0.0.1:{}", self.ports[1]));
        Ended::of(command.output().unwrap())
    }

    fn ok(&self, args: &[&str]) -> String {
        let ended = self.takt(args);
        assert_eq!(ended.code, 0, "{args:?}: {}\n{}", ended.err, self.compose(&["logs"]));
        ended.out
    }

    /// Runs something with the passwords, in Python, against NATS from outside.
    fn python(&self, script: PathBuf, args: &[&str]) -> Ended {
        let mut command = Command::new(tools::python());
        command
            .arg(script)
            .args(args)
            .env("TAKT_NATS", format!("nats://127.0.0.1:{}", self.ports[0]));
        let text = std::fs::read_to_string(passwords()).unwrap();
        let variables = text.lines().filter(|line| !line.starts_with('#'));
        command.envs(variables.filter_map(|line| line.split_once('=')));
        Ended::of(command.output().unwrap())
    }

    /// Waits until a card is in a column.
    fn wait_for(&self, card: &str, column: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let shown = self.takt(&["card", "show", card, "-o", "json"]);
            if shown.code == 0 && shown.json()["column"] == column {
                return;
            }
            assert!(Instant::now() < deadline, "{shown:?}\n{}", self.compose(&["logs"]));
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.compose(&["down", "--volumes", "--timeout", "20"]);
            done(&mut self.engine.docker(&["image", "rm", &self.images[0], &self.images[1]]));
        }
    }
}

#[test]
fn the_stack_comes_up_keeps_its_data_through_kills_and_ends() {
    let Some(engine) = Engine::find() else { return };
    let stack = Stack::new(engine);
    stack.up();
    stack.ok(&["stream", "create", "shop", "--title", "Web shop"]);
    stack.ok(&["column", "set", "Ready"]);
    stack.ok(&["card", "add", "--id", "S-1", "Pay by invoice"]);
    assert!(stack.ok(&["board", "show"]).contains("Pay by invoice"));

    let publish = repository().join("docs/examples/python/publish.py");
    let published = stack.python(publish, &["shop", "S-1", "Doing"]);
    assert!(published.out.starts_with("stored in the inbox at "), "{published:?}");
    stack.wait_for("S-1", "Doing");
    let rights = repository().join("tests/python/rights.py");
    let rights = stack.python(rights, &[]);
    assert_eq!((rights.code, rights.out.trim()), (0, "as they should be"), "{}", rights.err);

    for service in ["takt", "nats"] {
        stack.kill(service);
        stack.up();
        stack.wait_for("S-1", "Doing");
    }
    stack.kill("nats");
    stack.kill("takt");
    stack.up();
    assert!(stack.ok(&["board", "show"]).contains("Pay by invoice"));
    stack.ok(&["card", "move", "S-1", "Ready"]);
    stack.wait_for("S-1", "Ready");
}
