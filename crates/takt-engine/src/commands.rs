//! Commands: decide against the read side, append, and answer with a receipt.

use std::time::{Duration, Instant};

use smol_str::{SmolStr, format_smolstr};
use takt_domain::rejection::{Asked, Unmet};
use takt_domain::{
    Aggregate, BoardId, CardId, ColumnName, Event, EventId, Rejection, StreamName, Time, andon,
    board, stream,
};
use takt_ports::AppendError;
use takt_projections::World;

use crate::conflicts::Conflicts;
use crate::error::Error;
use crate::mailbox::{Draft, Mailbox};

/// What a caller says beside the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asks; shown in the history.
    pub actor: SmolStr,
    /// The same key with the same command is done once.
    pub key: Option<SmolStr>,
    /// The aggregate's last sequence, if the caller insists on it.
    pub expected_version: Option<u64>,
    /// How long the caller waits.
    pub deadline: Duration,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The last sequence it wrote; the read side's own when there was nothing to write.
    pub sequence: u64,
    /// The events' ids; empty when there was nothing to write.
    pub ids: Vec<EventId>,
    /// What the first event is about, such as the alert that was pulled or joined; empty when
    /// there was nothing to write.
    pub subject: SmolStr,
    /// Whether the key had been used for the same command before.
    pub duplicate: bool,
    /// What the policy let it pass over, with its remedies.
    pub warnings: Vec<Unmet>,
}

/// A command to one aggregate of a stream.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Stream(stream::Command),
    Board(BoardId, Box<board::Order>),
    Andon(Box<andon::Order>),
}

/// What a decision came to: events of one aggregate and the aggregates that were looked at.
struct Decision {
    aggregate: Aggregate,
    events: Vec<(Event, SmolStr, Time)>,
    also: Vec<Aggregate>,
    /// What the policy lets it pass over.
    warnings: Vec<Unmet>,
}

/// Decides and appends, again after a conflict, until it is done, refused, or the deadline has passed.
pub(crate) async fn execute(
    mailbox: &mut Mailbox,
    call: &Call,
    command: &Command,
) -> Result<Receipt, Error> {
    let digest = digest(command);
    let (began, mut conflicts) = (Instant::now(), Conflicts::default());
    let mut ids = Ids::of(mailbox, call);
    // What is refused or changes nothing on one of many nodes may be so because of what another
    // node has changed by now, so it is looked at again at the head.
    let mut is_sure = mailbox.shared.nodes.is_none();
    mailbox.settle().await?;
    loop {
        let as_of = mailbox.as_of();
        if let Some(known) = known(mailbox, call, &ids, &digest).await? {
            return Ok(known);
        }
        let asked = Asked { at: mailbox.shared.clock.now(), actor: call.actor.clone() };
        let stream = mailbox.stream.clone();
        let decision = mailbox.shared.read(|world| decide(world, &stream, call, command, &asked));
        let writes = decision.as_ref().is_ok_and(|decision| !decision.events.is_empty());
        if !writes && !is_sure {
            mailbox.catch_up().await?;
            is_sure = true;
            continue;
        }
        let decision = decision.inspect_err(|error| count_refusal(mailbox, command, error))?;
        if !writes {
            return Ok(receipt(mailbox, &[], vec![]));
        }
        let drafts = drafts(mailbox, call, &mut ids, decision.aggregate, decision.events, &digest);
        match mailbox.append(&drafts, &decision.also, as_of).await {
            Ok(_) => return Ok(receipt(mailbox, &drafts, decision.warnings)),
            Err(conflict @ AppendError::Conflict { .. }) => {
                conflicts.met(&mailbox.stream, &conflict).await?;
                mailbox.catch_up().await?;
            }
            Err(other) => return Err(other.into()),
        }
        // An append whose answer was lost looks like a conflict with itself.
        if let Some(first) =
            ids.first().and_then(|id| mailbox.sequence_of(id)).filter(|_| call.key.is_none())
        {
            let sequence = first + (drafts.len() as u64).saturating_sub(1);
            return Ok(Receipt { sequence, ..receipt(mailbox, &drafts, decision.warnings) });
        }
        if began.elapsed() > call.deadline {
            return Err(Error::DeadlineExceeded);
        }
    }
}

/// The ids of a command's events, chosen once for the call however often it decides.
struct Ids(Vec<EventId>);

impl Ids {
    fn of(mailbox: &Mailbox, call: &Call) -> Self {
        Self(vec![event_id(mailbox, call.key.as_ref(), 0)])
    }

    fn first(&self) -> Option<&EventId> {
        self.0.first()
    }

