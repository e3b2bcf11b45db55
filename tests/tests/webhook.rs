//! A receiver with a rule of its own checks what Takt tells it of an alert.

use serde_json::Value;
use takt_tests::{Script, Server};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn an_alert_is_told_by_signed_requests_again_and_again_until_the_receiver_takes_it() {
    let receiver = Script::start("receiver.py", &[SECRET]);
    let port = receiver.line_that_starts("port ");
    let port = port.split(' ').nth(1).unwrap();
    let data = tempfile::tempdir().unwrap();
    let secret = data.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let url = format!("http://127.0.0.1:{port}/hooks/takt");
    let told = ["--webhook", &url, "--webhook-secret-file", secret.to_str().unwrap()];
    let server = Server::start_told(&data.path().join("takt"), &told);
    server.ok(&["stream", "create", "shop"]);
    let alert = server.json(&["andon", "pull", "smoke in the test hall"]);
    let heard = || serde_json::from_str::<Value>(&receiver.line_that_starts("{")).unwrap();
    let tries = [heard(), heard(), heard()];
    let statuses: Vec<&Value> = tries.iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, [500, 500, 204], "{tries:?}");
    for one in &tries {
        assert_eq!((&one["step"], &one["id"]), (&"pulled".into(), &tries[0]["id"]), "{one}");
        assert_eq!(one["type"], "dev.takt.andon.notice.v1");
    }
    let alert = alert["alert"].as_str().unwrap();
    let why = ["--category", "fixed", "--cause", "fire", "--countermeasure", "water"];
    server.ok(&[&["andon", "resolve", alert], &why[..]].concat());
    let resolved = heard();
    assert_eq!((&resolved["step"], &resolved["status"]), (&"resolved".into(), &204.into()));
    assert_ne!(resolved["id"], tries[0]["id"]);
    assert!(!server.said().contains(SECRET), "a secret in the log");
}

#[test]
fn a_webhook_without_a_secret_or_to_nowhere_is_refused_with_the_remedy() {
    let data = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(takt_tests::binary::takt());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).args(args);
        takt_tests::Ended::of(command.output().unwrap())
    };
    let bare = run(&["--webhook", "https://hooks.example/takt"]);
    assert_eq!(bare.code, 2, "{bare:?}");
    assert!(bare.err.contains("hint:") && bare.err.contains("--webhook-secret-file"), "{bare:?}");
    let secret = data.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let secret = secret.to_str().unwrap();
    let plain = run(&["--webhook", "http://hooks.example/takt", "--webhook-secret-file", secret]);
    assert_eq!(plain.code, 2, "{plain:?}");
    assert!(plain.err.contains("use `https`"), "{plain:?}");
}
