//! Side-by-side benchmarks: Takt beside the raw part below it, or what one would write first.
//!
//! Every benchmark is one async function that takes its options and gives a [`Report`]. Dropping
//! its future ends the servers it started and removes its temporary folder.

mod child;
mod dataset;
mod history;
mod import;
mod ingest;
mod jetstream;
mod latency;
mod machine;
mod naive;
mod publish;
mod replay;
mod report;
mod restart;
mod sample;

pub use import::ImportOptions;
pub use ingest::IngestOptions;
pub use latency::LatencyOptions;
pub use machine::Machine;
pub use publish::PublishOptions;
pub use replay::ReplayOptions;
pub use report::{Report, Table, Target};
pub use restart::RestartOptions;

use std::path::PathBuf;

/// What every benchmark needs to know of where it runs.
pub struct Place {
    /// The executable `takt`, to start servers and clients with.
    pub takt: PathBuf,
    /// The folder in which the temporary folder is made: the disk that is measured.
    pub folder: PathBuf,
    /// The command as it was typed, for the report.
    pub command: String,
    /// Told of progress.
    pub tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Place {
    fn temporary(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("takt-bench-").tempdir_in(&self.folder)?)
    }

    fn tell(&self, text: impl AsRef<str>) {
        (self.tell)(text.as_ref());
    }
}

/// A full replay of the log, beside the projector that one would write first.
///
/// # Errors
/// When the disk or a server refuses.
pub async fn replay(place: &Place, options: &ReplayOptions) -> anyhow::Result<Report> {
    replay::run(place, options).await
}

/// Facts published over gRPC, beside raw appends of the same bytes.
///
/// # Errors
/// As [`replay`].
pub async fn publish(place: &Place, options: &PublishOptions) -> anyhow::Result<Report> {
    publish::run(place, options).await
}

/// Facts into a log on JetStream, over gRPC and through the inbox, beside raw JetStream.
///
/// # Errors
/// As [`replay`], and when the nats-server has data of Takt.
pub async fn ingest(place: &Place, options: &IngestOptions) -> anyhow::Result<Report> {
    ingest::run(place, options).await
}

/// From a command to what a query and a watcher see, at a steady rate.
///
/// # Errors
/// As [`replay`].
pub async fn latency(place: &Place, options: &LatencyOptions) -> anyhow::Result<Report> {
    latency::run(place, options).await
}

/// Starts on an empty folder and on long logs, after a clean stop and after a kill.
///
/// # Errors
/// As [`replay`].
pub async fn restart(place: &Place, options: &RestartOptions) -> anyhow::Result<Report> {
    restart::run(place, options).await
}

/// An import of a long event log, and its repeat.
///
/// # Errors
/// As [`replay`].
pub async fn import(place: &Place, options: &ImportOptions) -> anyhow::Result<Report> {
    import::run(place, options).await
}
