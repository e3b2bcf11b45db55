//! The commands, one file per noun.

mod andon;
mod bench;
mod board;
mod card;
mod column;
mod completion;
mod dead;
mod doctor;
mod events;
mod explain;
mod feed;
mod import;
mod log;
mod man;
mod metrics;
mod nats;
mod projection;
mod publish;
mod reports;
mod serve;
mod stream;
mod test;
mod time;

use std::fmt::Display;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::Serialize;
use takt_proto::v1::{ErrorDetail, Receipt};

use crate::exit::{Failure, USAGE};
use crate::output::{Done, Format, receipt, talk};
use crate::wire::{self, Wire};

/// Visible work, limited work in progress, and the Andon cord
///
/// Takt keeps what happens to a team's work as events, and shows from them the board with its
/// limits, the lead time, and the Andon. `takt dev` starts a server; every other command talks to
/// one.
#[derive(Debug, Parser)]
#[command(name = "takt", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The server, as an address or `host:port`
    #[arg(long, env = "TAKT_SERVER", default_value = "http://127.0.0.1:7420", global = true)]
    #[arg(help_heading = GLOBAL)]
    server: String,
    /// The value stream
    #[arg(long, env = "TAKT_STREAM", global = true, default_value = "", hide_default_value = true)]
    #[arg(help_heading = GLOBAL)]
    stream: String,
    /// The board; `main` if absent
    #[arg(long, env = "TAKT_BOARD", global = true, default_value = "", hide_default_value = true)]
    #[arg(help_heading = GLOBAL)]
    board: String,
    /// The form of the data on stdout
    #[arg(short, long, value_enum, default_value = "table", global = true, help_heading = GLOBAL)]
    output: Format,
    /// Who asks, as the history shows it
    #[arg(long, env = "USER", default_value = "cli", global = true, help_heading = GLOBAL)]
    actor: String,
    /// How long a call may take, such as `30s`; the server's own limit if absent
    #[arg(long, value_parser = time::duration, global = true, help_heading = GLOBAL)]
    timeout: Option<Duration>,
    /// The key that makes a repeated command the same command; a new one if absent
    #[arg(long, value_name = "KEY", global = true, help_heading = GLOBAL)]
    idempotency_key: Option<String>,
    #[command(subcommand)]
    noun: Noun,
}

const GLOBAL: &str = "Global options";

const EXAMPLES: &str = "\
Examples:
  takt dev --demo                 a server here, with a value stream to look at
  takt stream create shop         the first value stream of your own
  export TAKT_STREAM=shop
  takt column set Doing --kind active --wip-limit 3
  takt card add 'Pay by invoice'
  takt board show
  takt import xes tickets.xes.gz --done Closed
  takt metrics lead-time

Exit codes:
  0  done                                3  the server is not reached
  1  a check has failed                  4  refused by a rule
  2  usage, invalid or not found         5  a fault of Takt's own";

#[derive(Debug, Subcommand)]
enum Noun {
    /// The server: its log in one folder, or on NATS for any number of nodes
    Serve(serve::Args),
    /// A server to try things with, on request with a value stream that moves
    Dev(serve::DevArgs),
    /// Value streams and their policy
    #[command(subcommand)]
    Stream(stream::Verb),
    /// The board as a whole
    #[command(subcommand)]
    Board(board::Verb),
    /// Columns and their limits
    #[command(subcommand)]
    Column(column::Verb),
    /// Cards on the board
    #[command(subcommand)]
    Card(card::Verb),
    /// What keeps a card from its next column, and what would let it go on
    Explain(explain::Args),
    /// The Andon: stop the line, look after it, learn from it
    #[command(subcommand)]
    Andon(andon::Verb),
    /// Flow metrics
    #[command(subcommand)]
    Metrics(metrics::Verb),
    /// Test results
    #[command(subcommand)]
    Test(test::Verb),
    /// Changes that were integrated
    #[command(subcommand)]
    Change(reports::ChangeVerb),
    /// Deployments, as services report them
    #[command(subcommand)]
    Deploy(reports::DeployVerb),
    /// A board's history from an event log
    #[command(subcommand)]
    Import(import::Verb),
    /// Record facts: CloudEvents or CDEvents in JSON
    Publish(publish::Args),
    /// The log's events
    #[command(subcommand)]
    Events(events::Verb),
    /// Dead letters: what could not be understood
    #[command(subcommand)]
    Dead(dead::Verb),
    /// The state that queries see
    #[command(subcommand)]
    Projection(projection::Verb),
    /// The log itself
    #[command(subcommand)]
    Log(log::Verb),
    /// Whether everything is as it should be, and what to do where it is not
    Doctor,
    /// Benchmarks on this machine, beside what one would compare with
    Bench(bench::Args),
    /// A completion script for a shell
    Completion(completion::Args),
    /// The manual pages
    Man(man::Args),
}

