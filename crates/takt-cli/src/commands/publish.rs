//! `takt publish`: facts from a file or from stdin, in batches.

use std::io::Read;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::{Dead, PublishRequest};

use super::Context;
use crate::exit::{Failure, USAGE, VERDICT};
use crate::output::{show, talk};

/// The most events in a batch.
const EVENTS: usize = 500;
/// The most bytes in a batch, unless a single event is longer.
const BYTES: usize = 2 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object, or one a line; `-` is stdin.
    file: String,
}

/// What has become of the events so far.
#[derive(Default)]
struct Tally {
    recorded: u64,
    duplicate: u64,
    sequence: u64,
    dead: Vec<Dead>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let text = content(&args.file)?;
    let client = EventServiceClient::new(context.channel.clone());
    let mut client = client.max_decoding_message_size(usize::MAX);
    let mut tally = Tally::default();
    for batch in batches(&events(&text)) {
        let request = PublishRequest {
            stream: context.stream.clone(),
            events: batch.into_iter().map(Into::into).collect(),
            actor: context.actor.clone(),
        };
        let answer = client.publish(request).await.map_err(|status| tally.cut_short(status))?;
        let answer = answer.into_inner();
        tally.sequence = tally.sequence.max(answer.sequence);
        answer.results.into_iter().filter_map(|one| one.result).for_each(|one| tally.count(one));
    }
    let letters = tally.dead.iter().map(
        |one| json!({"id": one.id, "reason": one.reason, "place": one.place, "remedy": one.remedy}),
    );
    let data = json!({
        "recorded": tally.recorded, "duplicate": tally.duplicate, "dead": tally.dead.len(),
        "sequence": tally.sequence, "letters": letters.collect::<Value>(),
    });
    show(context.output, &data)?;
    Ok(if tally.dead.is_empty() { 0 } else { VERDICT })
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Recorded(_) => self.recorded += 1,
            Outcome::Duplicate(_) => self.duplicate += 1,
            Outcome::Dead(dead) => {
                talk(&format!("dead: {} at {} ({})", dead.reason, dead.place, dead.id));
                talk(&format!("hint: {}", dead.remedy));
                self.dead.push(dead);
            }
        }
    }

    /// The failure of a batch, with what the batches before it came to.
    fn cut_short(&self, status: tonic::Status) -> Failure {
        let mut failure = Failure::from(status);
        let (recorded, duplicate) = (self.recorded, self.duplicate);
        let dead = self.dead.len();
        if self.sequence > 0 || dead > 0 {
            failure.hints.push(format!(
                "before this: {recorded} recorded, {duplicate} duplicate, {dead} dead; publish \
                 the whole file again, what is recorded stays recorded once"
            ));
        }
        failure
    }
}

fn content(file: &str) -> Result<Vec<u8>, Failure> {
    let mut text = vec![];
    let read = match file {
        "-" => std::io::stdin().lock().read_to_end(&mut text).map(|_| text),
        _ => std::fs::read(file),
    };
    read.map_err(|error| {
        Failure::new(USAGE, format!("cannot read `{file}`: {error}"), "name a file, or `-`")
    })
}

/// The events of a text: the whole if it is one JSON document, its lines otherwise.
fn events(text: &[u8]) -> Vec<&[u8]> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let whole = text.trim_ascii();
    if serde_json::from_slice::<&RawValue>(whole).is_ok() {
        return vec![whole];
    }
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).collect()
}

fn batches(events: &[&[u8]]) -> Vec<Vec<Vec<u8>>> {
    let (mut all, mut batch, mut bytes) = (vec![], vec![], 0);
    for event in events {
        if batch.len() == EVENTS || (!batch.is_empty() && bytes + event.len() > BYTES) {
            all.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += event.len();
        batch.push(event.to_vec());
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_over_several_lines_is_one_event_and_lines_are_one_each() {
        assert_eq!(events(b"{\n\"a\": 1\n}\n"), [b"{\n\"a\": 1\n}"]);
        assert_eq!(events(b"{}\r\n\n{\n"), [b"{}".as_slice(), b"{"]);
        assert!(events(b" \n").is_empty());
    }

    #[test]
    fn a_batch_keeps_both_limits_and_no_event_is_lost() {
        let small = vec![b"{}".as_slice(); EVENTS + 1];
        let sizes: Vec<usize> = batches(&small).iter().map(Vec::len).collect();
        assert_eq!(sizes, [EVENTS, 1]);
        let big = vec![b'x'; BYTES / 2 + 1];
        assert_eq!(batches(&[&big, &big, b"{}"]).len(), 2);
        assert!(batches(&[]).is_empty());
    }
}
