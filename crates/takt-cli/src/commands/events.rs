//! `takt events`: the log, read or watched.

use clap::Subcommand;
use serde_json::Value;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::{Event, ReadRequest};

use super::Context;
use crate::exit::{Failure, UNREACHABLE};
use crate::output::{Format, plain, talk, write};
use crate::wire::MAX_MESSAGE;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// The log to its present end
    #[command(after_help = "Examples:\n  \
        takt events read --stream shop --from 1000 --limit 20\n  \
        takt events read -o jsonl > log.jsonl\n\n\
        Without `--stream` every sequence is shown, Takt's own bookkeeping too.")]
    Read {
        /// The first sequence wanted
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// At most so many; 0 is no limit
        #[arg(long, default_value_t = 0)]
        limit: u64,
    },
    /// The log and what comes after it, until interrupted
    Tail {
        /// The first sequence wanted
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let client = EventServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let stream = context.stream.clone();
    let (mut events, endless, from) = match verb {
        Verb::Read { from, limit } => {
            let request = ReadRequest { stream, from, limit };
            (client.read(request).await?.into_inner(), false, from)
        }
        Verb::Tail { from } => {
            let request = ReadRequest { stream, from, limit: 0 };
            (client.watch(request).await?.into_inner(), true, from)
        }
    };
    // A document that never ends cannot be parsed; a tail is always one a line.
    let listed = context.output == Format::Json && !endless;
    let mut lead = if listed { "[" } else { "" };
    let (mut next, mut shown) = (from, false);
    let go_on = |next: u64| format!("go on with `--from {next}`; nothing is lost or doubled");
    while let Some(event) =
        events.message().await.map_err(|status| Failure::from(status).hint(go_on(next)))?
    {
        let end = if listed { "" } else { "\n" };
        if !write(&format!("{lead}{}{end}", line(context.output, &event)))? {
            return Ok(0);
        }
        lead = if listed { "," } else { "" };
        (next, shown) = (event.sequence + 1, true);
    }
    if endless {
        return Err(Failure::new(UNREACHABLE, "the server ended the tail", &go_on(next)));
    }
    if listed {
        write(if shown { "]\n" } else { "[]\n" })?;
    }
    if !shown && context.output == Format::Table {
        talk("no events from there on; `takt card add TITLE` or `takt publish FILE` adds some");
    }
    Ok(0)
}

fn line(format: Format, event: &Event) -> String {
    match format {
        Format::Table => told(event),
        Format::Json | Format::Jsonl => event.numbered(),
    }
}

/// The event for people: sequence, time, type, subject.
fn told(event: &Event) -> String {
    let body: Value = serde_json::from_slice(&event.event).unwrap_or_default();
    let text = |name: &str| plain(body.get(name).and_then(Value::as_str).unwrap_or_default());
    let kind = if event.r#type.is_empty() { text("type") } else { plain(&event.r#type) };
    let kind = kind.strip_prefix("dev.takt.").unwrap_or(&kind);
    // To the second, so that the columns stand; `-o jsonl` has the rest.
    let time = text("time").parse::<jiff::Timestamp>().ok();
    let time = time.map(|at| crate::output::human::clock(at.as_second())).unwrap_or_default();
    format!("{:>9}  {time:<20}  {kind:<26}  {}", event.sequence, text("subject")).trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_when_what_and_about_what() {
        let body = r#"{"type":"dev.takt.board.card_moved.v1","subject":"A-\u001b1",
            "time":"2026-01-31T12:00:00.5Z"}"#;
        let event = Event { sequence: 7, event: body.to_owned().into(), ..Event::default() };
        assert_eq!(
            line(Format::Table, &event),
            "        7  2026-01-31T12:00:00Z  board.card_moved.v1         A-1"
        );
    }
}
