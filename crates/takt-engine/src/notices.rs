//! Notices: people outside are told of alerts, each at least once, however slow they are.
//!
//! One task looks at the lines of the streams that this node holds. What is to be told is first
//! asked for in the log, with how far the line was looked at in the same event, whose exact
//! expectation is the fence between nodes. Then it is delivered, a few at a time for each receiver,
//! and what became of it is appended. A restart in between delivers it again under the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use smol_str::{SmolStr, ToSmolStr};
use takt_domain::notice::{self, Asked, Delivered, Failed, Happened, Requested, Step};
use takt_domain::{Aggregate, Event, Span, StreamName, Time, system};
use takt_ports::{Append, AppendError, Condition, Entry, Notifier, NotifyError, Subject};
use takt_projections::{NoticeKey, Waiting};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::Error;
use crate::shared::Shared;

mod deliver;

pub(crate) use deliver::about;

/// The reactor's name in its subject.
const REACTOR: &str = "notify";
/// How many notices are on their way to one receiver at once.
const AT_ONCE: usize = 4;
/// How often the streams are looked at when nothing happens, and the pause after trouble.
const LOOK: Duration = Duration::from_secs(1);
/// How many entries of a line are read at once.
const PAGE: usize = 256;
/// How many notices one event asks for, so that it stays far below what one message may be.
const IN_ONE: usize = 1000;

impl Engine {
    /// Tells receivers of what happens on the line, from now on until the engine shuts down. Every
    /// node on one log is given the same receivers.
    pub fn notify(&self, receivers: Vec<Arc<dyn Notifier>>) {
        let shared = Arc::clone(self.shared());
        let by_name = receivers.into_iter().map(|it| (it.receiver().to_smolstr(), it));
        let notices = Notices {
            shared,
            receivers: by_name.collect(),
            looked: BTreeMap::new(),
            failed: BTreeMap::new(),
            tries: BTreeMap::new(),
            busy: BTreeMap::new(),
            running: JoinSet::new(),
            due: Instant::now(),
        };
        self.shared().writers.spawn(notices.run());
    }
}

/// One notice of one stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    stream: StreamName,
    sequence: u64,
    receiver: SmolStr,
}

impl Key {
    fn of(stream: &StreamName, (sequence, receiver): &NoticeKey) -> Self {
        Self { stream: stream.clone(), sequence: *sequence, receiver: receiver.clone() }
    }
}

/// What this node knows of a notice beside the log.
struct Try {
    attempts: u32,
    since: Time,
    state: State,
}

enum State {
    Running(Id),
    Pausing(Instant),
    /// Its outcome is on the way to the log.
    Ended(system::Event),
}

/// How the line of a stream stands to its notices.
struct Stand {
    stream: StreamName,
    line_seq: u64,
    through: Option<u64>,
    /// How far the read side had come when it was looked at.
    as_of: u64,
}

struct Notices {
    shared: Arc<Shared>,
    receivers: BTreeMap<SmolStr, Arc<dyn Notifier>>,
    /// How far lines were looked at where nothing was to be told, which is not worth an event.
    looked: BTreeMap<StreamName, u64>,
    /// Streams that could not be asked for, and when they are looked at again.
    failed: BTreeMap<StreamName, Instant>,
    tries: BTreeMap<Key, Try>,
    busy: BTreeMap<SmolStr, usize>,
    running: JoinSet<Result<(), NotifyError>>,
    /// When what waits is looked through next.
    due: Instant,
}

