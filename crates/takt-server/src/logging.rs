//! What the server says of itself while it runs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Writes warnings and errors to stderr, one a line; `TAKT_LOG` asks for more, such as
/// `TAKT_LOG=takt_engine=debug`. Of sled only errors: what it says of a recovery is no news, since
/// projections are checked when they are loaded. A second call changes nothing.
pub fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_env("TAKT_LOG").unwrap_or_else(|_| EnvFilter::new("warn,sled=error"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Somebody has set up logging already, which is as good.
    let _ = lines.try_init();
}
