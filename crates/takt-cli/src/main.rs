//! The binary `takt`: server, command line and developer sandbox.

mod commands;
mod exit;
mod output;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use exit::{Failure, INTERNAL, USAGE};

/// A server holds millions of small things; this allocator wastes less on each than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::args_os().len() < 2 {
        let _ = write!(std::io::stderr(), "{}", commands::Cli::command().render_help());
        return ExitCode::from(USAGE);
    }
    let cli = commands::Cli::parse();
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            tell(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

fn run(cli: commands::Cli) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::new(INTERNAL, format!("cannot start the runtime: {error}"), "")
    })?;
    let ended = runtime.block_on(commands::run(cli));
    // A thread that waits for stdin would hold the end up for ever.
    runtime.shutdown_background();
    ended
}

fn tell(failure: &Failure) {
    let mut text = format!("error: {}\n", output::plain(&failure.message));
    for hint in &failure.hints {
        text.push_str(&format!("hint: {}\n", output::plain(hint)));
    }
    // When nobody reads stderr, the exit code still tells.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