impl Notices {
    async fn run(mut self) {
        let token = self.shared.token.clone();
        let mut seen = self.shared.seen.subscribe();
        loop {
            tokio::select! {
                biased;
                // What is on its way is dropped, and told again after the next start.
                () = token.cancelled() => return,
                () = self.look() => {}
            }
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                changed = seen.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(self.due) => {}
            }
        }
    }

    async fn look(&mut self) {
        let now = Instant::now();
        self.failed.retain(|_, again| *again > now);
        for stand in self.behind() {
            if let Err(error) = self.request(&stand).await {
                let stream = &stand.stream;
                tracing::warn!(%stream, %error, "notices could not be asked for yet");
                // The others do not wait for it; `due` comes at least as often.
                self.failed.insert(stand.stream, Instant::now() + LOOK);
            }
        }
        if self.due <= Instant::now() {
            self.due = Instant::now() + LOOK;
            self.start_due();
            if let Err(error) = self.tell_outcomes().await {
                tracing::warn!(%error, "what became of a notice could not be recorded yet");
            }
        }
    }

    /// The streams of this node whose lines went on since they were looked at.
    fn behind(&self) -> Vec<Stand> {
        if self.receivers.is_empty() {
            return vec![];
        }
        self.shared.read(|world| {
            let stands = world.streams.iter().map(|(stream, view)| Stand {
                stream: stream.clone(),
                line_seq: view.line_seq,
                through: view.notices.tally.through,
                as_of: world.seq,
            });
            stands
                .filter(|it| it.line_seq > self.looked_at(it) && self.shared.holds(&it.stream))
                .filter(|it| !self.failed.contains_key(&it.stream))
                .collect()
        })
    }

    fn looked_at(&self, stand: &Stand) -> u64 {
        let looked = self.looked.get(&stand.stream).copied().unwrap_or(0);
        looked.max(stand.through.unwrap_or(0))
    }

    /// Asks for what is to be told of a stream.
    async fn request(&mut self, stand: &Stand) -> Result<(), Error> {
        let happened = self.happened(stand).await?;
        let told = notice::to_tell(&happened, self.shared.clock.now());
        let events = self.asked(stand, &told);
        // The first look leaves its mark even when nothing is told, so that it is the only one.
        if events.is_empty() && stand.through.is_some() {
            self.looked.insert(stand.stream.clone(), stand.line_seq);
            return Ok(());
        }
        let mark = Requested { through: stand.line_seq, notices: vec![] };
        let events =
            if events.is_empty() { vec![system::Event::NoticeRequested(mark)] } else { events };
        self.append(&stand.stream, events, stand.as_of).await?;
        self.due = Instant::now();
        Ok(())
    }

    /// The steps on a line since it was looked at, up to where the read side has it.
    async fn happened(&self, stand: &Stand) -> Result<Vec<Happened>, Error> {
        let subject = Subject::of(&stand.stream, &Aggregate::Line);
        let (mut happened, mut from) = (Vec::new(), self.looked_at(stand) + 1);
        while from <= stand.line_seq {
            let entries = self.shared.log.read_subject(&subject, from, PAGE).await?;
            let Some(last) = entries.last() else { break };
            from = last.seq + 1;
            let until_then = entries.iter().filter(|entry| entry.seq <= stand.line_seq);
            happened.extend(until_then.filter_map(step));
        }
        Ok(happened)
    }

    /// The events that ask for notices of steps; what a receiver has no room for fails at once.
    fn asked(&self, stand: &Stand, told: &[&Happened]) -> Vec<system::Event> {
        let wants = self.receivers.values().filter(|it| it.wants(&stand.stream));
        let wants: Vec<SmolStr> = wants.map(|it| it.receiver().to_smolstr()).collect();
        let mut waiting: BTreeMap<SmolStr, usize> = BTreeMap::new();
        self.shared.read(|world| {
            let view = world.streams.get(&stand.stream);
            for (_, receiver) in view.into_iter().flat_map(|view| view.notices.waiting.keys()) {
                *waiting.entry(receiver.clone()).or_default() += 1;
            }
        });
        let (mut notices, mut failed) = (Vec::new(), Vec::new());
        for (happened, receiver) in told.iter().flat_map(|it| wants.iter().map(move |to| (it, to)))
        {
            let (sequence, receiver) = (happened.sequence, receiver.clone());
            let count = waiting.entry(receiver.clone()).or_default();
            if *count >= notice::MOST_WAITING {
                let reason = format!("{} notices wait for it already", notice::MOST_WAITING).into();
                failed.push(system::Event::NoticeFailed(Failed {
                    sequence,
                    receiver,
                    attempts: 0,
                    reason,
                }));
                continue;
            }
            *count += 1;
            let (alert, step) = (happened.alert.clone(), happened.step);
            notices.push(Asked { sequence, alert, step, receiver });
        }
        let through = stand.line_seq;
        let chunks = notices.chunks(IN_ONE);
        let requested = chunks.map(|some| Requested { through, notices: some.to_vec() });
        requested.map(system::Event::NoticeRequested).chain(failed).collect()
    }

    /// Appends events of the reactor in batches that the log takes, where the reactor stood when it
    /// was looked at, as of a sequence. Another node that came first is caught up with, and what is
    /// left is decided anew, also where its event has been folded in between.
    async fn append(
        &self,
        stream: &StreamName,
        events: Vec<system::Event>,
        mut as_of: u64,
    ) -> Result<(), Error> {
        let aggregate = Aggregate::Reactor(REACTOR.into());
        let subject = Subject::of(stream, &aggregate);
        for events in events.chunks(500) {
            let last_seq = self.shared.read(|world| world.head_of(stream, &aggregate));
            if last_seq > as_of {
                return Ok(());
            }
            let entries =
                events.iter().map(|event| self.shared.own_entry(stream, &aggregate, event.clone()));
            let conditions = vec![Condition { subject: subject.clone(), last_seq }];
            let append = Append { conditions, entries: entries.collect() };
            let count = append.entries.len() as u64;
            match self.shared.log.append(append).await {
                Ok(first) => {
                    as_of = first + count - 1;
                    self.shared.settled(as_of).await?;
                }
                Err(AppendError::Conflict { .. }) => {
                    let head = self.shared.log.head().await?;
                    return self.shared.settled(head).await;
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    }

    /// Starts what waits and may start, in the order of the steps of each alert.
    fn start_due(&mut self) {
        let (waiting, _) = self.waiting();
        let keys: BTreeSet<&Key> = waiting.iter().map(|(key, _)| key).collect();
        self.tries.retain(|key, it| matches!(it.state, State::Running(_)) || keys.contains(key));
        let mut begun = BTreeSet::new();
        for (key, waits) in &waiting {
            // A later step waits until the one before it has its outcome.
            if begun.insert((&key.stream, &key.receiver, waits.alert.clone())) {
                self.start(key, waits.since);
            }
        }
    }

    /// What waits on this node's streams, and how far the read side had come when it did.
    fn waiting(&self) -> (Vec<(Key, Waiting)>, u64) {
        self.shared.read(|world| {
            let streams = world.streams.iter();
            let held = streams.filter(|(stream, view)| {
                !view.notices.waiting.is_empty() && self.shared.holds(stream)
            });
            let of_each = held.flat_map(|(stream, view)| {
                view.notices.waiting.iter().map(move |waits| (stream, waits))
            });
            let waiting =
                of_each.map(|(stream, (key, waits))| (Key::of(stream, key), waits.clone()));
            (waiting.collect(), world.seq)
        })
    }

    /// Starts a try of a notice unless one runs, or it pauses, or its receiver has enough to do.
    fn start(&mut self, key: &Key, since: Time) {
        let attempts = match self.tries.get(key).map(|it| (&it.state, it.attempts)) {
            Some((State::Running(_) | State::Ended(_), _)) => return,
            Some((State::Pausing(until), _)) if *until > Instant::now() => {
                self.due = self.due.min(*until);
                return;
            }
            Some((State::Pausing(_), attempts)) => attempts,
            None => 0,
        };
        let Some(notifier) = self.receivers.get(&key.receiver) else {
            let reason = "no receiver of that name is configured".into();
            return self.give_up(key, attempts, since, reason);
        };
        if self.shared.clock.now().since(since) >= notice::GIVE_UP_AFTER {
            return self.give_up(key, attempts, since, "it was not taken within a day".into());
        }
        let busy = self.busy.entry(key.receiver.clone()).or_default();
        if *busy >= AT_ONCE {
            return;
        }
        *busy += 1;
        let notifier = Arc::clone(notifier);
        let telling = deliver::tell(Arc::clone(&self.shared), key.clone(), notifier);
        let id = self.running.spawn(telling).id();
        let tried = Try { attempts: attempts + 1, since, state: State::Running(id) };
        self.tries.insert(key.clone(), tried);
    }

    fn give_up(&mut self, key: &Key, attempts: u32, since: Time, reason: SmolStr) {
        let (stream, sequence, receiver) = (&key.stream, key.sequence, &key.receiver);
        tracing::warn!(%stream, sequence, %receiver, %reason, "a notice is given up");
        let (receiver, sequence) = (key.receiver.clone(), key.sequence);
        let failed = Failed { sequence, receiver, attempts, reason };
        let state = State::Ended(system::Event::NoticeFailed(failed));
        self.tries.insert(key.clone(), Try { attempts, since, state });
    }

    /// Takes in how a try has ended.
    fn ended(&mut self, ended: Result<(Id, Result<(), NotifyError>), JoinError>) {
        self.due = Instant::now();
        let (id, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let reason = "the try broke off".into();
                (error.id(), Err(NotifyError { retry: true, after: None, reason }))
            }
        };
        let is_it = |tried: &Try| matches!(tried.state, State::Running(of) if of == id);
        let Some((key, tried)) = self.tries.iter().find(|(_, tried)| is_it(tried)) else { return };
        let (key, attempts, since) = (key.clone(), tried.attempts, tried.since);
        if let Some(busy) = self.busy.get_mut(&key.receiver) {
            *busy = busy.saturating_sub(1);
        }
        let state = match result {
            Ok(()) => {
                let (sequence, receiver) = (key.sequence, key.receiver.clone());
                let delivered = Delivered { sequence, receiver, attempts };
                State::Ended(system::Event::NoticeDelivered(delivered))
            }
            Err(error) => {
                let asked = error.after.and_then(|it| i64::try_from(it.as_micros()).ok());
                let asked = asked.map(Span::from_micros);
                // The random bits of a new id are chance enough.
                let chance = Uuid::new_v4().as_fields().0;
                let pause = notice::pause(attempts, chance, asked);
                let until = self.shared.clock.now() + pause;
                if !error.retry || until.since(since) >= notice::GIVE_UP_AFTER {
                    let reason = error.reason.to_smolstr();
                    return self.give_up(&key, attempts, since, reason);
                }
                let (receiver, sequence) = (&key.receiver, key.sequence);
                tracing::warn!(%receiver, sequence, attempts, reason = %error.reason,
                    "a notice was not taken and is tried again");
                let pause = u64::try_from(pause.micros()).unwrap_or_default();
                State::Pausing(Instant::now() + Duration::from_micros(pause))
            }
        };
        self.tries.insert(key, Try { attempts, since, state });
    }

    /// Appends the outcomes that are known. One that cannot be appended yet stays, so that the
    /// receiver is not told again for that.
    async fn tell_outcomes(&mut self) -> Result<(), Error> {
        let mut by_stream: BTreeMap<StreamName, Vec<system::Event>> = BTreeMap::new();
        // Of what waits no longer, another node has told the outcome.
        let (waiting, as_of) = self.waiting();
        for (key, _) in &waiting {
            if let Some(Try { state: State::Ended(event), .. }) = self.tries.get(key) {
                by_stream.entry(key.stream.clone()).or_default().push(event.clone());
            }
        }
        for (stream, ended) in by_stream {
            // What comes next may be due at once.
            self.append(&stream, ended, as_of).await?;
            self.due = Instant::now();
        }
        Ok(())
    }
}

/// The step that an entry of a line is, if it is one.
fn step(entry: &Entry) -> Option<Happened> {
    let recorded = takt_events::decode(entry.seq, &entry.bytes).ok()?;
    let Event::Andon(event) = &recorded.event else { return None };
    let (step, alert) = Step::of(event)?;
    Some(Happened {
        sequence: entry.seq,
        alert: alert.clone(),
        step,
        recorded: recorded.meta.recorded,
        historical: recorded.meta.historical,
    })
}
