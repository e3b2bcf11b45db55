//! The commands, one file per noun.

mod andon;
mod bench;
mod board;
mod card;
mod column;
mod completion;
mod dead;
mod events;
mod explain;
mod import;
mod log;
mod metrics;
mod projection;
mod publish;
mod serve;
mod stream;
mod time;

use clap::{Parser, Subcommand};
use tonic::transport::{Channel, Endpoint};

use crate::exit::{Failure, USAGE};
use crate::output::Format;

/// Visible work, limited work in progress, and the Andon cord.
#[derive(Debug, Parser)]
#[command(name = "takt", version)]
pub(crate) struct Cli {
    /// The server.
    #[arg(long, env = "TAKT_SERVER", default_value = "http://127.0.0.1:7420", global = true)]
    server: String,
    /// The value stream.
    #[arg(long, env = "TAKT_STREAM", global = true, default_value = "")]
    stream: String,
    /// The board; `main` if absent.
    #[arg(long, env = "TAKT_BOARD", global = true, default_value = "")]
    board: String,
    /// The form of the data on stdout.
    #[arg(short, long, value_enum, default_value = "table", global = true)]
    output: Format,
    /// Who asks, as the history shows it.
    #[arg(long, env = "USER", default_value = "cli", global = true)]
    actor: String,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// The server with its data in one folder, for one machine.
    Serve(serve::Args),
    /// A server to try things with, on request with a value stream that moves.
    Dev(serve::DevArgs),
    /// A board's history from an event log.
    #[command(subcommand)]
    Import(import::Verb),
    /// Value streams.
    #[command(subcommand)]
    Stream(stream::Verb),
    /// The board as a whole.
    #[command(subcommand)]
    Board(board::Verb),
    /// Columns and their limits.
    #[command(subcommand)]
    Column(column::Verb),
    /// Cards on the board.
    #[command(subcommand)]
    Card(card::Verb),
    /// What keeps a card from its next column, and what would let it go on.
    Explain(explain::Args),
    /// Record facts: CloudEvents or CDEvents in JSON.
    Publish(publish::Args),
    /// The Andon.
    #[command(subcommand)]
    Andon(andon::Verb),
    /// Flow metrics.
    #[command(subcommand)]
    Metrics(metrics::Verb),
    /// The log's events.
    #[command(subcommand)]
    Events(events::Verb),
    /// Dead letters: what could not be understood.
    #[command(subcommand)]
    Dead(dead::Verb),
    /// The state that queries see.
    #[command(subcommand)]
    Projection(projection::Verb),
    /// The log itself.
    #[command(subcommand)]
    Log(log::Verb),
    /// Benchmarks on this machine, beside what one would compare with.
    Bench(bench::Args),
    /// A completion script for a shell.
    Completion(completion::Args),
}

/// What every command needs to know.
struct Context {
    channel: Channel,
    stream: String,
    board: String,
    output: Format,
    actor: String,
    key: String,
}

/// Runs a command and gives its exit code.
pub(crate) async fn run(cli: Cli) -> Result<u8, Failure> {
    let endpoint = Endpoint::from_shared(cli.server.clone()).map_err(|_| {
        Failure::new(
            USAGE,
            format!("`{}` is not a server address", cli.server),
            "give one such as `http://127.0.0.1:7420`",
        )
    })?;
    let context = Context {
        channel: endpoint.connect_lazy(),
        stream: cli.stream,
        board: cli.board,
        output: cli.output,
        actor: cli.actor,
        key: uuid::Uuid::new_v4().to_string(),
    };
    match cli.noun {
        Noun::Serve(args) => serve::serve(args).await,
        Noun::Dev(args) => serve::dev(args).await,
        Noun::Import(verb) => import::run(&context, verb).await,
        Noun::Stream(verb) => stream::run(&context, verb).await,
        Noun::Board(verb) => board::run(&context, verb).await,
        Noun::Column(verb) => column::run(&context, verb).await,
        Noun::Explain(args) => explain::run(&context, args).await,
        Noun::Publish(args) => publish::run(&context, args).await,
        Noun::Card(verb) => card::run(&context, verb).await,
        Noun::Andon(verb) => andon::run(&context, verb).await,
        Noun::Metrics(verb) => metrics::run(&context, verb).await,
        Noun::Events(verb) => events::run(&context, verb).await,
        Noun::Dead(verb) => dead::run(&context, verb).await,
        Noun::Projection(verb) => projection::run(&context, verb).await,
        Noun::Log(verb) => log::run(&context, verb).await,
        Noun::Bench(args) => bench::run(&context, args).await,
        Noun::Completion(args) => completion::run(&args),
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
