//! Facts: checked, recorded once, or kept as dead letters with their reason.

mod judge;
mod parked;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use takt_domain::fact::Fact;
use takt_domain::system::{IntakeAdvanced, Parked};
use takt_domain::{Aggregate, Event, EventId, Meta, StreamName, Time, system};
use takt_ports::AppendError;

use crate::conflicts::Conflicts;
use crate::dead::{self, MAX_FACT_BYTES};
use crate::error::Error;
use crate::mailbox::{Draft, Mailbox};
use crate::shared::Shared;
use judge::{Judged, Verdict, judge};
use parked::{Thing, thing};

/// How many facts one append may hold, beside the intake's position.
pub(crate) const BATCH: usize = 999;
/// How many bytes one append may hold, with room for envelopes.
pub(crate) const BATCH_BYTES: usize = 6 * 1024 * 1024;

/// Why bytes are not a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// What is wrong, with the value.
    pub reason: String,
    /// Where in the bytes.
    pub place: String,
    /// What would make it right.
    pub remedy: String,
}

impl Misfit {
    pub(crate) fn dead(self, id: uuid::Uuid) -> Published {
        let Self { reason, place, remedy } = self;
        Published::Dead { id, reason, place, remedy }
    }
}

/// Why nothing can be made of a message whose headers do not read.
pub(crate) fn unreadable(message: &takt_ports::Message) -> Option<Misfit> {
    let reason = message.unreadable.as_ref()?;
    Some(Misfit {
        reason: format!("headers do not read: {reason}"),
        place: "headers".to_owned(),
        remedy: "give each header a name of printable ASCII and a value of UTF-8 on one line, and \
                 publish it again"
            .to_owned(),
    })
}

/// Understands bytes as a fact; told the time, so that facts from the future are found.
pub type Parse = fn(&[u8], Time) -> Result<Fact, Misfit>;

/// The text of a message of the inbox, which says all by itself: from its headers, in the order in
/// which they came, and its payload.
pub type TextOf = fn(&[(SmolStr, SmolStr)], &Bytes) -> Result<Bytes, Misfit>;

/// What became of one fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Published {
    /// It is in the log.
    Recorded {
        /// Where.
        sequence: u64,
    },
    /// It was in the log already, with the same content.
    Duplicate {
        /// Where.
        sequence: u64,
    },
    /// It is a dead letter.
    Dead {
        /// The dead letter's id.
        id: uuid::Uuid,
        /// What is wrong.
        reason: String,
        /// Where in the bytes.
        place: String,
        /// What would make it right.
        remedy: String,
    },
}

/// What came, understood and written as the log would have it: this needs no look at what is
/// recorded, and so goes on beside the mailbox.
pub(crate) struct Came {
    pub(crate) bytes: Bytes,
    /// The event of this Takt's own that it says it is.
    pub(crate) own: Option<EventId>,
    pub(crate) fact: Result<Understood, Misfit>,
    /// Its place in the inbox, if it came from there.
    pub(crate) seq: u64,
    /// The id of its dead letter where that does not follow from what it says.
    pub(crate) letter: Option<uuid::Uuid>,
    /// Whether it was a dead letter before.
    pub(crate) is_replayed: bool,
}

/// A fact with what would be recorded of it. Its `recordedtime` is now, a little before it is stored.
pub(crate) struct Understood {
    pub(crate) source: SmolStr,
    /// The id that its source has given it.
    pub(crate) id: SmolStr,
    pub(crate) digest: SmolStr,
    pub(crate) thing: Thing,
    pub(crate) draft: Draft,
}

