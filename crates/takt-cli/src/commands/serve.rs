//! `takt dev` and `takt serve`: the server in this process, until it is told to stop.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use takt_nats::Settings;
use takt_server::{App, Config, OpenBind, OpenError, WebhookConfig, WebhookRefused, WebhookSecret};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::nats::{self, NatsLogin};
use super::time;
use crate::exit::{Failure, INTERNAL, UNREACHABLE, USAGE};
use crate::output::talk;

/// Where clients look for a server when nobody tells them.
const USUAL: &str = "127.0.0.1:7420";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the log and of the projections
    #[arg(long, default_value = "takt-data")]
    data: PathBuf,
    /// Where to listen
    #[arg(long, default_value = USUAL)]
    listen: SocketAddr,
    /// Listen off loopback although anyone who reaches the port may act
    #[arg(long)]
    insecure_bind: bool,
    /// A name by which the server is called, beside those of loopback; other names are refused
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Keep the log on JetStream for many nodes: the nats-server, such as `nats://127.0.0.1:4222`,
    /// with commas between those of a cluster
    #[arg(long, env = "TAKT_NATS", value_name = "URL", help_heading = nats::NATS)]
    nats: Option<String>,
    /// How many servers of a cluster keep each stream
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    #[arg(value_name = "N", help_heading = nats::NATS, requires = "nats")]
    nats_replicas: u8,
    /// How much may wait in the inbox, in MiB; JetStream sets the room aside
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    #[arg(value_name = "MIB", help_heading = nats::NATS, requires = "nats")]
    nats_inbox_mib: u32,
    #[command(flatten)]
    login: NatsLogin,
    #[command(flatten)]
    webhook: WebhookArgs,
}

/// The same on every node that shares a log.
#[derive(Debug, clap::Args)]
struct WebhookArgs {
    /// Tell this URL of every step of an alert, by signed requests
    #[arg(long, env = "TAKT_WEBHOOK", value_name = "URL", help_heading = WEBHOOK)]
    #[arg(hide_env_values = true)]
    webhook: Option<String>,
    /// The file of its secret, `whsec_…`; also the variable `TAKT_WEBHOOK_SECRET`
    #[arg(long, env = "TAKT_WEBHOOK_SECRET_FILE", value_name = "FILE", help_heading = WEBHOOK)]
    webhook_secret_file: Option<PathBuf>,
    /// Only of this value stream
    #[arg(long, env = "TAKT_WEBHOOK_STREAM", value_name = "STREAM", help_heading = WEBHOOK)]
    webhook_stream: Option<String>,
    /// The receiver's name in the log, so that its URL may change
    #[arg(long, env = "TAKT_WEBHOOK_NAME", value_name = "NAME", help_heading = WEBHOOK)]
    webhook_name: Option<String>,
}

const WEBHOOK: &str = "Webhook";

impl WebhookArgs {
    fn config(self) -> Result<Option<WebhookConfig>, Failure> {
        let Some(url) = self.webhook else { return Ok(None) };
        let secret = match (self.webhook_secret_file, std::env::var("TAKT_WEBHOOK_SECRET")) {
            (Some(file), _) => WebhookSecret::File(file),
            (None, Ok(text)) => WebhookSecret::Text(text),
            (None, Err(_)) => {
                let hint = "name its file with `--webhook-secret-file`, or set \
                            `TAKT_WEBHOOK_SECRET`; make one with `echo \"whsec_$(openssl rand -base64 32)\"`";
                return Err(Failure::new(USAGE, "the webhook has no secret", hint));
            }
        };
        let (stream, name) = (self.webhook_stream, self.webhook_name);
        Ok(Some(WebhookConfig { url, secret, stream, name }))
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct DevArgs {
    #[command(flatten)]
    server: Args,
    /// Make a value stream to look at, `demo`, and keep it moving
    #[arg(long)]
    demo: bool,
    /// How often something happens in the demo; at `0s` it stands still
    #[arg(long, default_value = "4s", requires = "demo")]
    demo_every: String,
}

/// The server as a service runs it.
pub(super) async fn serve(args: Args) -> Result<u8, Failure> {
    run(args, None, |_| {}).await
}

/// The server as a person tries it: with a demo if asked, and with words on what to do next.
pub(super) async fn dev(args: DevArgs) -> Result<u8, Failure> {
    let every = time::span(&args.demo_every)?;
    let stream = if args.demo { "demo" } else { "" };
    let demo = args.demo.then_some(every);
    run(args.server, demo, |address| welcome(address, stream).iter().for_each(|line| talk(line)))
        .await
}

async fn run(
    args: Args,
    demo: Option<Duration>,
    welcome: impl FnOnce(SocketAddr),
) -> Result<u8, Failure> {
    takt_server::log_to_stderr();
    let folder = args.data.display().to_string();
    let Args { data, listen, insecure_bind, hosts, nats: at, login, webhook, .. } = args;
    let nats = at.as_deref().map(|at| login.settings(at)).transpose()?;
    let inbox_bytes = i64::from(args.nats_inbox_mib) << 20;
    let nats = nats.map(|it| Settings { replicas: args.nats_replicas.into(), inbox_bytes, ..it });
    let webhook = webhook.config()?;
    let config = Config { data, listen, demo, insecure_bind, hosts, nats, webhook };
    let app = App::build(config).await.map_err(|error| failure(&error))?;
    let signals = Signals::listen().map_err(|error| failure(&error.into()))?;
    let address = app.address().map_err(|error| failure(&error.into()))?;
    match at {
        None => talk(&format!("takt is ready at http://{address} with its data in `{folder}`")),
        Some(at) => talk(&format!(
            "takt is ready at http://{address} with its log at {at} and projections in `{folder}`"
        )),
    }
    welcome(address);
    let (tell, told) = oneshot::channel::<()>();
    tokio::select! {
        ended = app.run(async { drop(told.await) }) => ended.map_err(|error| failure(&error))?,
        code = twice(signals, tell) => {
            talk("ended at once; everything acknowledged is in the log");
            std::process::exit(code);
        }
    }
    talk("stopped; everything acknowledged is in the log");
    Ok(0)
}

/// Passes a first signal on, by dropping `tell`, and completes at a second with its exit code.
async fn twice(mut signals: Signals, tell: oneshot::Sender<()>) -> i32 {
    signals.next().await;
    talk("stopping, and finishing what was begun; a second signal ends it at once");
    drop(tell);
    signals.next().await
}

/// The signals that ask a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one, and tells the exit code that belongs to it.
    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        128 + kind.as_raw_value()
    }
}

