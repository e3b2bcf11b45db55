//! Tells subscribers outside of what is recorded: in order, at least once, never of history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use takt_domain::system::ReactorAdvanced;
use takt_domain::{Aggregate, Event, Recorded, Span, StreamName, system};
use takt_ports::{
    Append, AppendError, Condition, OutMessage, Outbox, Subject, Telling, stream_token,
};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::Error;
use crate::fold;
use crate::notices::about;
use crate::shared::Shared;

/// The reactor's name in its cursor's subject.
const REACTOR: &str = "outlet";
/// How often the cursor is written, at most.
const CURSOR_EVERY: Duration = Duration::from_secs(1);
/// How many entries are read at once where the outlet is behind.
const BATCH: usize = 512;
/// How many messages are sent at once, at most.
const AT_ONCE: usize = 500;
/// After so many at once the outlet rests for as long as sending took, but not longer than this:
/// whoever publishes needs the server too.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// A cursor that is so far behind is written although nothing was sent.
const FAR: u64 = 20_000;
/// A stream that was made no longer ago than this is told from its beginning.
const NEW: Span = Span::from_secs(24 * 60 * 60);
/// How long the outlet waits after a failure, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Begins to tell of a stream, if there is anywhere to tell it.
pub(crate) fn begin(engine: &Engine, stream: &StreamName, token: &CancellationToken) {
    let shared = engine.shared();
    let Some(outbox) = shared.outbox.clone() else { return };
    let shared = Arc::clone(shared);
    let outlet = Outlet { shared, outbox, stream: stream.clone(), told: 0, written: 0, sent: 0 };
    engine.shared().writers.spawn(run(outlet, token.clone()));
}

