//! The binary from outside: a server on a free port, and commands as a user types them.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../takt-intake/samples");
const HELPDESK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/helpdesk.xes.gz");

/// A server that is killed with -9 when it goes out of scope, as a power cut would.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_takt"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned();
        Self { child, url }
    }

    /// Runs a command; gives its exit code, stdout and stderr.
    fn takt(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_takt"))
            .args(args)
            .env("TAKT_SERVER", &self.url)
            .env("TAKT_STREAM", "shop")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn ok(&self, args: &[&str]) -> String {
        let (code, out, err) = self.takt(args);
        assert_eq!(code, 0, "{args:?}: {err}");
        out
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["-o", "json"]].concat())).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_full_column_refuses_with_exit_code_4_and_a_hint() {
    let data = folder();
    let server = Server::start(data.path());
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["column", "set", "Doing", "--wip-limit", "1"]);
    server.ok(&["card", "add", "--id", "a", "first"]);
    let (code, _, err) = server.takt(&["card", "add", "--id", "b", "second"]);
    assert_eq!(code, 4);
    assert!(
        err.contains("`Doing` is full: 1 cards, hard limit 1") && err.contains("hint:"),
        "{err}"
    );
}

#[test]
fn a_stream_that_is_not_made_exits_2_with_the_command_that_makes_it() {
    let data = folder();
    let server = Server::start(data.path());
    let (code, _, err) = server.takt(&["board", "show"]);
    assert_eq!(code, 2);
    assert!(err.contains("hint: make it with `takt stream create shop`"), "{err}");
}

#[test]
fn a_server_that_is_not_there_exits_3() {
    let data = folder();
    let server = Server::start(data.path());
    let gone = Server {
        url: "http://127.0.0.1:1".to_owned(),
        child: Command::new("true").spawn().unwrap(),
    };
    assert_eq!(gone.takt(&["stream", "list"]).0, 3);
    drop(server);
}

#[test]
fn a_pulled_andon_stops_the_line_until_it_is_resolved() {
    let data = folder();
    let server = Server::start(data.path());
    server.ok(&["stream", "create", "shop"]);
    assert_eq!(server.takt(&["andon", "check"]).0, 0);
    let pulled = server.json(&["andon", "pull", "the build is broken"]);
    assert_eq!(server.takt(&["andon", "check"]).0, 4);
    let alert = pulled["alert"].as_str().unwrap();
    let why = ["--category", "fixed", "--cause", "a port", "--countermeasure", "a test"];
    server.ok(&[&["andon", "resolve", alert], &why[..]].concat());
    assert_eq!(server.takt(&["andon", "check"]).0, 0);
}

#[test]
fn what_was_acknowledged_outlives_a_kill_and_an_import_again_adds_nothing() {
    let data = folder();
    let sample = std::fs::read_dir(SAMPLE).unwrap().map(|entry| entry.unwrap().path());
    let sample =
        sample.filter(|path| path.extension().is_some_and(|it| it == "xes")).min().unwrap();
    let import = ["import", "xes", sample.to_str().unwrap(), "--done", "Closed"];
    let (first, before) = {
        let server = Server::start(data.path());
        server.ok(&["stream", "create", "shop"]);
        (server.json(&import), server.ok(&["metrics", "lead-time", "-o", "json"]))
    };
    assert!(first["recorded"].as_u64().unwrap() > 0, "{first}");
    let server = Server::start(data.path());
    assert_eq!(server.ok(&["metrics", "lead-time", "-o", "json"]), before);
    let again = server.json(&import);
    assert_eq!((&again["recorded"], &again["duplicate"]), (&0.into(), &first["recorded"]));
    assert_eq!(server.json(&["projection", "verify"])["ok"], true);
}

#[test]
fn the_help_desk_gives_the_published_figures() {
    if !Path::new(HELPDESK).exists() {
        println!("SKIPPED: the shared data is not there, so the help desk was not imported");
        return;
    }
    let data = folder();
    let server = Server::start(data.path());
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["import", "xes", HELPDESK, "--done", "Closed"]);
    let found = server.json(&["metrics", "lead-time"]);
    let counts = ["completed", "reopened", "open", "reopened_open"].map(|name| &found[name]);
    assert_eq!(counts, [&Value::from(4557), &1.into(), &23.into(), &2.into()]);
    for (name, figure) in
        [("p50", 3_436_439.0), ("p85", 4_324_005.4), ("p95", 5_007_053.4), ("mean", 3_528_560.03)]
    {
        let value = found[name].as_f64().unwrap();
        assert!((value / figure - 1.0).abs() < 1e-6, "{name}: {value}");
    }
}
