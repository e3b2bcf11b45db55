//! What follows from what, and what is due: answered on the line, once each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smol_str::SmolStr;
use takt_domain::policy::Intent;
use takt_domain::rejection::Asked;
use takt_domain::system::ReactorAdvanced;
use takt_domain::{Aggregate, AlertId, BoardId, Event, EventId, Time, andon, board, system};
use takt_ports::AppendError;

use crate::commands::{self, Call, Command, on_line};
use crate::conflicts::Conflicts;
use crate::engine::Engine;
use crate::error::Error;
use crate::mailbox::{Draft, Mailbox, Task};

/// The reactor's name in its cursor's subject.
const REACTOR: &str = "andon";
/// How often mailboxes look at the clock.
const TICK: Duration = Duration::from_secs(1);
/// How long one look at what is due may take.
const WAKE: Duration = Duration::from_secs(30);
/// How many pending events one batch answers.
const AT_ONCE: usize = 100;
/// How many events one batch writes before the next begins; one intent may add as many once more,
/// and the log takes 1000.
const MOST: usize = 400;

/// Wakes every stream's mailbox once a second.
pub(crate) async fn tick(engine: Engine) {
    let token = engine.shared().token.clone();
    let mut beat = tokio::time::interval(TICK);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = beat.tick() => {}
        }
        if engine.health().reason().is_some() {
            continue;
        }
        let streams: Vec<_> = engine.shared().read(|world| world.streams.keys().cloned().collect());
        for stream in streams {
            let Ok(mailbox) = engine.mailbox(&stream) else { return };
            // A full mailbox is awake already.
            let _ = mailbox.try_send(Task::Tick);
        }
    }
}

/// Wakes the mailboxes of streams whose lease this node holds when another node has caused
/// something that is to be answered.
pub(crate) async fn wake_holders(engine: Engine) {
    let shared = engine.shared();
    let mut seen = shared.seen.subscribe();
    loop {
        let pending: Vec<_> = shared.read(|world| {
            let pending = world.streams.iter().filter(|(_, view)| !view.pending.is_empty());
            pending.map(|(stream, _)| stream.clone()).collect()
        });
        for stream in pending.into_iter().filter(|stream| shared.holds(stream)) {
            let Ok(mailbox) = engine.mailbox(&stream) else { return };
            // A full mailbox is awake already.
            let _ = mailbox.try_send(Task::React);
        }
        tokio::select! {
            () = shared.token.cancelled() => return,
            changed = seen.changed() => if changed.is_err() { return },
        }
    }
}

/// Tells what has fallen due on the boards and the line of a stream.
pub(crate) async fn due(mailbox: &mut Mailbox) -> Result<(), Error> {
    mailbox.settle().await?;
    let now = mailbox.shared.clock.now();
    let (boards, line, escalate_after) = mailbox.shared.read(|world| {
        let Some(view) = world.streams.get(&mailbox.stream) else {
            return (vec![], false, takt_domain::Span::ZERO);
        };
        let escalate_after = view.state.policy.escalate_after;
        let is_due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let boards: Vec<BoardId> = view
            .boards
            .iter()
            .filter(|(_, board)| is_due(board::due(board)))
            .map(|(id, _)| id.clone())
            .collect();
        (boards, is_due(andon::due(&view.line, escalate_after)), escalate_after)
    });
    // What cannot be told on one board does not keep the others, or the line, from being told.
    let mut told = Ok(());
    for board in boards {
        let command = Command::Board(board, Box::new(board::Order::Wake));
        told = told.and(wake(mailbox, command).await);
    }
    if line {
        let command = Command::Andon(Box::new(andon::Order::Wake { escalate_after }));
        told = told.and(wake(mailbox, command).await);
    }
    told
}

async fn wake(mailbox: &mut Mailbox, command: Command) -> Result<(), Error> {
    let call = Call {
        actor: SmolStr::new_static("takt"),
        key: None,
        expected_version: None,
        deadline: WAKE,
    };
    commands::execute(mailbox, &call, &command).await.map(drop)
}

/// Answers the intents that are pending, in order, with the cursor in the same batch.
pub(crate) async fn answer(mailbox: &mut Mailbox) -> Result<(), Error> {
    let (mut most, mut conflicts) = (MOST, Conflicts::default());
    loop {
        mailbox.settle().await?;
        let as_of = mailbox.as_of();
        let Some(mut batch) = next(mailbox, most) else {
            return advance(mailbox).await;
        };
        if batch.drafts.is_empty() {
            (mailbox.answered, mailbox.part) = (batch.through, batch.part);
            continue;
        }
        batch.drafts.push(cursor(mailbox, batch.through));
        match mailbox.append(&batch.drafts, &[], as_of).await {
            Ok(_) => {
                (mailbox.answered, mailbox.part) = (batch.through, batch.part);
                mailbox.cursor_at = Some(Instant::now());
            }
            Err(conflict @ AppendError::Conflict { .. }) => {
                conflicts.met(&mailbox.stream, &conflict).await?;
                mailbox.catch_up().await?;
            }
            // Long texts fill a batch before its number of events does.
            Err(AppendError::TooLarge { .. }) if most > 1 => most = most.div_ceil(4),
            Err(other) => return Err(other.into()),
        }
    }
}

/// What one batch answers.
struct Batch {
    drafts: Vec<Draft>,
    /// Every event up to here is answered with it.
    through: u64,
    /// How many intents of the event after that are. A restart in between asks for them again, and
    /// what was answered comes to nothing: a cause that is open is not pulled, one that is not open
    /// is not cleared.
    part: usize,
}

