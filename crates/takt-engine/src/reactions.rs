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
use crate::engine::Engine;
use crate::error::Error;
use crate::mailbox::{Draft, Mailbox, Task};

/// The reactor's name in its cursor's subject.
const REACTOR: &str = "andon";
/// How often mailboxes look at the clock.
const TICK: Duration = Duration::from_secs(1);
/// How many pending events one batch answers.
const AT_ONCE: usize = 100;

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
        let streams: Vec<_> = engine.shared().read(|world| world.streams.keys().cloned().collect());
        for stream in streams {
            let Ok(mailbox) = engine.mailbox(&stream) else { return };
            // A full mailbox is awake already.
            let _ = mailbox.try_send(Task::Tick);
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
    for board in boards {
        wake(mailbox, Command::Board(board, Box::new(board::Order::Wake))).await?;
    }
    if line {
        wake(mailbox, Command::Andon(Box::new(andon::Order::Wake { escalate_after }))).await?;
    }
    Ok(())
}

async fn wake(mailbox: &mut Mailbox, command: Command) -> Result<(), Error> {
    let call = Call {
        actor: SmolStr::new_static("takt"),
        key: None,
        expected_version: None,
        deadline: Duration::MAX,
    };
    commands::execute(mailbox, &call, &command).await.map(drop)
}

/// Answers the intents that are pending, in order, with the cursor in the same batch.
pub(crate) async fn answer(mailbox: &mut Mailbox) -> Result<(), Error> {
    loop {
        mailbox.settle().await?;
        let answered = mailbox.answered;
        let (pending, mut line, reruns) = mailbox.shared.read(|world| {
            let Some(view) = world.streams.get(&mailbox.stream) else {
                return <(Vec<(u64, Vec<Intent>)>, andon::Line, Arc<andon::Reruns>)>::default();
            };
            let pending = view
                .pending
                .range(answered + 1..)
                .take(AT_ONCE)
                .map(|(seq, intents)| (*seq, intents.clone()))
                .collect::<Vec<_>>();
            let line =
                if pending.is_empty() { andon::Line::default() } else { (*view.line).clone() };
            (pending, line, Arc::clone(&view.reruns))
        });
        let Some((through, _)) = pending.last() else {
            return advance(mailbox).await;
        };
        let through = *through;
        let mut drafts = vec![];
        for (seq, intent) in
            pending.into_iter().flat_map(|(seq, all)| all.into_iter().map(move |one| (seq, one)))
        {
            line = follow(mailbox, (line, &reruns), seq, intent, &mut drafts);
        }
        if drafts.is_empty() {
            mailbox.answered = through;
            continue;
        }
        drafts.push(cursor(mailbox, through));
        match mailbox.append(&drafts, &[]).await {
            Ok(_) => {
                mailbox.answered = through;
                mailbox.cursor_at = Some(Instant::now());
            }
            Err(AppendError::Conflict { .. }) => mailbox.catch_up().await?,
            Err(other) => return Err(other.into()),
        }
    }
}

/// Decides one intent on the line as it will be after the drafts before it.
fn follow(
    mailbox: &Mailbox,
    (mut line, reruns): (andon::Line, &andon::Reruns),
    seq: u64,
    intent: Intent,
    drafts: &mut Vec<Draft>,
) -> andon::Line {
    let id = format!("{}/{}/{seq}", mailbox.shared.source, drafts.len());
    let at = match &intent {
        Intent::Pull { trigger, .. } => trigger.at,
        Intent::Clear { at, .. } | Intent::Rerun { at, .. } => *at,
    };
    let order = match intent {
        Intent::Pull { cause, stage, column, cleared_by, trigger } => {
            let alert = EventId::derive("urn:takt:alert", &id, 0).to_string();
            let short: String = alert.chars().take(8).collect();
            andon::Order::Pull {
                alert: AlertId::new(format!("a-{seq}-{short}")),
                cause,
                stage,
                column,
                cleared_by,
                trigger,
            }
        }
        Intent::Clear { cause, at } => andon::Order::Clear { cause, at },
        Intent::Rerun { cause, name, at } => andon::Order::Rerun { cause, name, at },
    };
    let asked = Asked { at, actor: SmolStr::new_static("takt") };
    let events = andon::decide(&line, reruns, andon::Command { asked, order }).unwrap_or_default();
    for event in events {
        let at = ended(&line, &event).map_or(at, |pulled| at.max(pulled));
        let (event, subject, time) = on_line(event, at);
        let id = EventId(uuid::Uuid::now_v7());
        let mut meta = mailbox.meta(id, time, "takt");
        meta.subject = subject;
        if let Event::Andon(event) = &event {
            line = andon::evolve(line, &meta, event);
        }
        drafts.push(Draft { aggregate: Aggregate::Line, meta, event });
    }
    line
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
    Draft {
        aggregate: Aggregate::Reactor(REACTOR.into()),
        meta,
        event: Event::System(system::Event::ReactorAdvanced(ReactorAdvanced { through })),
    }
}

/// Writes the cursor when intents were answered without events, at most once a second.
async fn advance(mailbox: &mut Mailbox) -> Result<(), Error> {
    let waiting = mailbox.shared.read(|world| {
        let view = world.streams.get(&mailbox.stream);
        view.is_some_and(|view| view.pending.range(..=mailbox.answered).next().is_some())
    });
    if !waiting || mailbox.cursor_at.is_some_and(|at| at.elapsed() < TICK) {
        return Ok(());
    }
    let cursor = cursor(mailbox, mailbox.answered);
    match mailbox.append(&[cursor], &[]).await {
        Ok(_) | Err(AppendError::Conflict { .. }) => {
            mailbox.cursor_at = Some(Instant::now());
            mailbox.settle().await
        }
        Err(other) => Err(other.into()),
    }
}
