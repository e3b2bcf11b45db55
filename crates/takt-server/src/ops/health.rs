//! Whether the server can serve, for gRPC's health service and for `/readyz`.

use takt_nats::Link;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::grpc::Services;

/// Why the server cannot serve now, if it cannot.
pub(crate) fn unready(services: &Services) -> Option<String> {
    if services.stopping.is_cancelled() {
        return Some("the server is stopping".to_owned());
    }
    let link = services.link.as_ref().map(|link| link.borrow().clone());
    if let Some(Link::Down(reason) | Link::Ended(reason)) = link {
        return Some(reason);
    }
    services.engine.health().reason()
}

/// Tells the health of the whole and of every service, now and at each change, until the server
/// has stopped.
pub(crate) async fn report(
    reporter: HealthReporter,
    services: Services,
    stopped: CancellationToken,
) {
    let stopping = services.stopping.clone();
    let mut changed = services.engine.health_changes();
    let mut link = services.link.clone();
    loop {
        let status = match unready(&services) {
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
            () = relinked(&mut link) => {}
        }
    }
}

/// Waits until the link to the nats-server changes; for ever where there is none.
async fn relinked(link: &mut Option<watch::Receiver<Link>>) {
    let changed = match link {
        Some(link) => link.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

/// Waits until the client of the nats-server has ended for good, and tells why; for ever where there
/// is none.
pub(crate) async fn ended(link: Option<watch::Receiver<Link>>) -> String {
    let Some(mut link) = link else { return std::future::pending().await };
    loop {
        if let Link::Ended(reason) = &*link.borrow_and_update() {
            return reason.clone();
        }
        if link.changed().await.is_err() {
            return "the client of the nats-server has ended".to_owned();
        }
    }
}

async fn set(reporter: &HealthReporter, status: ServingStatus) {
    reporter.set_service_status("", status).await;
    for service in takt_proto::methods::services() {
        reporter.set_service_status(service, status).await;
    }
}
