//! `takt log`: the log itself.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use takt_proto::v1::VerifyLogRequest;
use takt_proto::v1::admin_service_client::AdminServiceClient;

use super::Context;
use super::nats::{self, NatsLogin};
use super::serve;
use crate::exit::{Failure, INTERRUPTED, USAGE, VERDICT};
use crate::output::human::count;
use crate::output::page::Mark;
use crate::output::{one, plain};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Whether every entry is whole; exits with 1 if not
    Verify,
    /// From the folder of a server that is stopped into an empty JetStream, sequences unchanged
    Copy(Box<CopyArgs>),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    takt log copy --data takt-data --nats nats://127.0.0.1:4222\n  \
    takt serve --data takt-data --nats nats://127.0.0.1:4222\n\n\
    The log on files stays as it is. A copy that was cut short goes on when it is asked for again, if\n\
    no node was started on it before; a log on JetStream that holds something else is not touched.\n\
    Once it is copied start every node with `--nats`: one without it goes on with the files.")]
pub(super) struct CopyArgs {
    /// The data folder of the log on files
    #[arg(long, value_name = "DIR", default_value = "takt-data")]
    data: PathBuf,
    /// The nats-server, such as `nats://127.0.0.1:4222`
    #[arg(long, env = "TAKT_NATS", value_name = "URL", help_heading = nats::NATS)]
    nats: String,
    #[command(flatten)]
    login: NatsLogin,
}

#[derive(Serialize)]
struct Copied {
    entries: u64,
    before: u64,
    dead_letters: u64,
    digest: String,
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    entries: u64,
    damaged: Option<u64>,
    message: String,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Verify => verify(context).await,
        Verb::Copy(args) => copy(context, *args).await,
    }
}

async fn copy(context: &Context, args: CopyArgs) -> Result<u8, Failure> {
    if !args.data.join("log").is_dir() {
        let hint = "name the data folder of a server with `--data`";
        return Err(Failure::new(USAGE, format!("`{}` holds no log", args.data.display()), hint));
    }
    let settings = args.login.settings(&args.nats)?;
    let bar = progress();
    let shown = bar.clone();
    let copied = takt_server::copy_log(&args.data, &settings, move |at, of| {
        shown.set_length(of);
        shown.set_position(at);
    });
    let copied = tokio::select! {
        copied = copied => copied.map_err(|error| serve::failure(&error)),
        () = serve::stop() => {
            let hint = "run the same command again; it goes on from there";
            Err(Failure::new(INTERRUPTED, "interrupted", hint))
        }
    };
    bar.finish_and_clear();
    let copied = copied?;
    let digest = copied.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let takt_server::Copied { entries, before, letters, .. } = copied;
    let data = Copied { entries, before, dead_letters: letters, digest };
    one(context.output, &data, |_| data.text())?;
    Ok(0)
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let style =
        ProgressStyle::with_template("{wide_bar} {percent:>3} %  {pos} entries  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar
}

impl Copied {
    fn text(&self) -> String {
        let new = match self.entries - self.before {
            1 => "1 entry".to_owned(),
            many => format!("{many} entries"),
        };
        let before = match self.before {
            0 => String::new(),
            some => format!(", after {some} that were there already"),
        };
        let done = Mark::Good.on(format!("{new} copied{before}; both logs are the same"));
        let letters = count(self.dead_letters, "dead letter");
        format!("{done}\n  digest {}\n  {letters} copied\n", self.digest)
    }
}

async fn verify(context: &Context) -> Result<u8, Failure> {
    let mut client = AdminServiceClient::new(context.wire.clone());
    let it = client.verify_log(VerifyLogRequest::default()).await?.into_inner();
    let data = Verdict { ok: it.ok, entries: it.entries, damaged: it.damaged, message: it.message };
    one(context.output, &data, |_| data.text())?;
    Ok(if it.ok { 0 } else { VERDICT })
}

impl Verdict {
    fn text(&self) -> String {
        let (entries, message) = (self.entries, plain(&self.message));
        match self.damaged {
            None => format!(
                "{}\n  {message}\n",
                Mark::Good.on(format!("all {entries} entries are whole"))
            ),
            Some(damaged) => {
                let bad = Mark::Bad.on(format!("entry {damaged} is DAMAGED"));
                format!("{bad}: {message}\n  the {entries} entries before it are whole\n")
            }
        }
    }
}