/// What a newcomer does next; the commands work as they stand, from the same folder.
fn welcome(address: SocketAddr, stream: &str) -> Vec<String> {
    let takt = std::env::args().next().unwrap_or_else(|| "takt".to_owned());
    let server = if address.to_string() == USUAL {
        String::new()
    } else {
        format!(" --server http://{address}")
    };
    let [first, second] = if stream.is_empty() {
        ["stream create shop".to_owned(), "column set --stream shop Doing --wip-limit 3".to_owned()]
    } else {
        [format!("board show --stream {stream}"), format!("andon list --stream {stream}")]
    };
    vec![
        String::new(),
        format!("  see it   http://{address}/"),
        format!("  try      {takt} {first}{server}"),
        format!("           {takt} {second}{server}"),
        "  stop     Ctrl-C; the data stays, and the next start goes on from there".to_owned(),
        String::new(),
    ]
}

/// Completes on an interrupt or a request to terminate.
pub(super) async fn stop() {
    match Signals::listen() {
        Ok(mut signals) => drop(signals.next().await),
        Err(_) => std::future::pending().await,
    }
}

/// A failure with its causes, and with what to do where the caller can do something.
pub(super) fn failure(error: &anyhow::Error) -> Failure {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    if let Some(failure) = of_nats(error, &chain) {
        return failure;
    }
    if error.is::<OpenBind>() || error.is::<WebhookRefused>() {
        return Failure::new(USAGE, chain.join(": "), "");
    }
    if error.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == ErrorKind::AddrInUse) {
        return Failure::new(USAGE, chain.join(": "), "choose another address with `--listen`");
    }
    let (exit, hint) = match error.downcast_ref::<OpenError>() {
        Some(OpenError::LogInUse { .. }) => {
            (USAGE, "stop it or choose another folder with `--data`")
        }
        Some(OpenError::Damaged { .. }) => {
            (INTERNAL, "restore the folder from a backup; nothing in it was changed")
        }
        Some(OpenError::Io { .. }) => {
            (INTERNAL, "make the folder readable and writable, or choose another with `--data`")
        }
        None => (INTERNAL, ""),
    };
    Failure::new(exit, chain.join(": "), hint)
}

/// What keeps a node from its nats-server.
fn of_nats(error: &anyhow::Error, chain: &[String]) -> Option<Failure> {
    use takt_nats::{ConnectError, OpenError};
    let (exit, hint) = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(ConnectError::Given { .. }), _) => (USAGE, "give it another value"),
        (Some(ConnectError::Unreachable { .. }), _) => {
            (UNREACHABLE, "start it, or name another with `--nats`")
        }
        (Some(ConnectError::Refused { .. }), _) => {
            (UNREACHABLE, "give a login that it knows; `takt serve --help` lists the ways")
        }
        (None, Some(OpenError::Differs { .. })) => (USAGE, ""),
        (None, Some(OpenError::Unavailable { .. })) => (UNREACHABLE, ""),
        (None, None) => return None,
    };
    Some(Failure::new(exit, chain.join(": "), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_told_the_board_and_commands_that_reach_this_server() {
        let usual = welcome(USUAL.parse().unwrap(), "demo").join("\n");
        assert!(usual.contains("http://127.0.0.1:7420/"), "{usual}");
        assert!(usual.contains("board show --stream demo\n"), "{usual}");
        let other = welcome("127.0.0.1:9".parse().unwrap(), "").join("\n");
        assert!(other.contains("stream create shop --server http://127.0.0.1:9\n"), "{other}");
    }
}