impl Understood {
    fn of(stream: &StreamName, fact: Fact, now: Time) -> Self {
        let thing = thing(&fact);
        let meta = Meta {
            id: EventId::derive(&fact.source, &fact.id, 0),
            source: fact.source.clone(),
            subject: fact.subject,
            time: fact.time,
            recorded: now,
            sequence: fact.sequence,
            actor: None,
            causation: None,
            correlation: fact.correlation,
            traceparent: fact.traceparent,
            historical: fact.historical,
            digest: Some(fact.digest.clone()),
            cdevent: fact.cdevent,
        };
        let (aggregate, event) = fact.report.into_event();
        let draft = Draft::new(stream, aggregate, meta, &event);
        Self { source: fact.source, id: fact.id, digest: fact.digest, thing, draft }
    }
}

impl Came {
    /// Understands bytes that came for a stream.
    pub(crate) fn of(shared: &Shared, stream: &StreamName, bytes: Bytes) -> Self {
        let own = may_come_from(&shared.source, &bytes).then(|| takt_events::origin(&bytes));
        let own = own.flatten().filter(|(source, _)| *source == shared.source);
        let now = shared.clock.now();
        let fact = (shared.parse)(&bytes, now).map(|fact| Understood::of(stream, fact, now));
        Self { own: own.map(|(_, id)| id), fact, bytes, seq: 0, letter: None, is_replayed: false }
    }

    /// What nothing can be made of.
    pub(crate) fn misfit(bytes: Bytes, misfit: Misfit) -> Self {
        Self { bytes, own: None, fact: Err(misfit), seq: 0, letter: None, is_replayed: false }
    }
}

/// Whether bytes can name a source: most facts need not be read for it. A backslash may write any
/// character in another way.
fn may_come_from(source: &str, bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes);
    text.map_or(true, |text| text.contains(source) || text.contains('\\'))
}

/// Records facts in the order they came; each is answered for itself.
pub(crate) async fn record(mailbox: &mut Mailbox, came: &[Came]) -> Result<Vec<Published>, Error> {
    let mut published = Vec::with_capacity(came.len());
    let mut rest = came;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(batch_len(rest));
        published.extend(store(mailbox, now, None).await?);
        rest = later;
    }
    Ok(published)
}

/// Records what came from the inbox after a position, as one batch with the position after it.
pub(crate) async fn take_in(
    mailbox: &mut Mailbox,
    after: u64,
    came: &[Came],
) -> Result<Vec<Published>, Error> {
    store(mailbox, came, Some(after)).await
}

fn batch_len(facts: &[Came]) -> usize {
    let mut bytes = 0;
    let fits = facts
        .iter()
        .take(BATCH)
        .take_while(|came| {
            bytes += came.bytes.len().min(MAX_FACT_BYTES);
            bytes <= BATCH_BYTES
        })
        .count();
    fits.max(1)
}

/// Stores a batch; one that the log finds too large is stored in halves, and a fact that is too
/// large alone is a dead letter.
async fn store(
    mailbox: &mut Mailbox,
    came: &[Came],
    after: Option<u64>,
) -> Result<Vec<Published>, Error> {
    let (mut unfit, mut conflicts) = (None, Conflicts::default());
    loop {
        mailbox.may_judge().await?;
        if came.iter().any(|came| is_unheard_of(mailbox, came)) {
            mailbox.catch_up().await?;
        }
        let as_of = mailbox.as_of();
        mailbox.may_record(after)?;
        let judged = judge(mailbox, came, unfit.as_deref()).await?;
        let answers = bury(mailbox, came, &judged).await?;
        match append(mailbox, came, after, judged.drafts, (judged.parked, judged.freed), as_of)
            .await
        {
            Ok(first) => return Ok(answer(mailbox, first, judged.verdicts, answers)),
            Err(conflict @ AppendError::Conflict { .. }) => {
                conflicts.met(&mailbox.stream, &conflict).await?;
                mailbox.catch_up().await?;
            }
            Err(AppendError::TooLarge { .. }) if came.len() > 1 => {
                let (one, two) = came.split_at(came.len() / 2);
                let mut published = Box::pin(store(mailbox, one, after)).await?;
                let after = after.map(|after| one.last().map_or(after, |last| last.seq));
                published.extend(Box::pin(store(mailbox, two, after)).await?);
                return Ok(published);
            }
            Err(AppendError::TooLarge { problem }) if unfit.is_none() => unfit = Some(problem),
            Err(other) => return Err(other.into()),
        }
    }
}

