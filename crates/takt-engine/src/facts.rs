//! Facts: checked, recorded once, or kept as dead letters with their reason.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use smol_str::{SmolStr, ToSmolStr};
use takt_domain::fact::Fact;
use takt_domain::{EventId, Meta, Time};
use takt_ports::{AppendError, NewDeadLetter};

use crate::error::Error;
use crate::mailbox::{Draft, Mailbox};

/// The most bytes of a dead letter that are kept when it is over the limit.
const KEPT_BYTES: usize = 64 * 1024;
/// The size of a fact from which only the first [`KEPT_BYTES`] are kept.
const MAX_FACT_BYTES: usize = 1024 * 1024;
/// How many events one append may hold.
const BATCH: usize = 1000;
/// How many bytes one append may hold, with room for envelopes.
const BATCH_BYTES: usize = 6 * 1024 * 1024;

/// Entries that stand so close to each other are read in one piece.
const CLOSE: u64 = 16;

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

/// Understands bytes as a fact; told the time, so that facts from the future are found.
pub type Parse = fn(&[u8], Time) -> Result<Fact, Misfit>;

/// Understands a message of the inbox as a fact: its headers, in the order in which they came, and
/// its payload; told the time.
pub type ParseMessage = fn(&[(SmolStr, SmolStr)], &[u8], Time) -> Result<Fact, Misfit>;

/// What became of one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Records facts in the order they came; each is answered for itself.
pub(crate) async fn record(
    mailbox: &mut Mailbox,
    facts: Vec<Bytes>,
) -> Result<Vec<Published>, Error> {
    mailbox.settle().await?;
    if !mailbox.shared.read(|world| world.streams.contains_key(&mailbox.stream)) {
        return Err(Error::UnknownStream(mailbox.stream.clone()));
    }
    let mut published = Vec::with_capacity(facts.len());
    let mut rest = facts.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(batch_len(rest));
        published.extend(record_batch(mailbox, now).await?);
        rest = later;
    }
    Ok(published)
}

fn batch_len(facts: &[Bytes]) -> usize {
    let mut bytes = 0;
    let fits = facts
        .iter()
        .take(BATCH)
        .take_while(|fact| {
            bytes += fact.len().min(MAX_FACT_BYTES);
            bytes <= BATCH_BYTES
        })
        .count();
    fits.max(1)
}

/// What to do with one fact, before the batch is stored.
enum Verdict {
    /// The draft at this place of the batch.
    Draft(usize),
    Known(u64),
    /// The same fact came earlier in this batch, as the draft at this place.
    Twin(usize),
    /// What is wrong, and the name that the dead letter's id comes from, unless its bytes are.
    Dead(Misfit, Option<String>),
}

async fn record_batch(mailbox: &mut Mailbox, facts: &[Bytes]) -> Result<Vec<Published>, Error> {
    loop {
        mailbox.settle().await?;
        let (verdicts, drafts) = judge(mailbox, facts).await?;
        let first = if drafts.is_empty() {
            0
        } else {
            match mailbox.append(&drafts, &[]).await {
                Ok(first) => first,
                Err(AppendError::Conflict { .. }) => {
                    mailbox.catch_up().await?;
                    continue;
                }
                Err(other) => return Err(other.into()),
            }
        };
        let mut published = Vec::with_capacity(facts.len());
        for (bytes, verdict) in facts.iter().zip(verdicts) {
            published.push(match verdict {
                Verdict::Draft(place) => Published::Recorded { sequence: first + place as u64 },
                Verdict::Known(sequence) => Published::Duplicate { sequence },
                Verdict::Twin(place) => Published::Duplicate { sequence: first + place as u64 },
                Verdict::Dead(misfit, name) => bury(mailbox, bytes, misfit, name).await?,
            });
        }
        return Ok(published);
    }
}

async fn judge(mailbox: &Mailbox, facts: &[Bytes]) -> Result<(Vec<Verdict>, Vec<Draft>), Error> {
    let now = mailbox.shared.clock.now();
    let parsed: Vec<_> = facts
        .iter()
        .map(|bytes| {
            if let Some(seq) = own(mailbox, bytes) {
                return Err(Verdict::Known(seq));
            }
            let fact = (mailbox.shared.parse)(bytes, now);
            let fact = fact.map_err(|misfit| Verdict::Dead(misfit, None))?;
            let id = EventId::derive(&fact.source, &fact.id, 0);
            let known = mailbox.sequence_of(&id);
            Ok((fact, id, known))
        })
        .collect();
    let known = parsed.iter().filter_map(|fact| fact.as_ref().ok()?.2).collect();
    let digests = recorded_digests(mailbox, known).await?;
    let mut verdicts = Vec::with_capacity(facts.len());
    let mut drafts: Vec<Draft> = Vec::with_capacity(facts.len());
    let mut batch: BTreeMap<EventId, usize> = BTreeMap::new();
    for fact in parsed {
        let (fact, id, known) = match fact {
            Ok(fact) => fact,
            Err(misfit) => {
                verdicts.push(misfit);
                continue;
            }
        };
        let twin = batch.get(&id).and_then(|place| Some((*place, drafts.get(*place)?)));
        let verdict = match (twin, known) {
            (Some((place, twin)), _) => {
                same_or_reused(twin.meta.digest.as_ref(), &fact, Verdict::Twin(place))
            }
            (None, Some(seq)) => same_or_reused(digests.get(&seq), &fact, Verdict::Known(seq)),
            (None, None) => {
                batch.insert(id, drafts.len());
                drafts.push(draft(fact, id, now));
                Verdict::Draft(drafts.len() - 1)
            }
        };
        verdicts.push(verdict);
    }
    Ok((verdicts, drafts))
}

