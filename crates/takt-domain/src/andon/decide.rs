//! What may happen on the line.

use smol_str::SmolStr;

use super::{
    Acknowledged, AcknowledgementExpired, Alert, Category, Cause, Command, ConditionCleared,
    Effect, Escalated, Event, Joined, Line, Order, Pulled, Resolved, Trigger,
};
use crate::ids::{AlertId, ColumnName};
use crate::rejection::{Asked, Rejection};
use crate::time::{Span, Time};

/// Who resolves an alert whose condition ended by itself.
const TAKT: SmolStr = SmolStr::new_static("takt");

/// Decides a command.
///
/// # Errors
/// `NotFound` for an alert that is not open; `Invalid` names the field with its remedy.
pub fn decide(line: &Line, command: Command) -> Result<Vec<Event>, Rejection> {
    let Command { asked, order } = command;
    match order {
        Order::Pull { alert, cause, stage, column, trigger } => {
            Ok(pull(line, alert, cause, stage, column, trigger))
        }
        Order::Acknowledge { alert, hold } => acknowledge(line, asked, alert, hold),
        Order::Resolve { alert, category, cause, countermeasure } => {
            resolve(line, asked, alert, category, cause, countermeasure)
        }
        Order::Clear { cause, at: _ } => Ok(clear(line, &cause)),
        Order::Wake { escalate_after } => Ok(wake(line, asked.at, escalate_after)),
    }
}

fn pull(
    line: &Line,
    alert: AlertId,
    cause: Cause,
    stage: Option<SmolStr>,
    column: Option<ColumnName>,
    trigger: Trigger,
) -> Vec<Event> {
    if let Some((open, known)) = line.open.iter().find(|(_, known)| known.cause == cause) {
        let seen = !trigger.event.is_empty() && known.events.contains(&trigger.event);
        let joined = Joined { alert: open.clone(), trigger };
        return if seen { vec![] } else { vec![Event::Joined(joined)] };
    }
    // What happened at or before the resolve belongs to the alert that was resolved with it.
    if line.resolved.get(&cause).is_some_and(|resolved| trigger.at <= *resolved) {
        return vec![];
    }
    let effect = cause.kind.effect();
    vec![Event::Pulled(Pulled { alert, effect, cause, stage, column, trigger })]
}

fn open<'a>(line: &'a Line, alert: &AlertId) -> Result<&'a Alert, Rejection> {
    line.open.get(alert).ok_or_else(|| Rejection::NotFound {
        kind: "open alert",
        name: alert.as_str().into(),
        remedy: "`takt andon list` shows the open alerts".to_owned(),
    })
}

fn acknowledge(
    line: &Line,
    asked: Asked,
    alert: AlertId,
    hold: Span,
) -> Result<Vec<Event>, Rejection> {
    open(line, &alert)?;
    if hold <= Span::ZERO {
        return Err(Rejection::Invalid {
            field: "hold",
            problem: format!("is {} seconds, not above 0", hold.seconds()),
            remedy: "say for how long you look after it, such as `--for 4h`".to_owned(),
        });
    }
    let until = asked.at + hold;
    Ok(vec![Event::Acknowledged(Acknowledged { alert, by: asked.actor, until })])
}

fn resolve(
    line: &Line,
    asked: Asked,
    alert: AlertId,
    category: Category,
    cause: SmolStr,
    countermeasure: SmolStr,
) -> Result<Vec<Event>, Rejection> {
    let known = open(line, &alert)?;
    if category == Category::Cleared {
        return Err(Rejection::Invalid {
            field: "category",
            problem: "is `cleared`, which only Takt says when a condition ends".to_owned(),
            remedy: "say `fixed`, `reverted`, `false_alarm`, `flaky` or `other`".to_owned(),
        });
    }
    if known.effect == Effect::Stop && cause.trim().is_empty() {
        return Err(Rejection::Invalid {
            field: "cause",
            problem: "is empty, so nobody could learn from this stop".to_owned(),
            remedy: "say in a line what it was, with `--cause`".to_owned(),
        });
    }
    let by = asked.actor;
    Ok(vec![Event::Resolved(Resolved { alert, category, cause, countermeasure, by })])
}

fn clear(line: &Line, cause: &Cause) -> Vec<Event> {
    let Some((alert, known)) = line.open.iter().find(|(_, known)| known.cause == *cause) else {
        return vec![];
    };
    let alert = alert.clone();
    match known.effect {
        Effect::Warn => vec![Event::Resolved(Resolved {
            alert,
            category: Category::Cleared,
            cause: SmolStr::default(),
            countermeasure: SmolStr::default(),
            by: TAKT,
        })],
        Effect::Stop if known.cleared => vec![],
        Effect::Stop => vec![Event::ConditionCleared(ConditionCleared { alert })],
    }
}

/// When an alert's acknowledgement expires.
fn expires_at(alert: &Alert) -> Option<Time> {
    alert.acknowledged.as_ref().map(|(_, until)| *until)
}

/// When an alert escalates, as long as nobody looks after it. Only what stops the line does.
fn escalates_at(alert: &Alert, escalate_after: Span) -> Option<Time> {
    let waits = alert.effect == Effect::Stop && alert.acknowledged.is_none() && !alert.escalated;
    (waits && escalate_after > Span::ZERO).then(|| alert.unattended_since + escalate_after)
}

/// Tells what fell due by `now`, in the order in which it fell due for each alert: an
/// acknowledgement that expired long ago may have been followed by an escalation.
fn wake(line: &Line, now: Time, escalate_after: Span) -> Vec<Event> {
    let mut events = vec![];
    for (id, alert) in &line.open {
        let mut alert = alert.clone();
        if let Some(until) = expires_at(&alert).filter(|until| *until <= now) {
            events.push(Event::AcknowledgementExpired(AcknowledgementExpired {
                alert: id.clone(),
                at: until,
            }));
            alert.acknowledged = None;
            alert.unattended_since = until;
            alert.escalated = false;
        }
        if let Some(at) = escalates_at(&alert, escalate_after).filter(|at| *at <= now) {
            events.push(Event::Escalated(Escalated { alert: id.clone(), at }));
        }
    }
    events
}

/// The next instant at which an acknowledgement expires or an alert escalates.
pub fn due(line: &Line, escalate_after: Span) -> Option<Time> {
    line.open
        .values()
        .flat_map(|alert| [expires_at(alert), escalates_at(alert, escalate_after)])
        .flatten()
        .min()
}
