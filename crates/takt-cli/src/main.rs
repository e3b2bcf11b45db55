//! The binary `takt`: server, command line and developer sandbox.

mod commands;
mod exit;
mod output;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// A server holds millions of small things; this allocator wastes less on each than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    match commands::run(cli).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let mut err = std::io::stderr().lock();
            let mut text = format!("error: {}\n", failure.message);
            for hint in &failure.hints {
                text.push_str(&format!("hint: {hint}\n"));
            }
            // When nobody reads stderr, the exit code still tells.
            let _ = err.write_all(text.as_bytes());
            ExitCode::from(failure.exit)
        }
    }
}
