//! `takt doctor`: whether everything is as it should be, and what to do where it is not.

mod probe;

use std::path::Path;

use serde::Serialize;
use takt_proto::v1::admin_service_client::AdminServiceClient;
use takt_proto::v1::{GetStatusRequest, GetStatusResponse};

use super::Context;
use crate::exit::{Failure, VERDICT};
use crate::output::page::Mark;
use crate::output::{one, plain};
use crate::wire;

/// How far the read side may be behind the log before that is told.
const LAG: u64 = 10_000;
/// How many seconds two clocks may be apart before that is told, and before it does harm.
const SKEW: (i64, i64) = (5, 300);
/// How many bytes should be free for the log, and how many must be.
const SPACE: (u64, u64) = (1 << 30, 100 << 20);

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    state: State,
    found: String,
    remedy: Option<&'static str>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), remedy: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, remedy: &'static str) -> Self {
        Self { check, state: State::Warn, found: found.into(), remedy: Some(remedy) }
    }

    fn fail(check: &'static str, found: impl Into<String>, remedy: &'static str) -> Self {
        Self { check, state: State::Fail, found: found.into(), remedy: Some(remedy) }
    }
}

pub(super) async fn run(context: &Context) -> Result<u8, Failure> {
    let mut client = AdminServiceClient::new(context.wire.clone());
    let answer = client.get_status(GetStatusRequest::default()).await;
    let mut checks = vec![];
    match answer {
        Err(status) => {
            // What the server itself has sent comes with details.
            let answers = !takt_proto::error::details(&status).is_empty();
            let found = Failure::from(status).at(&context.server).message;
            let remedy = if answers {
                "look at what the server wrote on its stderr, and at the nats-server if it has one"
            } else {
                "start one with `takt dev`, or name it with `--server`"
            };
            checks.push(Check::fail("server", found, remedy));
        }
        Ok(answer) => {
            let it = answer.into_inner();
            checks.push(Check::ok("server", format!("it answers at `{}`", context.server)));
            checks.push(version(&it.version));
            let address = wire::address(&context.server)?;
            let probed = probe::ready(&address).await;
            checks.push(readiness(&probed));
            checks.extend(probed.ok().and_then(|it| it.ahead).map(clock));
            checks.extend([seen(&it), saved(&it)]);
            checks.extend(nodes(&it));
            checks.extend(folder(&address, &it.data_dir));
            checks.push(exposure(&address).await);
        }
    }
    one(context.output, &checks, |_| text(&checks))?;
    let failed = checks.iter().any(|it| it.state == State::Fail);
    Ok(if failed { VERDICT } else { 0 })
}

fn version(server: &str) -> Check {
    let client = env!("CARGO_PKG_VERSION");
    if server == client {
        return Check::ok("version", format!("server and client are both `{client}`"));
    }
    let found = format!("the server is `{server}`, the client `{client}`");
    Check::warn("version", found, "use the client of the server's version")
}

fn readiness(probed: &Result<probe::Ready, String>) -> Check {
    match probed {
        Ok(it) if it.ready => Check::ok("health", "the server is ready"),
        Ok(it) => {
            let remedy = "look at what the server wrote on its stderr, then start it again";
            Check::fail("health", format!("the server is not ready: {}", it.reason), remedy)
        }
        Err(error) => {
            let remedy = "let requests to `/readyz` through to the server";
            Check::warn("health", format!("`/readyz` does not answer: {error}"), remedy)
        }
    }
}

/// The server's clock, seen from here; its answer gives whole seconds.
fn clock(ahead: i64) -> Check {
    let (tell, harm) = SKEW;
    let remedy = "set both clocks by NTP: events get their time from them";
    let found = match ahead {
        ahead if ahead.abs() <= tell => "both clocks agree".to_owned(),
        ahead if ahead > 0 => format!("the server's clock is {ahead} s ahead"),
        behind => format!("the server's clock is {} s behind", behind.abs()),
    };
    match ahead.abs() {
        skew if skew <= tell => Check::ok("clock", found),
        skew if skew <= harm => Check::warn("clock", found, remedy),
        _ => Check::fail("clock", found, remedy),
    }
}

fn seen(it: &GetStatusResponse) -> Check {
    let lag = it.head.saturating_sub(it.applied);
    if lag <= LAG {
        return Check::ok("queries", format!("they see {} of {} events", it.applied, it.head));
    }
    let remedy =
        "wait until the server has caught up; `takt projection status` shows how far it is";
    Check::warn("queries", format!("they are {lag} events behind the log"), remedy)
}

fn saved(it: &GetStatusResponse) -> Check {
    let lag = it.applied.saturating_sub(it.checkpoint);
    if lag <= LAG {
        return Check::ok("saved state", format!("it holds {} events", it.checkpoint));
    }
    let remedy =
        "look whether the server's disk is full or slow; a restart folds these events again";
    Check::warn("saved state", format!("it is {lag} events behind what queries see"), remedy)
}

