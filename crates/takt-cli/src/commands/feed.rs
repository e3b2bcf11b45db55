//! Events on their way to the server: in batches, in order, read ahead while one is in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use takt_nats::Publisher;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::stream_service_client::StreamServiceClient;
use takt_proto::v1::{Dead, GetStreamRequest, PublishRequest};
use tokio::sync::mpsc;
use tonic::codegen::Bytes;

use super::Context;
use crate::exit::{Failure, INTERRUPTED, UNREACHABLE};
use crate::output::human::count;
use crate::output::talk;
use crate::wire::{MAX_MESSAGE, Wire};

/// The most events in a batch.
const EVENTS: usize = 1000;
/// The most bytes in a batch, unless a single event is longer.
const BYTES: usize = 2 << 20;
/// How many batches are read ahead.
const AHEAD: usize = 2;
/// How many dead letters are told one by one.
const TOLD: u64 = 20;
/// How often progress is told where no bar can be drawn.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The events, as they are read.
pub(super) type Items = Box<dyn Iterator<Item = Result<Vec<u8>, Failure>> + Send>;
/// Counts the bytes of the source that have been read.
pub(super) type Read = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Where events come from.
pub(super) struct Source {
    /// The events, in order.
    pub(super) items: Items,
    /// How much of the source has been read.
    pub(super) read: Read,
    /// How long the source is, if that can be known.
    pub(super) size: Option<u64>,
}

/// What has become of the events so far.
#[derive(Default)]
pub(super) struct Tally {
    /// New in the log.
    pub(super) recorded: u64,
    /// In the log already.
    pub(super) duplicate: u64,
    /// Not understood.
    pub(super) dead: u64,
    /// The last sequence that is known.
    pub(super) sequence: u64,
    /// The first dead letters.
    pub(super) letters: Vec<Dead>,
}

impl Tally {
    /// The tally in words.
    pub(super) fn sentence(&self) -> String {
        let Self { recorded, duplicate, dead, .. } = self;
        if self.total() == 0 {
            return "there were no events, so nothing was recorded".to_owned();
        }
        let recorded = count(*recorded, "event");
        match dead {
            0 => format!("{recorded} recorded, {duplicate} were there already"),
            dead => {
                let are = if *dead == 1 { "is" } else { "are" };
                format!("{recorded} recorded, {duplicate} were there already, {dead} {are} DEAD")
            }
        }
    }

    fn total(&self) -> u64 {
        self.recorded + self.duplicate + self.dead
    }

    fn count(&mut self, outcome: Outcome, view: &View) {
        match outcome {
            Outcome::Recorded(_) => self.recorded += 1,
            Outcome::Duplicate(_) => self.duplicate += 1,
            Outcome::Dead(dead) => {
                self.dead += 1;
                if self.dead <= TOLD {
                    view.say(&format!("dead: {} at {} ({})", dead.reason, dead.place, dead.id));
                    view.say(&format!("hint: {}", dead.remedy));
                    self.letters.push(dead);
                }
            }
        }
    }

    /// A failure, with what the events before it came to.
    fn cut_short(&self, failure: Failure) -> Failure {
        if self.total() == 0 {
            return failure;
        }
        let Self { recorded, duplicate, dead, .. } = self;
        let recorded = match recorded {
            1 => "1 event was recorded and stays so".to_owned(),
            many => format!("{many} events were recorded and stay so"),
        };
        let dead = if *dead == 0 { String::new() } else { format!(", {dead} are DEAD") };
        failure.hint(format!(
            "{recorded}, {duplicate} were there already{dead}; the same command again doubles nothing"
        ))
    }
}

/// Publishes all events of a source, in order.
pub(super) async fn publish(context: &Context, source: Source) -> Result<Tally, Failure> {
    let Source { items, read, size } = source;
    let view = View::new(read, size);
    let mut tally = Tally::default();
    let (sender, batches) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || batch(items, &sender));
    let ended = tokio::select! {
        ended = send(context, batches, &mut tally, &view) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    view.end();
    if tally.dead > TOLD {
        talk(&format!("… and {} more; `takt dead list` shows them", tally.dead - TOLD));
    }
    match ended {
        Some(Ok(())) if tally.total() == 0 => {
            // No call was made, so nobody has said yet whether the value stream is there.
            let request = GetStreamRequest { stream: context.stream()?, min_sequence: 0 };
            StreamServiceClient::new(context.wire.clone()).get_stream(request).await?;
            Ok(tally)
        }
        Some(Ok(())) => Ok(tally),
        Some(Err(failure)) => Err(tally.cut_short(failure)),
        None => {
            let hint = "run the same command again; nothing is doubled";
            let message = format!("interrupted: {} so far", tally.sentence());
            Err(Failure::new(INTERRUPTED, message, hint))
        }
    }
}

/// Publishes all events of a source to the inbox, in order; tells how many are stored there.
pub(super) async fn store(publisher: &Publisher, source: Source) -> Result<u64, Failure> {
    let Source { items, read, size } = source;
    let view = View::new(read, size);
    let (sender, mut batches) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || batch(items, &sender));
    let mut stored = 0;
    let storing = async {
        while let Some(events) = batches.recv().await {
            let facts = events?;
            stored += publisher.publish(facts).await.map_err(|error| {
                let hint = "the first `takt serve --nats` makes the inbox; look at the nats-server \
                            and at who may publish there, then run the same command again: what \
                            is stored twice is recorded once";
                Failure::new(UNREACHABLE, error.to_string(), hint)
            })?;
            view.tell(&Tally { recorded: stored, ..Tally::default() });
        }
        Ok(())
    };
    let ended = tokio::select! {
        ended = storing => ended,
        _ = tokio::signal::ctrl_c() => {
            let hint = "run the same command again; what is stored twice is recorded once";
            Err(Failure::new(INTERRUPTED, "interrupted", hint))
        }
    };
    view.end();
    ended.map(|()| stored)
}

