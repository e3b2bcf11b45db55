//! `takt metrics`: flow metrics.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;
use takt_proto::v1::GetLeadTimeRequest;
use takt_proto::v1::metrics_service_client::MetricsServiceClient;

use super::{Context, time};
use crate::exit::Failure;
use crate::output::human::seconds;
use crate::output::one;
use crate::output::page::Mark;
use crate::output::table::Sheet;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// From a card's first appearance to its entry into done
    #[command(after_help = "Examples:\n  \
        takt metrics lead-time --since 4w\n  \
        takt metrics lead-time --since 2026-01-01 --until 2026-04-01 -o json")]
    LeadTime(During),
    /// From a card's first entry into an active column to its entry into done
    CycleTime(During),
}

#[derive(Debug, Args)]
pub(super) struct During {
    /// Only cards done at or after this: a time, a date, or a span before now such as `2w`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only cards done before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Serialize)]
struct LeadTime {
    stream: String,
    completed: u64,
    reopened: u64,
    reopened_open: u64,
    open: u64,
    unit: &'static str,
    p50: Option<f64>,
    p85: Option<f64>,
    p95: Option<f64>,
    mean: Option<f64>,
    quality: BTreeMap<String, u64>,
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let mut client = MetricsServiceClient::new(context.wire.clone());
    let (name, answer) = match verb {
        Verb::LeadTime(during) => {
            ("lead time", client.get_lead_time(request(context, &during)?).await?)
        }
        Verb::CycleTime(during) => {
            ("cycle time", client.get_cycle_time(request(context, &during)?).await?)
        }
    };
    let it = answer.into_inner();
    let data = LeadTime {
        stream: it.stream,
        completed: it.completed,
        reopened: it.reopened,
        reopened_open: it.reopened_open,
        open: it.open,
        unit: "seconds",
        p50: it.p50,
        p85: it.p85,
        p95: it.p95,
        mean: it.mean,
        quality: it.quality.into_iter().collect(),
    };
    one(context.output, &data, |_| data.text(name)).map(|()| 0)
}

fn request(context: &Context, during: &During) -> Result<GetLeadTimeRequest, Failure> {
    let time = |text: &Option<String>| text.as_deref().map(time::time).transpose();
    Ok(GetLeadTimeRequest {
        stream: context.stream()?,
        board: context.board.clone(),
        since: time(&during.since)?,
        until: time(&during.until)?,
        min_sequence: 0,
    })
}

impl LeadTime {
    fn text(&self, name: &'static str) -> String {
        let mut sheet = Sheet::new(format!("{name} of {}", self.stream));
        let some = |number: u64, what: &str| match number {
            0 => String::new(),
            number => format!(", {number} of them {what}"),
        };
        let completed = format!("{}{}", self.completed, some(self.reopened, "had been reopened"));
        sheet.line("completed", completed);
        sheet.line("open", format!("{}{}", self.open, some(self.reopened_open, "reopened")));
        if self.completed == 0 {
            sheet.marked(name, Mark::Dim, "none yet: no card is done");
        }
        let spans = [
            ("half within", self.p50),
            ("85 % within", self.p85),
            ("95 % within", self.p95),
            ("mean", self.mean),
        ];
        for (name, value) in spans {
            sheet.line(name, value.map(seconds).unwrap_or_default());
        }
        for (name, number) in self.quality.iter().filter(|(_, number)| **number > 0) {
            let noted = format!("{number} {}", name.replace('_', " "));
            sheet.marked("noted", Mark::Warn, noted);
        }
        sheet.text()
    }
}
