//! Whether the server can serve, for gRPC's health service and for `/readyz`.

use takt_engine::Engine;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Why the server cannot serve now, if it cannot.
pub(crate) fn unready(engine: &Engine, stopping: &CancellationToken) -> Option<String> {
    if stopping.is_cancelled() {
        return Some("the server is stopping".to_owned());
    }
    engine.health().reason()
}

/// Tells the health of the whole and of every service, now and at each change, until the server
/// has stopped.
pub(crate) async fn report(
    reporter: HealthReporter,
    engine: Engine,
    stopping: CancellationToken,
    stopped: CancellationToken,
) {
    let mut changed = engine.health_changes();
    loop {
        let status = match unready(&engine, &stopping) {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        set(&reporter, status).await;
        if stopping.is_cancelled() {
            return stopped.cancelled().await;
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            change = changed.changed() => if change.is_err() { stopping.cancelled().await },
        }
    }
}

async fn set(reporter: &HealthReporter, status: ServingStatus) {
    reporter.set_service_status("", status).await;
    for service in takt_proto::methods::services() {
        reporter.set_service_status(service, status).await;
    }
}