/// The next batch, if an intent is pending.
fn next(mailbox: &Mailbox, most: usize) -> Option<Batch> {
    let answered = mailbox.answered;
    let (pending, mut line, reruns) = mailbox.shared.read(|world| {
        let view = world.streams.get(&mailbox.stream)?;
        let pending = view.pending.range(answered + 1..).take(AT_ONCE);
        let pending: Vec<(u64, Vec<Intent>)> =
            pending.map(|(seq, intents)| (*seq, intents.clone())).collect();
        (!pending.is_empty()).then(|| (pending, (*view.line).clone(), Arc::clone(&view.reruns)))
    })?;
    // What is before the first pending event has been answered, or asked for nothing.
    let before = pending.first().map_or(0, |(seq, _)| seq.saturating_sub(1));
    let mut batch = Batch { drafts: vec![], through: before.max(answered), part: mailbox.part };
    for (seq, intents) in pending {
        let answered = std::mem::take(&mut batch.part);
        for (part, intent) in intents.into_iter().enumerate().skip(answered) {
            let whole = batch.drafts.len() < most
                && follow(mailbox, (&mut line, &reruns), (seq, part), intent, most, &mut batch);
            if !whole {
                batch.part = part;
                return Some(batch);
            }
        }
        batch.through = seq;
    }
    Some(batch)
}

/// Decides one intent on the line as it will be after the drafts before it; returns whether it is
/// answered by them whole. One that is not is asked for again, and says what is left.
fn follow(
    mailbox: &Mailbox,
    (line, reruns): (&mut andon::Line, &andon::Reruns),
    (seq, part): (u64, usize),
    intent: Intent,
    most: usize,
    batch: &mut Batch,
) -> bool {
    let (cause, at) = match &intent {
        Intent::Pull { trigger, .. } => (trigger.event.clone(), trigger.at),
        Intent::Clear { event, at, .. } | Intent::Rerun { event, at, .. } => (event.clone(), *at),
    };
    let order = order(mailbox, (seq, part), intent);
    let asked = Asked { at, actor: SmolStr::new_static("takt") };
    let events = andon::decide(line, reruns, andon::Command { asked, order }).unwrap_or_default();
    // A pull and the end of its condition, the two that one pull may say, stay together.
    let most = most.max(2);
    let whole = events.len() <= most;
    for event in events.into_iter().take(most) {
        let at = ended(line, &event).map_or(at, |pulled| at.max(pulled));
        let (event, subject, time) = on_line(event, at);
        let id = EventId(uuid::Uuid::now_v7());
        let mut meta = mailbox.meta(id, time, "takt");
        meta.subject = subject;
        meta.causation = Some(cause.clone());
        if let Event::Andon(event) = &event {
            *line = andon::evolve(std::mem::take(line), &meta, event);
        }
        batch.drafts.push(Draft::new(&mailbox.stream, Aggregate::Line, meta, &event));
    }
    whole
}

/// The order that answers an intent. An alert's id follows from the intent's place alone, so that
/// the alerts of one event are told apart in whatever batches they are pulled.
fn order(mailbox: &Mailbox, (seq, part): (u64, usize), intent: Intent) -> andon::Order {
    match intent {
        Intent::Pull { cause, stage, column, cleared_by, trigger } => {
            let id = format!("{}/{seq}/{part}", mailbox.shared.source);
            let alert = EventId::derive("urn:takt:alert", &id, 0).to_string();
            let short: String = alert.chars().take(8).collect();
            let alert = AlertId::new(format!("a-{seq}-{short}"));
            andon::Order::Pull { alert, cause, stage, column, cleared_by, trigger }
        }
        Intent::Clear { cause, at, .. } => andon::Order::Clear { cause, at },
        Intent::Rerun { cause, name, at, .. } => andon::Order::Rerun { cause, name, at },
    }
}

/// When an alert was pulled that an event ends; an end is never dated before it, although the fact
/// that brought it may be older than the one that pulled.
fn ended(line: &andon::Line, event: &andon::Event) -> Option<Time> {
    use andon::Event as E;
    let alert = match event {
        E::Resolved(it) => &it.alert,
        E::ConditionCleared(it) => &it.alert,
        E::Pulled(_)
        | E::Joined(_)
        | E::Acknowledged(_)
        | E::AcknowledgementExpired(_)
        | E::Escalated(_) => return None,
    };
    line.open.get(alert).map(|alert| alert.pulled_at)
}

fn cursor(mailbox: &Mailbox, through: u64) -> Draft {
    let meta = mailbox.meta(EventId(uuid::Uuid::now_v7()), mailbox.shared.clock.now(), "takt");
    let event = Event::System(system::Event::ReactorAdvanced(ReactorAdvanced { through }));
    Draft::new(&mailbox.stream, Aggregate::Reactor(REACTOR.into()), meta, &event)
}

/// Writes the cursor when intents were answered without events, at most once a second.
async fn advance(mailbox: &mut Mailbox) -> Result<(), Error> {
    let as_of = mailbox.as_of();
    let waiting = mailbox.shared.read(|world| {
        let view = world.streams.get(&mailbox.stream);
        view.is_some_and(|view| view.pending.range(..=mailbox.answered).next().is_some())
    });
    if !waiting || mailbox.cursor_at.is_some_and(|at| at.elapsed() < TICK) {
        return Ok(());
    }
    let cursor = cursor(mailbox, mailbox.answered);
    match mailbox.append(&[cursor], &[], as_of).await {
        Ok(_) | Err(AppendError::Conflict { .. }) => {
            mailbox.cursor_at = Some(Instant::now());
            mailbox.settle().await
        }
        Err(other) => Err(other.into()),
    }
}
