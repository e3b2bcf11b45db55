//! What may happen on the line.

use smol_str::SmolStr;

use super::{
    Acknowledged, AcknowledgementExpired, Alert, Category, Cause, ClearedBy, Command,
    ConditionCleared, Effect, Escalated, Event, Joined, Line, Order, Pulled, Reruns, Resolved,
    Trigger, evolve,
};
use crate::ids::{AlertId, ColumnName};
use crate::rejection::{Asked, Rejection};
use crate::time::{Span, Time};

/// Who resolves an alert whose condition ended by itself.
const TAKT: SmolStr = SmolStr::new_static("takt");

/// How many events one look at the clock tells; the next one tells the rest, so that what is told
/// at once fits in one batch of the log.
const TOLD_AT_ONCE: usize = 500;

/// Decides a command, told how parts of the work have last ended.
///
/// # Errors
/// `NotFound` for an alert that is not open; `Invalid` names the field with its remedy.
pub fn decide(line: &Line, reruns: &Reruns, command: Command) -> Result<Vec<Event>, Rejection> {
    let Command { asked, order } = command;
    match order {
        Order::Pull { alert, cause, stage, column, cleared_by, trigger } => {
            let what = (stage, column, cleared_by);
            Ok(pull(line, reruns, alert, cause, what, trigger))
        }
        Order::Acknowledge { alert, hold } => acknowledge(line, asked, alert, hold),
        Order::Resolve { alert, category, cause, countermeasure } => {
            resolve(line, asked, alert, category, cause, countermeasure)
        }
        Order::Clear { cause, at: _ } => Ok(clear(line, &cause)),
        Order::Rerun { cause, name, at } => Ok(rerun(line, reruns, &cause, &name, at)),
        Order::Wake { escalate_after } => Ok(wake(line, asked.at, escalate_after)),
    }
}

fn pull(
    line: &Line,
    reruns: &Reruns,
    alert: AlertId,
    cause: Cause,
    what: (Option<SmolStr>, Option<ColumnName>, Option<ClearedBy>),
    trigger: Trigger,
) -> Vec<Event> {
    let effect = cause.kind.effect();
    let (stage, column, cleared_by) = what;
    if let Some((open, known)) = line.open.iter().find(|(_, known)| known.cause == cause) {
        let seen = !trigger.event.is_empty() && known.events.contains(&trigger.event);
        // A warning that is open has said all that there is to say.
        if seen || effect == Effect::Warn {
            return vec![];
        }
        let mut after = known.clone();
        evolve::broke(&mut after, cleared_by.as_ref(), trigger.at);
        let joined = Event::Joined(Joined { alert: open.clone(), cleared_by, trigger });
        return with_its_end(reruns, &after, open.clone(), joined);
    }
    // What happened at or before the resolve belongs to the alert that was resolved with it. A
    // warning is told of the present state, so it is news whatever its trigger's time.
    let resolved = line.resolved.get(&cause).filter(|_| effect == Effect::Stop);
    if resolved.is_some_and(|resolved| trigger.at <= *resolved) {
        return vec![];
    }
    let id = alert.clone();
    let pulled = Pulled { alert, effect, cause, stage, column, cleared_by, trigger };
    let after = evolve::opened(&pulled, pulled.trigger.at);
    with_its_end(reruns, &after, id, Event::Pulled(pulled))
}

/// A pull whose trouble is over already, since the report of its end came first, is marked so.
fn with_its_end(reruns: &Reruns, after: &Alert, alert: AlertId, event: Event) -> Vec<Event> {
    let cleared = reruns.clear(after).then_some(ConditionCleared { alert });
    [Some(event), cleared.map(Event::ConditionCleared)].into_iter().flatten().collect()
}

/// Marks every `stop` about what has ended well, once all that broke behind it has.
fn rerun(line: &Line, reruns: &Reruns, cause: &Cause, name: &SmolStr, at: Time) -> Vec<Event> {
    let over = |alert: &Alert| {
        // An alert of an older version does not know its parts: the same root ends it.
        let old = || alert.parts.is_empty() && alert.cause == *cause && at > alert.seen_at;
        let about = alert.cause.kind == cause.kind && alert.name == *name;
        alert.effect == Effect::Stop && ((about && reruns.clear(alert)) || old())
    };
    line.open
        .iter()
        .filter(|(_, alert)| !alert.cleared && over(alert))
        .map(|(id, _)| Event::ConditionCleared(ConditionCleared { alert: id.clone() }))
        .collect()
}

fn open<'a>(line: &'a Line, alert: &AlertId) -> Result<&'a Alert, Rejection> {
    line.open.get(alert).ok_or_else(|| Rejection::NotFound {
        kind: "open alert",
        name: alert.as_str().into(),
        remedy: "`takt andon list` shows the open alerts".to_owned(),
    })
}

/// An alert is looked after, and resolved, by somebody with a name.
fn named(asked: &Asked) -> Result<(), Rejection> {
    if !asked.actor.trim().is_empty() {
        return Ok(());
    }
    Err(Rejection::Invalid {
        field: "actor",
        problem: "is empty, so nobody would know whom to ask".to_owned(),
        remedy: "say who you are, with `--actor`".to_owned(),
    })
}

fn acknowledge(
    line: &Line,
    asked: Asked,
    alert: AlertId,
    hold: Span,
) -> Result<Vec<Event>, Rejection> {
    open(line, &alert)?;
    named(&asked)?;
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
    named(&asked)?;
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

/// Resolves the warning of a cause, if it is open.
fn clear(line: &Line, cause: &Cause) -> Vec<Event> {
    let warning = |alert: &Alert| alert.effect == Effect::Warn && alert.cause == *cause;
    let Some((alert, _)) = line.open.iter().find(|(_, alert)| warning(alert)) else {
        return vec![];
    };
    vec![Event::Resolved(Resolved {
        alert: alert.clone(),
        category: Category::Cleared,
        cause: SmolStr::default(),
        countermeasure: SmolStr::default(),
        by: TAKT,
    })]
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
    events.truncate(TOLD_AT_ONCE);
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