    /// As many ids as there are events.
    fn take(&mut self, mailbox: &Mailbox, call: &Call, count: usize) -> &[EventId] {
        while self.0.len() < count {
            let ordinal = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
            self.0.push(event_id(mailbox, call.key.as_ref(), ordinal));
        }
        self.0.get(..count).unwrap_or_default()
    }
}

fn receipt(mailbox: &Mailbox, drafts: &[Draft], warnings: Vec<Unmet>) -> Receipt {
    let ids = drafts.iter().map(|draft| draft.id).collect();
    let subject = drafts.first().map(|draft| draft.subject.clone()).unwrap_or_default();
    Receipt { sequence: mailbox.written, ids, subject, duplicate: false, warnings }
}

/// The receipt of the same command under the same key, if it was done before.
async fn known(
    mailbox: &Mailbox,
    call: &Call,
    ids: &Ids,
    digest: &str,
) -> Result<Option<Receipt>, Error> {
    let (Some(key), Some(id)) = (&call.key, ids.first().copied()) else { return Ok(None) };
    let Some(seq) = mailbox.sequence_of(&id) else { return Ok(None) };
    let entries = mailbox.shared.log.read(seq, 1).await?;
    let recorded = entries.first().and_then(|entry| takt_events::decode(seq, &entry.bytes).ok());
    match recorded.map(|recorded| recorded.meta) {
        Some(meta) if meta.digest.as_deref() == Some(digest) => {
            let (ids, subject) = (vec![id], meta.subject);
            let warnings = vec![];
            Ok(Some(Receipt { sequence: seq, ids, subject, duplicate: true, warnings }))
        }
        Some(_) | None => Err(Error::KeyReused { key: key.clone() }),
    }
}

/// What a key stands for: the command without the time of asking, which is another in a retry.
fn digest(command: &Command) -> SmolStr {
    let mut command = command.clone();
    if let Command::Andon(order) = &mut command
        && let andon::Order::Pull { trigger, .. } = order.as_mut()
    {
        trigger.at = Time::EPOCH;
    }
    takt_events::text_digest(&format!("{command:?}"))
}

fn event_id(mailbox: &Mailbox, key: Option<&SmolStr>, ordinal: u32) -> EventId {
    match key {
        Some(key) => EventId::derive("urn:takt:key", &format!("{}/{key}", mailbox.stream), ordinal),
        None => EventId(uuid::Uuid::now_v7()),
    }
}

fn drafts(
    mailbox: &Mailbox,
    call: &Call,
    ids: &mut Ids,
    aggregate: Aggregate,
    events: Vec<(Event, SmolStr, Time)>,
    digest: &SmolStr,
) -> Vec<Draft> {
    let ids = ids.take(mailbox, call, events.len());
    let correlation = ids.first().map(|first| format_smolstr!("{first}"));
    let ids = ids.iter().copied().enumerate();
    ids.zip(events)
        .map(|((ordinal, id), (event, subject, time))| {
            let mut meta = mailbox.meta(id, time, &call.actor);
            meta.subject = subject;
            meta.correlation = correlation.clone().filter(|_| ordinal > 0);
            meta.digest = (ordinal == 0).then(|| digest.clone());
            Draft::new(&mailbox.stream, aggregate.clone(), meta, &event)
        })
        .collect()
}

fn decide(
    world: &World,
    stream: &StreamName,
    call: &Call,
    command: &Command,
    asked: &Asked,
) -> Result<Decision, Error> {
    let aggregate = match command {
        Command::Stream(_) => Aggregate::Stream,
        Command::Board(board, _) => Aggregate::Board(board.clone()),
        Command::Andon(_) => Aggregate::Line,
    };
    if let Some(expected) = call.expected_version {
        let actual = world.head_of(stream, &aggregate);
        if actual != expected {
            return Err(Error::Aborted { expected, actual });
        }
    }
    let view = world.streams.get(stream);
    let unknown = || Error::UnknownStream(stream.clone());
    match command {
        Command::Stream(stream::Command::SetPolicy(_)) if view.is_none() => Err(unknown()),
        Command::Stream(command) => {
            let state = view.map(|view| view.state.clone()).unwrap_or_default();
            let events = stream::decide(&state, command.clone())?;
            let events = events
                .into_iter()
                .map(|event| (Event::Stream(event), SmolStr::new(stream.as_str()), asked.at))
                .collect();
            Ok(Decision { aggregate, events, also: vec![], warnings: vec![] })
        }
        Command::Andon(order) => {
            let view = view.ok_or_else(unknown)?;
            let command = andon::Command { asked: asked.clone(), order: (**order).clone() };
            let events = andon::decide(&view.line, &view.reruns, command)?;
            let events = events.into_iter().map(|event| on_line(event, asked.at)).collect();
            Ok(Decision { aggregate, events, also: vec![], warnings: vec![] })
        }
        Command::Board(id, order) => {
            let view = view.ok_or_else(unknown)?;
            on_board(view, id, (**order).clone(), asked, aggregate)
        }
    }
}