/// Where an event of this Takt's own stands, if that is what the bytes are: what was read from the
/// log and is published again is no news.
fn own(mailbox: &Mailbox, bytes: &[u8]) -> Option<u64> {
    let (source, id) = takt_events::origin(bytes)?;
    if source == mailbox.shared.source { mailbox.sequence_of(&id) } else { None }
}

/// The digests of recorded events. Facts that are published again mostly come in the order in which
/// they were recorded, so what stands close together is read at once.
async fn recorded_digests(
    mailbox: &Mailbox,
    seqs: BTreeSet<u64>,
) -> Result<BTreeMap<u64, SmolStr>, Error> {
    let mut digests = BTreeMap::new();
    let mut left = seqs.iter().copied().peekable();
    while let Some(first) = left.next() {
        let mut last = first;
        while let Some(next) = left.next_if(|next| next - last <= CLOSE) {
            last = next;
        }
        read_digests(mailbox, first, last, &mut digests).await?;
    }
    Ok(digests)
}

async fn read_digests(
    mailbox: &Mailbox,
    first: u64,
    last: u64,
    digests: &mut BTreeMap<u64, SmolStr>,
) -> Result<(), Error> {
    let mut next = first;
    while next <= last {
        let count = usize::try_from(last - next + 1).unwrap_or(usize::MAX);
        // A read may end early: at large entries, or before a damaged one, which is then an error
        // and never taken for other content.
        let entries = mailbox.shared.log.read(next, count).await?;
        let Some(end) = entries.last() else { break };
        next = end.seq + 1;
        for entry in &entries {
            let digest = takt_events::recorded_digest(&entry.bytes).unwrap_or_default();
            digests.insert(entry.seq, digest);
        }
    }
    Ok(())
}

fn same_or_reused(known: Option<&SmolStr>, fact: &Fact, same: Verdict) -> Verdict {
    if known == Some(&fact.digest) {
        return same;
    }
    let misfit = Misfit {
        reason: format!(
            "identity reused: source `{}` and id `{}` are recorded with other content",
            fact.source, fact.id
        ),
        place: "id".to_owned(),
        remedy: "give every event an id of its own".to_owned(),
    };
    let (source, id) = (&fact.source, &fact.id);
    let name = format!("{}:{source}{}:{id}{}", source.len(), id.len(), fact.digest);
    Verdict::Dead(misfit, Some(name))
}

fn draft(fact: Fact, id: EventId, now: Time) -> Draft {
    let meta = Meta {
        id,
        source: fact.source,
        subject: fact.subject,
        time: fact.time,
        recorded: now,
        sequence: fact.sequence,
        actor: None,
        causation: None,
        correlation: fact.correlation,
        traceparent: fact.traceparent,
        historical: fact.historical,
        digest: Some(fact.digest),
        cdevent: fact.cdevent,
    };
    let (aggregate, event) = fact.report.into_event();
    Draft { aggregate, meta, event }
}

/// Keeps bytes as a dead letter. Its id comes from the stream and the fact's identity and content,
/// or from the bytes where they are no fact, so that the same one is kept once however it is spelt
/// and however often it comes.
async fn bury(
    mailbox: &Mailbox,
    bytes: &Bytes,
    misfit: Misfit,
    name: Option<String>,
) -> Result<Published, Error> {
    let sha256 = takt_events::hex(&Sha256::digest(bytes));
    let name = format!("{}/{}", mailbox.stream, name.as_ref().unwrap_or(&sha256));
    let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes());
    let kept = if bytes.len() > MAX_FACT_BYTES { bytes.slice(..KEPT_BYTES) } else { bytes.clone() };
    let letter = NewDeadLetter {
        id,
        stream: mailbox.stream.clone(),
        reason: misfit.reason.to_smolstr(),
        place: misfit.place.to_smolstr(),
        remedy: misfit.remedy.to_smolstr(),
        at: mailbox.shared.clock.now(),
        bytes: kept,
        length: bytes.len() as u64,
        sha256: sha256.into(),
    };
    let Misfit { reason, place, remedy } = misfit;
    match mailbox.shared.dead.keep(letter).await {
        Ok(_) => Ok(Published::Dead { id, reason, place, remedy }),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}