/// Whether something names this Takt as its source and is not known here: another node may have
/// written it a moment ago.
fn is_unheard_of(mailbox: &Mailbox, came: &Came) -> bool {
    let is_own =
        |came: &Came| came.fact.as_ref().is_ok_and(|fact| fact.source == mailbox.shared.source);
    match came.own {
        Some(own) => mailbox.sequence_of(&own).is_none(),
        None => is_own(came),
    }
}

/// Keeps the dead letters of a batch; they are durable before the position passes them.
async fn bury(
    mailbox: &Mailbox,
    came: &[Came],
    judged: &Judged,
) -> Result<Vec<Option<Published>>, Error> {
    let mut answers = Vec::with_capacity(came.len());
    for (came, verdict) in came.iter().zip(&judged.verdicts) {
        answers.push(match verdict {
            Verdict::Dead(misfit, id) if came.is_replayed => Some(misfit.clone().dead(*id)),
            Verdict::Dead(misfit, id) => {
                let (shared, stream) = (&mailbox.shared, &mailbox.stream);
                Some(dead::keep(shared, stream, *id, &came.bytes, misfit.clone()).await?)
            }
            Verdict::Draft(_) | Verdict::Known(_) | Verdict::Twin(_) => None,
        });
    }
    Ok(answers)
}

fn answer(
    mailbox: &Mailbox,
    first: u64,
    verdicts: Vec<Verdict>,
    answers: Vec<Option<Published>>,
) -> Vec<Published> {
    let published = verdicts.into_iter().zip(answers).map(|(verdict, dead)| match verdict {
        Verdict::Draft(place) => Published::Recorded { sequence: first + place as u64 },
        Verdict::Known(sequence) => Published::Duplicate { sequence },
        Verdict::Twin(place) => Published::Duplicate { sequence: first + place as u64 },
        Verdict::Dead(misfit, id) => dead.unwrap_or_else(|| misfit.dead(id)),
    });
    let published = published.collect();
    mailbox.shared.counts.add(&published);
    published
}

/// Appends facts with the position that they lead to; only a position waits for company.
async fn append(
    mailbox: &mut Mailbox,
    came: &[Came],
    after: Option<u64>,
    mut drafts: Vec<Draft>,
    (parked, freed): (Vec<Parked>, Vec<uuid::Uuid>),
    as_of: u64,
) -> Result<u64, AppendError> {
    let (inbox, position) = mailbox.position();
    let through = after.and(came.last()).map_or(position, |last| last.seq);
    let is_plain = parked.is_empty() && freed.is_empty();
    if drafts.is_empty() && is_plain {
        mailbox.taken = after.map(|_| through).or(mailbox.taken);
        return Ok(0);
    }
    if mailbox.shared.nodes.is_some() || !is_plain {
        drafts.push(advanced(mailbox, IntakeAdvanced { inbox, through, parked, freed }));
    }
    let first = mailbox.append(&drafts, &[], as_of).await?;
    mailbox.taken = after.map(|_| through).or(mailbox.taken);
    if is_plain {
        mailbox.ahead.add(first, &drafts);
    }
    mailbox.position_at = Some(std::time::Instant::now());
    Ok(first)
}

pub(crate) fn advanced(mailbox: &Mailbox, event: IntakeAdvanced) -> Draft {
    let id = EventId(uuid::Uuid::now_v7());
    let meta = mailbox.meta(id, mailbox.shared.clock.now(), "takt");
    let event = Event::System(system::Event::IntakeAdvanced(event));
    Draft::new(&mailbox.stream, Aggregate::Intake, meta, &event)
}