/// An event of the line with the alert as its subject; what fell due is dated at its deadline,
/// whenever that is noticed.
pub(crate) fn on_line(event: andon::Event, at: Time) -> (Event, SmolStr, Time) {
    use andon::Event as E;
    let (alert, at) = match &event {
        E::Pulled(it) => (&it.alert, at),
        E::Joined(it) => (&it.alert, at),
        E::Acknowledged(it) => (&it.alert, at),
        E::AcknowledgementExpired(it) => (&it.alert, it.at),
        E::Escalated(it) => (&it.alert, it.at),
        E::ConditionCleared(it) => (&it.alert, at),
        E::Resolved(it) => (&it.alert, at),
    };
    let subject = SmolStr::new(alert.as_str());
    (Event::Andon(event), subject, at)
}

fn on_board(
    view: &takt_projections::StreamView,
    id: &BoardId,
    order: board::Order,
    asked: &Asked,
    aggregate: Aggregate,
) -> Result<Decision, Error> {
    let Some(board) = view.boards.get(id) else {
        return Err(Error::Rejected(Rejection::NotFound {
            kind: "board",
            name: id.as_str().into(),
            remedy: "use the board `main`, which every stream has".to_owned(),
        }));
    };
    let evidence = board::Evidence {
        line: &view.line,
        line_seq: view.line_seq,
        line_policy: view.state.policy.line,
    };
    // An import that nobody closed ended a minute after its last fact, whenever that is noticed.
    let quiet = board.import.filter(|_| order == board::Order::Wake);
    let warnings = board::passed_over(board, evidence, &order);
    let command = board::Command { asked: asked.clone(), order };
    let events = board::decide(board, evidence, command)?;
    let looked_at_line = events.iter().any(|event| matches!(event, board::Event::GatePassed(_)));
    let also = if looked_at_line { vec![Aggregate::Line] } else { vec![] };
    let events = events
        .into_iter()
        .map(|event| {
            let (card, column) = about(&event);
            let time = if let board::Event::CardOverdue(overdue) = &event {
                overdue.since + overdue.limit
            } else if let (board::Event::ImportClosed(_), Some(last)) = (&event, quiet) {
                last + board::IMPORT_QUIET
            } else {
                card.map_or(asked.at, |card| board::event_time(board, card, asked.at))
            };
            let subject = card.map(CardId::as_str).or(column.map(ColumnName::as_str));
            let subject = subject.map(SmolStr::new).unwrap_or_default();
            (Event::Board(event), subject, time)
        })
        .collect();
    Ok(Decision { aggregate, events, also, warnings })
}

/// The card and the column that a board event is about.
fn about(event: &board::Event) -> (Option<&CardId>, Option<&ColumnName>) {
    use board::Event as E;
    match event {
        E::ColumnSet(it) => (None, Some(&it.column)),
        E::ColumnReported(it) => (None, Some(&it.column)),
        E::CardAdded(it) => (Some(&it.card), Some(&it.column)),
        E::CardMoved(it) => (Some(&it.card), Some(&it.column)),
        E::CardReported(it) => (Some(&it.card), it.column.as_ref()),
        E::CardBlocked(it) => (Some(&it.card), None),
        E::CardUnblocked(it) => (Some(&it.card), None),
        E::CardDeleted(it) => (Some(&it.card), None),
        E::CardOverdue(it) => (Some(&it.card), Some(&it.column)),
        E::GatePassed(it) => (Some(&it.card), Some(&it.column)),
        E::ImportClosed(_) => (None, None),
    }
}

fn count_refusal(mailbox: &mut Mailbox, command: &Command, error: &Error) {
    let Error::Rejected(Rejection::Refused(unmet)) = error else { return };
    let column = match command {
        Command::Board(_, order) => match order.as_ref() {
            board::Order::MoveCard { column, .. } => Some(column.clone()),
            board::Order::AddCard { column, .. } => column.clone(),
            board::Order::SetColumn(_)
            | board::Order::Block { .. }
            | board::Order::Unblock { .. }
            | board::Order::Delete { .. }
            | board::Order::ReportCard(_)
            | board::Order::ReportColumn(_)
            | board::Order::CloseImport
            | board::Order::Wake => None,
        },
        Command::Stream(_) | Command::Andon(_) => None,
    };
    for one in unmet {
        *mailbox.refused.entry((column.clone(), one.code.into())).or_default() += 1;
    }
}