/// What is only there with several nodes: who holds the leases, and what waits in the inbox.
fn nodes(it: &GetStatusResponse) -> Vec<Check> {
    if it.node.is_empty() {
        return vec![];
    }
    let held = |own: bool| {
        let leases = it.leases.iter().filter(|lease| (lease.node == it.node) == own);
        leases.map(|lease| format!("`{}`", lease.name)).collect::<Vec<_>>()
    };
    let (own, others) = (held(true), held(false));
    let found = match (own.is_empty(), others.is_empty()) {
        (true, true) => {
            let remedy = "wait for ten seconds; then look whether a node can reach the nats-server";
            vec![Check::warn("leases", "no node holds any lease now", remedy)]
        }
        (true, false) => {
            vec![Check::ok("leases", format!("other nodes hold {}", others.join(", ")))]
        }
        (false, true) => {
            vec![Check::ok("leases", format!("this node holds {}", own.join(", ")))]
        }
        (false, false) => {
            let (own, others) = (own.join(", "), others.join(", "));
            vec![Check::ok("leases", format!("this node holds {own}; others hold {others}"))]
        }
    };
    let unread = it.unread.map(|unread| match unread {
        0 => Check::ok("inbox", "the inbox is empty"),
        some if some <= LAG => Check::ok("inbox", format!("{some} messages are not taken in yet")),
        many => {
            let remedy = "wait until they are taken in; if they never are, look at `leases`";
            Check::warn("inbox", format!("{many} messages are not taken in yet"), remedy)
        }
    });
    let advised = it.advice.iter().map(|advice| {
        let remedy = "change the nats-server's configuration, and restart this node";
        Check::warn("nats-server", advice.clone(), remedy)
    });
    found.into_iter().chain(unread).chain(advised).collect()
}

/// The data folder, where it is on this machine.
fn folder(address: &str, data: &str) -> Vec<Check> {
    let folder = Path::new(data);
    if !probe::is_loopback(address) || !folder.is_dir() {
        return vec![];
    }
    let mut checks = vec![];
    if let Some(free) = probe::free(folder) {
        let (should, must) = SPACE;
        let found = format!("{} MiB are free for `{data}`", free >> 20);
        checks.push(match free {
            free if free >= should => Check::ok("space", found),
            free if free >= must => Check::warn("space", found, "make room before the log is full"),
            _ => Check::fail("space", found, "make room: a full disk refuses every command"),
        });
    }
    if let Some(mode) = probe::mode(folder) {
        let found = format!("`{data}` has the permissions {mode:o}");
        let remedy = "take them away with `chmod go-w` on the data folder";
        checks.push(match mode & 0o022 {
            0 => Check::ok("permissions", found),
            _ => Check::fail("permissions", format!("{found}: others may write"), remedy),
        });
    }
    checks
}

/// Whether anyone but this machine may reach the server, which asks for no token.
async fn exposure(address: &str) -> Check {
    let remedy = "listen on 127.0.0.1, and put a proxy with TLS and a login in front";
    if !probe::is_loopback(address) {
        let found = "the server is reached over a network, without TLS and tokens";
        return Check::warn("exposure", found, remedy);
    }
    match probe::open_elsewhere(address).await {
        Some(open) => {
            Check::warn("exposure", format!("the server also answers at `{open}`"), remedy)
        }
        None => Check::ok("exposure", "only this machine reaches the server"),
    }
}

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for it in checks {
        let state = match it.state {
            State::Ok => Mark::Good.on("ok  "),
            State::Warn => Mark::Warn.on("warn"),
            State::Fail => Mark::Bad.on("FAIL"),
        };
        text.push_str(&format!("{state}  {:<12} {}\n", it.check, plain(&it.found)));
        if let Some(remedy) = it.remedy {
            text.push_str(&format!("      {:<12} {} {remedy}\n", "", Mark::Dim.on("do:")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_fine_told_or_harmful() {
        let state = |ahead| clock(ahead).state;
        assert!([0, 5, -5].into_iter().all(|ahead| state(ahead) == State::Ok));
        assert!([6, -300].into_iter().all(|ahead| state(ahead) == State::Warn));
        assert!([301, -4000].into_iter().all(|ahead| state(ahead) == State::Fail));
    }

    #[test]
    fn a_nats_server_that_is_set_otherwise_is_told_with_its_remedy() {
        let (node, advice) = ("n".to_owned(), vec!["it takes 1 MB".to_owned()]);
        let checks = nodes(&GetStatusResponse { node, advice, ..GetStatusResponse::default() });
        let told = checks.iter().find(|it| it.check == "nats-server").unwrap();
        assert!(told.state == State::Warn && told.remedy.is_some() && told.found.contains("1 MB"));
    }

    #[test]
    fn what_is_not_ok_has_a_remedy() {
        let behind = GetStatusResponse { head: 50_000, ..GetStatusResponse::default() };
        let ahead = GetStatusResponse { applied: 50_000, ..GetStatusResponse::default() };
        let odd =
            [version("0"), clock(400), seen(&behind), saved(&ahead), readiness(&Err("x".into()))];
        for check in odd {
            assert!(check.state != State::Ok && check.remedy.is_some(), "{}", check.check);
        }
    }
}
