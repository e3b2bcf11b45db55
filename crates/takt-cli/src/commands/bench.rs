//! `takt bench`: what this build does on this machine, beside what one would compare it with.

use std::io::IsTerminal;
use std::path::PathBuf;

use takt_bench::{
    ImportOptions, IngestOptions, LatencyOptions, Place, PublishOptions, ReplayOptions, Report,
    RestartOptions,
};

use super::{Context, serve};
use crate::exit::{Failure, INTERNAL, VERDICT};
use crate::output::{Format, one, talk, write};

/// Exit code 1 means that a target was missed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder for temporary files: the disk that is measured
    #[arg(long, value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Replay a log through the engine, beside a projector that writes each event to sled
    Replay {
        /// How many events
        #[arg(long, default_value_t = 200_000)]
        events: u64,
        /// The least bytes of an entry; 0 leaves entries as they are
        #[arg(long, default_value_t = 300)]
        size: usize,
        /// How often each side runs
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// Replay a log on JetStream, beside a raw consumer: a nats-server without data of Takt
        #[arg(long, value_name = "URL")]
        nats: Option<String>,
    },
    /// Take facts in on JetStream, over gRPC and through the inbox, beside raw JetStream
    Ingest {
        /// The nats-server, without data of Takt; what is made on it is removed
        #[arg(long, value_name = "URL")]
        nats: String,
        /// How many events
        #[arg(long, default_value_t = 200_000)]
        events: u64,
        /// How many events one call or batch carries; JetStream takes 1000 messages in a batch, of
        /// which the intake's position is one
        #[arg(long, default_value_t = 999, value_parser = clap::value_parser!(u16).range(1..=1000))]
        batch: u16,
        /// How many clients publish at once in the second run
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
        clients: u16,
    },
    /// Publish facts over gRPC, beside raw appends and one fdatasync per event
    Publish {
        /// How many events
        #[arg(long, default_value_t = 100_000)]
        events: u64,
        /// How many events one call carries
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1000))]
        batch: u16,
        /// How many clients publish at once in the second run
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
        clients: u16,
    },
    /// From a command to what a query and a watcher see, at a steady rate
    Latency {
        /// Moves a second
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        /// Seconds that are measured, after one that is not
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
        /// With the log on JetStream, beside a raw consumer: a nats-server without data of Takt
        #[arg(long, value_name = "URL")]
        nats: Option<String>,
    },
    /// Start on an empty folder and on long logs, after clean stops and after kills
    Restart {
        /// How many events the longest log has
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// How often each start is measured
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
        rounds: u16,
    },
    /// Import an event log, and import it again
    Import {
        /// How many events
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// About so many cards make them; one for each 4.7 events if absent
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        cards: u64,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = place(args.folder)?;
    if cfg!(debug_assertions) {
        talk("this build is not optimised; build with `cargo build --release` for true figures");
    }
    // Dropping the benchmark ends its servers and removes its folder.
    let report = tokio::select! {
        report = measure(&place, args.verb) => report.map_err(|error| serve::failure(&error))?,
        () = serve::stop() => return Err(Failure::new(INTERNAL, "interrupted", "")),
    };
    match context.output {
        Format::Table => write(&report.to_string()).map(drop)?,
        Format::Json | Format::Jsonl => one(context.output, &report.to_json(), |_| String::new())?,
    }
    Ok(if report.is_met() { 0 } else { VERDICT })
}

fn place(folder: Option<PathBuf>) -> Result<Place, Failure> {
    let takt = std::env::current_exe().map_err(|error| {
        Failure::new(INTERNAL, format!("this executable cannot be found: {error}"), "")
    })?;
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let talks = std::io::stderr().is_terminal();
    Ok(Place {
        takt,
        folder: folder.unwrap_or_else(std::env::temp_dir),
        command: format!("takt {}", typed.join(" ")),
        tell: Box::new(move |text| {
            if talks {
                talk(text);
            }
        }),
    })
}

async fn measure(place: &Place, verb: Verb) -> anyhow::Result<Report> {
    match verb {
        Verb::Replay { events, size, rounds, nats } => {
            takt_bench::replay(place, &ReplayOptions { events, size, rounds, nats }).await
        }
        Verb::Ingest { nats, events, batch, clients } => {
            let (batch, clients) = (batch.into(), clients.into());
            takt_bench::ingest(place, &IngestOptions { events, batch, clients, nats }).await
        }
        Verb::Publish { events, batch, clients } => {
            let (batch, clients) = (batch.into(), clients.into());
            takt_bench::publish(place, &PublishOptions { events, batch, clients }).await
        }
        Verb::Latency { rate, seconds, nats } => {
            takt_bench::latency(place, &LatencyOptions { rate, seconds, nats }).await
        }
        Verb::Restart { events, rounds } => {
            takt_bench::restart(place, &RestartOptions { events, rounds: rounds.into() }).await
        }
        Verb::Import { events, cards } => {
            takt_bench::import(place, &ImportOptions { events, cards }).await
        }
    }
}
