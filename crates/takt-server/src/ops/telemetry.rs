//! The figures that `/metrics` tells, kept for the life of the process; docs/metrics.md lists them.
//!
//! Labels are bounded: methods are those of the interface, codes those of gRPC and of the rules,
//! and at most [`STREAMS`] value streams are told apart. Columns are no label, since anyone may
//! make them: a board is what GetBoard is for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use takt_domain::Rejection;
use takt_domain::andon::Effect;
use takt_engine::{Error, Receipt};
use takt_ports::AppendError;
use takt_projections::{StreamView, World};
use tonic::Code;

/// How many value streams have figures of their own; those of the rest are added up as `other`.
const STREAMS: usize = 100;
/// Half a millisecond to ten seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Times<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// A method that is called, as the figures know it.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    method: String,
    streams: bool,
    /// Whether it reads the whole log, which takes as long as it takes.
    pub(crate) is_long: bool,
}

impl Rpc {
    /// The kind of subscriber that the caller becomes, if the answer has no end.
    pub(crate) fn subscriber(&self) -> Option<&'static str> {
        let watches = self.method.ends_with("/Watch");
        self.streams.then_some(if watches { "watch" } else { "read" })
    }
}

/// What is looked up when the figures are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) head: u64,
    pub(crate) folded: u64,
    pub(crate) saved: u64,
    pub(crate) dead_letters: u64,
    /// Facts that were recorded, known, and made dead letters by this node since its start.
    pub(crate) facts: (u64, u64, u64),
    pub(crate) leases: u64,
    /// Messages in the inbox, where there is one and it can be read.
    pub(crate) inbox: Option<u64>,
    pub(crate) is_linked: bool,
    pub(crate) streams: Streams,
}

/// What stands on the boards and lines of the value streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    /// By name.
    by_name: BTreeMap<String, Standing>,
}

/// What stands on the boards and the line of one value stream.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    open_cards: u64,
    stopped: bool,
    stops: u64,
    warns: u64,
}

impl Standing {
    fn add(&mut self, view: &StreamView) {
        for board in view.boards.values() {
            let open = board.counts.iter().filter(|(column, _)| !board.is_done(column));
            self.open_cards += open.map(|(_, count)| u64::from(*count)).sum::<u64>();
        }
        self.stopped |= view.line.is_stopped();
        let stops = view.line.open.values().filter(|it| it.effect == Effect::Stop).count() as u64;
        self.stops += stops;
        self.warns += view.line.open.len() as u64 - stops;
    }
}

impl Streams {
    /// Counts what the read side holds.
    pub(crate) fn of(world: &World) -> Self {
        let mut streams = Self::default();
        for (place, (name, view)) in world.streams.iter().enumerate() {
            let name = if place < STREAMS { name.to_string() } else { "other".to_owned() };
            streams.by_name.entry(name).or_default().add(view);
        }
        streams
    }
}

/// The gauges that a reading sets.
#[derive(Debug, Default)]
struct Gauges {
    head: Gauge,
    folded: Gauge,
    saved: Gauge,
    lag: Gauge,
    dead_letters: Gauge,
    facts: Family<Labels<1>, Counter>,
    leases: Gauge,
    inbox: Gauge,
    linked: Gauge,
    alerts: Family<Labels<2>, Gauge>,
    stopped: Family<Labels<1>, Gauge>,
    cards: Family<Labels<1>, Gauge>,
    memory: Gauge,
    files: Gauge,
}

/// The figures.
#[derive(Debug)]
pub(crate) struct Telemetry {
    registry: Registry,
    methods: BTreeMap<String, Rpc>,
    /// Held while the gauges are set and told, so that two askers do not mix their readings.
    gauges: Mutex<Gauges>,
    commands: Family<Labels<2>, Counter>,
    appends: Times<1>,
    entries: Counter,
    rpcs: Family<Labels<2>, Counter>,
    rpc_times: Times<1>,
    requests: Family<Labels<2>, Counter>,
    subscribers: Family<Labels<1>, Gauge>,
}

