//! `takt events`: the log, read or watched.

use clap::Subcommand;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::{Event, ReadRequest};

use super::Context;
use crate::exit::Failure;
use crate::output::{Format, plain, write};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// The log to its present end.
    Read {
        /// The first sequence wanted.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// At most so many; 0 is no limit.
        #[arg(long, default_value_t = 0)]
        limit: u64,
    },
    /// The log and what comes after it, until interrupted.
    Tail {
        /// The first sequence wanted.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    let client = EventServiceClient::new(context.channel.clone());
    let mut client = client.max_decoding_message_size(usize::MAX);
    let stream = context.stream.clone();
    let (mut events, endless) = match verb {
        Verb::Read { from, limit } => {
            let request = ReadRequest { stream, from, limit };
            (client.read(request).await?.into_inner(), false)
        }
        Verb::Tail { from } => {
            let request = ReadRequest { stream, from, limit: 0 };
            (client.watch(request).await?.into_inner(), true)
        }
    };
    // A document that never ends cannot be parsed; a tail is always one a line.
    let listed = context.output == Format::Json && !endless;
    let mut lead = if listed { "[" } else { "" };
    while let Some(event) = events.message().await? {
        let end = if listed { "" } else { "\n" };
        if !write(&format!("{lead}{}{end}", line(context.output, &event)))? {
            return Ok(0);
        }
        lead = if listed { "," } else { "" };
    }
    if listed {
        write(if lead == "[" { "[]\n" } else { "]\n" })?;
    }
    Ok(0)
}

fn line(format: Format, event: &Event) -> String {
    match format {
        Format::Table => format!("{:>10}  {}", event.sequence, plain(&event.r#type)),
        Format::Json | Format::Jsonl => numbered(event),
    }
}

/// The CloudEvent as it stands in the log, with `taktseq` before its other members.
fn numbered(event: &Event) -> String {
    let text = String::from_utf8_lossy(&event.event);
    let text = text.trim();
    let members = text.strip_prefix('{').unwrap_or(text).trim_start();
    let comma = if members.starts_with('}') { "" } else { "," };
    format!("{{\"taktseq\":{}{comma}{members}", event.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_comes_first_and_the_rest_is_untouched() {
        for (event, want) in [
            (r#"{"z":1.0,"a":"é"}"#, r#"{"taktseq":7,"z":1.0,"a":"é"}"#),
            ("{}", r#"{"taktseq":7}"#),
        ] {
            let event = Event { sequence: 7, event: event.to_owned().into(), ..Event::default() };
            assert_eq!(line(Format::Jsonl, &event), want);
        }
    }
}