type Batch = Result<Vec<Bytes>, Failure>;

/// Reads batches until there are no more, or nobody wants them; a failure comes after what was
/// read before it.
fn batch(items: Items, sender: &mpsc::Sender<Batch>) {
    let (mut batch, mut bytes) = (Vec::<Bytes>::new(), 0);
    for item in items {
        let item = match item {
            Ok(item) => item,
            Err(failure) => {
                // Where nobody listens any more there is nothing to tell.
                let _ = sender.blocking_send(Ok(batch));
                let _ = sender.blocking_send(Err(failure));
                return;
            }
        };
        let full = batch.len() == EVENTS || (!batch.is_empty() && bytes + item.len() > BYTES);
        if full && sender.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
            return;
        }
        bytes = if full { 0 } else { bytes } + item.len();
        batch.push(item.into());
    }
    // As above.
    let _ = sender.blocking_send(Ok(batch));
}

async fn send(
    context: &Context,
    mut batches: mpsc::Receiver<Batch>,
    tally: &mut Tally,
    view: &View,
) -> Result<(), Failure> {
    let client = EventServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    while let Some(events) = batches.recv().await {
        let events = events?;
        if !events.is_empty() {
            one(context, &mut client, events, tally, view).await?;
        }
        view.tell(tally);
    }
    Ok(())
}

async fn one(
    context: &Context,
    client: &mut EventServiceClient<Wire>,
    events: Vec<Bytes>,
    tally: &mut Tally,
    view: &View,
) -> Result<(), Failure> {
    let (stream, actor) = (context.stream()?, context.actor.clone());
    let answer = client.publish(PublishRequest { stream, events, actor }).await?.into_inner();
    tally.sequence = tally.sequence.max(answer.sequence);
    answer.results.into_iter().filter_map(|it| it.result).for_each(|it| tally.count(it, view));
    Ok(())
}

/// How people see the progress: a bar on a terminal, a line now and then elsewhere.
struct View {
    bar: ProgressBar,
    read: Read,
    size: Option<u64>,
    begun: Instant,
    told: std::cell::Cell<Instant>,
}

impl View {
    fn new(read: Read, size: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr_with_hz(8));
        let template = match size {
            Some(_) => "{wide_bar} {percent:>3} %  {msg}  {eta} left",
            None => "{spinner} {msg}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        let now = Instant::now();
        Self { bar, read, size, begun: now, told: std::cell::Cell::new(now) }
    }

    /// Says a line beside the bar.
    fn say(&self, line: &str) {
        self.bar.suspend(|| talk(line));
    }

    fn tell(&self, tally: &Tally) {
        let read = (self.read)();
        let rate = tally.total().saturating_mul(1000) / self.millis().max(1);
        let text = format!("{}, {rate}/s", count(tally.total(), "event"));
        self.bar.set_position(read);
        self.bar.set_message(text.clone());
        if !self.bar.is_hidden() || self.told.get().elapsed() < TELL_EVERY {
            return;
        }
        self.told.set(Instant::now());
        let share = self.size.filter(|size| *size > 0).map(|size| {
            let left = self.millis().saturating_mul(size.saturating_sub(read)) / read.max(1) / 1000;
            let left = crate::output::human::span(i64::try_from(left).unwrap_or(i64::MAX));
            format!("{} % read, about {left} left, ", read.saturating_mul(100) / size)
        });
        talk(&format!("{}{text}", share.unwrap_or_default()));
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(items: Vec<Result<Vec<u8>, Failure>>) -> Vec<Result<usize, String>> {
        let (sender, mut receiver) = mpsc::channel(8);
        batch(Box::new(items.into_iter()), &sender);
        drop(sender);
        let mut found = vec![];
        while let Ok(one) = receiver.try_recv() {
            found.push(one.map(|batch| batch.len()).map_err(|failure| failure.message));
        }
        found
    }

    #[test]
    fn a_batch_keeps_both_limits_and_no_event_is_lost() {
        let small = || Ok(b"{}".to_vec());
        assert_eq!(batches((0..=EVENTS).map(|_| small()).collect()), [Ok(EVENTS), Ok(1)]);
        let big = || Ok(vec![b'x'; BYTES / 2 + 1]);
        assert_eq!(batches(vec![big(), big(), small()]), [Ok(1), Ok(2)]);
    }

    #[test]
    fn a_failure_comes_after_what_was_read_before_it() {
        let failure = Failure::new(2, "cut", "");
        let found = batches(vec![Ok(b"{}".to_vec()), Err(failure), Ok(b"{}".to_vec())]);
        assert_eq!(found, [Ok(1), Err("cut".to_owned())]);
    }

    #[test]
    fn what_was_done_before_a_failure_is_told_with_it() {
        let tally = Tally { recorded: 2, ..Tally::default() };
        let failure = tally.cut_short(Failure::new(3, "gone", ""));
        assert_eq!(
            failure.hints,
            ["2 events were recorded and stay so, 0 were there already; the same command again \
              doubles nothing"]
        );
    }
}
