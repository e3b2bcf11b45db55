//! Config, build, run: the whole server on one port.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use takt_embedded::{EmbeddedDeadLetters, EmbeddedLog, Settings};
use takt_engine::{Engine, Health, Misfit, Parts, SystemClock};
use takt_store::SledStore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;

use crate::config::Config;
use crate::demo;
use crate::grpc::{self, Services};
use crate::live;

/// A server that is built and listens, and has not been run yet.
pub struct App {
    listener: tokio::net::TcpListener,
    services: Services,
    /// How often the demo moves, if it does.
    demo: Option<Duration>,
}

impl App {
    /// Opens the data folder, catches up with the log, and binds the port.
    ///
    /// # Errors
    /// When another process holds the folder, the log is damaged, or the port is taken.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let address = config.address()?;
        let folder = config.data.clone();
        let (log, store) = tokio::task::spawn_blocking(move || open(&folder)).await??;
        let dead = EmbeddedDeadLetters::open(&config.data.join("dead")).await?;
        let log = Arc::new(log);
        let clock = Arc::new(SystemClock);
        let parts = Parts {
            log: Arc::clone(&log) as _,
            dead: Arc::new(dead),
            store: Arc::new(store),
            clock,
            parse: |bytes, now| {
                takt_intake::parse(bytes, now).map_err(|misfit| Misfit {
                    reason: misfit.reason,
                    place: misfit.place,
                    remedy: misfit.remedy,
                })
            },
        };
        let engine = Engine::start(parts).await.context("could not start the engine")?;
        let demo = match config.demo {
            Some(every) => {
                demo::seed(&engine).await.context("could not seed the demo")?.then_some(every)
            }
            None => None,
        };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("could not listen on `{address}`"))?;
        let services = Services {
            started: engine.now(),
            engine,
            log,
            data: config.data.display().to_string().into(),
            stopping: CancellationToken::new(),
        };
        Ok(Self { listener, services, demo: demo.filter(|every| !every.is_zero()) })
    }

    /// Where it listens; with port 0 in the configuration, the port that was found.
    ///
    /// # Errors
    /// When the socket has no address any more.
    pub fn address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` completes, then finishes what was begun and saves.
    ///
    /// # Errors
    /// When the port cannot be served.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self { listener, services, demo } = self;
        let router = router(&services)?;
        let stopping = services.stopping.clone();
        // An answer goes out at once: Nagle's algorithm would hold its end back until the client's
        // delayed acknowledgement, 40 ms later. A socket that refuses is only slower.
        let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
        let demo = demo.map(|every| {
            tokio::spawn(demo::live(services.engine.clone(), every, stopping.clone()))
        });
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                shutdown.await;
                // Watches never end by themselves, and would hold the shutdown up for ever.
                stopping.cancel();
            })
            .await;
        if let Some(demo) = demo {
            services.stopping.cancel();
            if let Err(error) = demo.await {
                tracing::error!(%error, "the demo ended early");
            }
        }
        services.engine.shutdown().await;
        served.context("the port could not be served")
    }
}

fn open(folder: &std::path::Path) -> anyhow::Result<(EmbeddedLog, SledStore)> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make the data folder `{}`", folder.display()))?;
    let log = EmbeddedLog::open(&folder.join("log"), Settings::default())?;
    let (store, aside) = SledStore::open(&folder.join("projections"))?;
    if let Some(aside) = aside {
        tracing::warn!(moved = %aside.display(), "damaged projections were moved aside");
    }
    Ok((log, store))
}

fn router(services: &Services) -> anyhow::Result<Router> {
    let (health, health_service) = tonic_health::server::health_reporter();
    drop(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(takt_proto::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let grpc = grpc::routes(routes, services).into_axum_router().layer(GrpcWebLayer::new());
    let (ready, metrics) = (services.clone(), services.clone());
    Ok(Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readyz(&ready) }))
        .route("/metrics", get(move || async move { render_metrics(&metrics) }))
        .merge(live::routes(services.clone()))
        .merge(grpc))
}

fn readyz(services: &Services) -> (StatusCode, String) {
    match services.engine.health() {
        Health::Following => (StatusCode::OK, "ready\n".to_owned()),
        Health::Broken(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn render_metrics(services: &Services) -> axum::response::Response {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::gauge::Gauge;
    let mut registry = prometheus_client::registry::Registry::with_prefix("takt");
    let (applied, saved) = services.engine.progress();
    let gauges = [
        ("projection_sequence", "The last sequence folded into the read side", applied),
        ("checkpoint_sequence", "The last sequence saved", saved),
    ];
    for (name, help, value) in gauges {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let mut text = String::new();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