/// What every command needs to know.
struct Context {
    server: String,
    wire: Wire,
    stream: String,
    board: String,
    output: Format,
    actor: String,
    key: String,
}

impl Context {
    /// The value stream, where a command cannot do without.
    fn stream(&self) -> Result<String, Failure> {
        if self.stream.is_empty() {
            let hint = "say which with `--stream S` or TAKT_STREAM; `takt stream list` shows them";
            return Err(Failure::new(USAGE, "no value stream is named", hint));
        }
        Ok(self.stream.clone())
    }

    /// Tells what a command did.
    fn did<T: Serialize>(&self, what: T, it: &Receipt, sentence: &str) -> Result<(), Failure> {
        warn(&it.warnings);
        let done = Done { what, sequence: it.sequence, duplicate: it.duplicate };
        receipt(self.output, &done, sentence)
    }
}

/// Tells what a command passed over because the policy only warns.
fn warn(warnings: &[ErrorDetail]) {
    for one in warnings {
        talk(&format!("warning: {}", one.message));
        talk(&format!("hint: {}", one.remedy));
    }
}

/// A time or span of the wire as text.
fn stamp<T: Display>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

/// Runs a command and gives its exit code.
pub(crate) async fn run(cli: Cli) -> Result<u8, Failure> {
    let context = Context {
        wire: wire::to(&cli.server, cli.timeout)?,
        stream: cli.stream,
        board: cli.board,
        output: cli.output,
        actor: cli.actor,
        key: cli.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        server: cli.server,
    };
    act(&context, cli.noun).await.map_err(|failure| failure.at(&context.server))
}

async fn act(context: &Context, noun: Noun) -> Result<u8, Failure> {
    match noun {
        Noun::Serve(args) => serve::serve(args).await,
        Noun::Dev(args) => serve::dev(args).await,
        Noun::Stream(verb) => stream::run(context, verb).await,
        Noun::Board(verb) => board::run(context, verb).await,
        Noun::Column(verb) => column::run(context, verb).await,
        Noun::Card(verb) => card::run(context, verb).await,
        Noun::Explain(args) => explain::run(context, args).await,
        Noun::Andon(verb) => andon::run(context, verb).await,
        Noun::Metrics(verb) => metrics::run(context, verb).await,
        Noun::Test(verb) => test::run(context, verb).await,
        Noun::Change(verb) => reports::changes(context, verb).await,
        Noun::Deploy(verb) => reports::deployments(context, verb).await,
        Noun::Import(verb) => import::run(context, verb).await,
        Noun::Publish(args) => publish::run(context, args).await,
        Noun::Events(verb) => events::run(context, verb).await,
        Noun::Dead(verb) => dead::run(context, verb).await,
        Noun::Projection(verb) => projection::run(context, verb).await,
        Noun::Log(verb) => log::run(context, verb).await,
        Noun::Doctor => doctor::run(context).await,
        Noun::Bench(args) => bench::run(context, args).await,
        Noun::Completion(args) => completion::run(&args),
        Noun::Man(args) => man::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