impl Default for Telemetry {
    fn default() -> Self {
        let methods = takt_proto::methods::methods().into_iter().map(|method| {
            let name = method.path().trim_start_matches('/').to_owned();
            let is_long = method.service == "takt.v1.AdminService";
            (method.path(), Rpc { method: name, streams: method.streams, is_long })
        });
        let mut telemetry = Self {
            registry: Registry::default(),
            methods: methods.collect(),
            gauges: Mutex::default(),
            commands: Family::default(),
            appends: Family::new_with_constructor(histogram),
            entries: Counter::default(),
            rpcs: Family::default(),
            rpc_times: Family::new_with_constructor(histogram),
            requests: Family::default(),
            subscribers: Family::default(),
        };
        telemetry.register_counts();
        telemetry.register_gauges();
        telemetry
    }
}

impl Telemetry {
    fn register_counts(&mut self) {
        let takt = self.registry.sub_registry_with_prefix("takt");
        takt.register(
            "commands",
            "Commands by outcome (accepted, duplicate, refused, failed) and the code of the refusal",
            self.commands.clone(),
        );
        takt.register_with_unit(
            "log_append_duration",
            "Time from an append to its durable answer, by outcome (stored, conflict, failed)",
            Unit::Seconds,
            self.appends.clone(),
        );
        takt.register("log_entries", "Entries that were stored", self.entries.clone());
        takt.register("rpcs", "Calls that have ended, by method and gRPC code", self.rpcs.clone());
        takt.register_with_unit(
            "rpc_duration",
            "Time from a call to its end, by method; streams are not timed",
            Unit::Seconds,
            self.rpc_times.clone(),
        );
        takt.register(
            "subscribers",
            "Open answers without an end, by kind (watch, read, sse)",
            self.subscribers.clone(),
        );
        let requests = "Requests of REST by route and HTTP status";
        takt.register("http_requests", requests, self.requests.clone());
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        let info = prometheus_client::metrics::info::Info::new(version);
        takt.register("build", "The version that runs", info);
    }

    fn register_gauges(&mut self) {
        let gauges = self.gauges.get_mut().unwrap_or_else(PoisonError::into_inner);
        let takt = self.registry.sub_registry_with_prefix("takt");
        let simple = [
            ("log_head_sequence", "The last durable sequence of the log", &gauges.head),
            ("projection_sequence", "The last sequence that queries see", &gauges.folded),
            ("projection_saved_sequence", "The last sequence that is saved", &gauges.saved),
            ("projection_lag_entries", "Entries of the log not yet seen by queries", &gauges.lag),
            ("dead_letters", "Dead letters that are kept", &gauges.dead_letters),
            ("leases_held", "Leases that this node holds", &gauges.leases),
            ("inbox_messages", "Messages in the inbox on NATS", &gauges.inbox),
            ("nats_connected", "Whether the nats-server is connected (1 or 0)", &gauges.linked),
        ];
        for (name, help, gauge) in simple {
            takt.register(name, help, gauge.clone());
        }
        let facts = "Facts that this node took in, by outcome (recorded, duplicate, dead)";
        takt.register("facts", facts, gauges.facts.clone());
        takt.register(
            "alerts_open",
            "Open alerts by stream and effect (stop, warn)",
            gauges.alerts.clone(),
        );
        let stopped = "Whether an open alert stops the line of a stream (1 or 0)";
        takt.register("line_stopped", stopped, gauges.stopped.clone());
        let cards = "Cards on the boards of a stream that are not in a done column";
        takt.register("cards_open", cards, gauges.cards.clone());
        let process = self.registry.sub_registry_with_prefix("process");
        process.register_with_unit(
            "resident_memory",
            "Memory of the process that is in RAM",
            Unit::Bytes,
            gauges.memory.clone(),
        );
        process.register("open_fds", "File handles that are open", gauges.files.clone());
    }

