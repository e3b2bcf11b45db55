//! How long a server takes to be ready again, and what memory it has then.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use takt_proto::v1::event_service_client::EventServiceClient;

use crate::child::{Server, Usage};
use crate::history::{Size, facts};
use crate::machine::Machine;
use crate::report::{Report, Table, Target};
use crate::sample::{seconds, spread};
use crate::{Place, dataset, publish};

/// How many cards share the moves of the long histories: 33 moves each at a million.
const LONG: u64 = 33;
/// How many events are published just before each kill.
const LAST: usize = 5000;

/// What is restarted.
#[derive(Clone, Copy, Debug)]
pub struct RestartOptions {
    /// How many events the longest log has.
    pub events: u64,
    /// How often each start is measured.
    pub rounds: usize,
}

/// One kind of start, several times.
struct Starts {
    what: String,
    events: u64,
    ready: Vec<Duration>,
    usage: Vec<Usage>,
}

impl Starts {
    fn new(what: impl Into<String>, events: u64) -> Self {
        Self { what: what.into(), events, ready: Vec::new(), usage: Vec::new() }
    }

    fn add(&mut self, server: &Server) -> anyhow::Result<()> {
        self.ready.push(server.ready_after);
        self.usage.push(server.usage()?);
        Ok(())
    }

    fn seconds(&self) -> [f64; 3] {
        spread(&self.ready.iter().map(|it| seconds(*it)).collect::<Vec<_>>())
    }

    fn rss(&self) -> u64 {
        self.usage.iter().map(|it| it.rss).max().unwrap_or(0)
    }

    fn row(&self, table: &mut Table) {
        let [least, middle, most] = self.seconds();
        let peak = self.usage.iter().map(|it| it.peak).max().map_or(Value::Null, Value::from);
        table.row([
            json!(self.what),
            json!(self.events),
            json!(middle),
            json!(least),
            json!(most),
            json!(self.rss()),
            peak,
        ]);
    }
}

pub(crate) async fn run(place: &Place, options: &RestartOptions) -> anyhow::Result<Report> {
    let machine = Machine::now(&place.folder);
    let folder = place.temporary()?;
    let at = |name: &str| folder.path().join(name);
    let empty = empty(place, &at("empty"), options.rounds).await?;
    let tenth = Size::usual(options.events / 10);
    let [_, tenth_killed, tenth_clean] = log(place, &at("tenth"), tenth, options.rounds).await?;
    let full = Size::usual(options.events);
    let [first, killed, clean] = log(place, &at("full"), full, options.rounds).await?;
    let few = Size { moves: options.events, cards: (options.events / LONG).max(1) };
    let [_, few_killed, few_clean] = log(place, &at("few"), few, options.rounds).await?;
    let targets = vec![
        most("`takt dev` on an empty folder, seconds", 1.0, &empty),
        Target::most("idle memory, MiB", 60.0, empty.rss() as f64),
        most("a tenth after kill -9, seconds", 2.0, &tenth_killed),
        most("all after a clean stop, seconds", 2.0, &clean),
        most("all after kill -9, seconds", 5.0, &killed),
        Target::most("memory with all events, MiB", 300.0, clean.rss().max(killed.rss()) as f64),
        Target::most(
            "memory with all events on few cards, MiB",
            300.0,
            few_clean.rss().max(few_killed.rss()) as f64,
        ),
    ];
    let columns = ["what", "events", "ready_s", "min", "max", "rss_mib", "peak_mib"];
    let mut table = Table::new(columns);
    let tenth = [&tenth_killed, &tenth_clean];
    let all = [&first, &killed, &clean, &few_killed, &few_clean];
    [&empty].into_iter().chain(tenth).chain(all).for_each(|starts| starts.row(&mut table));
    Ok(Report {
        name: "restart",
        command: place.command.clone(),
        machine,
        table,
        targets,
        notes: vec![format!(
            "From before the process is made until `/readyz` answers; the middle of {} starts, \
             memory at once after it. Before every kill {LAST} more events were published, and the \
             kill came with the last answer. Files were in the page cache.",
            options.rounds
        )],
    })
}

fn most(what: &str, limit: f64, starts: &Starts) -> Target {
    let [_, middle, _] = starts.seconds();
    Target::most(what, limit, middle)
}

async fn empty(place: &Place, folder: &Path, rounds: usize) -> anyhow::Result<Starts> {
    let mut starts = Starts::new("empty folder, `takt dev`", 0);
    for round in 0..rounds {
        let server = Server::start(place, "dev", &folder.join(round.to_string())).await?;
        starts.add(&server)?;
        server.stop().await?;
    }
    Ok(starts)
}

/// The first start, whose projections are built from nothing; starts after kills; clean starts.
async fn log(
    place: &Place,
    folder: &Path,
    size: Size,
    rounds: usize,
) -> anyhow::Result<[Starts; 3]> {
    let data: PathBuf = folder.to_path_buf();
    let Size { moves, cards } = size;
    place.tell(format!("making a log of {moves} events on {cards} cards"));
    dataset::make(place, &data, &[]).await?;
    let later = rounds * LAST;
    let first = usize::try_from(moves)?.saturating_sub(later);
    let mut facts = facts(size)?.map(|fact| fact.map(|fact| Bytes::from(fact.to_json())));
    let log = dataset::open(&data)?;
    dataset::record(&log, facts.by_ref().take(first), 0).await?;
    drop(log);
    let name = |how: &str| format!("{how}, {cards} cards");
    let mut built = Starts::new(name("projections built anew"), first as u64);
    let mut killed = Starts::new(name("after kill -9"), moves);
    let mut clean = Starts::new(name("after a clean stop"), moves);
    let mut server = Server::start(place, "serve", &data).await?;
    built.add(&server)?;
    for round in 1..=rounds {
        place.tell(format!("kill {round} of {rounds}"));
        let mut client = EventServiceClient::new(server.channel().await?);
        let last = facts.by_ref().take(LAST).collect::<anyhow::Result<Vec<_>>>()?;
        for batch in last.chunks(dataset::BATCH) {
            publish::publish(&mut client, batch.to_vec()).await?;
        }
        server.kill().await?;
        server = Server::start(place, "serve", &data).await?;
        killed.add(&server)?;
    }
    for round in 1..=rounds {
        place.tell(format!("clean stop {round} of {rounds}"));
        server.stop().await?;
        server = Server::start(place, "serve", &data).await?;
        clean.add(&server)?;
    }
    server.stop().await?;
    std::fs::remove_dir_all(&data)?;
    Ok([built, killed, clean])
}
