//! Config, build, run: the whole server on one port.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use smol_str::SmolStr;
use takt_domain::{Time, fact::Fact};
use takt_engine::{Engine, Misfit, Parts, SystemClock};
use takt_nats::Link;
use takt_ports::Notifier;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;

use crate::backend::{self, Backend};
use crate::config::{Config, WebhookConfig};
use crate::demo;
use crate::grpc::{self, Services};
use crate::live;
use crate::ops::guard::Names;
use crate::ops::metered_log::MeteredLog;
use crate::ops::port::Closing;
use crate::ops::rpc::{self, Calls};
use crate::ops::seats::{self, Seats};
use crate::ops::telemetry::{Reading, Streams, Telemetry};
use crate::ops::{guard, health, port};
use crate::rest;

/// How long what is left after the last connection may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A server that is built and listens, and has not been run yet.
pub struct App {
    listener: tokio::net::TcpListener,
    services: Services,
    /// How often the demo moves, if it does.
    demo: Option<Duration>,
    /// The names by which it is called beside those of loopback.
    hosts: Arc<[String]>,
}

impl App {
    /// Opens the data folder, catches up with the log, and binds the port.
    ///
    /// # Errors
    /// When another process holds the folder, the log is damaged, or the port is taken.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let address = config.address()?;
        let webhook = config.webhook.as_ref().map(WebhookConfig::receiver).transpose()?;
        backend::make_folder(&config.data)?;
        let Backend { kind, log, dead, outbox, nodes, link, advice, node } = match &config.nats {
            None => backend::files(&config.data).await?,
            Some(settings) => backend::jetstream(&config.data, settings).await?,
        };
        let store = backend::store(&config.data).await?;
        let telemetry = Arc::new(Telemetry::default());
        let metered = MeteredLog::new(log, Arc::clone(&telemetry));
        let clock = Arc::new(SystemClock);
        let parts = Parts {
            log: Arc::new(metered),
            dead,
            store: Arc::new(store),
            clock,
            parse: understood,
            text_of,
            outlet: takt_intake::outlet::tell,
            outbox: Some(outbox),
            nodes: nodes.clone(),
        };
        let engine = Engine::start(parts).await.context("could not start the engine")?;
        // Without receivers too: what waits for one that is gone is given up.
        let receivers = webhook.into_iter().map(|it| Arc::new(it) as Arc<dyn Notifier>);
        engine.notify(receivers.collect());
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
            kind,
            nodes,
            link,
            advice: advice.into(),
            _node: node.map(Arc::new),
            data: config.data.display().to_string().into(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            telemetry,
        };
        Ok(Self {
            listener,
            services,
            hosts: config.hosts.into(),
            demo: demo.filter(|every| !every.is_zero()),
        })
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
    /// When the port cannot be served, or the client of the nats-server has ended for good.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self { listener, services, demo, hosts } = self;
        let stopping = services.stopping.clone();
        if let Some(every) = demo {
            services.tasks.spawn(demo::live(services.engine.clone(), every, stopping.clone()));
        }
        let stopped = CancellationToken::new();
        let (reporter, health) = tonic_health::server::health_reporter();
        services.tasks.spawn(health::report(reporter, services.clone(), stopped.clone()));
        let closing = Closing::after(stopping.clone());
        let names = Names { bound: listener.local_addr()?, hosts };
        let router = router(&services, names, Routes::new(health), closing.clone())?;
        let link = services.link.clone();
        let stop = async {
            let ended = tokio::select! {
                () = shutdown => None,
                reason = health::ended(link) => Some(reason),
            };
            stopping.cancel();
            ended
        };
        let ((), ended) = tokio::join!(port::serve(listener, router, closing), stop);
        stopped.cancel();
        services.tasks.close();
        if timeout(LAST_WORDS, services.tasks.wait()).await.is_err() {
            tracing::warn!(left = services.tasks.len(), "some tasks did not end with the port");
        }
        let Some(reason) = ended else {
            services.engine.shutdown().await;
            return Ok(());
        };
        // What is acknowledged is in the log; nothing more can be said to it.
        if timeout(LAST_WORDS, services.engine.shutdown()).await.is_err() {
            tracing::warn!("projections were not saved; the next start folds what they lack");
        }
        anyhow::bail!("{reason}: nothing can be read or written any more; start takt again")
    }
}

fn understood(bytes: &[u8], now: Time) -> Result<Fact, Misfit> {
    takt_intake::parse(bytes, now).map_err(misfit)
}

fn text_of(headers: &[(SmolStr, SmolStr)], bytes: &Bytes) -> Result<Bytes, Misfit> {
    let text = takt_intake::structured(headers, bytes).map_err(misfit)?;
    Ok(match text {
        Cow::Borrowed(_) => bytes.clone(),
        Cow::Owned(text) => text.into(),
    })
}

fn misfit(misfit: takt_intake::Misfit) -> Misfit {
    let takt_intake::Misfit { reason, place, remedy } = misfit;
    Misfit { reason, place, remedy }
}

fn router(
    services: &Services,
    names: Names,
    routes: Routes,
    closing: Closing,
) -> anyhow::Result<Router> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(takt_proto::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes =
        routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    let (seats, telemetry) = (Seats::default(), Arc::clone(&services.telemetry));
    let calls = Calls { telemetry: Arc::clone(&telemetry), seats: seats.clone(), closing };
    let rest = rest::routes(services, &calls);
    let grpc = grpc::routes(routes, services)
        .into_axum_router()
        .layer(from_fn_with_state(calls, rpc::serve))
        .layer(GrpcWebLayer::new())
        .layer(from_fn_with_state(Arc::clone(&telemetry), rpc::only_calls));
    let pages = live::routes(services.clone())
        .layer(from_fn_with_state((seats, telemetry), seats::seat_pages));
    let (ready, metrics) = (services.clone(), services.clone());
    Ok(Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readyz(&ready) }))
        .route("/metrics", get(move || async move { render_metrics(&metrics).await }))
        .merge(pages)
        .merge(rest)
        .merge(grpc)
        .layer(from_fn_with_state(names, guard::check)))
}

fn readyz(services: &Services) -> (StatusCode, String) {
    match health::unready(services) {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn render_metrics(services: &Services) -> axum::response::Response {
    let engine = &services.engine;
    let (folded, saved) = engine.progress();
    let inbox = async { services.nodes.as_ref()?.inbox.count().await.ok() };
    let is_up = |link: &watch::Receiver<Link>| *link.borrow() == Link::Up;
    let reading = Reading {
        // A log that cannot tell its head is told by the health, and the rest is still of use.
        head: engine.log().head().await.unwrap_or(folded),
        folded,
        saved,
        dead_letters: engine.dead_letters().count().await.unwrap_or_default(),
        facts: engine.counts(),
        leases: engine.leases_held(),
        inbox: timeout(LAST_WORDS, inbox).await.ok().flatten(),
        is_linked: services.link.as_ref().is_some_and(is_up),
        streams: engine.view(0, LAST_WORDS, Streams::of).await.unwrap_or_default(),
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match services.telemetry.text(&reading) {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