    /// The method at a path, if it is one of `takt.v1`; a path that has none is `unknown`.
    pub(crate) fn rpc(&self, path: &str) -> Option<Rpc> {
        let unknown = || Rpc { method: "unknown".to_owned(), streams: false, is_long: false };
        let known = self.methods.get(path).cloned();
        known.or_else(|| path.starts_with("/takt.").then(unknown))
    }

    /// The count of open answers of a kind.
    pub(crate) fn subscribers(&self, kind: &str) -> Gauge {
        self.subscribers.get_or_create_owned(&[("kind", kind.to_owned())])
    }

    /// Counts a call that has ended.
    pub(crate) fn answered(&self, rpc: &Rpc, code: Code, took: Duration) {
        let method = ("method", rpc.method.clone());
        let code = ("code", format!("{code:?}"));
        self.rpcs.get_or_create(&[method.clone(), code]).inc();
        if !rpc.streams {
            self.rpc_times.get_or_create(&[method]).observe(took.as_secs_f64());
        }
    }

    /// Counts a request of REST by its route.
    pub(crate) fn requested(&self, route: &'static str, status: u16) {
        let labels = [("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts an append.
    pub(crate) fn appended(
        &self,
        took: Duration,
        entries: usize,
        result: &Result<u64, AppendError>,
    ) {
        let outcome = match result {
            Ok(_) => "stored",
            Err(AppendError::Conflict { .. }) => "conflict",
            Err(AppendError::TooLarge { .. } | AppendError::Log(_)) => "failed",
        };
        let labels = [("outcome", outcome.to_owned())];
        self.appends.get_or_create(&labels).observe(took.as_secs_f64());
        if result.is_ok() {
            self.entries.inc_by(entries as u64);
        }
    }

    /// Counts a command.
    pub(crate) fn commanded(&self, result: &Result<Receipt, Error>) {
        let count = |outcome: &'static str, code: &str| {
            let labels = [("outcome", outcome.to_owned()), ("code", code.to_owned())];
            self.commands.get_or_create(&labels).inc();
        };
        match result {
            Ok(receipt) if receipt.duplicate => count("duplicate", ""),
            Ok(_) => count("accepted", ""),
            Err(Error::Rejected(Rejection::Refused(unmet))) => {
                unmet.iter().for_each(|one| count("refused", one.code));
            }
            Err(error) => count("failed", failure(error)),
        }
    }

    /// All figures as text, with those of a reading.
    ///
    /// # Errors
    /// When a figure cannot be told.
    pub(crate) fn text(&self, reading: &Reading) -> Result<String, fmt::Error> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.set(reading);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn failure(error: &Error) -> &'static str {
    match error {
        Error::Rejected(Rejection::Invalid { .. }) => "invalid",
        Error::Rejected(Rejection::NotFound { .. }) | Error::UnknownStream(_) => "not_found",
        Error::Rejected(Rejection::Refused(_)) => "refused",
        Error::Aborted { .. } => "version",
        Error::KeyReused { .. } => "idempotency_key",
        Error::TooLarge(_) => "too_large",
        Error::Unavailable(_) => "unavailable",
        Error::Damaged(_) => "damaged",
        Error::DeadlineExceeded => "deadline",
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Gauges {
    fn set(&self, reading: &Reading) {
        self.head.set(whole(reading.head));
        self.folded.set(whole(reading.folded));
        self.saved.set(whole(reading.saved));
        self.lag.set(whole(reading.head.saturating_sub(reading.folded)));
        self.dead_letters.set(whole(reading.dead_letters));
        let (recorded, duplicate, dead) = reading.facts;
        for (outcome, count) in [("recorded", recorded), ("duplicate", duplicate), ("dead", dead)] {
            let facts = self.facts.get_or_create_owned(&[("outcome", outcome.to_owned())]);
            facts.inner().store(count, Ordering::Relaxed);
        }
        self.leases.set(whole(reading.leases));
        // One that cannot be read now stands as it stood.
        if let Some(inbox) = reading.inbox {
            self.inbox.set(whole(inbox));
        }
        self.linked.set(i64::from(reading.is_linked));
        self.memory.set(whole(resident().unwrap_or(0)));
        let files = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
        self.files.set(whole(files as u64));
        self.alerts.clear();
        self.stopped.clear();
        self.cards.clear();
        for (name, standing) in &reading.streams.by_name {
            let stream = [("stream", name.clone())];
            self.cards.get_or_create(&stream).set(whole(standing.open_cards));
            self.stopped.get_or_create(&stream).set(i64::from(standing.stopped));
            for (effect, count) in [("stop", standing.stops), ("warn", standing.warns)] {
                let labels = [("stream", name.clone()), ("effect", effect.to_owned())];
                self.alerts.get_or_create(&labels).set(whole(count));
            }
        }
    }
}

/// How many bytes of the process are in RAM, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn told() -> String {
        let telemetry = Telemetry::default();
        let rpc = telemetry.rpc("/takt.v1.BoardService/MoveCard").unwrap();
        telemetry.answered(&rpc, Code::Ok, Duration::from_millis(2));
        telemetry.appended(Duration::from_millis(1), 3, &Ok(1));
        telemetry.commanded(&Err(Error::DeadlineExceeded));
        telemetry.subscribers("watch").inc();
        telemetry.requested("GET /v1/events", 200);
        let by_name = BTreeMap::from([(
            "shop".to_owned(),
            Standing { open_cards: 4, stopped: true, stops: 1, warns: 2 },
        )]);
        let streams = Streams { by_name };
        let reading = Reading {
            head: 9,
            folded: 7,
            saved: 5,
            dead_letters: 1,
            facts: (1, 2, 3),
            leases: 4,
            inbox: Some(5),
            is_linked: true,
            streams,
        };
        telemetry.text(&reading).unwrap()
    }

    #[test]
    fn the_figures_say_what_was_counted_and_read() {
        let text = told();
        for line in [
            "takt_rpcs_total{method=\"takt.v1.BoardService/MoveCard\",code=\"Ok\"} 1",
            "takt_log_append_duration_seconds_count{outcome=\"stored\"} 1",
            "takt_log_entries_total 3",
            "takt_commands_total{outcome=\"failed\",code=\"deadline\"} 1",
            "takt_facts_total{outcome=\"recorded\"} 1",
            "takt_facts_total{outcome=\"dead\"} 3",
            "takt_leases_held 4",
            "takt_inbox_messages 5",
            "takt_nats_connected 1",
            "takt_projection_lag_entries 2",
            "takt_alerts_open{stream=\"shop\",effect=\"warn\"} 2",
            "takt_line_stopped{stream=\"shop\"} 1",
            "takt_http_requests_total{route=\"GET /v1/events\",status=\"200\"} 1",
            "takt_subscribers{kind=\"watch\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "`{line}` is missing in\n{text}");
        }
    }

    #[test]
    fn docs_metrics_lists_exactly_what_is_told() {
        let text = told();
        let told: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        let manual = include_str!("../../../../docs/metrics.md");
        let listed: BTreeSet<&str> = manual
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .map(|name| name.trim_end_matches("_total").trim_end_matches("_info"))
            .collect();
        assert_eq!(listed, told);
    }

    #[test]
    fn a_method_nobody_has_made_is_one_label_and_other_paths_are_none() {
        let telemetry = Telemetry::default();
        let method = |path: &str| telemetry.rpc(path).map(|rpc| rpc.method);
        assert_eq!(method("/takt.v1.BoardService/Nothing").as_deref(), Some("unknown"));
        assert_eq!(method("/takt.v9.X/Y").as_deref(), Some("unknown"));
        assert_eq!(method("/assets/board.js"), None);
    }

    #[test]
    fn streams_past_the_hundredth_are_added_up() {
        let mut world = World::default();
        for at in 0..STREAMS + 5 {
            world.streams.insert(format!("s-{at:03}").as_str().into(), Default::default());
        }
        let streams = Streams::of(&world);
        assert_eq!(streams.by_name.len(), STREAMS + 1);
        assert!(streams.by_name.contains_key("other"));
    }
}
