//! `takt dev` and `takt serve`: the server in this process, until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use takt_server::{App, Config};

use crate::exit::{Failure, INTERNAL};
use crate::output::talk;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the log and of the projections.
    #[arg(long, default_value = "takt-data")]
    data: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:7420")]
    listen: SocketAddr,
    /// Listen off loopback although anyone who reaches the port may act.
    #[arg(long)]
    insecure_bind: bool,
}

pub(super) async fn run(args: Args) -> Result<u8, Failure> {
    takt_server::log_to_stderr();
    let folder = args.data.display().to_string();
    let Args { data, listen, insecure_bind } = args;
    let config = Config { data, listen, demo: false, insecure_bind };
    let app = App::build(config).await.map_err(|error| failure(&error))?;
    let address = app.address().map_err(|error| failure(&error.into()))?;
    talk(&format!("takt is ready at http://{address} with its data in `{folder}`"));
    app.run(stop()).await.map_err(|error| failure(&error))?;
    talk("stopped; everything acknowledged is in the log");
    Ok(0)
}

/// Completes on an interrupt or a request to terminate.
async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn failure(error: &anyhow::Error) -> Failure {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    Failure::new(INTERNAL, chain.join(": "), "")
}
