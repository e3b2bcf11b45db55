//! An import of a long event log by `takt import xes`, and its repeat, each process of its own.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::Place;
use crate::child::{self, Ended, Server, Usage};
use crate::dataset::{self, STREAM};
use crate::history::{DONE, Size, XesText};
use crate::machine::Machine;
use crate::report::{Report, Table, Target};
use crate::sample::{rate, seconds};

/// What is imported.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// How many moves of cards.
    pub events: u64,
    /// About so many cards make them; 0 = one for each 4.7 moves.
    pub cards: u64,
}

/// One import, with what the server used meanwhile.
struct Import {
    what: &'static str,
    recorded: u64,
    duplicate: u64,
    client: Ended,
    server: Usage,
    server_cpu: Duration,
}

pub(crate) async fn run(place: &Place, options: &ImportOptions) -> anyhow::Result<Report> {
    let machine = Machine::now(&place.folder);
    let folder = place.temporary()?;
    let file = folder.path().join("history.xes");
    let usual = Size::usual(options.events);
    let cards = if options.cards == 0 { usual.cards } else { options.cards };
    let size = Size { cards, ..usual };
    place.tell(format!("writing an XES file of {} events on {cards} cards", options.events));
    let mut out = BufWriter::new(File::create(&file)?);
    std::io::copy(&mut XesText::new(size), &mut out)?;
    drop(out);
    let server = Server::start(place, "serve", &folder.path().join("data")).await?;
    dataset::create_stream(&server).await?;
    let idle = server.usage()?;
    let mut imports = Vec::new();
    for what in ["first import", "the same again"] {
        place.tell(what);
        imports.push(import(place, &server, &file, what).await?);
    }
    server.stop().await?;
    let written = std::fs::metadata(&file)?.len() >> 20;
    let note = format!(
        "{} events on {cards} cards, {written} MiB of XES; the idle server had {} MiB. Server and \
         client share the cores.",
        options.events, idle.rss
    );
    report(place, machine, options, &imports, note)
}

async fn import(
    place: &Place,
    server: &Server,
    file: &Path,
    what: &'static str,
) -> anyhow::Result<Import> {
    let before = server.usage()?.cpu;
    let file = file.to_str().context("the temporary folder's name is not text")?;
    let args = ["import", "xes", file, "--stream", STREAM, "--done", DONE, "-o", "json"];
    let client = child::run(place, &server.url(), &args).await?;
    ensure!(client.status.success(), "the import failed: {}", client.stdout);
    let answer: Value = serde_json::from_str(&client.stdout)?;
    let count = |name: &str| answer.get(name).and_then(Value::as_u64).context("no count");
    let usage = server.usage()?;
    Ok(Import {
        what,
        recorded: count("recorded")?,
        duplicate: count("duplicate")?,
        client,
        server: usage,
        server_cpu: usage.cpu.saturating_sub(before),
    })
}

fn report(
    place: &Place,
    machine: Machine,
    options: &ImportOptions,
    imports: &[Import],
    note: String,
) -> anyhow::Result<Report> {
    let mut table = Table::new([
        "what",
        "recorded",
        "duplicate",
        "seconds",
        "events_per_s",
        "client_cpu_s",
        "server_cpu_s",
        "client_peak_mib",
        "server_peak_mib",
        "server_rss_mib",
    ]);
    for it in imports {
        let Ended { took, usage, .. } = &it.client;
        table.row([
            json!(it.what),
            json!(it.recorded),
            json!(it.duplicate),
            json!(seconds(*took)),
            json!(rate(it.recorded + it.duplicate, *took)),
            json!(seconds(usage.cpu)),
            json!(seconds(it.server_cpu)),
            json!(usage.peak),
            json!(it.server.peak),
            json!(it.server.rss),
        ]);
    }
    let [first, again] = imports else { anyhow::bail!("an import is missing") };
    ensure!(first.recorded >= options.events, "not every event was recorded");
    let client = first.client.usage.peak.max(again.client.usage.peak);
    Ok(Report {
        name: "import",
        command: place.command.clone(),
        machine,
        table,
        targets: vec![
            Target::most("the server's peak memory in MiB", 300.0, again.server.peak as f64),
            Target::most("the client's peak memory in MiB", 64.0, client as f64),
            Target::most("events recorded by the repeat", 0.0, again.recorded as f64),
        ],
        notes: vec![note],
    })
}