async fn run(mut outlet: Outlet, token: CancellationToken) {
    let mut pause = AGAIN.0;
    loop {
        let begun = outlet.told;
        let error = tokio::select! {
            () = token.cancelled() => break,
            error = outlet.follow() => error,
        };
        pause = if outlet.told > begun { AGAIN.0 } else { (pause * 2).min(AGAIN.1) };
        tracing::warn!(stream = %outlet.stream, %error, "subscribers wait to be told");
        tokio::select! {
            () = token.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    if let Err(error) = outlet.write_cursor().await {
        tracing::warn!(stream = %outlet.stream, %error, "the outlet's cursor was not written");
    }
}

struct Outlet {
    shared: Arc<Shared>,
    outbox: Arc<dyn Outbox>,
    stream: StreamName,
    /// Everything up to here has been told.
    told: u64,
    /// The cursor that the log has.
    written: u64,
    /// The last sequence that something was sent for.
    sent: u64,
}

impl Outlet {
    /// Tells of what is recorded until something fails.
    async fn follow(&mut self) -> Error {
        match self.following().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn following(&mut self) -> Result<std::convert::Infallible, Error> {
        // Whoever told of the stream before may have written its cursor a moment ago.
        self.shared.settled(self.shared.log.head().await?).await?;
        match self.cursor() {
            Some(cursor) => self.written = cursor,
            None => self.begin_anew().await?,
        }
        self.told = self.told.max(self.written);
        let mut changes = self.shared.changes.subscribe();
        self.catch_up().await?;
        let mut cursor_at = Instant::now();
        loop {
            let is_due = tokio::time::sleep_until(cursor_at + CURSOR_EVERY);
            tokio::select! {
                changed = next(&mut changes) => {
                    let Some(changed) = changed else {
                        return Err(Error::Unavailable("the engine has stopped".to_owned()));
                    };
                    if !self.tell_live(changed).await? {
                        self.catch_up().await?;
                    }
                }
                () = is_due => {}
            }
            if cursor_at.elapsed() >= CURSOR_EVERY {
                self.write_cursor().await?;
                cursor_at = Instant::now();
            }
        }
    }

    fn cursor(&self) -> Option<u64> {
        self.shared.read(|world| world.streams.get(&self.stream)?.cursors.get(REACTOR).copied())
    }

    /// Decides where to begin in a stream that nobody has told of, and leaves a mark before anything
    /// is told, so that a crash after that loses nothing. A new stream is told from its beginning, in
    /// which a node may have ended before it came to tell; of another one, such as one in a copied
    /// log, subscribers are told what happens from this node's start on.
    async fn begin_anew(&mut self) -> Result<(), Error> {
        let subject = Subject::of(&self.stream, &Aggregate::Stream);
        let made = self.shared.log.read_subject(&subject, 1, 1).await?;
        let made = made.first().map(|entry| fold::decode(entry).0.meta.recorded);
        let is_new = made.is_some_and(|made| self.shared.clock.now().since(made) < NEW);
        let begun = self.shared.begun.load(Ordering::SeqCst);
        self.told = self.told.max(if is_new { 0 } else { begun });
        if self.append_cursor().await? {
            return Ok(());
        }
        let reason = format!("another node has begun to tell of `{}`", self.stream);
        Err(Error::Unavailable(reason))
    }

    /// Reads what has not been told from the log, where it is more than what comes live.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let (token, mut cursor_at) = (stream_token(&self.stream), Instant::now());
        while self.told < *self.shared.seen.borrow() {
            let entries = self.shared.log.read(self.told + 1, BATCH).await?;
            let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(()) };
            // What other streams have recorded is not even understood.
            let own = entries.iter().filter(|entry| entry.subject.is_under(&token));
            let recorded = own.map(fold::decode).map(|(one, _)| Arc::new(one));
            self.tell(&recorded.collect::<Vec<_>>(), last).await?;
            if cursor_at.elapsed() >= CURSOR_EVERY {
                self.write_cursor().await?;
                cursor_at = Instant::now();
            }
        }
        Ok(())
    }

    /// Tells of what has come live, as far as nothing is missing before it. Where something is, or
    /// too much has come, it returns that the log must be read.
    async fn tell_live(&mut self, changed: Vec<Arc<Recorded>>) -> Result<bool, Error> {
        let has_come = !changed.is_empty();
        let new = changed.into_iter().skip_while(|one| one.seq <= self.told);
        let new: Vec<_> = new.collect();
        let whole = (self.told + 1..).zip(&new).take_while(|(seq, one)| one.seq == *seq).count();
        let following = new.get(..whole).unwrap_or_default();
        let last = following.last().map_or(self.told, |one| one.seq);
        self.tell(following, last).await?;
        Ok(has_come && whole == new.len())
    }

    /// Tells of events, among which are all of this stream up to a sequence that it had not told of.
    async fn tell(&mut self, recorded: &[Arc<Recorded>], through: u64) -> Result<(), Error> {
        let told = recorded.iter().filter(|one| {
            one.stream == self.stream && !one.meta.historical && !one.aggregate.is_system()
        });
        let messages: Vec<OutMessage> = told.flat_map(|one| self.messages(one)).collect();
        for some in messages.chunks(AT_ONCE) {
            let begun = Instant::now();
            let sent = self.outbox.send(some.to_vec()).await;
            sent.map_err(Error::unavailable)?;
            if some.len() == AT_ONCE {
                tokio::time::sleep(begun.elapsed().min(LONGEST_REST)).await;
            }
        }
        if let Some(last) = messages.last() {
            self.sent = last.seq.max(self.sent);
        }
        self.told = through;
        Ok(())
    }

    /// What subscribers are told of an event.
    fn messages(&self, recorded: &Recorded) -> Vec<OutMessage> {
        let is_andon = matches!(recorded.event, Event::Andon(_));
        let record = is_andon.then(|| self.shared.alert(&self.stream, &recorded.meta.subject));
        let record = record.flatten();
        let (source, alert) = (&self.shared.source, record.as_ref().map(about));
        (self.shared.outlet)(&Telling { recorded, source, alert })
    }

    /// Writes the cursor, if something was sent since or much has passed.
    async fn write_cursor(&mut self) -> Result<(), Error> {
        if self.sent <= self.written && self.told < self.written.saturating_add(FAR) {
            return Ok(());
        }
        if !self.shared.holds(&self.stream) {
            return Ok(());
        }
        // The own cursor may not be folded yet; then the next one carries more.
        self.append_cursor().await.map(drop)
    }

    /// Appends the cursor where the read side has it; tells whether it is in the log.
    async fn append_cursor(&mut self) -> Result<bool, Error> {
        let aggregate = Aggregate::Reactor(REACTOR.into());
        let last_seq = self.shared.read(|world| world.head_of(&self.stream, &aggregate));
        let event = system::Event::ReactorAdvanced(ReactorAdvanced { through: self.told });
        let entry = self.shared.own_entry(&self.stream, &aggregate, event);
        let append = Append {
            conditions: vec![Condition { subject: entry.subject.clone(), last_seq }],
            entries: vec![entry],
        };
        match self.shared.log.append(append).await {
            Ok(_) => {
                self.written = self.told;
                Ok(true)
            }
            Err(AppendError::Conflict { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}

/// What has changed since, all at once; empty when the log must be read instead.
async fn next(changes: &mut broadcast::Receiver<Arc<Recorded>>) -> Option<Vec<Arc<Recorded>>> {
    let mut changed = match changes.recv().await {
        Ok(first) => vec![first],
        Err(RecvError::Lagged(_)) => return Some(vec![]),
        Err(RecvError::Closed) => return None,
    };
    while changed.len() < BATCH
        && let Ok(more) = changes.try_recv()
    {
        changed.push(more);
    }
    Some(changed)
}

/// Tells of every stream, where there is only one node.
pub(crate) async fn of_every_stream(engine: Engine) {
    let token = engine.shared().token.clone();
    let mut begun = std::collections::BTreeSet::new();
    let mut seen = engine.shared().seen.subscribe();
    loop {
        let streams: Vec<_> = engine.shared().read(|world| world.streams.keys().cloned().collect());
        for stream in streams {
            if !begun.contains(&stream) {
                begin(&engine, &stream, &token);
                begun.insert(stream);
            }
        }
        tokio::select! {
            () = token.cancelled() => return,
            changed = seen.changed() => if changed.is_err() { return },
        }
        // Streams are made seldom, and what they told before they are found is read from the log.
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(CURSOR_EVERY) => {}
        }
    }
}
